"""The matching engine: applies taker orders to the books and mints hashes.

It holds no schedule; leaders and the crowd call it at their own times.
"""

from __future__ import annotations

import random
from typing import NamedTuple

from simulator import ids
from simulator.activity import PendingEvents
from simulator.book import Change, Ladder, ScriptedLadder
from simulator.markets import Market, MarketList, Token
from simulator.matching import (
    MakerLeg,
    Match,
    best_price,
    consume_level,
    maker_leg,
    opposite,
    split_level,
    taker_fill,
    visible_levels,
)

LEVELS_MAX = 5
RESTING_SHARES_MIN = 5_000_000
SETTLE_MS_MIN, SETTLE_MS_SPREAD = 900, 900


class Resolution(NamedTuple):
    """A market closed for good; payouts are micros per share of outcome 0 and 1."""

    ts: int
    market: Market
    payouts: tuple[int, int]


class Hush(NamedTuple):
    """The venue stops or goes on telling anybody about a market's book."""

    ts: int
    market_index: int
    is_silent: bool


BookEvent = Change | Match | Resolution | Hush


class Exchange:
    """Order books of all markets and the queue of matches that await settlement."""

    def __init__(self, seed: int, listed: MarketList, crowd: tuple[str, ...]) -> None:
        self.seed = seed
        self.listed = listed
        self.crowd = crowd
        self.rng = ids.stream(seed, "exchange")
        self.ladders: dict[int, Ladder] = {
            m.index: (ScriptedLadder if m.is_scripted else Ladder)(
                m.index, m.tick, m.center, m.spread_ticks, ids.stream(seed, "book", i)
            )
            for i, m in enumerate(listed.all)
            if not m.closed and not m.is_combo
        }
        self.events: list[BookEvent] = []
        self.unsettled: list[Match | PendingEvents] = []
        self.addresses: dict[str, str] = {}
        self.joined: tuple[str, int] | None = None
        self._orders = 0
        self._matches = 0

    def market(self, token: Token) -> Market:
        return self.listed.all[token.market_index]

    def ordinary_markets(self) -> list[Market]:
        """Open markets with a book that lives by itself."""
        found = (self.listed.all[index] for index in self.ladders)
        return [market for market in found if not market.is_scripted]

    def is_open(self, token: Token) -> bool:
        """True while the token has a book to trade on."""
        return token.market_index in self.ladders

    def address(self, market: Market) -> str:
        """The contract that settles a market at present."""
        return self.addresses.get(market.exchange, market.exchange)

    def resolve(self, ts: int, market: Market, payouts: tuple[int, int]) -> None:
        """Stop trading in a market; the venue publishes the resolution at `ts`."""
        if self.ladders.pop(market.index, None) is not None:
            self.events.append(Resolution(ts, market, payouts))

    def enqueue(self, ts: int, pending: PendingEvents) -> None:
        """Let something other than a match reach the chain, in the order of the queue."""
        pending.due_ms = ts + SETTLE_MS_MIN
        self.unsettled.append(pending)

    def quote(self, token: Token, side: str) -> int:
        """Best price (micros) a taker of `side` would meet."""
        return best_price(self.ladders[token.market_index], token, side)

    def next_order_hash(self) -> str:
        self._orders += 1
        return ids.hash32(self.seed, "order", self._orders)

    def take(
        self, ts: int, wallet: str, token: Token, side: str, shares: int, cross_rate: float,
        *, refund_bps: int = 0,
    ) -> Match | None:  # fmt: skip
        """A marketable order of `wallet`: walks up to LEVELS_MAX levels, leftovers are killed.

        `cross_rate` is the share of maker orders on the complementary token (MINT / MERGE).
        `refund_bps` of the cash is overstated in the log and paid back in the transaction.
        """
        legs: list[MakerLeg] = []
        ladder = self.ladders[token.market_index]
        for price, size in visible_levels(ladder, token, side)[:LEVELS_MAX]:
            traded = min(shares, size)
            for piece in split_level(traded, self.rng):
                leg = self._crowd_leg(token, side, price, piece, cross_rate)
                if leg is not None:
                    legs.append(leg)
            consume_level(ladder, token, side, price, traded, ts, self.events)
            shares -= traded
            if shares <= 0:
                break
        return self.match(ts, wallet, token, side, legs, refund_bps=refund_bps)

    def rest(
        self, ts: int, wallet: str, token: Token, side: str, shares: int, order_hash: str,
        *, copies: int, cross_rate: float,
    ) -> Match | None:  # fmt: skip
        """A resting order of `wallet` at the best quote is hit by someone of the crowd.

        `copies` > 1 lists the same order several times in the match, each filled by `shares`:
        twin logs that differ only in their log index. The amount is cut to the level's size;
        nothing happens when that leaves less than the venue's minimum resting size.
        """
        taker_side = opposite(side)
        ladder = self.ladders[token.market_index]
        price, size = visible_levels(ladder, token, taker_side)[0]
        each = min(shares, size // copies)
        if each < min(shares, RESTING_SHARES_MIN):
            return None
        crossed = self.rng.random() < cross_rate
        leg = maker_leg(wallet, token, side, price, each, order_hash, complementary=not crossed)
        if leg is None:
            return None
        legs = [leg] * copies
        consume_level(ladder, token, taker_side, price, each * copies, ts, self.events)
        taker_token = self.market(token).tokens[1 - token.outcome_index] if crossed else token
        taker = self.rng.choice(self.crowd)
        return self.match(ts, taker, taker_token, side if crossed else taker_side, legs)

    def _crowd_leg(
        self, token: Token, side: str, price: int, shares: int, cross_rate: float
    ) -> MakerLeg | None:
        wallet = self.rng.choice(self.crowd)
        order_hash = self.next_order_hash()
        if self.rng.random() < cross_rate:
            other = self.market(token).tokens[1 - token.outcome_index]
            return maker_leg(
                wallet, other, side, 1_000_000 - price, shares, order_hash, complementary=False
            )
        return maker_leg(
            wallet, token, opposite(side), price, shares, order_hash, complementary=True
        )

    def match(
        self, ts: int, wallet: str, token: Token, side: str, legs: list[MakerLeg],
        *, refund_bps: int = 0,
    ) -> Match | None:  # fmt: skip
        """Match a taker with these maker legs and queue the settlement; no leg, no match.

        While `joined` is set, the match settles in that transaction, at that time.
        """
        if not legs:
            return None
        market = self.market(token)
        taker = taker_fill(market, wallet, token, side, legs, self.next_order_hash())
        self._matches += 1
        tx_hash = ids.hash32(self.seed, "tx", self._matches, ts, taker.order_hash, taker.shares)
        due_ms = ts + SETTLE_MS_MIN + int(self.rng.random() * SETTLE_MS_SPREAD)
        if self.joined is not None:
            tx_hash, due_ms = self.joined
        match = Match(
            tx_hash=tx_hash,
            market=market,
            ts_match=ts,
            makers=tuple(leg.fill for leg in legs),
            taker=taker,
            due_ms=due_ms,
            exchange=self.address(market),
            refund=taker.cash * refund_bps // 10_000,
        )
        if self.is_open(token):
            self.events.append(match)
        self.unsettled.append(match)
        return match


def draw_notional(rng: random.Random, low: int, high: int) -> int:
    """A log-uniform amount of pUSD in micros between `low` and `high` micros."""
    return int(low * (high / low) ** rng.random())
