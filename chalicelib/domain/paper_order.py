"""A paper order and what the book would have given it at the moment of its placement."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from chalicelib.domain.consumption import TAKEN_MAX, Taken, reduced, still_taken
from chalicelib.domain.exchange_log import Side
from chalicelib.domain.fee import FeeSchedule, taker_fee
from chalicelib.domain.money import MICROS
from chalicelib.domain.orderbook import Book, Level, Walk, walk_shares
from chalicelib.domain.reasons import Reason
from chalicelib.domain.records import quick, replace
from chalicelib.domain.risk import UNSPENT, Spending
from chalicelib.domain.rules import RestingFill
from chalicelib.domain.safety_caps import HARD_CAPS, Caps, cap_reasons, lower_of
from chalicelib.domain.tape import Tape

AttemptStatus = Literal["SKIPPED", "SUBMITTED", "PARTIAL", "FILLED", "CANCELLED", "FAILED"]
BookSource = Literal["rest", "tape"]

SLICES_MAX = 32
"""Fills of one order; what they leave is cancelled. Keeps every commit of them small."""


@quick
@dataclass(frozen=True, slots=True)
class Order:
    """A marketable limit order: at most `shares`, never beyond `limit`, placed at `ts_placed`.

    What the placement leaves rests for `ttl_ms`; 0 cancels it at once. A snapshot received after
    `ts_book_max` can no longer stand for the book at placement. `caps` are those of its settings,
    and `spent` is what the portfolio spent before it: whoever places it judges them again.
    """

    token_id: str
    side: Side
    shares: int
    limit: int
    ts_placed: int
    ts_book_max: int
    ttl_ms: int = 0
    resting_fill: RestingFill = "trade_through"
    caps: Caps = HARD_CAPS
    spent: Spending = UNSPENT

    @property
    def ts_expiry(self) -> int:
        """When a remainder is cancelled."""
        return self.ts_placed + self.ttl_ms

    @property
    def cash(self) -> int:
        """The most its shares can cost before fees, rounded up."""
        return -(-self.shares * self.limit // MICROS)


@quick
@dataclass(frozen=True, slots=True)
class Slice:
    """One fill event of an order, its levels, cash before fee and fee in micros."""

    ts: int
    shares: int
    cash: int
    fee: int
    levels: tuple[Level, ...]


@quick
@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an order so far: stored, then applied, never recomputed.

    While it rests (SUBMITTED, PARTIAL) its fate is known up to `ts_done`, where the next look goes
    on; `ahead` are shares that were in the queue before us. `best` and `mid` are what the order met
    at its placement, `taken` the levels it used up, `segments` the tape's parts that proved it.
    """

    status: AttemptStatus
    reasons: tuple[Reason, ...]
    slices: tuple[Slice, ...]
    book_source: BookSource
    book_hash: str
    ts_book: int | None
    ts_done: int
    segments: tuple[str, ...] = ()
    best: int | None = None
    mid: int | None = None
    ahead: int = 0
    taken: tuple[Taken, ...] = ()

    @property
    def rests(self) -> bool:
        """Whether a remainder may still be filled."""
        return self.status in ("SUBMITTED", "PARTIAL")

    @property
    def shares(self) -> int:
        """Filled shares."""
        return sum(s.shares for s in self.slices)

    @property
    def cash(self) -> int:
        """Cash of the fills before fees."""
        return sum(s.cash for s in self.slices)

    @property
    def fee(self) -> int:
        """Fees of the fills."""
        return sum(s.fee for s in self.slices)


def refused(order: Order) -> Outcome | None:
    """The end of a BUY that a safety cap forbids to place, or None where it may be placed."""
    if order.side == "SELL":
        return None
    if not cap_reasons(order.cash, order.spent, order.ts_placed, lower_of(order.caps, HARD_CAPS)):
        return None
    return Outcome(
        status="FAILED",
        reasons=(Reason.SAFETY_CAP,),
        slices=(),
        book_source="rest",
        book_hash="",
        ts_book=None,
        ts_done=order.ts_placed,
    )


def unplaced(order: Order, reason: Reason) -> Outcome:
    """The end of an order that was not placed at its time, for this reason."""
    return Outcome(
        status="SKIPPED",
        reasons=(reason,),
        slices=(),
        book_source="rest",
        book_hash="",
        ts_book=None,
        ts_done=order.ts_placed,
    )


