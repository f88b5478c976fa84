"""The leaders: wallets whose trades a copier wants to see.

Each leader buys first and later sells a share of what it holds, never more. Styles differ in
role (taker, maker), in how often the counterparty sits on the other token, and in size.
"""

from __future__ import annotations

import heapq
from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

from simulator import ids
from simulator.exchange import Exchange, draw_notional
from simulator.markets import Market, Token
from simulator.matching import BUY, SELL, Match

USD = 1_000_000
BURST_MS = 1_900
DUST_SHARES = 100_000
MOVES_KEPT = 5_000


@dataclass(frozen=True, slots=True)
class Style:
    """How a leader trades. Rates are probabilities; notionals are micros of pUSD."""

    name: str
    taker_rate: float
    cross_rate: float
    notional_min: int
    notional_max: int


STYLES = (
    Style("taker", 1.0, 0.15, 2 * USD, 3_000 * USD),
    Style("maker", 0.0, 0.3, 2 * USD, 1_500 * USD),
    Style("mixed", 0.5, 0.6, 2 * USD, 3_000 * USD),
    Style("small", 0.7, 0.3, 300_000, 25 * USD),
)

_FIRST = ("quiet", "amber", "northern", "late", "paper", "copper", "tidal", "plain")
_LAST = ("heron", "ledger", "harbour", "falcon", "lantern", "orchard", "compass", "ridge")


class Move(NamedTuple):
    """Shares of one token that a match or event gave a leader's wallet (negative: took)."""

    tx_hash: str
    wallet: str
    token_id: str
    shares: int


