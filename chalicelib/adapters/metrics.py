"""Metrics as counters in memory."""

from __future__ import annotations

from collections import Counter
from threading import Lock


class CountingMetrics:
    """Counters of this process; any thread may count."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._lock = Lock()

    def count(self, name: str, value: int = 1) -> None:
        """Add to a counter."""
        with self._lock:
            self._counts[name] += value

    def snapshot(self) -> dict[str, int]:
        """Every counter as it stands, as a copy."""
        with self._lock:
            return dict(self._counts)