def fee_bound(schedule: FeeSchedule, side: Side, shares: int, limit: int) -> int:
    """A fee no fill of the order can exceed: the schedule at the allowed price nearest 0.5."""
    half = MICROS // 2
    price = min(limit, half) if side == "BUY" else max(limit, half)
    return taker_fee(schedule, shares, -(-shares * price // MICROS)) + 10


def reservation(order: Order, schedule: FeeSchedule) -> int:
    """Cash a BUY holds back until it is terminal, rounded up; a SELL holds back none."""
    if order.side == "SELL":
        return 0
    return resting_reservation(order, 0) + fee_bound(schedule, "BUY", order.shares, order.limit)


def resting_reservation(order: Order, filled: int) -> int:
    """Cash the remainder of a resting BUY can still cost, rounded up; makers pay no fee."""
    if order.side == "SELL":
        return 0
    return -(-(order.shares - filled) * order.limit // MICROS)


def fill_and_kill(
    order: Order,
    book: Book | None,
    schedule: FeeSchedule,
    ts_done: int,
    taken: Iterable[Taken] = (),
) -> Outcome:
    """The order against one snapshot: what crosses is filled, the rest is cancelled at once."""
    if book is None or book.ts_received > order.ts_book_max:
        reason = Reason.BOOK_MISSING if book is None else Reason.BOOK_TOO_LATE
        return Outcome(
            status="SKIPPED",
            reasons=(reason,),
            slices=(),
            book_source="rest",
            book_hash="" if book is None else book.venue_hash,
            ts_book=None if book is None else book.ts_received,
            ts_done=ts_done,
        )
    ts_seen = max(order.ts_placed, book.ts_received)
    left = still_taken(taken, book, order.side, ts_seen, Tape(order.token_id, ()))
    swept = _sweep(order, book, schedule, left)
    return replace(_killed(order, swept), ts_done=ts_done)


def placed(
    order: Order, tape: Tape, schedule: FeeSchedule, taken: Iterable[Taken] = ()
) -> Outcome | None:
    """The order against the tape's book at its placement; None where the tape has none.

    What is left rests, unless it has no time to.
    """
    segment = tape.segment_at(order.ts_placed)
    book = segment.book_at(order.ts_placed) if segment else None
    if segment is None or book is None:
        return None
    left = still_taken(taken, book, order.side, order.ts_placed, tape)
    swept = replace(
        _sweep(order, book, schedule, left), book_source="tape", segments=(segment.name,)
    )
    if swept.status == "FILLED" or order.ttl_ms == 0:
        return _killed(order, swept)
    own = book.bids if order.side == "BUY" else book.asks
    ahead = sum(level.shares for level in own if level.price == order.limit)
    return replace(swept, ahead=ahead)


def _sweep(order: Order, book: Book, schedule: FeeSchedule, taken: list[Taken]) -> Outcome:
    """The placement: level by level up to the limit, one fee on the average price."""
    walk = walk_shares(reduced(book, order.side, taken), order.side, order.shares, order.limit)
    best = book.takes(order.side)
    return Outcome(
        status=_status(order, walk.shares),
        reasons=(),
        slices=_placement(order, walk, schedule),
        book_source="rest",
        book_hash=book.venue_hash,
        ts_book=book.ts_received or None,
        ts_done=order.ts_placed,
        best=best[0].price if best else None,
        mid=book.mid,
        taken=_used(order, book, walk, taken),
    )


def _status(order: Order, filled: int) -> AttemptStatus:
    if filled == order.shares:
        return "FILLED"
    return "PARTIAL" if filled else "SUBMITTED"


def _placement(order: Order, walk: Walk, schedule: FeeSchedule) -> tuple[Slice, ...]:
    if walk.shares == 0:
        return ()
    fee = taker_fee(schedule, walk.shares, walk.cash)
    return (Slice(order.ts_placed, walk.shares, walk.cash, fee, walk.fills),)


def _used(order: Order, book: Book, walk: Walk, taken: list[Taken]) -> tuple[Taken, ...]:
    """The levels the walk used, with what earlier orders had taken there."""
    offers = {level.price: level.shares for level in book.takes(order.side)}
    before = {one.price: one.shares for one in taken}
    ts = max(order.ts_placed, book.ts_received)
    return tuple(
        Taken(order.side, f.price, f.shares + before.get(f.price, 0), offers[f.price], ts)
        for f in walk.fills[:TAKEN_MAX]
    )


def _killed(order: Order, swept: Outcome) -> Outcome:
    """A placement whose remainder, if any, is cancelled at once."""
    return ended(order, swept, order.ts_placed, Reason.REMAINDER_KILLED)


def ended(order: Order, outcome: Outcome, ts: int, *why: Reason) -> Outcome:
    """The outcome once nothing more can be filled, for these reasons where something is left.

    An order of which nothing was filled says only that: NO_LIQUIDITY_WITHIN_BOUNDS, whether or not
    it rested. That its remainder was cancelled is true of every one of them and would count each
    skip twice; that the tape had a gap is kept, because then nobody knows.
    """
    if outcome.shares == order.shares:
        return replace(outcome, status="FILLED", reasons=(), ts_done=ts)
    if outcome.shares:
        return replace(outcome, status="CANCELLED", reasons=why, ts_done=ts)
    also = tuple(r for r in why if r is Reason.TAPE_INCOMPLETE)
    reasons = (Reason.NO_LIQUIDITY_WITHIN_BOUNDS, *also)
    return replace(outcome, status="SKIPPED", reasons=reasons, ts_done=ts)
