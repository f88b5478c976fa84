"""The part of an order that rests: which later events of the book would have filled it.

Resting fills are maker fills at our own limit without a fee. An offer of the other side at or
through our price would have met us before it could rest, and a trade beyond our price would have
reached us first. What traded at our very price counts only in mode `touch`, after the shares that
were in the queue before us.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

from chalicelib.domain.consumption import Taken
from chalicelib.domain.exchange_log import Side
from chalicelib.domain.money import cash_floor
from chalicelib.domain.orderbook import Level, within
from chalicelib.domain.paper_order import SLICES_MAX, Order, Outcome, Slice, ended
from chalicelib.domain.reasons import Reason
from chalicelib.domain.records import replace
from chalicelib.domain.tape import BookChange, Tape, TradePrint

SEGMENTS_MAX = 24
"""Segments an outcome names, the first ones."""


@dataclass(frozen=True, slots=True)
class _Moment:
    """Everything the tape shows at one venue time."""

    ts: int
    changes: tuple[BookChange, ...]
    prints: tuple[TradePrint, ...]


def reach(tape: Tape, t0: int, t1: int) -> int:
    """The latest moment up to t1 to which the tape has no gap since t0; t0 when there is none."""
    ts = t0
    for _ in range(len(tape.segments)):
        segment = tape.segment_at(ts)
        if segment is None or (segment.ts_end == ts and ts > t0):
            break
        ts = segment.ts_end
        if ts >= t1:
            return t1
    return ts


def followed(
    order: Order, outcome: Outcome, tape: Tape, until: int, taken: Iterable[Taken] = ()
) -> Outcome:
    """The outcome of a resting order as far as `until`, at most its expiry.

    At its expiry it ends. Where the tape has a gap it ends too, with what was proven before it.
    """
    if not outcome.rests:
        return outcome
    until = min(until, order.ts_expiry)
    known = reach(tape, outcome.ts_done, until)
    found = _filled(order, outcome, tape, known, tuple(taken))
    if not found.rests:
        return found
    if known < until:
        return ended(order, found, known, Reason.REMAINDER_CANCELLED, Reason.TAPE_INCOMPLETE)
    if until >= order.ts_expiry:
        return ended(order, found, until, Reason.REMAINDER_CANCELLED)
    return replace(found, ts_done=max(known, found.ts_done))


def cancelled(
    order: Order, outcome: Outcome, tape: Tape, ts: int, taken: Iterable[Taken] = ()
) -> Outcome:
    """The outcome of a resting order that is cancelled at `ts`, with what was filled before."""
    found = followed(order, outcome, tape, ts, taken)
    return ended(order, found, ts, Reason.REMAINDER_CANCELLED) if found.rests else found


def _filled(
    order: Order, outcome: Outcome, tape: Tape, until: int, taken: tuple[Taken, ...]
) -> Outcome:
    since = outcome.ts_done
    if until <= since:
        return outcome
    names = [*outcome.segments, *(s.name for s in tape.stretch(since, until))]
    left, ahead = order.shares - outcome.shares, outcome.ahead
    slices = list(outcome.slices)
    used = {(one.side, one.price): one for one in taken}
    own = {(one.side, one.price): one for one in outcome.taken}
    ts_done, status = until, outcome.status
    for moment in _moments(tape, since, until):
        # A taker trades before what he leaves is shown as an offer.
        traded, ahead = _traded(order, moment.prints, ahead)
        filled = min(left, traded)
        for one in _crossed(order, moment, left - filled, used):
            filled, ahead = filled + one.shares, 0
            known = _since_set(used, one)
            used[one.side, one.price] = own[one.side, one.price] = replace(
                one, shares=one.shares + known
            )
        if filled == 0:
            continue
        left -= filled
        cash = cash_floor(filled, order.limit)
        slices.append(Slice(moment.ts, filled, cash, 0, (Level(order.limit, filled),)))
        status = "PARTIAL"
        if left == 0 or len(slices) == SLICES_MAX:
            ts_done = moment.ts
            break
    found = replace(
        outcome,
        status=status,
        slices=tuple(slices),
        ts_done=ts_done,
        ahead=ahead,
        taken=tuple(own.values()),
        segments=tuple(dict.fromkeys(names))[:SEGMENTS_MAX],
    )
    if left == 0 or len(slices) == SLICES_MAX:
        return ended(order, found, ts_done, Reason.REMAINDER_CANCELLED)
    return found


def _moments(tape: Tape, after: int, until: int) -> Iterator[_Moment]:
    """What happened after `after`, by venue time; of one price only its last total counts."""
    events: list[BookChange | TradePrint] = [
        *tape.changes_between(after, until),
        *tape.prints_between(after, until),
    ]
    events.sort(key=lambda e: e.ts_venue)
    for ts, at in groupby(events, key=lambda e: e.ts_venue):
        changes: dict[tuple[Side, int], BookChange] = {}
        prints: list[TradePrint] = []
        for event in at:
            if isinstance(event, BookChange):
                changes[event.side, event.price] = event
            else:
                prints.append(event)
        yield _Moment(ts, tuple(changes.values()), tuple(prints))


def _since_set(used: dict[tuple[Side, int], Taken], now: Taken) -> int:
    """Shares that orders of ours already took from the level as it was set at `now.ts`."""
    known = used.get((now.side, now.price))
    return known.shares if known and known.ts >= now.ts else 0


def _crossed(
    order: Order, moment: _Moment, left: int, used: dict[tuple[Side, int], Taken]
) -> list[Taken]:
    """What the other side newly offers at or through our price, best first."""
    book_side: Side = "SELL" if order.side == "BUY" else "BUY"
    found: list[Taken] = []
    offers = [c for c in moment.changes if c.side == book_side and c.shares]
    for change in sorted(offers, key=lambda c: c.price, reverse=order.side == "SELL"):
        if not within(Level(change.price, change.shares), order.side, order.limit):
            continue
        offer = Taken(order.side, change.price, 0, change.shares, moment.ts)
        shares = min(left, max(0, change.shares - _since_set(used, offer)))
        if shares:
            found.append(replace(offer, shares=shares))
            left -= shares
    return found


def _traded(order: Order, prints: Iterable[TradePrint], ahead: int) -> tuple[int, int]:
    """Shares that takers of the other side would have sold or bought us, and the queue left."""
    filled = 0
    for trade in prints:
        if trade.side == order.side:
            continue
        beyond = trade.price < order.limit if order.side == "BUY" else trade.price > order.limit
        if beyond:
            filled, ahead = filled + trade.shares, 0
        elif trade.price == order.limit and order.resting_fill == "touch":
            served = min(ahead, trade.shares)
            filled, ahead = filled + trade.shares - served, ahead - served
    return filled, ahead
