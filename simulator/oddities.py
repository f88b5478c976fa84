"""Rare but real shapes of a settlement: self-trades, twins, several matches, refunds."""

from __future__ import annotations

from collections.abc import Callable

from simulator import ids
from simulator.amounts import MICRO
from simulator.exchange import Exchange
from simulator.leaders import DUST_SHARES, USD, Leader, LeaderDesk
from simulator.markets import Token
from simulator.matching import BUY, Match, maker_leg, opposite
from simulator.pacing import Pace

FILLS_PER_ACT_MAX = 4
REFUND_BPS = 150


def add_second_wallets(seed: int, leaders: tuple[Leader, ...]) -> None:
    """Give every leader a second wallet, which only trades with his first."""
    for n, leader in enumerate(leaders):
        leader.own(ids.wallet(seed, "leader", n, "second"))


class OddityDesk:
    """Makes one odd settlement after the other, each kind in turn."""

    def __init__(
        self, seed: int, exchange: Exchange, desk: LeaderDesk, per_minute: float, starts_at: int
    ) -> None:
        self.rng = ids.stream(seed, "oddities")
        self.exchange = exchange
        self.desk = desk
        self.pace = Pace(self.rng, per_minute, starts_at)
        self._turn = 0
        self._kinds: tuple[Callable[[int, Leader], None], ...] = (
            self._self_trade, self._between_wallets, self._twins, self._two_matches, self._refund,
        )  # fmt: skip

    def due(self, start_ms: int, end_ms: int) -> list[int]:
        return [] if self.desk.quiet else self.pace.due(start_ms, end_ms)

    def act(self, ts: int) -> None:
        if self.desk.quiet or self.desk.fills_left < FILLS_PER_ACT_MAX:
            return
        self._turn += 1
        if self.exchange.ladders:
            self._kinds[self._turn % len(self._kinds)](ts, self.rng.choice(self.desk.leaders))

    def _token(self, generation: str | None = None) -> Token | None:
        markets = [
            market for market in self.exchange.ordinary_markets()
            if generation in (None, market.generation)
        ]  # fmt: skip
        return self.rng.choice(self.rng.choice(markets).tokens) if markets else None

    def _cents(self, token: Token) -> int:
        return self.exchange.quote(token, BUY)

    def _shares(self, price: int) -> int:
        return self.rng.randint(5, 80) * USD * MICRO // price // 10_000 * 10_000

    def _book(self, leader: Leader, match: Match | None) -> None:
        if match is not None:
            self.desk.book(leader, match)

    def _self_trade(self, ts: int, leader: Leader) -> None:
        """His resting BUY is hit by his own SELL: two logs, net zero."""
        token = self._token()
        if token is not None:
            self._between(ts, leader, leader.active, leader.active, token, BUY)

    def _between_wallets(self, ts: int, leader: Leader) -> None:
        """One wallet of the leader sells to another, or both mint a pair."""
        others = [wallet for wallet in leader.wallets if wallet != leader.active]
        token = self._token()
        if not others or token is None:
            return
        other = self.rng.choice(others)
        held = self.desk.sellable(leader)
        if held and self.rng.random() < 0.6:
            token = self.exchange.listed.by_token[self.rng.choice(held)]
            self._between(ts, leader, other, leader.active, token, BUY)
            return
        pair = self.exchange.market(token).tokens
        price = self._cents(token)
        leg = maker_leg(
            other, pair[1 - token.outcome_index], BUY, MICRO - price, self._shares(price),
            self.exchange.next_order_hash(), complementary=False,
        )  # fmt: skip
        if leg is not None:
            self._book(leader, self.exchange.match(ts, leader.active, token, BUY, [leg]))

    def _between(
        self, ts: int, leader: Leader, maker: str, taker: str, token: Token, maker_side: str
    ) -> None:  # fmt: skip
        """`maker`'s order meets `taker`'s; a seller never gives more than he holds."""
        price = self._cents(token)
        shares = self._shares(price)
        if maker != taker:
            seller = taker if maker_side == BUY else maker
            shares = min(shares, leader.holdings_of[seller].get(token.id, 0))
        order_hash = self.exchange.next_order_hash()
        leg = maker_leg(maker, token, maker_side, price, shares, order_hash, complementary=True)
        if leg is not None and shares >= DUST_SHARES:
            side = opposite(maker_side)
            self._book(leader, self.exchange.match(ts, taker, token, side, [leg]))

    def _twins(self, ts: int, leader: Leader) -> None:
        """The same order twice in one match: equal logs that differ in their index."""
        token = self._token()
        if token is not None:
            shares = self._shares(self._cents(token))
            self._book(leader, self.exchange.rest(
                ts, leader.active, token, BUY, shares, self.exchange.next_order_hash(),
                copies=2, cross_rate=0.3,
            ))  # fmt: skip

    def _two_matches(self, ts: int, leader: Leader) -> None:
        """Two matches in one transaction: he takes in one and rests in the other."""
        first, second = self._token(), self._token()
        if first is None or second is None:
            return
        shares = self._shares(self._cents(first))
        taken = self.exchange.take(ts, leader.active, first, BUY, shares, 0.3)
        self._book(leader, taken)
        if taken is None:
            return
        maker = self.rng.choice(self.desk.leaders)
        self.exchange.joined = (taken.tx_hash, taken.due_ms)
        self._book(maker, self.exchange.rest(
            ts, maker.active, second, BUY, self._shares(self._cents(second)),
            self.exchange.next_order_hash(), copies=1, cross_rate=0.3,
        ))  # fmt: skip
        self.exchange.joined = None

    def _refund(self, ts: int, leader: Leader) -> None:
        """A V2 mint whose taker log shows more cash than he paid in the end."""
        token = self._token("v2")
        if token is not None:
            shares = self._shares(self._cents(token))
            self._book(leader, self.exchange.take(
                ts, leader.active, token, BUY, shares, 1.0, refund_bps=REFUND_BPS,
            ))  # fmt: skip
