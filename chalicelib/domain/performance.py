"""How copying one leader fared in one portfolio: counters that only grow.

A row counts everything since the epoch opened. There is one per hour in which something was
counted, so the newest row has the totals, and the difference of two rows is what lies between.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from chalicelib.domain.completeness import hour_of
from chalicelib.domain.hindsight import unjudged
from chalicelib.domain.histogram import SLIPPAGE_BOUNDS, Histogram, histogram, less, merged
from chalicelib.domain.lane import Attempt
from chalicelib.domain.money import MICROS
from chalicelib.domain.reasons import Reason


@dataclass(frozen=True, slots=True)
class ReasonCount:
    """How many attempts carried a reason."""

    reason: Reason
    count: int


@dataclass(frozen=True, slots=True)
class LeaderCounts:
    """Attempts that are over, as of the hour `ts_hour` (its start, milliseconds).

    `attempts` = `skipped` + `filled` + `partial` + `no_fill` + `failed`; `skipped` were skipped by
    their decision, `no_fill` executed and met nothing. `bought` and `sold` are cash of our fills
    before `fees`, `bought_at_his` and `sold_at_his` the same shares at the leader's price, all in
    micros. `unjudged` skips were BUYs that no look back can value, `unjudged_reasons` theirs. The
    slippage histograms have the bounds SLIPPAGE_BOUNDS.
    """

    portfolio_id: str
    epoch: int
    leader: str
    ts_hour: int
    attempts: int = 0
    skipped: int = 0
    filled: int = 0
    partial: int = 0
    no_fill: int = 0
    failed: int = 0
    bought: int = 0
    bought_at_his: int = 0
    sold: int = 0
    sold_at_his: int = 0
    fees: int = 0
    reasons: tuple[ReasonCount, ...] = ()
    slippage_leader: Histogram = ()
    slippage_mid: Histogram = ()
    slippage_arrival: Histogram = ()
    unjudged: int = 0
    unjudged_reasons: tuple[ReasonCount, ...] = ()
    version: int = 0

    @property
    def executed(self) -> int:
        """Attempts that placed an order."""
        return self.attempts - self.skipped

    @property
    def paid_beyond_his(self) -> int:
        """Σ (our average price − his) × our shares, a sale's shares negative; fees not counted."""
        return self.bought - self.bought_at_his - self.sold + self.sold_at_his


_SUMS = (
    "attempts",
    "skipped",
    "filled",
    "partial",
    "no_fill",
    "failed",
    "bought",
    "bought_at_his",
    "sold",
    "sold_at_his",
    "fees",
    "unjudged",
)
_REASONS = ("reasons", "unjudged_reasons")
_HISTOGRAMS = ("slippage_leader", "slippage_mid", "slippage_arrival")


def counted(before: LeaderCounts, attempt: Attempt) -> LeaderCounts:
    """The counters after an attempt that is over.

    It counts in the hour of its decision, or in the newest hour there is: hours never reopen.
    """
    applied = attempt.outcome.slices[: attempt.applied] if attempt.outcome else ()
    shares = sum(part.shares for part in applied)
    cash = sum(part.cash for part in applied)
    at_his = shares * attempt.decision.leader_price // MICROS
    buys, sells = attempt.side == "BUY", attempt.side == "SELL"
    skipped = attempt.order is None
    unknown = unjudged(attempt)
    fared = attempt.slippage
    return replace(
        before,
        ts_hour=max(before.ts_hour, hour_of(attempt.decision.ts_decided)),
        attempts=before.attempts + 1,
        skipped=before.skipped + skipped,
        filled=before.filled + (attempt.status == "FILLED"),
        partial=before.partial + (attempt.status == "CANCELLED" and shares > 0),
        no_fill=before.no_fill + (not skipped and shares == 0 and attempt.status != "FAILED"),
        failed=before.failed + (attempt.status == "FAILED"),
        bought=before.bought + cash * buys,
        bought_at_his=before.bought_at_his + at_his * buys,
        sold=before.sold + cash * sells,
        sold_at_his=before.sold_at_his + at_his * sells,
        fees=before.fees + sum(part.fee for part in applied),
        reasons=_with(before.reasons, attempt.reasons),
        slippage_leader=_plus(before.slippage_leader, fared.leader if fared else None),
        slippage_mid=_plus(before.slippage_mid, fared.mid if fared else None),
        slippage_arrival=_plus(before.slippage_arrival, fared.arrival if fared else None),
        unjudged=before.unjudged + unknown,
        unjudged_reasons=_with(before.unjudged_reasons, attempt.reasons if unknown else ()),
    )


def _with(counts: Iterable[ReasonCount], reasons: Iterable[Reason]) -> tuple[ReasonCount, ...]:
    found = {one.reason: one.count for one in counts}
    for reason in dict.fromkeys(reasons):
        found[reason] = found.get(reason, 0) + 1
    return tuple(ReasonCount(reason, found[reason]) for reason in sorted(found))


def unjudged_together(rows: Iterable[LeaderCounts]) -> tuple[ReasonCount, ...]:
    """The reasons of several leaders' unjudged skips."""
    found: dict[Reason, int] = {}
    for row in rows:
        for one in row.unjudged_reasons:
            found[one.reason] = found.get(one.reason, 0) + one.count
    return tuple(ReasonCount(reason, found[reason]) for reason in sorted(found))


def _plus(counts: Histogram, value: int | None) -> Histogram:
    return counts if value is None else merged([counts, histogram(SLIPPAGE_BOUNDS, [value])])


def since(now: LeaderCounts, earlier: LeaderCounts | None) -> LeaderCounts:
    """What was counted after `earlier`, an earlier row of the same counters (None: everything)."""
    if earlier is None:
        return now
    changes: dict[str, Any] = {n: getattr(now, n) - getattr(earlier, n) for n in _SUMS}
    changes |= {n: less(getattr(now, n), getattr(earlier, n)) for n in _HISTOGRAMS}
    changes |= {n: _without(getattr(now, n), getattr(earlier, n)) for n in _REASONS}
    return replace(now, **changes)


def _without(
    counts: Iterable[ReasonCount], earlier: Iterable[ReasonCount]
) -> tuple[ReasonCount, ...]:
    was = {one.reason: one.count for one in earlier}
    left = [ReasonCount(one.reason, one.count - was.get(one.reason, 0)) for one in counts]
    return tuple(one for one in left if one.count)


@dataclass(frozen=True, slots=True)
class TrackingGap:
    """Returns in micros (10_000 is 1 %), cash in micros.

    `ours` is what copying the leader returned on what we bought, `his` what the same fills would
    have returned at his prices and without our fees; `gap` is ours less his.
    """

    ours: int
    his: int
    paid_beyond_his: int
    fees: int

    @property
    def gap(self) -> int:
        """Below zero where we fared worse."""
        return self.ours - self.his


def tracking_gap(counts: LeaderCounts, gain_before_fees: int) -> TrackingGap | None:
    """The gap where `gain_before_fees` is realized and unrealized of his part at present marks.

    The same shares at the same marks are worth the same: what is his without ours is what we paid
    beyond his price, and our fees. None while nothing was bought. Returns round towards zero.
    """
    if counts.bought <= 0 or counts.bought_at_his <= 0:
        return None
    ours = gain_before_fees - counts.fees
    his = gain_before_fees + counts.paid_beyond_his
    return TrackingGap(
        _part(ours, counts.bought),
        _part(his, counts.bought_at_his),
        counts.paid_beyond_his,
        counts.fees,
    )


def _part(amount: int, of: int) -> int:
    size = abs(amount) * MICROS // of
    return size if amount >= 0 else -size
