"""What our own paper orders took from a book that, being paper, they did not really change.

A level an order of ours took stays taken for the portfolio until the venue sets it again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from chalicelib.domain.exchange_log import Side
from chalicelib.domain.orderbook import Book, Level
from chalicelib.domain.records import quick, replace
from chalicelib.domain.tape import Tape

TAKEN_MAX = 64
"""Levels remembered per portfolio and token, the latest ones."""
TAKEN_MS_MAX = 3_600_000
"""An hour later nobody can say whether the offer is still the one we took."""


@quick
@dataclass(frozen=True, slots=True)
class Taken:
    """Shares taken at one price by orders of `side`, of the `offered` ones shown at `ts`."""

    side: Side
    price: int
    shares: int
    offered: int
    ts: int


@dataclass(frozen=True, slots=True)
class Consumed:
    """What a portfolio took of one token's book lately."""

    portfolio_id: str
    epoch: int
    token_id: str
    taken: tuple[Taken, ...] = ()
    version: int = 0


def still_taken(taken: Iterable[Taken], book: Book, side: Side, ts: int, tape: Tape) -> list[Taken]:
    """What orders of `side` took and the venue has not set again up to `ts`.

    A tape tells when a level was set; where it does not reach, a total other than the one we saw
    tells that it was.
    """
    offers = {level.price: level.shares for level in book.takes(side)}
    book_side: Side = "SELL" if side == "BUY" else "BUY"
    found = []
    for one in taken:
        same = one.side == side and offers.get(one.price) == one.offered
        if not same or ts - one.ts > TAKEN_MS_MAX:
            continue
        if not tape.was_set(book_side, one.price, one.ts, ts):
            found.append(one)
    return found


def reduced(book: Book, side: Side, taken: Iterable[Taken]) -> Book:
    """The book without the shares that orders of `side` took."""
    gone = {one.price: one.shares for one in taken if one.side == side}
    if not gone:
        return book
    left = tuple(
        Level(level.price, shares)
        for level in book.takes(side)
        if (shares := level.shares - gone.get(level.price, 0)) > 0
    )
    return replace(book, asks=left) if side == "BUY" else replace(book, bids=left)


def remembered(known: Iterable[Taken], new: Iterable[Taken]) -> tuple[Taken, ...]:
    """Both, one per side and price: the later one, at most TAKEN_MAX of the last hour."""
    by_level: dict[tuple[Side, int], Taken] = {}
    for one in sorted((*known, *new), key=lambda t: (t.ts, t.shares)):
        by_level[one.side, one.price] = one
    latest = max((one.ts for one in by_level.values()), default=0)
    recent = [one for one in by_level.values() if latest - one.ts <= TAKEN_MS_MAX]
    recent.sort(key=lambda t: (-t.ts, t.side, t.price))
    return tuple(recent[:TAKEN_MAX])
