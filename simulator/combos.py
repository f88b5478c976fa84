"""Combos: positions over several legs, traded by request for quote on the V3 exchange."""

from __future__ import annotations

from simulator import ids
from simulator.amounts import MICRO
from simulator.exchange import Exchange, draw_notional
from simulator.leaders import DUST_SHARES, USD, Leader, LeaderDesk
from simulator.matching import BUY, SELL, MakerLeg, maker_leg
from simulator.pacing import Pace

COMBOS = 6


class ComboDesk:
    """Lets leaders take quotes on combos: they buy YES and now and then sell what they hold."""

    def __init__(
        self, seed: int, exchange: Exchange, desk: LeaderDesk, per_minute: float, starts_at: int
    ) -> None:
        self.rng = ids.stream(seed, "combos")
        self.exchange = exchange
        self.desk = desk
        self.pace = Pace(self.rng, per_minute, starts_at)
        self._combos = [market for market in exchange.listed.all if market.is_combo]

    def due(self, start_ms: int, end_ms: int) -> list[int]:
        return [] if self.desk.quiet else self.pace.due(start_ms, end_ms)

    def act(self, ts: int) -> None:
        if self.desk.quiet or not self._combos:
            return
        leader, market = self.rng.choice(self.desk.leaders), self.rng.choice(self._combos)
        token = market.tokens[0]
        price = market.center + self.rng.randrange(-20, 21) * market.tick
        held = leader.holdings.get(token.id, 0)
        if held >= DUST_SHARES and self.rng.random() < 0.4:
            side, shares = SELL, held // 2
        else:
            side = BUY
            shares = draw_notional(self.rng, USD, 200 * USD) * MICRO // price // 10_000 * 10_000
        leg = self._quote(leader, market.index, side, price, shares)
        if leg is None:
            return
        match = self.exchange.match(ts, leader.active, token, side, [leg])
        if match is not None:
            self.desk.book(leader, match)

    def _quote(
        self, leader: Leader, index: int, side: str, price: int, shares: int
    ) -> MakerLeg | None:  # fmt: skip
        """A market maker's answer: buys the other outcome (a mint), or the one that is sold."""
        tokens = self.exchange.listed.all[index].tokens
        wallet, order_hash = self.rng.choice(self.exchange.crowd), self.exchange.next_order_hash()
        if side == BUY:
            return maker_leg(
                wallet, tokens[1], BUY, MICRO - price, shares, order_hash, complementary=False
            )
        return maker_leg(wallet, tokens[0], BUY, price, shares, order_hash, complementary=True)
