"""What a portfolio was worth at a minute: written once, and computable again from the ledger.

A snapshot names its inputs: the first `entries` entries of the portfolio's ledger, and the mark
sheets in force at `ts_marks`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from chalicelib.domain.money import MICROS
from chalicelib.domain.portfolio import Head, Position

MINUTE_MS = 60_000
Grain = Literal["1m", "5m", "1h", "1d"]
GRAINS: tuple[Grain, ...] = get_args(Grain)
GRAIN_MS: Mapping[Grain, int] = {
    "1m": MINUTE_MS,
    "5m": 5 * MINUTE_MS,
    "1h": 60 * MINUTE_MS,
    "1d": 1_440 * MINUTE_MS,
}

PARTS_MAX = 50


@dataclass(frozen=True, slots=True)
class LeaderPart:
    """What came of one leader in a portfolio of several: amounts in micros, fees not counted."""

    leader: str
    value: int
    cost: int
    realized: int
    open_positions: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A portfolio at the minute `ts` (milliseconds, its start), in the series of one grain.

    Amounts in micros. `value` is Σ shares × mark, `reserved` what unfinished orders held back,
    which no ledger tells. `gain_max` is the highest gain of any minute since the opening, at least
    0. `parts` are the PARTS_MAX leaders with the largest value, in portfolios of several.
    """

    portfolio_id: str
    epoch: int
    grain: Grain
    ts: int
    ts_marks: int
    entries: int
    cash: int
    value: int
    reserved: int
    cost: int
    realized: int
    fees: int
    gain_max: int
    open_positions: int
    parts: tuple[LeaderPart, ...] = ()
    version: int = 0

    @property
    def equity(self) -> int:
        """Cash and the value of what is held."""
        return self.cash + self.value

    @property
    def exposure(self) -> int:
        """What is held at its marks, and what unfinished orders held back."""
        return self.value + self.reserved

    @property
    def unrealized(self) -> int:
        """Value beyond the cost at which it is held."""
        return self.value - self.cost

    @property
    def gain(self) -> int:
        """Everything earned since the opening, after fees.

        Equity less the starting cash and less what came without cash, so that neither an opening
        nor shares moved into a wallet look like earnings.
        """
        return self.realized + self.unrealized - self.fees

    @property
    def drawdown(self) -> int:
        """How far the gain, and with it the equity, is below its highest minute; never negative."""
        return self.gain_max - self.gain


def minute_of(ts_ms: int) -> int:
    """The start of a time's minute, in milliseconds."""
    return ts_ms - ts_ms % MINUTE_MS


def snapshot_of(
    head: Head,
    positions: Iterable[Position],
    prices: Mapping[str, int],
    ts_marks: int,
    gain_max: int,
) -> Snapshot:
    """The minute's snapshot of a head and all its positions; `gain_max` is that of the last one."""
    parts = _parts(positions, prices)
    value = sum(part.value for part in parts)
    cost = sum(part.cost for part in parts)
    gain = head.realized + value - cost - head.fees
    largest = sorted(parts, key=lambda part: (-abs(part.value), part.leader))[:PARTS_MAX]
    return Snapshot(
        portfolio_id=head.portfolio_id,
        epoch=head.epoch,
        grain="1m",
        ts=minute_of(ts_marks),
        ts_marks=ts_marks,
        entries=head.entries,
        cash=head.cash,
        value=value,
        reserved=head.reserved,
        cost=cost,
        realized=head.realized,
        fees=head.fees,
        gain_max=max(0, gain_max, gain),
        open_positions=sum(part.open_positions for part in parts),
        parts=tuple(largest) if head.kind == "global" else (),
    )


def _parts(positions: Iterable[Position], prices: Mapping[str, int]) -> list[LeaderPart]:
    """Positions by leader; a token without a mark counts at its cost."""
    by_leader: dict[str, list[int]] = {}
    for position in positions:
        mark = prices.get(position.token_id)
        value = position.cost if mark is None else position.shares * mark // MICROS
        sums = by_leader.setdefault(position.leader, [0, 0, 0, 0])
        for place, amount in enumerate(
            (value, position.cost, position.realized, int(position.shares > 0))
        ):
            sums[place] += amount
    return [LeaderPart(leader, *sums) for leader, sums in sorted(by_leader.items())]


def series_begun(before: int | None, ts: int) -> tuple[Grain, ...]:
    """The series that a minute's snapshot belongs to: those whose step it is the first one of.

    `before` is the last snapshot's minute, None when there is none.
    """
    return tuple(
        grain
        for grain in GRAINS
        if before is None or before // GRAIN_MS[grain] < ts // GRAIN_MS[grain]
    )


Span = Literal["1h", "1d", "7d", "30d", "all"]
SPANS: tuple[Span, ...] = get_args(Span)
_SERIES: Mapping[Span, tuple[Grain, int]] = {
    "1h": ("1m", 60),
    "1d": ("5m", 288),
    "7d": ("1h", 168),
    "30d": ("1h", 720),
    "all": ("1d", 1_000),
}


def series_of(span: Span) -> tuple[Grain, int]:
    """The series that draws a span, and the most points it has."""
    return _SERIES[span]


def gained(now: Snapshot, before: Snapshot | None) -> int:
    """Earned between two snapshots; since the opening when there was none before."""
    return now.gain - (before.gain if before else 0)


def day_start(ts_ms: int, days_back: int = 0) -> int:
    """00:00 UTC of a time's day, or of a day before it, in milliseconds."""
    return ts_ms - ts_ms % GRAIN_MS["1d"] - days_back * GRAIN_MS["1d"]


def in_order(snapshots: Sequence[Snapshot], last: Snapshot | None) -> list[Snapshot]:
    """A series oldest first, ending with the present minute."""
    ordered = sorted(snapshots, key=lambda one: one.ts)
    if last and (not ordered or ordered[-1].ts < last.ts):
        ordered.append(last)
    return ordered
