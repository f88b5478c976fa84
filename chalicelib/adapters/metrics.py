"""Metrics as counters in memory."""

from __future__ import annotations

from collections import Counter, deque
from threading import Lock

VALUES_KEPT = 1_000


class CountingMetrics:
    """Counters of this process, and the latest values of distributions; for any thread."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._values: dict[str, deque[int]] = {}
        self._lock = Lock()

    def count(self, name: str, value: int = 1) -> None:
        """Add to a counter."""
        with self._lock:
            self._counts[name] += value

    def observe(self, name: str, value: int) -> None:
        """Note one value of a distribution."""
        with self._lock:
            self._values.setdefault(name, deque(maxlen=VALUES_KEPT)).append(value)

    def observed(self, name: str) -> list[int]:
        """The latest values of a distribution, oldest first."""
        with self._lock:
            return list(self._values.get(name, ()))

    def snapshot(self) -> dict[str, int]:
        """Every counter as it stands, as a copy."""
        with self._lock:
            return dict(self._counts)
