"""Token → market from local state, with what is new or may have ended asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from chalicelib.adapters.clock import ManualClock
from chalicelib.adapters.embedded.memory_store import MemoryStore
from chalicelib.domain.errors import Conflict, Permanent, Retryable
from chalicelib.domain.market import Market, Resolution, resolved
from chalicelib.domain.registry import TokenPointer
from chalicelib.keyspace import market_key, token_key
from chalicelib.ports import Put, Write
from chalicelib.services.market_directory import (
    CACHE_MS,
    MarketDirectory,
    change_market,
    store_market,
    store_new_markets,
)
from tests.workflow.harness import CONDITION, OPPOSITE, T0, TOKEN, market
from tests.workflow.test_exactly_once import DyingStore

GUARD_MS = 1_800_000
WON = Resolution("resolved", (1_000_000, 0), final=True)


class Catalogue:
    def __init__(self, told: Market | Exception | None) -> None:
        self.told = told
        self.calls = 0

    def market_of_token(self, token_id: str) -> Market | None:
        self.calls += 1
        if isinstance(self.told, Exception):
            raise self.told
        return self.told

    market_of_condition = market_of_token


def directory(
    told: Market | Exception | None, known: Market | None = None
) -> tuple[MarketDirectory, Catalogue, ManualClock, MemoryStore]:
    store, clock, catalogue = MemoryStore(), ManualClock(T0), Catalogue(told)
    if known:
        store_market(store, known)
    return MarketDirectory(store, catalogue, clock), catalogue, clock, store  # type: ignore[arg-type]


def test_a_new_token_is_asked_for_once() -> None:
    made, catalogue, _, _ = directory(market())
    assert made.known(TOKEN) is None
    for token in (TOKEN, OPPOSITE, TOKEN):
        found = made.lookup(token)
        assert found is not None
        assert replace(found, version=0) == market()
    assert catalogue.calls == 1


def test_an_unknown_token_stays_unknown_and_is_asked_for_again() -> None:
    made, catalogue, _, _ = directory(None)
    assert made.lookup(TOKEN) is None
    catalogue.told = Permanent("no")
    assert made.lookup(TOKEN) is None
    catalogue.told = market()
    assert made.lookup(TOKEN) is not None


@pytest.mark.parametrize(
    ("known", "asks"),
    [
        (market(), False),
        (market(closes_at=T0 + GUARD_MS + 2 * CACHE_MS), False),
        (market(closes_at=T0 + GUARD_MS), True),
        (market(closes_at=T0 - 1), True),
        (market(game_starts_at=T0), True),
        (market(accepting_orders=False), True),
        (market(closed=True, accepting_orders=False), False),
    ],
)
def test_near_and_after_its_end_a_market_is_read_again(known: Market, asks: bool) -> None:
    ended = replace(known, closed=True, accepting_orders=False)
    made, catalogue, clock, _ = directory(ended, known)
    found = made.lookup(TOKEN)
    assert found is not None
    assert found.closed is (asks or known.closed)
    assert catalogue.calls == asks
    clock.advance(CACHE_MS)
    made.lookup(TOKEN)
    assert catalogue.calls == asks, "what is closed is not asked for again"


def test_a_market_that_stays_open_is_read_again_once_a_minute() -> None:
    known = market(closes_at=T0)
    made, catalogue, clock, _ = directory(known, known)
    for _ in range(4):
        made.lookup(TOKEN)
        clock.advance(CACHE_MS // 2)
    assert catalogue.calls == 2
    assert made.lookup(TOKEN, suspect=True) is not None


def test_suspicion_asks_although_the_market_seems_far_from_its_end() -> None:
    made, catalogue, _, _ = directory(market(closed=True), market())
    assert made.lookup(TOKEN, suspect=True) is not None
    assert catalogue.calls == 1
    found = made.known(OPPOSITE)
    assert found is not None
    assert found.closed


def test_a_venue_that_denies_a_known_market_changes_nothing() -> None:
    known = market(closes_at=T0)
    for told in (None, Permanent("refused")):
        made, *_ = directory(told, known)
        found = made.lookup(TOKEN)
        assert found is not None
        assert replace(found, version=0) == known
    made, *_ = directory(Retryable("down"), known)
    with pytest.raises(Retryable):
        made.lookup(TOKEN)


def test_what_was_learned_is_known_at_once() -> None:
    made, _, _, store = directory(None, market())
    known = made.known(TOKEN)
    assert known is not None
    made.learn(known, lambda m: resolved(m, WON))
    again = made.known(TOKEN)
    assert again is not None
    assert again.payout_of(TOKEN) == 1_000_000
    assert store.get(Market, market_key(CONDITION)) == again


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("dies_at", [1, 2, 3])
@pytest.mark.parametrize("is_new", [False, True])
def test_whenever_it_dies_a_stored_market_is_found_by_its_tokens(
    dies_at: int, after: bool, is_new: bool
) -> None:
    store = DyingStore(dies_at, after)
    store.armed = True
    with pytest.raises(Retryable):
        store_market(store, market(), is_new=is_new)
    store_market(store, market(), is_new=is_new)
    made = MarketDirectory(store, Catalogue(None), ManualClock(T0))  # type: ignore[arg-type]
    for token in (TOKEN, OPPOSITE):
        assert made.known(token) is not None


def test_many_new_markets_beside_known_ones() -> None:
    store = MemoryStore()
    many = [
        market(condition_id=f"0x{n:064x}", tokens=(str(10 * n + 1), str(10 * n + 2)))
        for n in range(1, 41)
    ]
    store_market(store, many[20])
    assert store_new_markets(store, many) == 39
    assert store_new_markets(store, many) == 0
    for one in many:
        assert store.get(Market, market_key(one.condition_id)) is not None
        assert store.get(TokenPointer, token_key(one.tokens[1])) is not None


def test_a_change_under_contention_is_made_on_the_newest_state() -> None:
    class Racing(MemoryStore):
        rivals = 0

        def commit(self, writes: Sequence[Write]) -> None:
            if self.rivals:
                self.rivals -= 1
                known = self.get(Market, market_key(CONDITION))
                assert known is not None
                super().commit([Put(replace(known, tick=known.tick + 1))])
            super().commit(writes)

    store = Racing()
    store_market(store, market())
    store.rivals = 2
    changed = change_market(store, CONDITION, lambda m: resolved(m, WON))
    assert changed is not None
    assert (changed.tick, changed.resolution) == (10_002, WON)
    assert store.get(Market, market_key(CONDITION)) == changed
    store.rivals = 10
    with pytest.raises(Conflict):
        change_market(store, CONDITION, lambda m: replace(m, tick=1))
    assert change_market(store, "0x" + "0" * 64, lambda m: m) is None
