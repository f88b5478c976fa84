"""A small venue for book tests: one market, its truth at every moment, and its frames."""

from __future__ import annotations

import json
from collections.abc import Iterable

from chalicelib.domain.money import MICROS, decimal_text
from chalicelib.domain.orderbook import Book
from chalicelib.domain.tape import book_of

MARKET = "0x" + "3c" * 32
YES, NO = "7" * 60, "8" * 60
T0 = 1_795_000_000_000
FEED = 0

Levels = dict[int, int]
Move = tuple[bool, int, int]
"""Whether a bid of YES, its price and its new total."""


class SmallVenue:
    """The book of YES, mirrored for NO, and everything it ever was."""

    def __init__(self, bids: Levels, asks: Levels, now: int = T0) -> None:
        self.bids, self.asks = dict(bids), dict(asks)
        self.ts = now
        self.past = [(now, dict(bids), dict(asks))]

    def move(self, now: int, moves: Iterable[Move]) -> str:
        """Change levels at one moment; the frame that tells it."""
        moves = list(moves)
        for is_bid, price, shares in moves:
            levels = self.bids if is_bid else self.asks
            if shares:
                levels[price] = shares
            else:
                levels.pop(price, None)
        self.ts = now
        self.past.append((now, dict(self.bids), dict(self.asks)))
        return self.frame(now, moves)

    def frame(self, now: int, moves: Iterable[Move]) -> str:
        """A price_change of both tokens with the present best prices."""
        entries = []
        for is_bid, price, shares in moves:
            for token in (YES, NO):
                mine = price if token == YES else MICROS - price
                bids, asks = self.sides(token)
                entries.append({
                    "asset_id": token,
                    "price": decimal_text(mine),
                    "size": decimal_text(shares),
                    "side": "BUY" if is_bid == (token == YES) else "SELL",
                    "hash": f"{now}-{token[0]}",
                    "best_bid": decimal_text(max(bids, default=0)),
                    "best_ask": decimal_text(min(asks, default=MICROS)),
                })  # fmt: skip
        return json.dumps({
            "market": MARKET,
            "price_changes": entries,
            "timestamp": str(now),
            "event_type": "price_change",
        })  # fmt: skip

    def sides(self, token: str) -> tuple[Levels, Levels]:
        """Bids and asks of a token now."""
        return _mirrored(self.bids, self.asks, token)

    def truth(self, token: str, ts: int) -> tuple[Levels, Levels]:
        """Bids and asks of a token after every change up to `ts`."""
        _, bids, asks = [entry for entry in self.past if entry[0] <= ts][-1]
        return _mirrored(bids, asks, token)

    def rest(self, token: str, asked: int) -> Book:
        """The answer to a request for a token's book, as the client parses it."""
        return book_of(token, *self.sides(token), self.ts, asked)

    def dump(self, tokens: Iterable[str] = (YES, NO)) -> str:
        """The array of book frames that answers a subscription; best level last."""
        frames = []
        for token in tokens:
            bids, asks = self.sides(token)
            frames.append({
                "event_type": "book",
                "market": MARKET,
                "asset_id": token,
                "timestamp": str(self.ts),
                "hash": f"{self.ts}-{token[0]}",
                "bids": _listed(sorted(bids.items())),
                "asks": _listed(sorted(asks.items(), reverse=True)),
                "tick_size": "0.01",
                "last_trade_price": "0.490",
            })  # fmt: skip
        return json.dumps(frames)


def levels_of(book: Book) -> tuple[Levels, Levels]:
    """Bids and asks of a domain book as shares per price."""
    bids = {level.price: level.shares for level in book.bids}
    return bids, {level.price: level.shares for level in book.asks}


def _mirrored(bids: Levels, asks: Levels, token: str) -> tuple[Levels, Levels]:
    if token == YES:
        return dict(bids), dict(asks)
    return (
        {MICROS - price: shares for price, shares in asks.items()},
        {MICROS - price: shares for price, shares in bids.items()},
    )


def _listed(levels: list[tuple[int, int]]) -> list[dict[str, str]]:
    return [{"price": decimal_text(p), "size": decimal_text(s)} for p, s in levels]
