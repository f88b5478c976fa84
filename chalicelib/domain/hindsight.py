"""What an attempt looks like some time later: what a skip gave up, and what delay would cost.

A skipped BUY whose size and limit were known is filled on paper as the order that its guardrail
stopped: on the recorded book at our normal delay, else, as an estimate, all of it at the best offer
of its decision. It keeps its limit unless a price guard stopped it: without that guard it would
have paid what was offered. It is valued an hour and a day later at the marks, and at last at what
the market paid. A BUY refused before a book was looked at has no such order: it is unjudged.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from chalicelib.domain.fee import taker_fee
from chalicelib.domain.lane import Attempt
from chalicelib.domain.money import MICROS, cash_floor
from chalicelib.domain.orderbook import Book, walk_shares
from chalicelib.domain.reasons import Reason
from chalicelib.domain.stress import StressPoint

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
NORMAL_LATENCY_MS = 1_000
"""The stress latency that stands for ours: 750 ms and up to 250 ms of jitter."""

Horizon = Literal["1h", "24h", "settlement"]
HORIZONS: tuple[Horizon, ...] = get_args(Horizon)
SETTLEMENT_DAYS_MAX = 400

PRICE_GUARDS = frozenset(
    {
        Reason.WORSE_THAN_LEADER,
        Reason.BEYOND_MID,
        Reason.PRICE_MOVED,
        Reason.OUTSIDE_PRICE_BAND,
        Reason.SPREAD_TOO_WIDE,
        Reason.DEPTH_TOO_THIN,
        Reason.CATCH_UP_NOT_BETTER,
    }
)
"""Guardrails that judge what the book offers. The limit is part of them."""


@dataclass(frozen=True, slots=True)
class LookBack:
    """An attempt to be looked at again at `ts_due` (milliseconds) for one horizon.

    `shares`, `cash` and `fee` (micros) are the fill a skip gave up, known after the first look;
    `estimated` says that no recorded book told of it, `awaits_mark` that it is to be valued at a
    mark.
    """

    account_id: str
    portfolio_id: str
    epoch: int
    attempt_id: str
    leader: str
    token_id: str
    ts_decided: int
    ts_due: int
    horizon: Horizon = "1h"
    shares: int = 0
    cash: int = 0
    fee: int = 0
    awaits_mark: bool = False
    estimated: bool = False
    version: int = 0


@dataclass(frozen=True, slots=True)
class Forgone:
    """What skips with one reason gave up, at one horizon; amounts in micros.

    `alone` counts only skips that this reason alone stopped: those its guardrail decided. Without a
    reason every skip counts once. `signals` = `unfilled` (the book offered nothing the order could
    take) + `unvalued` (no mark or payout was known) + those behind `notional` and `gain`, of which
    `won` would have earned something and `estimated` were filled on no recorded book. A `gain`
    below zero is what the guardrail saved.
    """

    reason: Reason | None
    alone: bool
    horizon: Horizon
    signals: int = 0
    unfilled: int = 0
    unvalued: int = 0
    notional: int = 0
    gain: int = 0
    won: int = 0
    estimated: int = 0


@dataclass(frozen=True, slots=True)
class DecayPoint:
    """How orders would have fared `latency_ms` after their decision, on `count` recorded books.

    `shares` filled and `worse`, their cost in micros beyond the leader's price, stand in the order
    of the stress preview's depths. `base_shares` and `base_worse` are the same orders without any
    delay on the full book, so that a rise is delay and not another choice of orders.
    """

    latency_ms: int
    count: int = 0
    target: int = 0
    shares: tuple[int, ...] = ()
    worse: tuple[int, ...] = ()
    base_shares: int = 0
    base_worse: int = 0


@dataclass(frozen=True, slots=True)
class Hindsight:
    """All that was learned later about one leader's attempts in one epoch of a portfolio."""

    portfolio_id: str
    epoch: int
    leader: str
    forgone: tuple[Forgone, ...] = ()
    decay: tuple[DecayPoint, ...] = ()
    version: int = 0


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """A fill that never was, in micros; no shares when there was nothing it could take.

    `estimated` where no recorded book told of it.
    """

    shares: int = 0
    cash: int = 0
    fee: int = 0
    estimated: bool = False


