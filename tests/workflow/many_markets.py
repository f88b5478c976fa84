"""Markets beside the harness's own, and leaders who trade in them."""

from __future__ import annotations

from chalicelib.adapters.stored_rules import store_settings
from chalicelib.domain.evidence import FillMessage
from chalicelib.domain.orderbook import Book, Level
from chalicelib.services.market_directory import store_market
from tests.workflow.harness import LEADER, System, chain, leg, market

M = 1_000_000


def token_of(number: int) -> str:
    return str(10**30 + number)


def add_market(system: System, number: int, event: str, category: str) -> str:
    """A market with a deep book at 0.51/0.52; its first token."""
    token, other = token_of(number), str(10**31 + number)
    store_market(
        system.store,
        market(
            condition_id=f"0x{number + 1:064x}",
            tokens=(token, other),
            event_id=event,
            category=category,
            slug=f"market-{number}",
        ),
    )
    offer = 100_000 * M
    system.venue.books[token] = Book(
        token, (Level(510_000, offer),), (Level(520_000, offer),), 0, 0
    )
    return token


def traded(
    system: System,
    number: int,
    token: str,
    *,
    side: str = "BUY",
    leader: str = LEADER,
    shares: int = 10_000,
    price: int = 510_000,
    ts: int | None = None,
) -> FillMessage:
    """The leader's own fill as the chain tells it; each number is another transaction."""
    seen = system.clock.now_ms() if ts is None else ts
    part = leg(shares * M, price, ts_block=seen - 2_000, index=number)
    return chain([part], number=number, side=side, ts_seen=seen, token=token, leader=leader)  # type: ignore[arg-type]


def settings(system: System, **layer: object) -> None:
    """The global settings, in force at once for services wired from now on."""
    store_settings(system.store, system.clock, "global", layer)
    system.services = system.wire(system.store)
