"""An order book of one token, and the walk an order takes through it."""

from __future__ import annotations

from dataclasses import dataclass

from chalicelib.domain.exchange_log import Side
from chalicelib.domain.money import MICROS, cash_floor, price_nearest
from chalicelib.domain.records import quick


@dataclass(frozen=True, slots=True)
class Level:
    """Shares offered at one price, both in micros."""

    price: int
    shares: int


@quick
@dataclass(frozen=True, slots=True)
class Book:
    """A full-depth book; both sides best first. Times in milliseconds.

    `ts_venue` is the venue's time of the last change, `ts_received` when our copy was last known
    to equal the venue's.
    """

    token_id: str
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    ts_venue: int
    ts_received: int
    venue_hash: str = ""

    def takes(self, side: Side) -> tuple[Level, ...]:
        """The levels an order of `side` would take, best first."""
        return self.asks if side == "BUY" else self.bids

    @property
    def best_bid(self) -> int | None:
        """Highest bid in micros."""
        return self.bids[0].price if self.bids else None

    @property
    def best_ask(self) -> int | None:
        """Lowest ask in micros."""
        return self.asks[0].price if self.asks else None

    @property
    def mid(self) -> int | None:
        """Midpoint in micros, rounded down; None when a side is empty."""
        if not self.bids or not self.asks:
            return None
        return (self.bids[0].price + self.asks[0].price) // 2

    @property
    def spread(self) -> int | None:
        """Best ask less best bid in micros; None when a side is empty."""
        if not self.bids or not self.asks:
            return None
        return self.asks[0].price - self.bids[0].price


@dataclass(frozen=True, slots=True)
class Walk:
    """What an order took: level by level, and what was left.

    Each level's cash is rounded down to the micro. `unfilled` is in the unit that was asked for:
    shares for a walk by shares, cash for a walk by cash.
    """

    fills: tuple[Level, ...]
    shares: int
    cash: int
    unfilled: int

    @property
    def vwap(self) -> int | None:
        """Average price in micros, nearest; None when nothing was filled."""
        return price_nearest(self.cash, self.shares) if self.shares else None


def within(level: Level, side: Side, limit: int | None) -> bool:
    """Whether an order of `side` limited to `limit` may take the level."""
    if limit is None:
        return True
    return level.price <= limit if side == "BUY" else level.price >= limit


def walk_shares(book: Book, side: Side, shares: int, limit: int | None = None) -> Walk:
    """Take up to `shares` from the book, never beyond `limit`."""
    fills: list[Level] = []
    left, cash = shares, 0
    for level in book.takes(side):
        if left == 0 or not within(level, side, limit):
            break
        taken = min(left, level.shares)
        if taken:
            fills.append(Level(level.price, taken))
            cash += cash_floor(taken, level.price)
            left -= taken
    return Walk(tuple(fills), shares - left, cash, left)


def walk_cash(book: Book, side: Side, cash: int, limit: int | None = None) -> Walk:
    """Take shares for up to `cash` before fees, never beyond `limit`.

    Shares of the last level are rounded down, so the cash is never exceeded; a level that is not
    used up ends the walk, and the micro that rounding leaves stays unfilled.
    """
    fills: list[Level] = []
    left, shares = cash, 0
    for level in book.takes(side):
        if left == 0 or not within(level, side, limit) or level.price == 0:
            break
        taken = min(level.shares, left * MICROS // level.price)
        if taken:
            fills.append(Level(level.price, taken))
            shares += taken
            left -= cash_floor(taken, level.price)
        if taken < level.shares:
            break
    return Walk(tuple(fills), shares, cash - left, left)


def depth(book: Book, side: Side, limit: int) -> int:
    """Shares an order of `side` could take up to `limit`."""
    return sum(level.shares for level in book.takes(side) if within(level, side, limit))