@dataclass(slots=True, eq=False)
class Leader:
    """A leader's wallets, name and the shares each wallet may still sell (micros, as matched).

    `wallets` are all he ever had, `active` is the one that trades now.
    """

    wallet: str
    name: str
    style: Style
    wallets: list[str] = field(default_factory=list)
    active: str = ""
    holdings_of: dict[str, dict[str, int]] = field(default_factory=dict)
    resting: dict[tuple[str, str], str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.use(self.wallet)

    @property
    def holdings(self) -> dict[str, int]:
        """What the active wallet holds."""
        return self.holdings_of[self.active]

    def own(self, wallet: str) -> None:
        """Add a wallet to those of this leader."""
        if wallet not in self.holdings_of:
            self.wallets.append(wallet)
            self.holdings_of[wallet] = {}

    def use(self, wallet: str) -> None:
        """Trade with this wallet from now on; what the others hold stays there."""
        self.own(wallet)
        self.active = wallet
        self.resting.clear()


def make_leaders(seed: int, count: int) -> tuple[Leader, ...]:
    """`count` leaders with deterministic wallets; styles repeat in the order of STYLES."""
    rng = ids.stream(seed, "leader names")
    leaders = []
    for n in range(count):
        name = f"{rng.choice(_FIRST)}-{rng.choice(_LAST)}-{n + 1}"
        leaders.append(Leader(ids.wallet(seed, "leader", n), name, STYLES[n % len(STYLES)]))
    return tuple(leaders)


class LeaderDesk:
    """Schedules the leaders' fills and keeps their count within the budget.

    `fills_per_minute` is the long-run average of all leaders together; `fills_max` (None for
    no limit) is exact: twins and bursts are cut to what is left. Nobody trades before
    `starts_at` (ms).
    """

    def __init__(
        self, seed: int, exchange: Exchange, leaders: tuple[Leader, ...], fills_per_minute: float,
        fills_max: int | None, starts_at: int = 0,
    ) -> None:  # fmt: skip
        self.exchange = exchange
        self.leaders = leaders
        self.rng = ids.stream(seed, "leaders")
        self.fills_per_ms = fills_per_minute / 60_000
        self.fills_max = fills_max
        self.starts_at = starts_at
        self.fills_matched = 0
        self.stopped = False
        self._credit = 0.0
        self._burst: list[tuple[int, int, Leader, Token, str]] = []
        self._serial = 0
        self._tokens = [t for m in exchange.listed.ordinary if not m.closed for t in m.tokens]
        self.moves: deque[Move] = deque(maxlen=MOVES_KEPT)

    @property
    def fills_left(self) -> int:
        """How many more leader fills the budget allows."""
        return MOVES_KEPT if self.fills_max is None else self.fills_max - self.fills_matched

    def forget(self, market: Market) -> None:
        """Trade this market no more."""
        self._tokens = [token for token in self._tokens if token.market_index != market.index]

    @property
    def quiet(self) -> bool:
        """True when no leader will trade any more."""
        spent = self.fills_max is not None and self.fills_matched >= self.fills_max
        return self.stopped or spent or not self.leaders

    def due(self, start_ms: int, end_ms: int) -> list[int]:
        """Times in (start, end] at which `act` shall be called."""
        if self.quiet or end_ms <= self.starts_at:
            return []
        self._credit += self.fills_per_ms * (end_ms - start_ms) * 2 * self.rng.random()
        times = [max(ts, start_ms + 1) for ts, *_ in self._burst if ts <= end_ms]
        fresh = int(self._credit) - len(times)
        span = end_ms - start_ms - 1
        times += [start_ms + 1 + int(self.rng.random() * span) for _ in range(max(0, fresh))]
        return times

    def act(self, ts: int) -> None:
        """One leader action at `ts`: the next fill of a burst, or a new trade."""
        if self.quiet:
            return
        if self._burst and self._burst[0][0] <= ts:
            _, _, leader, token, side = heapq.heappop(self._burst)
            if self.exchange.is_open(token):
                self._trade(ts, leader, token, side)
            return
        if not self._tokens:
            return
        leader = self.rng.choice(self.leaders)
        token, side = self._choose(leader)
        self._trade(ts, leader, token, side)
        if self.rng.random() < 0.08:
            span = self.rng.randint(300, BURST_MS)
            more = self.rng.randint(1, 3)
            for n in range(1, more + 1):
                self._serial += 1
                entry = (ts + span * n // more, self._serial, leader, token, side)
                heapq.heappush(self._burst, entry)

    def _choose(self, leader: Leader) -> tuple[Token, str]:
        held = self.sellable(leader)
        if held and self.rng.random() < 0.12 + 0.02 * min(10, len(held)):
            return self.exchange.listed.by_token[self.rng.choice(held)], SELL
        if held and self.rng.random() < 0.3:
            return self.exchange.listed.by_token[self.rng.choice(held)], BUY
        return self.rng.choice(self._tokens), BUY

    def sellable(self, leader: Leader) -> list[str]:
        """Tokens of the active wallet that have a book, dust left out."""
        by_token, is_open = self.exchange.listed.by_token, self.exchange.is_open
        return [
            token_id for token_id, shares in leader.holdings.items()
            if shares >= DUST_SHARES and is_open(by_token[token_id])
        ]  # fmt: skip

    def _shares(self, leader: Leader, token: Token, side: str, price: int) -> int:
        """Shares (micros) of the next order, mostly at two decimals; 0 = nothing to sell."""
        style = leader.style
        if side == SELL:
            held = leader.holdings.get(token.id, 0)
            if held < DUST_SHARES:
                return 0
            part = self.rng.choice((25, 33, 50, 50, 100))
            if held * price < 2 * USD * USD:
                part = 100
            shares = held * part // 100
            cap = style.notional_max * USD // price
            if part == 100 and held <= cap:
                return held
            return min(shares, cap) // 10_000 * 10_000
        notional = draw_notional(self.rng, style.notional_min, style.notional_max)
        shares = notional * USD // price
        return shares if self.rng.random() < 0.25 else shares // 10_000 * 10_000

    def _trade(self, ts: int, leader: Leader, token: Token, side: str) -> None:
        style = leader.style
        price = self.exchange.quote(token, side)
        shares = self._shares(leader, token, side, price)
        if shares <= 0:
            return
        # The venue refuses marketable orders below $1, so small fills come from resting orders.
        marketable = shares * price >= USD * USD
        if marketable and self.rng.random() < style.taker_rate:
            match = self.exchange.take(ts, leader.active, token, side, shares, style.cross_rate)
        else:
            match = self._rest(ts, leader, token, side, shares)
        if match is not None:
            self._credit -= self.book(leader, match)

    def _rest(self, ts: int, leader: Leader, token: Token, side: str, shares: int) -> Match | None:
        left = None if self.fills_max is None else self.fills_max - self.fills_matched
        twins = self.rng.random() < 0.07 and (left is None or left >= 2)
        copies = 2 if twins else 1
        key = (token.id, side)
        order_hash = leader.resting.get(key)
        if order_hash is None or self.rng.random() < 0.6:
            order_hash = leader.resting[key] = self.exchange.next_order_hash()
        return self.exchange.rest(
            ts, leader.active, token, side, shares // copies, order_hash,
            copies=copies, cross_rate=leader.style.cross_rate,
        )  # fmt: skip

    def book(self, leader: Leader, match: Match) -> int:
        """Take a match into the leader's holdings; returns how many fills were his."""
        fills = [f for f in (*match.makers, match.taker) if f.wallet in leader.holdings_of]
        for fill in fills:
            shares = fill.shares if fill.side == BUY else -fill.shares
            self.move(leader, Move(match.tx_hash, fill.wallet, fill.token.id, shares))
        self.fills_matched += len(fills)
        return len(fills)

    def move(self, leader: Leader, move: Move) -> None:
        held = leader.holdings_of[move.wallet]
        held[move.token_id] = held.get(move.token_id, 0) + move.shares
        self.moves.append(move)

    def of_wallet(self, wallet: str) -> Leader | None:
        """The leader who owns a wallet."""
        return next((one for one in self.leaders if wallet in one.holdings_of), None)
