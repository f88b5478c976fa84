"""Which tokens are worth watching, and that nobody reads what has not moved."""

from __future__ import annotations

from chalicelib.services.market_directory import MarketDirectory
from chalicelib.services.tracked_tokens import HeldTokens, TrackedTokens
from tests.workflow.harness import LEADER, OPPOSITE, TOKEN, System
from tests.workflow.test_copying import buys, sells
from tests.workflow.test_marks import QueryCountingStore

DAY_MS = 86_400_000


def test_held_and_lately_traded_tokens_are_tracked_and_read_when_they_move() -> None:
    store = QueryCountingStore()
    system = System(store=store)
    system.follow()
    system.clock.advance(10_000)
    directory = MarketDirectory(store, system.venue, system.clock)
    tracked, held = TrackedTokens(store, directory), HeldTokens(store)
    assert (tracked(system.clock.now_ms()), held()) == ({}, frozenset())
    buys(system)
    system.run_workflows()
    both = {token: frozenset({LEADER}) for token in (TOKEN, OPPOSITE)}
    assert (tracked(system.clock.now_ms()), held()) == (both, frozenset({TOKEN}))
    store.read_positions.clear()
    assert (tracked(system.clock.now_ms()), held()) == (both, frozenset({TOKEN}))
    assert store.read_positions == []
    sells(system, 10_000)
    system.run_workflows()
    assert (tracked(system.clock.now_ms()), held()) == (both, frozenset())
    assert tracked(system.clock.now_ms() + 2 * DAY_MS) == {}
