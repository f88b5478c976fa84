"""When a portfolio is paused; by the times of its events, not by who handles them when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

PAUSES_MAX = 8
"""Pauses remembered, the latest ones: no work row is older than all of them."""


@dataclass(frozen=True, slots=True)
class Pause:
    """From `ts_from` until `ts_until` (milliseconds), 0 while it lasts."""

    ts_from: int
    ts_until: int = 0

    def covers(self, ts: int) -> bool:
        """Whether the portfolio was paused at `ts`."""
        return self.ts_from <= ts and (self.ts_until == 0 or ts < self.ts_until)


Pauses = tuple[Pause, ...]


def is_paused(pauses: Sequence[Pause]) -> bool:
    """Whether the last pause lasts."""
    return bool(pauses) and pauses[-1].ts_until == 0


def paused_at(pauses: Sequence[Pause], ts: int) -> bool:
    """Whether any pause covers `ts`."""
    return any(pause.covers(ts) for pause in pauses)


def paused_after(pauses: Sequence[Pause], ts: int) -> int | None:
    """When the first pause after `ts` began, None where none did."""
    return min((pause.ts_from for pause in pauses if pause.ts_from > ts), default=None)


def pause(pauses: Pauses, ts: int) -> Pauses:
    """Paused from `ts` on; a portfolio that is paused stays as it is."""
    return pauses if is_paused(pauses) else (*pauses, Pause(ts))[-PAUSES_MAX:]


def resume(pauses: Pauses, ts: int) -> Pauses:
    """No longer paused from `ts` on, or as it was."""
    if not is_paused(pauses):
        return pauses
    last = pauses[-1]
    return (*pauses[:-1], replace(last, ts_until=max(ts, last.ts_from)))