def unjudged(attempt: Attempt) -> bool:
    """Whether it is a skipped BUY of which nobody can say what it would have become.

    It was refused before a book was looked at, or would have bought nothing. The leader's price
    is no substitute: what we would have paid beyond it is part of the question.
    """
    return _is_skipped_buy(attempt) and not _is_priced(attempt)


def _is_skipped_buy(attempt: Attempt) -> bool:
    return attempt.order is None and attempt.side == "BUY"


def _is_priced(attempt: Attempt) -> bool:
    return bool(attempt.decision.target_shares) and attempt.decision.limit is not None


def looks_back(attempt: Attempt, account_id: str) -> LookBack | None:
    """The first look back at an attempt that is over, where there is anything to learn.

    A skipped BUY needs a size and a price, everything else a recorded book.
    """
    decision, outcome = attempt.decision, attempt.outcome
    priced = _is_priced(attempt)
    recorded = bool(outcome and outcome.segments) or (bool(decision.segment) and priced)
    gave_up = _is_skipped_buy(attempt) and priced
    if not recorded and not gave_up:
        return None
    return LookBack(
        account_id=account_id,
        portfolio_id=attempt.portfolio_id,
        epoch=attempt.epoch,
        attempt_id=attempt.attempt_id,
        leader=attempt.leader,
        token_id=attempt.token_id,
        ts_decided=decision.ts_decided,
        ts_due=decision.ts_decided + HOUR_MS,
        awaits_mark=gave_up,
    )


def given_up(attempt: Attempt, book: Book | None) -> Hypothesis | None:
    """The fill a skipped BUY gave up; None for what was no skipped BUY of a known size.

    `book` is the recorded one NORMAL_LATENCY_MS after the decision, None where there is none.
    """
    decision = attempt.decision
    wanted = decision.target_shares
    if not _is_skipped_buy(attempt) or not _is_priced(attempt) or not wanted:
        return None
    limit = None if PRICE_GUARDS.intersection(decision.reasons) else decision.limit
    if book is not None:
        walk = walk_shares(book, "BUY", wanted, limit)
        shares, cash = walk.shares, walk.cash
    else:
        shares, cash = _at_best(wanted, decision.best, limit)
    fee = taker_fee(attempt.fee_schedule, shares, cash)
    return Hypothesis(shares, cash, fee, estimated=book is None)


def _at_best(shares: int, best: int | None, limit: int | None) -> tuple[int, int]:
    if best is None or (limit is not None and best > limit):
        return 0, 0
    return shares, cash_floor(shares, best)


def with_forgone(
    known: Sequence[Forgone],
    reasons: Sequence[Reason],
    horizon: Horizon,
    fill: Hypothesis,
    price: int | None,
) -> tuple[Forgone, ...]:
    """The sums after one skip was valued at `price` per share (None: it is not known)."""
    cells = {(cell.reason, cell.alone, cell.horizon): cell for cell in known}
    wanted: list[tuple[Reason | None, bool]] = [(None, False)]
    wanted += [(reason, False) for reason in dict.fromkeys(reasons)]
    if len(set(reasons)) == 1:
        wanted.append((reasons[0], True))
    for reason, alone in wanted:
        key = (reason, alone, horizon)
        cells[key] = _added(cells.get(key) or Forgone(reason, alone, horizon), fill, price)
    ordered = sorted(cells.values(), key=lambda c: (c.reason or "", c.alone, c.horizon))
    return tuple(ordered)


def together(rows: Iterable[Hindsight]) -> Hindsight:
    """The sums of several leaders as one; the first one's names stand for all."""
    every = list(rows)
    cells: dict[tuple[Reason | None, bool, Horizon], Forgone] = {}
    curve: dict[int, DecayPoint] = {}
    for row in every:
        for cell in row.forgone:
            known = cells.get((cell.reason, cell.alone, cell.horizon))
            cells[cell.reason, cell.alone, cell.horizon] = _summed(known, cell) if known else cell
        for point in row.decay:
            was = curve.get(point.latency_ms)
            curve[point.latency_ms] = _joined(was, point) if was else point
    forgone = sorted(cells.values(), key=lambda c: (c.reason or "", c.alone, c.horizon))
    decay = tuple(curve[latency] for latency in sorted(curve))
    return replace(every[0], forgone=tuple(forgone), decay=decay)


