"""The machine's clock, moved: a jump stands for waiting that long."""

from __future__ import annotations

import time


class ShiftedClock:
    """Runs as fast as the machine's clock, from wherever it was set."""

    def __init__(self, offset_ms: int = 0) -> None:
        self._offset_ms = offset_ms

    def now_ms(self) -> int:
        """Milliseconds UTC."""
        return time.time_ns() // 1_000_000 + self._offset_ms

    def shift(self, milliseconds: int) -> None:
        """Let this much time have passed."""
        self._offset_ms += milliseconds

    def reach(self, ts_ms: int) -> None:
        """Let it be `ts_ms` at least."""
        self.shift(max(0, ts_ms - self.now_ms()))

    def pause_ms(self, milliseconds: int) -> None:
        """Sleep that long."""
        time.sleep(milliseconds / 1000)
