"""One market's order book: integer ladders around a mean-reverting price.

Only the book of outcome 0 is kept; outcome 1 is its mirror (price 1 - p, sides swapped).
Every change is reported as a `Change`, so an observer that folds them holds the same book.
"""

from __future__ import annotations

import random
from typing import NamedTuple, Protocol

from simulator.amounts import MICRO

DEPTH_LEVELS = 9
RANGE_MICROS = 90_000


class Change(NamedTuple):
    """One level of outcome 0's book took a new absolute size (0 removes it)."""

    ts: int
    market_index: int
    is_bid: bool
    price: int
    size: int


class ChangeSink(Protocol):
    """Anything that collects changes in order, such as a list."""

    def append(self, change: Change, /) -> None: ...


class Ladder:
    """Bids and asks as price -> size maps (micros), plus the quote the makers aim at."""

    __slots__ = (
        "asks",
        "bids",
        "center",
        "dirty",
        "index",
        "rng",
        "spread",
        "spread_range",
        "target_bid",
        "tick",
    )

    def __init__(
        self, index: int, tick: int, center: int, spread_ticks: tuple[int, int], rng: random.Random
    ) -> None:
        self.index = index
        self.tick = tick
        self.center = center
        self.spread_range = spread_ticks
        self.rng = rng
        self.bids: dict[int, int] = {}
        self.asks: dict[int, int] = {}
        self.spread = spread_ticks[0] * tick
        self.target_bid = center // tick * tick
        self.dirty = True
        unseen: list[Change] = []
        self._requote(0, unseen)

    def best_bid(self) -> int:
        return max(self.bids)

    def best_ask(self) -> int:
        return min(self.asks)

    def evolve(self, ts: int, out: ChangeSink) -> None:
        """One small movement at `ts`: refill, price step, spread change or a resized level."""
        draw = self.rng.random()
        if self.dirty and draw < 0.6:
            self._requote(ts, out)
        elif draw < 0.70:
            self._resize(ts, out)
        elif draw < 0.82:
            self._step_price()
            self._requote(ts, out)
        elif draw < 0.86:
            low, high = self.spread_range
            # Squaring favours the narrow end, so wide spreads come and go.
            width = low + int((self.rng.random() ** 2) * (high - low + 1))
            self.spread = width * self.tick
            self._requote(ts, out)

    def consume(self, *, asks: bool, price: int, shares: int, ts: int, out: ChangeSink) -> None:
        """Remove traded shares from one level. A side is never emptied completely."""
        levels = self.asks if asks else self.bids
        left = levels[price] - shares
        if left < 10_000:
            del levels[price]
            left = 0
        else:
            levels[price] = left
        self.dirty = True
        out.append(Change(ts, self.index, not asks, price, left))
        if len(levels) < 3:
            self._requote(ts, out)

    def levels(self, *, asks: bool) -> list[tuple[int, int]]:
        """(price, size) of one side of outcome 0, best first."""
        return sorted(self.asks.items()) if asks else sorted(self.bids.items(), reverse=True)

    def _step_price(self) -> None:
        offset = (self.target_bid - self.center) / RANGE_MICROS
        step = self.tick * (1 if self.tick == 10_000 else 1 + int(self.rng.random() * 3))
        up = self.rng.random() < 0.5 - 0.5 * offset
        self.target_bid += step if up else -step

    def _resize(self, ts: int, out: ChangeSink) -> None:
        is_bid = self.rng.random() < 0.5
        levels = self.bids if is_bid else self.asks
        rank = int(self.rng.random() * DEPTH_LEVELS) * self.tick
        price = self.target_bid - rank if is_bid else self.target_bid + self.spread + rank
        if price in levels:
            size = self._draw_size()
            levels[price] = size
            out.append(Change(ts, self.index, is_bid, price, size))

    def _requote(self, ts: int, out: ChangeSink) -> None:
        """Bring the ladder to the target quote: cancel what crosses, add what is missing."""
        tick, bid = self.tick, self.target_bid
        ask = bid + self.spread
        bid_floor = max(tick, bid - (DEPTH_LEVELS - 1) * tick)
        ask_cap = min(MICRO - tick, ask + (DEPTH_LEVELS - 1) * tick)
        bids, asks, index = self.bids, self.asks, self.index
        for price in [p for p in asks if p < ask or p > ask_cap]:
            del asks[price]
            out.append(Change(ts, index, False, price, 0))
        for price in [p for p in bids if p > bid or p < bid_floor]:
            del bids[price]
            out.append(Change(ts, index, True, price, 0))
        for price in range(bid, bid_floor - 1, -tick):
            if price not in bids:
                bids[price] = size = self._draw_size()
                out.append(Change(ts, index, True, price, size))
        for price in range(ask, ask_cap + 1, tick):
            if price not in asks:
                asks[price] = size = self._draw_size()
                out.append(Change(ts, index, False, price, size))
        self.dirty = False

    def _draw_size(self) -> int:
        """50 to 2,000 shares at two decimals, small sizes more likely."""
        return (5_000 + int(self.rng.random() ** 2 * 195_000)) * 10_000


class Quotes(NamedTuple):
    """A whole book of outcome 0: (price, shares) in micros, best first."""

    bids: tuple[tuple[int, int], ...]
    asks: tuple[tuple[int, int], ...]


class ScriptedLadder(Ladder):
    """A book that moves only when it is told to."""

    __slots__ = ()

    def evolve(self, ts: int, out: ChangeSink) -> None:
        """Nothing happens by itself."""

    def show(self, ts: int, quotes: Quotes, out: ChangeSink) -> None:
        """Become exactly this book."""
        for levels, wanted, is_bid in (
            (self.bids, dict(quotes.bids), True),
            (self.asks, dict(quotes.asks), False),
        ):
            for price in sorted(levels.keys() | wanted.keys()):
                size = wanted.get(price, 0)
                if levels.get(price, 0) != size:
                    out.append(Change(ts, self.index, is_bid, price, size))
            levels.clear()
            levels.update(wanted)

    def _requote(self, ts: int, out: ChangeSink) -> None:
        """Nobody refills it."""
