"""The registry follows the venue's list: cheaply, in bounded turns, whatever interrupts it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.adapters.clock import ManualClock
from chalicelib.adapters.embedded.memory_store import MemoryStore
from chalicelib.adapters.metrics import CountingMetrics
from chalicelib.domain.errors import Permanent, Retryable
from chalicelib.domain.market import Market
from chalicelib.domain.market_sync import DIGEST_BYTES, DigestPage, SyncState
from chalicelib.domain.registry import Heartbeat, TokenPointer
from chalicelib.keyspace import (
    MARKET_SYNC_KEY,
    Key,
    digest_page_key,
    heartbeat_key,
    market_key,
    token_key,
)
from chalicelib.ports import ListedMarket, MarketPage, R, Store, Write
from chalicelib.services import sync_markets
from chalicelib.services.sync_markets import SyncMarkets
from tests.workflow.harness import T0, market
from tests.workflow.test_exactly_once import DyingStore

PAGE = 3
TURN_MS = 10_000


def made(number: int, **changes: object) -> Market:
    base = {
        "condition_id": f"0x{number:064x}",
        "tokens": (str(10 * number + 1), str(10 * number + 2)),
    }
    return market(**(base | changes))


@dataclass
class ListingVenue:
    """Markets by number, three on a page; each page costs the clock `page_ms`."""

    clock: ManualClock
    markets: dict[int, Market] = field(default_factory=dict)
    page_ms: int = 0
    fails_at: int = 0
    failure: Exception | None = None
    pages: list[str] = field(default_factory=list)
    lookups: list[Sequence[int]] = field(default_factory=list)
    parsed: int = 0

    def market_page(self, after: str, is_known: Callable[[int, bytes], bool]) -> MarketPage:
        self.pages.append(after)
        self.clock.advance(self.page_ms)
        if self.failure and len(self.pages) == self.fails_at:
            raise self.failure
        numbers = sorted(n for n, m in self.markets.items() if not m.closed and n > int(after or 0))
        shown = numbers[:PAGE]
        changed = []
        for number in shown:
            digest = sha256(repr(self.markets[number]).encode()).digest()[:DIGEST_BYTES]
            if not is_known(number, digest):
                self.parsed += 1
                changed.append(ListedMarket(number, digest, self.markets[number]))
        return MarketPage(
            tuple(shown), tuple(changed), str(shown[-1]) if len(numbers) > PAGE else ""
        )

    def markets_numbered(self, numbers: Sequence[int]) -> Mapping[int, Market]:
        self.lookups.append(numbers)
        return {number: self.markets[number] for number in numbers if number in self.markets}


class CountingStore(MemoryStore):
    """Counts what is read and written of everything but heartbeats."""

    def __init__(self) -> None:
        super().__init__()
        self.reads: list[str] = []
        self.writes: list[str] = []

    def get(self, kind: type[R], key: Key) -> R | None:
        if kind is not Heartbeat:
            self.reads.append(kind.__name__)
        return super().get(kind, key)

    def query(self, kind: type[R], *where: object, **how: object) -> list[R]:
        self.reads.append(kind.__name__)
        return super().query(kind, *where, **how)  # type: ignore[arg-type]

    def commit(self, writes: Sequence[Write]) -> None:
        super().commit(writes)
        names = [type(getattr(write, "record", write)).__name__ for write in writes]
        self.writes += [name for name in names if name != "Heartbeat"]

    def forget(self) -> None:
        self.reads.clear()
        self.writes.clear()


def world(
    *numbers: int, store: Store | None = None
) -> tuple[Store, ListingVenue, Callable[[], SyncMarkets]]:
    """(store, venue, a new process's sync)."""
    clock = ManualClock(T0)
    store = CountingStore() if store is None else store
    venue = ListingVenue(clock, {number: made(number) for number in numbers})

    def process() -> SyncMarkets:
        return SyncMarkets(store, venue, clock, CountingMetrics(), turn_ms_max=TURN_MS)  # type: ignore[arg-type]

    return store, venue, process


def stored_market(store: Store, number: int) -> Market | None:
    return store.get(Market, market_key(f"0x{number:064x}"))


def assert_registry_is_the_venues(store: Store, venue: ListingVenue) -> None:
    for number, listed in venue.markets.items():
        known = stored_market(store, number)
        assert known is not None, number
        # What changes of a market after it closed is not looked for.
        assert known.closed == listed.closed
        assert listed.closed or replace(known, version=0) == listed
        for token in listed.tokens:
            pointer = store.get(TokenPointer, token_key(token))
            assert pointer is not None
            assert pointer.condition_id == listed.condition_id


def test_first_walk_stores_every_market_and_the_second_nothing() -> None:
    store, venue, process = world(*range(1, 9))
    assert isinstance(store, CountingStore)
    sync = process()
    assert sync() == 8
    assert_registry_is_the_venues(store, venue)
    assert venue.pages == ["", "3", "6"]
    beat = store.get(Heartbeat, heartbeat_key("registry"))
    assert beat is not None
    assert (beat.detail, beat.last_block) == ("8 markets", 8)

    store.forget()
    assert sync() == 8
    assert (store.reads, store.writes) == (["SyncState"], [])
    # Another process reads the digests, and still no market.
    store.forget()
    assert process()() == 8
    assert (store.reads, store.writes) == (["SyncState", "DigestPage"], [])
    assert venue.parsed == 8


def test_only_changes_are_written_and_what_left_is_looked_up_once() -> None:
    store, venue, process = world(*range(1, 9))
    assert isinstance(store, CountingStore)
    process()()
    venue.markets[2] = made(2, tick=1_000)
    venue.markets[5] = made(5, closed=True, accepting_orders=False)
    venue.markets[9] = made(9)
    del venue.markets[7]
    store.forget()
    sync = process()
    assert sync() == 7
    assert venue.lookups == [[5, 7]]
    assert sorted(store.writes) == [
        "DigestPage",
        "DigestPage",
        "Market",
        "Market",
        "Market",
        "SyncState",
        "SyncState",
        "TokenPointer",
        "TokenPointer",
    ]
    assert_registry_is_the_venues(store, venue)
    closed = stored_market(store, 5)
    assert closed is not None
    assert closed.closed
    for again in (sync, process()):
        store.forget()
        again()
        assert store.writes == []
    assert len(venue.lookups) == 1


def test_a_market_that_comes_back_is_stored_again() -> None:
    store, venue, process = world(1, 2)
    process()()
    venue.markets[1] = made(1, closed=True)
    process()()
    venue.markets[1] = made(1, tick=1_000)
    process()()
    assert_registry_is_the_venues(store, venue)


def test_a_walk_goes_on_where_the_last_turn_ended() -> None:
    store, venue, process = world(*range(1, 12))
    venue.page_ms = TURN_MS // 2
    first, second = process(), process()
    assert (first(), first.finished) == (6, False)
    assert (second(), second.finished) == (11, True)
    assert venue.pages == ["", "3", "6", "9"]
    assert_registry_is_the_venues(store, venue)
    assert venue.lookups == [], "what an earlier turn met did not leave"
    venue.markets[2] = made(2, closed=True)
    process()()
    process()()
    assert_registry_is_the_venues(store, venue)


def test_an_old_interrupted_walk_begins_again() -> None:
    _, venue, process = world(*range(1, 12))
    venue.page_ms = TURN_MS
    process()()
    venue.clock.advance(sync_markets.WALK_MS_MAX + 1)
    process()()
    assert venue.pages == ["", ""]


def test_a_failed_page_loses_no_progress() -> None:
    store, venue, process = world(*range(1, 12))
    venue.fails_at, venue.failure = 3, Retryable("gamma: status 503")
    with pytest.raises(Retryable):
        process()()
    assert process()() == 11
    assert venue.pages == ["", "3", "6", "6", "9"]
    assert_registry_is_the_venues(store, venue)


def test_a_cursor_the_venue_refuses_is_not_tried_again() -> None:
    store, venue, process = world(*range(1, 12))
    venue.page_ms = TURN_MS
    process()()
    venue.fails_at, venue.failure = 2, Permanent("gamma: status 422")
    with pytest.raises(Permanent):
        process()()
    venue.page_ms = 0
    assert process()() == 11
    assert venue.pages == ["", "3", "", "3", "6", "9"]
    assert_registry_is_the_venues(store, venue)


def test_pages_that_go_in_a_circle_are_no_list() -> None:
    store, venue, process = world(*range(1, 6))
    page = venue.market_page
    venue.market_page = lambda after, known: replace(page("", known), after="3")  # type: ignore[method-assign]
    with pytest.raises(Retryable, match="circle"):
        process()()
    venue.market_page = page  # type: ignore[method-assign]
    assert process()() == 5
    assert_registry_is_the_venues(store, venue)


def test_an_empty_list_closes_nothing_the_venue_still_knows_as_open() -> None:
    store, venue, process = world(*range(1, 6))
    sync = process()
    sync()
    everything, venue.markets = venue.markets, {}
    venue.markets_numbered = lambda numbers: {n: everything[n] for n in numbers}  # type: ignore[method-assign]
    sync()
    venue.markets = everything
    sync()
    assert_registry_is_the_venues(store, venue)
    assert all(not market.closed for market in everything.values())


def test_of_two_walkers_one_saves_and_both_are_right() -> None:
    store, venue, process = world(*range(1, 9))
    first, second = process(), process()
    first()
    venue.markets[4] = made(4, tick=1_000)
    page = venue.market_page

    def overtaken(after: str, is_known: Callable[[int, bytes], bool]) -> MarketPage:
        venue.market_page = page  # type: ignore[method-assign]
        found = page(after, is_known)
        second()
        return found

    venue.market_page = overtaken  # type: ignore[method-assign]
    first()
    assert_registry_is_the_venues(store, venue)
    assert isinstance(store, CountingStore)
    store.forget()
    first()
    assert store.writes == []


def test_unreadable_digests_cost_a_full_walk_and_nothing_else() -> None:
    store, venue, process = world(*range(1, 9))
    process()()
    broken = store.get(DigestPage, digest_page_key(0, 0))
    assert broken is not None
    store.commit([put(replace(broken, text="?"))])
    assert process()() == 8
    assert_registry_is_the_venues(store, venue)
    assert isinstance(store, CountingStore)
    store.forget()
    process()()
    assert store.writes == []


def test_digest_pages_are_written_again_before_they_are_too_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sync_markets, "DIGEST_PAGES_MAX", 3)
    store, venue, process = world(*range(1, 9))
    for turn in range(12):
        venue.markets[1] = made(1, tick=1_000 + turn)
        process()()
        state = store.get(SyncState, MARKET_SYNC_KEY)
        assert state is not None
        kept = store.query(DigestPage, "registry", "market_digests", limit=100)
        assert len(kept) == state.pages <= 4
        assert {page.generation for page in kept} == {state.generation}
    assert_registry_is_the_venues(store, venue)
    assert state.generation >= 2


