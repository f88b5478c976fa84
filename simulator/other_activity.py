"""Leaders split, merge, convert, redeem and are paid rebates and rewards."""

from __future__ import annotations

import heapq

from simulator import ids
from simulator.activity import (
    CONVERSION,
    MAKER_REBATE,
    MERGE,
    REDEEM,
    REWARD,
    SPLIT,
    Delta,
    PendingEvents,
    WalletEvent,
)
from simulator.exchange import Exchange
from simulator.leaders import DUST_SHARES, Leader, LeaderDesk, Move
from simulator.markets import Market, Token
from simulator.other_logs import event_logs, resolution_log
from simulator.pacing import Pace

REDEEM_MS_MIN, REDEEM_MS_SPREAD = 5_000, 30_000
KINDS = (SPLIT, MERGE, SPLIT, CONVERSION, MAKER_REBATE, REDEEM, REWARD)


class OtherActivityDesk:
    """Schedules wallet events at `per_minute` and the redemptions after a resolution."""

    def __init__(
        self, seed: int, exchange: Exchange, desk: LeaderDesk, per_minute: float, starts_at: int
    ) -> None:
        self.seed = seed
        self.rng = ids.stream(seed, "other activity")
        self.exchange = exchange
        self.desk = desk
        self.pace = Pace(self.rng, per_minute, starts_at)
        self._redemptions: list[tuple[int, int, Leader, str]] = []
        self._closed = [market for market in exchange.listed.singles if market.closed]
        self._payouts = {market.index: market.payouts for market in self._closed}
        self._serial = 0

    @property
    def redeeming(self) -> bool:
        """True while somebody still has to redeem after a resolution."""
        return bool(self._redemptions)

    def due(self, start_ms: int, end_ms: int) -> list[int]:
        times = [max(ts, start_ms + 1) for ts, *_ in self._redemptions if ts <= end_ms]
        return times if self.desk.quiet else times + self.pace.due(start_ms, end_ms)

    def act(self, ts: int) -> None:
        """A redemption that is due, else the next kind in turn, else a split."""
        if self._redemptions and self._redemptions[0][0] <= ts:
            _, _, leader, wallet = heapq.heappop(self._redemptions)
            self._settle(ts, leader, self._redeem(leader, wallet))
            return
        if self.desk.quiet or not self.desk.leaders:
            return
        leader = self.rng.choice(self.desk.leaders)
        kind = KINDS[self._serial % len(KINDS)]
        events = self._events(leader, kind) or self._events(leader, SPLIT)
        self._settle(ts, leader, events)

    def announce(self, ts: int, market: Market, payouts: tuple[int, int]) -> None:
        """A market resolved: put it on the chain and let every holder redeem a little later."""
        self._closed.append(market)
        self._payouts[market.index] = payouts
        tx_hash = ids.hash32(self.seed, "resolution", market.index)
        log = resolution_log(market, payouts)
        self.exchange.enqueue(ts, PendingEvents(tx_hash, logs=(log,)))
        for leader in self.desk.leaders:
            for wallet, held in leader.holdings_of.items():
                if any(held.get(token.id, 0) > 0 for token in market.tokens):
                    self._serial += 1
                    when = ts + REDEEM_MS_MIN + int(self.rng.random() * REDEEM_MS_SPREAD)
                    heapq.heappush(self._redemptions, (when, self._serial, leader, wallet))

    def _settle(self, ts: int, leader: Leader, events: list[WalletEvent]) -> None:
        """Queue one transaction with these events and take them into the holdings."""
        if not events:
            return
        self._serial += 1
        tx_hash = ids.hash32(self.seed, "other", self._serial, ts)
        logs = tuple(log for event in events for log in event_logs(event))
        self.exchange.enqueue(ts, PendingEvents(tx_hash, tuple(events), logs))
        for event in events:
            for delta in event.deltas:
                move = Move(tx_hash, event.wallet, delta.token_id, delta.shares)
                self.desk.move(leader, move)

    def _events(self, leader: Leader, kind: str) -> list[WalletEvent]:
        if kind == SPLIT:
            return self._split(leader)
        if kind == MERGE:
            return self._merge(leader)
        if kind == CONVERSION:
            return self._convert(leader)
        if kind == REDEEM:
            return self._redeem(leader, leader.active)
        amount = self.rng.randint(1_000, 40_000_000)
        return [WalletEvent(kind, leader.active, None, "", amount, amount)]

    def _open_markets(self) -> list[Market]:
        return self.exchange.ordinary_markets()

    def _split(self, leader: Leader) -> list[WalletEvent]:
        markets = self._open_markets()
        if not markets:
            return []
        market, sets = self.rng.choice(markets), self.rng.randint(5, 400) * 1_000_000
        deltas = tuple(Delta(token.id, sets, sets // 2) for token in market.tokens)
        return [_event(SPLIT, leader, market, sets, -sets, deltas)]

    def _merge(self, leader: Leader) -> list[WalletEvent]:
        held = leader.holdings
        pairs = {m: min(held.get(t.id, 0) for t in m.tokens) for m in self._open_markets()}
        choices = [market for market, sets in pairs.items() if sets >= DUST_SHARES]
        if not choices:
            return []
        market = self.rng.choice(choices)
        sets = pairs[market] if self.rng.random() < 0.3 else pairs[market] // 2
        deltas = tuple(Delta(token.id, -sets, sets // 2) for token in market.tokens)
        return [_event(MERGE, leader, market, sets, sets, deltas)]

    def _convert(self, leader: Leader) -> list[WalletEvent]:
        """NO of one neg-risk market becomes YES of all the others of its event."""
        choices = [
            market for market in self._open_markets()
            if market.neg_risk and leader.holdings.get(market.tokens[1].id, 0) >= DUST_SHARES
            and len(self._siblings(market)) > 0
        ]  # fmt: skip
        if not choices:
            return []
        market = self.rng.choice(choices)
        others = self._siblings(market)
        shares = leader.holdings[market.tokens[1].id] // self.rng.choice((1, 2))
        deltas = [Delta(market.tokens[1].id, -shares, shares // 2)]
        deltas += [Delta(token.id, shares, shares // 2 // len(others)) for token in others]
        # The feed names the market or its event group; readers cannot tell which they get.
        group = self.rng.random() < 0.5
        condition = market.neg_risk_market_id if group else market.feed_condition_id
        return [WalletEvent(CONVERSION, leader.active, market, condition, shares, 0, tuple(deltas))]

    def _siblings(self, market: Market) -> list[Token]:
        return [
            other.tokens[0] for other in self._open_markets()
            if other.event is market.event and other is not market
        ]  # fmt: skip

    def _redeem(self, leader: Leader, wallet: str) -> list[WalletEvent]:
        """All resolved holdings of a wallet in one transaction, losers with size 0."""
        held, events = leader.holdings_of[wallet], []
        for market in self._closed:
            payouts = self._payouts[market.index] or (0, 0)
            amounts = [held.get(token.id, 0) for token in market.tokens]
            if not any(amounts):
                continue
            paid = [n * payout // 1_000_000 for n, payout in zip(amounts, payouts, strict=True)]
            size = sum(n for n, cash in zip(amounts, paid, strict=True) if cash)
            deltas = tuple(
                Delta(token.id, -n, cash)
                for token, n, cash in zip(market.tokens, amounts, paid, strict=True) if n
            )  # fmt: skip
            condition = market.feed_condition_id
            events.append(WalletEvent(REDEEM, wallet, market, condition, size, sum(paid), deltas))
        return events


def _event(
    kind: str, leader: Leader, market: Market, size: int, cash: int, deltas: tuple[Delta, ...]
) -> WalletEvent:
    return WalletEvent(kind, leader.active, market, market.feed_condition_id, size, cash, deltas)
