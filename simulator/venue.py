"""The live venue: the world seen at one moment, advanced by a clock.

The world is always one step ahead. The venue releases its book events and blocks when their
time has come, keeps the books as observers see them, and tells its listeners.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from simulator import ids
from simulator.book import Change
from simulator.chain import Block, Fill, Row
from simulator.custody import Custody
from simulator.exchange import BookEvent, Hush, Resolution
from simulator.faults import Faults
from simulator.markets import Market, Token
from simulator.matching import Match
from simulator.positions import PositionBook
from simulator.reorg import reorganise
from simulator.resolutions import winner_of
from simulator.world import FEED_REFRESH_MS, Step, World

FINALITY_BLOCKS = 5
TOLD_MS = 10_000
"""Who was told everything about a book for this long has no need to ask for it."""
TROUBLE_MS = 20_000
"""How long a fault of the CLOB may be the reason for a question after it is over."""


class Clock(Protocol):
    """Where the venue learns the time: ms UTC."""

    def now_ms(self) -> int: ...


@dataclass(frozen=True, slots=True)
class VenueClock:
    """Venue time in ms UTC: wall time, stretched around the genesis by `scale`."""

    genesis_ms: int
    scale: float = 1.0

    def now_ms(self) -> int:
        wall = time.time_ns() // 1_000_000
        return self.genesis_ms + int((wall - self.genesis_ms) * self.scale)


@dataclass(slots=True)
class BookView:
    """Outcome 0's book of one market as published: price -> size in micros.

    `ts` is the time of the last change. `last_price` is outcome 0's price of the latest trade.
    """

    market: Market
    bids: dict[int, int]
    asks: dict[int, int]
    ts: int
    tick: int
    last_price: int | None = None
    last_side: str = ""
    shares_traded: int = 0
    cash_traded: int = 0

    def best_bid(self) -> int:
        return max(self.bids)

    def best_ask(self) -> int:
        return min(self.asks)

    def best_of(self, token: Token) -> tuple[int, int]:
        """(best bid, best ask) of a token of this market."""
        if token.outcome_index == 0:
            return self.best_bid(), self.best_ask()
        return 1_000_000 - self.best_ask(), 1_000_000 - self.best_bid()

    def mid(self, token: Token) -> int:
        bid, ask = self.best_of(token)
        return (bid + ask) // 2

    def apply(self, change: Change) -> None:
        levels = self.bids if change.is_bid else self.asks
        if change.size:
            levels[change.price] = change.size
        else:
            levels.pop(change.price, None)
        self.ts = change.ts

    def print_trade(self, match: Match) -> None:
        """Note a trade; the price is the one of the last maker order touched."""
        maker = match.makers[-1]
        price = last_maker_price(match)
        self.last_price = price if maker.token.outcome_index == 0 else 1_000_000 - price
        self.last_side = match.taker.side
        self.shares_traded += match.taker.shares
        self.cash_traded += match.taker.cash


def last_maker_price(match: Match) -> int:
    """Limit price (micros, on the tick) of the last maker order of a match."""
    maker = match.makers[-1]
    tick = match.market.tick
    return (maker.cash * 1_000_000 + maker.shares * tick // 2) // (maker.shares * tick) * tick


BookListener = Callable[[BookView, list[BookEvent]], None]
BlockListener = Callable[[Block], None]
TimeListener = Callable[[int], None]


@dataclass
class Venue:
    """Shared state of all wire modules: world, books, faults, counters, listeners."""

    world: World
    clock: Clock
    faults: Faults = field(default_factory=Faults)
    counters: Counter[str] = field(default_factory=Counter)
    book_listeners: list[BookListener] = field(default_factory=list)
    block_listeners: list[BlockListener] = field(default_factory=list)
    time_listeners: list[TimeListener] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.now = self.world.genesis_ms
        self.wire_rng = ids.stream(self.world.seed, "wire")
        self.books = {
            ladder.index: BookView(
                self.world.listed.all[ladder.index], dict(ladder.bids), dict(ladder.asks),
                self.world.genesis_ms, ladder.tick,
            )
            for ladder in self.world.exchange.ladders.values()
        }  # fmt: skip
        self.head = self.world.head
        self.positions = PositionBook(self.world.leader_wallets, self.world.openings)
        self.custody = Custody(self.world)
        self.silent: set[int] = set()
        self.told_since: Callable[[str], int | None] = lambda _: None
        self.clob_trouble_at = -TROUBLE_MS
        self._events: deque[BookEvent] = deque()
        self._vanishing: dict[Fill, int] = {}
        self._step: Step | None = None

    def advance(self, steps_max: int = 400) -> bool:
        """Release everything due by the clock, at most `steps_max` blocks.

        Returns True when the venue has caught up with the clock.
        """
        target = self.clock.now_ms()
        for _ in range(steps_max):
            if self._step is None:
                if target <= self.head.ts:
                    break
                self._step = self.world.step()
                self._events.extend(self._step.events)
            self._release_events(target)
            if target < self._step.block.ts:
                break
            self.now = self._step.block.ts
            self.head = self._step.block
            self._step = None
            self.positions.apply(self.head)
            self.custody.follow(self.head.number, self.faults.positions_lag_blocks)
            for listener in self.block_listeners:
                listener(self.head)
        else:
            return False
        self.now = max(self.now, target)
        for tell in self.time_listeners:
            tell(self.now)
        return True

    def acted(self, fault: str, times: int = 1) -> None:
        """Count that a fault did something."""
        self.counters[f"fault {fault}"] += times

    def reorganise(self, depth: int, *, drop: bool = False) -> list[Block]:
        """Mine the last `depth` published blocks again; returns the new ones.

        With `drop` some transactions never come back: their positions are taken back at once,
        their feed rows vanish with the feed's next refresh.
        """
        first = self.head.number - depth + 1
        new, gone = reorganise(self.world, self.head, depth, self.wire_rng, drop=drop)
        self.head = new[-1]
        for book in (self.positions, self.custody):
            book.rewind(first)
        for block in new:
            self.positions.apply(block)
        self.custody.follow(self.head.number, self.faults.positions_lag_blocks)
        self._let_vanish(gone)
        self.counters["reorgs"] += 1
        self.counters["fills dropped by reorgs"] += sum(fill.n > 0 for fill in gone)
        return new

    def _let_vanish(self, gone: list[Fill]) -> None:
        """Keep rows that the feed already shows until its next refresh."""
        self._vanishing = {f: at for f, at in self._vanishing.items() if at > self.now}
        elapsed = self.now - self.world.genesis_ms
        refresh = self.world.genesis_ms + (elapsed // FEED_REFRESH_MS + 1) * FEED_REFRESH_MS
        self._vanishing |= {fill: refresh for fill in gone if self.in_feed(fill)}

    def vanishing(self, user: str | None) -> list[Fill]:
        """Rows of dropped transactions that the feed still shows."""
        return [
            fill for fill, until in self._vanishing.items()
            if self.now < until and user in (None, fill.wallet)
        ]  # fmt: skip

    def _release_events(self, target: int) -> None:
        """Apply due book events moment by moment, so listeners see each state of a book."""
        queue = self._events
        while queue and _moment(queue[0])[0] <= target:
            moment = _moment(queue[0])
            view = self.books[moment[1]]
            due = []
            while queue and _moment(queue[0]) == moment:
                event = queue.popleft()
                due.append(event)
                if isinstance(event, Match):
                    view.print_trade(event)
                elif isinstance(event, Resolution):
                    self._close(event)
                elif isinstance(event, Hush):
                    (self.silent.add if event.is_silent else self.silent.discard)(moment[1])
                else:
                    view.apply(event)
            for listener in self.book_listeners:
                listener(view, due)

    def _close(self, event: Resolution) -> None:
        market = event.market
        market.closed, market.closed_ms = True, event.ts
        market.payouts, market.winner = event.payouts, winner_of(event.payouts)
        del self.books[market.index]
        self.counters["markets resolved"] += 1

    def finalized_number(self) -> int:
        first = next(iter(self.world.blocks))
        return max(first, self.head.number - FINALITY_BLOCKS)

    def block(self, number: int) -> Block | None:
        """A published block; the world's own next block stays hidden until its time."""
        return self.world.blocks.get(number) if number <= self.head.number else None

    def asked_needlessly(self, token_id: str) -> bool:
        """Whether the market channel told somebody everything about a book, without any fault."""
        since = self.told_since(token_id)
        told = since is not None and self.now - since >= TOLD_MS
        calm = self.now - self.clob_trouble_at >= TROUBLE_MS and not self.faults.of_clob
        return told and calm and self.book_of(token_id) is not None

    def book_of(self, token_id: str) -> tuple[BookView, Token] | None:
        """The live book of a token, None when unknown, closed or silent."""
        token = self.world.listed.by_token.get(token_id)
        view = None if token is None else self.books.get(token.market_index)
        if token is not None and token.market_index in self.silent:
            return None
        return None if token is None or view is None else (view, token)

    def on_chain(self, row: Row) -> bool:
        return row.tx.block.number <= self.head.number

    def in_feed(self, row: Row) -> bool:
        """True when the Data API serves the row at this moment."""
        return row.ts_visible + self.faults.late_rows_ms <= self.now

    def price_of(self, token: Token) -> int:
        """Mark price in micros: the mid of the book, or the payout of a closed market."""
        view = self.books.get(token.market_index)
        if view is not None:
            return view.mid(token)
        payouts = self.world.listed.all[token.market_index].payouts
        return 0 if payouts is None else payouts[token.outcome_index]


def _moment(event: BookEvent) -> tuple[int, int]:
    """(ms, market index) of a book event."""
    if isinstance(event, Match):
        return event.ts_match, event.market.index
    if isinstance(event, Resolution):
        return event.ts, event.market.index
    return event.ts, event.market_index
