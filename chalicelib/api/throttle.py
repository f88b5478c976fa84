"""A bound on sign-in attempts of this process.

Each process counts for itself: what is guarded is the provider (two calls per attempt) and a
guess at a signed text, which a few more tries do not make feasible.
"""

from __future__ import annotations

from threading import Lock

WINDOW_MS = 60_000
PER_SOURCE_MAX = 10
IN_ALL_MAX = 120


class Throttle:
    """Attempts per source and in all, counted in windows of a minute."""

    def __init__(self, per_source: int = PER_SOURCE_MAX, in_all: int = IN_ALL_MAX) -> None:
        self._per_source = per_source
        self._in_all = in_all
        self._window = 0
        # Has at most `in_all` entries: who is refused is not remembered.
        self._taken: dict[str, int] = {}
        self._lock = Lock()

    def wait_s(self, source: str, now_ms: int) -> int:
        """Count an attempt of this source: 0 when it may go on, else the seconds to wait."""
        with self._lock:
            window, since_ms = divmod(now_ms, WINDOW_MS)
            if window != self._window:
                self._window, self._taken = window, {}
            taken = self._taken.get(source, 0)
            if taken >= self._per_source or sum(self._taken.values()) >= self._in_all:
                return (WINDOW_MS - since_ms + 999) // 1000
            self._taken[source] = taken + 1
            return 0
