"""Circuit breakers: losses of a portfolio that stop new positions, and what resets them."""

from __future__ import annotations

from dataclasses import dataclass

from chalicelib.domain.money import MICROS
from chalicelib.domain.reasons import Reason
from chalicelib.domain.records import quick, replace
from chalicelib.domain.risk import DAY_MS
from chalicelib.domain.rules import CopyRules
from chalicelib.domain.snapshot import Snapshot

_MONDAY_DAYS = 3
"""The epoch began on a Thursday: Monday's week began this many days before it."""


def week_of(ts: int) -> int:
    """Weeks from Monday 1969-12-29, 00:00 UTC, to a time in milliseconds."""
    return (ts // DAY_MS + _MONDAY_DAYS) // 7


@quick
@dataclass(frozen=True, slots=True)
class Breakers:
    """What one epoch's equity was when it counts, and since when its breakers are open.

    Equities in micros, times in milliseconds, 0 for never. A day and a week open with the last
    equity seen before them, so that no loss falls between two of them; `equity` is the last one
    seen, at `ts`. `high_water` is the highest of the first one seen, or of the one at the last
    reset, and of all minutes' snapshots since; marks up to `ts_high` are counted in it.
    """

    portfolio_id: str
    epoch: int
    ts: int = 0
    equity: int = 0
    day_equity: int = 0
    week_equity: int = 0
    high_water: int = 0
    ts_daily: int = 0
    ts_weekly: int = 0
    ts_drawdown: int = 0
    ts_high: int = 0
    version: int = 0


def observed(
    breakers: Breakers, equity: int, ts: int, rules: CopyRules, minute: Snapshot | None = None
) -> Breakers:
    """After the equity was seen at `ts`; what was seen earlier counts as seen by now.

    `minute` is the newest minute's snapshot, where it was looked for. A limit of zero switches its
    breaker off. A breaker that is open keeps the time it opened, and keeps it afterwards until it
    opens again: what was to be decided before midnight may be decided after it.
    """
    ts = max(ts, breakers.ts)
    before = breakers.equity if breakers.ts else equity
    is_new_day = ts // DAY_MS > breakers.ts // DAY_MS
    is_new_week = week_of(ts) > week_of(breakers.ts)
    day = before if is_new_day else breakers.day_equity
    week = before if is_new_week else breakers.week_equity
    high, ts_high = breakers.high_water if breakers.ts else equity, breakers.ts_high
    if minute and minute.ts_marks > ts_high:
        high, ts_high = max(high, minute.equity), minute.ts_marks
    daily, weekly = breakers.ts_daily, breakers.ts_weekly
    if daily // DAY_MS < ts // DAY_MS:
        daily = _tripped(day, equity, rules.daily_loss_max, ts) or daily
    if week_of(weekly) < week_of(ts):
        weekly = _tripped(week, equity, rules.weekly_loss_max, ts) or weekly
    return replace(
        breakers,
        ts=ts,
        equity=equity,
        day_equity=day,
        week_equity=week,
        high_water=high,
        ts_daily=daily,
        ts_weekly=weekly,
        ts_drawdown=breakers.ts_drawdown or _tripped(high, equity, rules.drawdown_max, ts),
        ts_high=ts_high,
    )


def _tripped(before: int, now: int, part: int, ts: int) -> int:
    """`ts` where the loss reached `part` (a fraction in micros) of what was there, else 0."""
    return ts if part and before > 0 and (before - now) * MICROS >= before * part else 0


def open_breakers(breakers: Breakers, ts: int) -> tuple[Reason, ...]:
    """The breakers that were open at `ts`: the day's, the week's, and the drawdown until reset."""
    found = []
    if 0 < breakers.ts_daily <= ts and breakers.ts_daily // DAY_MS == ts // DAY_MS:
        found.append(Reason.BREAKER_DAILY_LOSS)
    if 0 < breakers.ts_weekly <= ts and week_of(breakers.ts_weekly) == week_of(ts):
        found.append(Reason.BREAKER_WEEKLY_LOSS)
    if 0 < breakers.ts_drawdown <= ts:
        found.append(Reason.BREAKER_DRAWDOWN)
    return tuple(found)


def reset(breakers: Breakers) -> Breakers:
    """The drawdown's breaker closed by hand: the height is measured anew from the last equity."""
    ts_high = max(breakers.ts, breakers.ts_high)
    return replace(breakers, ts_drawdown=0, high_water=breakers.equity, ts_high=ts_high)
