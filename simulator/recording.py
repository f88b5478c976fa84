"""A simulated period without a server: what the chain stated and what the books did, in order.

The world is stepped as fast as it goes. Nothing here knows papercopy; what it returns has the
venue's and the node's own shapes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from simulator.book import Change
from simulator.exchange import Hush, Resolution
from simulator.gamma import Gamma
from simulator.logs import order_filled
from simulator.matching import Match
from simulator.venue import Venue, last_maker_price
from simulator.world import ANCHOR_MS, BLOCK_MS, World, WorldConfig

STEPS_MAX = 2_000_000
QUIET_STEPS = 40
"""Blocks after the last fill, so that what was copied of it can end."""

LevelChange = tuple[int, bool, int, int]
"""When (ms), whether a bid, price and new size in micros."""
Print = tuple[int, str, int, int]
"""When (ms), the taker's side, price and shares in micros."""


@dataclass(slots=True)
class BookHistory:
    """Outcome 0's book of one market from the genesis on; outcome 1 is its mirror."""

    tokens: tuple[str, str]
    bids: dict[int, int]
    asks: dict[int, int]
    changes: list[LevelChange] = field(default_factory=list)
    prints: list[Print] = field(default_factory=list)
    ts_closed: int | None = None


@dataclass(slots=True)
class RecordedWorld:
    """A period of a world; times in ms UTC. `logs` are (block time, raw log) in chain order."""

    genesis_ms: int
    end_ms: int
    leaders: list[tuple[str, list[str]]]
    markets: list[dict[str, Any]]
    books: list[BookHistory]
    logs: list[tuple[int, dict[str, Any]]]


class _StillClock:
    def now_ms(self) -> int:
        return ANCHOR_MS


def record_world(
    seed: int, fills: int, fills_per_minute: float = 120.0, genesis_ms: int = ANCHOR_MS
) -> RecordedWorld:
    """The world of a seed until its leaders have made so many fills and it is quiet again."""
    world = World(
        seed,
        genesis_ms,
        WorldConfig(fills_per_minute=fills_per_minute, fills_max=fills, retention_blocks=STEPS_MAX),
    )
    venue = Venue(world, _StillClock())
    gamma = Gamma(venue)
    markets = [gamma.market(market, tags=True) for market in world.listed.singles]
    books = {
        view.market.index: BookHistory(
            (view.market.tokens[0].id, view.market.tokens[1].id), dict(view.bids), dict(view.asks)
        )
        for view in venue.books.values()
    }
    logs: list[tuple[int, dict[str, Any]]] = []
    quiet = 0
    for _ in range(STEPS_MAX):
        step = world.step()
        for event in step.events:
            _note(books, event)
        for tx in step.block.transactions:
            logs += [(step.block.ts, order_filled(fill)) for fill in tx.fills if fill.n]
        quiet = quiet + 1 if world.quiet else 0
        if quiet > QUIET_STEPS:
            break
    leaders = [(leader.name, list(leader.wallets)) for leader in world.leaders]
    return RecordedWorld(
        genesis_ms, world.head.ts + BLOCK_MS, leaders, markets, list(books.values()), logs
    )


def _note(books: dict[int, BookHistory], event: Change | Match | Resolution | Hush) -> None:
    if isinstance(event, Match):
        book = books.get(event.market.index)
        if book is not None:
            maker, side = event.makers[-1], event.taker.side
            price = last_maker_price(event)
            first = maker.token.outcome_index == 0
            same = event.taker.token.outcome_index == 0
            book.prints.append(
                (
                    event.ts_match,
                    side if same else ("SELL" if side == "BUY" else "BUY"),
                    price if first else 1_000_000 - price,
                    event.taker.shares,
                )
            )
    elif isinstance(event, Resolution):
        books[event.market.index].ts_closed = event.ts
    elif isinstance(event, Change):
        book = books[event.market_index]
        book.changes.append((event.ts, event.is_bid, event.price, event.size))