def _summed(one: Forgone, other: Forgone) -> Forgone:
    return replace(
        one,
        signals=one.signals + other.signals,
        unfilled=one.unfilled + other.unfilled,
        unvalued=one.unvalued + other.unvalued,
        notional=one.notional + other.notional,
        gain=one.gain + other.gain,
        won=one.won + other.won,
        estimated=one.estimated + other.estimated,
    )


def _joined(one: DecayPoint, other: DecayPoint) -> DecayPoint:
    return replace(
        one,
        count=one.count + other.count,
        target=one.target + other.target,
        shares=_sums(one.shares, other.shares),
        worse=_sums(one.worse, other.worse),
        base_shares=one.base_shares + other.base_shares,
        base_worse=one.base_worse + other.base_worse,
    )


def _added(cell: Forgone, fill: Hypothesis, price: int | None) -> Forgone:
    if not fill.shares:
        return replace(cell, signals=cell.signals + 1, unfilled=cell.unfilled + 1)
    if price is None:
        return replace(cell, signals=cell.signals + 1, unvalued=cell.unvalued + 1)
    gain = cash_floor(fill.shares, price) - fill.cash - fill.fee
    return replace(
        cell,
        signals=cell.signals + 1,
        notional=cell.notional + fill.cash,
        gain=cell.gain + gain,
        won=cell.won + (gain > 0),
        estimated=cell.estimated + fill.estimated,
    )


def with_decay(
    known: Sequence[DecayPoint], attempt: Attempt, points: Sequence[StressPoint]
) -> tuple[DecayPoint, ...]:
    """The curve after one attempt's stress points; without one at 0 ms there is no comparison."""
    base = next((point for point in points if point.latency_ms == 0), None)
    target = attempt.order.shares if attempt.order else attempt.decision.target_shares
    if base is None or not target:
        return tuple(known)
    curve = {one.latency_ms: one for one in known}
    base_worse = _worse(attempt, base)[0]
    for point in points:
        was = curve.get(point.latency_ms) or DecayPoint(point.latency_ms)
        none = (0,) * len(point.shares)
        curve[point.latency_ms] = replace(
            was,
            count=was.count + 1,
            target=was.target + target,
            shares=_sums(was.shares or none, point.shares),
            worse=_sums(was.worse or none, _worse(attempt, point)),
            base_shares=was.base_shares + base.shares[0],
            base_worse=was.base_worse + base_worse,
        )
    return tuple(curve[latency] for latency in sorted(curve))


def _worse(attempt: Attempt, point: StressPoint) -> tuple[int, ...]:
    """Cash beyond the leader's price per depth, positive to our disadvantage, rounded down."""
    sign = 1 if attempt.side == "BUY" else -1
    his = attempt.decision.leader_price
    return tuple(
        sign * shares * (vwap - his) // MICROS if vwap is not None else 0
        for shares, vwap in zip(point.shares, point.vwap, strict=True)
    )


def _sums(one: Sequence[int], other: Sequence[int]) -> tuple[int, ...]:
    return tuple(a + b for a, b in zip(one, other, strict=True))


def next_look(row: LookBack, now: int, closes_at: int | None) -> LookBack | None:
    """The row for its next horizon, or for another try to learn how the market ended.

    The older the wait, the rarer the tries; None after SETTLEMENT_DAYS_MAX.
    """
    if row.horizon == "1h":
        return replace(row, horizon="24h", ts_due=row.ts_decided + DAY_MS, version=0)
    if row.horizon == "24h":
        due = max(row.ts_due + 1, closes_at or 0)
        return replace(row, horizon="settlement", ts_due=due, awaits_mark=False, version=0)
    age = now - row.ts_decided
    if age > SETTLEMENT_DAYS_MAX * DAY_MS:
        return None
    pause = min(max(age // 4, HOUR_MS), 7 * DAY_MS)
    return replace(row, ts_due=max(now + pause, closes_at or 0), version=0)
