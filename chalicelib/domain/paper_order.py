"""A paper order and what the book would have given it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from chalicelib.domain.exchange_log import Side
from chalicelib.domain.fee import FeeSchedule, taker_fee
from chalicelib.domain.money import MICROS
from chalicelib.domain.orderbook import Book, Level, Walk, walk_shares
from chalicelib.domain.reasons import Reason

AttemptStatus = Literal["SKIPPED", "SUBMITTED", "PARTIAL", "FILLED", "CANCELLED", "FAILED"]
BookSource = Literal["rest", "tape"]


@dataclass(frozen=True, slots=True)
class Order:
    """A marketable limit order: at most `shares`, never beyond `limit`, placed at `ts_placed`.

    A snapshot received after `ts_book_max` can no longer stand for the book at placement.
    """

    token_id: str
    side: Side
    shares: int
    limit: int
    ts_placed: int
    ts_book_max: int


@dataclass(frozen=True, slots=True)
class Slice:
    """One fill event of an order, its levels, cash before fee and fee in micros."""

    ts: int
    shares: int
    cash: int
    fee: int
    levels: tuple[Level, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The terminal result of an order: stored once, then applied, never recomputed."""

    status: AttemptStatus
    reasons: tuple[Reason, ...]
    slices: tuple[Slice, ...]
    book_source: BookSource
    book_hash: str
    ts_book: int | None
    ts_done: int

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


def fee_bound(schedule: FeeSchedule, side: Side, shares: int, limit: int) -> int:
    """A fee no fill of the order can exceed: the schedule at the allowed price nearest 0.5."""
    half = MICROS // 2
    price = min(limit, half) if side == "BUY" else max(limit, half)
    return taker_fee(schedule, shares, -(-shares * price // MICROS)) + 10


def reservation(order: Order, schedule: FeeSchedule) -> int:
    """Cash a BUY holds back until it is terminal, rounded up; a SELL holds back none."""
    if order.side == "SELL":
        return 0
    return -(-order.shares * order.limit // MICROS) + fee_bound(
        schedule, "BUY", order.shares, order.limit
    )


def fill_and_kill(order: Order, book: Book | None, schedule: FeeSchedule, ts_done: int) -> Outcome:
    """The order against one snapshot: what crosses is filled, the rest is cancelled at once."""
    reason = Reason.NO_LIQUIDITY_WITHIN_BOUNDS
    walk = Walk((), 0, 0, order.shares)
    if book is None:
        reason = Reason.BOOK_MISSING
    elif book.ts_received > order.ts_book_max:
        reason = Reason.BOOK_TOO_LATE
    else:
        walk = walk_shares(book, order.side, order.shares, order.limit)
    if book is None or walk.shares == 0:
        return Outcome(
            status="SKIPPED",
            reasons=(reason,),
            slices=(),
            book_source="rest",
            book_hash="" if book is None else book.venue_hash,
            ts_book=None if book is None else book.ts_received,
            ts_done=ts_done,
        )
    fee = taker_fee(schedule, walk.shares, walk.cash)
    filled = Slice(order.ts_placed, walk.shares, walk.cash, fee, walk.fills)
    complete = walk.unfilled == 0
    return Outcome(
        status="FILLED" if complete else "CANCELLED",
        reasons=() if complete else (Reason.REMAINDER_KILLED,),
        slices=(filled,),
        book_source="rest",
        book_hash=book.venue_hash,
        ts_book=book.ts_received,
        ts_done=ts_done,
    )