def put(record: DigestPage) -> Write:
    from chalicelib.ports import Put

    return Put(record)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_whatever_interrupts_it_the_registry_ends_as_the_venue_says(data: st.DataObject) -> None:
    """Markets come, change and close between turns, and the process dies around any commit."""
    store = DyingStore(data.draw(st.integers(1, 30)), data.draw(st.booleans()))
    _, venue, process = world(*range(1, data.draw(st.integers(1, 12))), store=store)
    venue.page_ms = data.draw(st.sampled_from([0, TURN_MS // 3, TURN_MS]))
    store.armed = True
    spare_entries = sync_markets.SPARE_ENTRIES
    sync_markets.SPARE_ENTRIES = data.draw(st.sampled_from([0, spare_entries]))
    try:
        sync = process()
        for _ in range(data.draw(st.integers(1, 6))):
            number = data.draw(st.integers(1, 14))
            known = venue.markets.get(number, made(number))
            changes = {"tick": known.tick + 1, "closed": data.draw(st.booleans())}
            venue.markets[number] = replace(known, **changes)  # type: ignore[arg-type]
            try:
                sync()
            except Retryable:
                sync = process()
        venue.page_ms = 0
        for _ in range(2):
            sync = process()
            try:
                sync()
            except Retryable:
                process()()
        was_listed = {n for n in venue.markets if stored_market(store, n)}
        # A market that was never open while anybody walked was never listed.
        assert was_listed >= {n for n, m in venue.markets.items() if not m.closed}
        venue.markets = {n: m for n, m in venue.markets.items() if n in was_listed}
        assert_registry_is_the_venues(store, venue)
    finally:
        sync_markets.SPARE_ENTRIES = spare_entries
