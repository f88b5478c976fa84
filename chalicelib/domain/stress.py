"""How an order would have fared at other latencies and with less depth: a preview, no decision."""

from __future__ import annotations

from dataclasses import dataclass, replace

from chalicelib.domain.exchange_log import Side
from chalicelib.domain.orderbook import Book, Level, walk_shares
from chalicelib.domain.tape import Tape

LATENCIES_MS = (0, 500, 1_000, 2_000, 5_000, 15_000)
"""After the decision."""
DEPTHS_PERCENT = (100, 50, 25)
"""Of every level's shares."""
REACH_MS = LATENCIES_MS[-1]


@dataclass(frozen=True, slots=True)
class StressPoint:
    """One latency; shares and average price per depth in the order of DEPTHS_PERCENT.

    A price is None where nothing would have been filled.
    """

    latency_ms: int
    shares: tuple[int, ...]
    vwap: tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class StressDue:
    """A preview that ended before the tape did: looked at again at `ts_due`, once.

    By then everything that is ever recorded of its reach was.
    """

    portfolio_id: str
    epoch: int
    attempt_id: str
    ts_decided: int
    ts_due: int
    version: int = 0


def stress(
    tape: Tape, side: Side, shares: int, limit: int, ts_decided: int
) -> tuple[StressPoint, ...]:
    """The placement sweep of the same order at each latency the tape reaches.

    On the venue's book alone: no resting fills, and nothing that other orders of ours took.
    """
    points = []
    for latency in LATENCIES_MS:
        book = tape.book_at(ts_decided + latency)
        if book is None:
            continue
        walks = [walk_shares(_thinned(book, side, p), side, shares, limit) for p in DEPTHS_PERCENT]
        points.append(
            StressPoint(latency, tuple(w.shares for w in walks), tuple(w.vwap for w in walks))
        )
    return tuple(points)


def _thinned(book: Book, side: Side, percent: int) -> Book:
    """The book with a part of every level an order of `side` would take, rounded down."""
    if percent == 100:
        return book
    levels = tuple(Level(level.price, level.shares * percent // 100) for level in book.takes(side))
    return replace(book, asks=levels) if side == "BUY" else replace(book, bids=levels)
