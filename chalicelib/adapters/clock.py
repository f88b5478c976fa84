"""Clocks: the machine's, and one that tests and replay turn by hand."""

from __future__ import annotations

import random
import time
from threading import Lock


class SystemClock:
    """The machine's clock."""

    def now_ms(self) -> int:
        """Milliseconds UTC."""
        return time.time_ns() // 1_000_000

    def pause_ms(self, milliseconds: int) -> None:
        """Sleep between half of it and all of it, so that contenders come apart."""
        time.sleep(milliseconds / 1000 * random.uniform(0.5, 1.0))


class ManualClock:
    """A clock that stands still until it is advanced."""

    def __init__(self, start_ms: int) -> None:
        self._now_ms = start_ms
        self._lock = Lock()

    def now_ms(self) -> int:
        """Milliseconds UTC."""
        with self._lock:
            return self._now_ms

    def advance(self, delta_ms: int) -> int:
        """Go forward and return the new time. Raises ValueError for a negative step."""
        if delta_ms < 0:
            raise ValueError(f"a clock does not go back by {-delta_ms} ms")
        with self._lock:
            self._now_ms += delta_ms
            return self._now_ms

    def pause_ms(self, milliseconds: int) -> None:
        """Nothing: nobody else runs while this clock stands still."""


class VirtualClock:
    """The clock of a replay: one thread sets it to the time of each event."""

    __slots__ = ("_now_ms",)

    def __init__(self, start_ms: int) -> None:
        self._now_ms = start_ms

    def now_ms(self) -> int:
        """Milliseconds UTC."""
        return self._now_ms

    def reach(self, ts_ms: int) -> None:
        """Go forward to a time; one that is past changes nothing."""
        self._now_ms = max(self._now_ms, ts_ms)

    def pause_ms(self, milliseconds: int) -> None:
        """Nothing: nobody else runs."""
