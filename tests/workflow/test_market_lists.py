"""The stored lists: changed safely, read with a short cache, ready for the audit log."""

from __future__ import annotations

import pytest

from chalicelib.adapters.clock import ManualClock
from chalicelib.adapters.embedded.memory_store import MemoryStore
from chalicelib.domain.errors import InvalidInput, PapercopyError
from chalicelib.domain.reasons import Reason
from chalicelib.services.market_lists import (
    REFRESH_MS,
    ChangeMarketLists,
    ReadMarketLists,
    stored_lists,
)
from tests.workflow.harness import CONDITION, T0, market
from tests.workflow.test_exactly_once import DyingStore


def test_a_change_is_in_force_within_the_cache_time_and_tells_who_made_it() -> None:
    store, clock = MemoryStore(), ManualClock(T0)
    change, read = ChangeMarketLists(store, clock), ReadMarketLists(store, clock)
    assert read.refusal(market()) is None
    made = change.add("blacklist", "market", CONDITION, who="ann", note="odd rules")
    assert (made.who, made.ts, made.before.entries) == ("ann", T0, ())
    assert made.after == stored_lists(store)
    [entry] = made.after.entries
    assert (entry.by, entry.ts, entry.note) == ("ann", T0, "odd rules")
    clock.advance(REFRESH_MS)
    assert read.refusal(market()) is Reason.MARKET_BLACKLISTED
    assert read.refusal(market(), "another account") is None

    again = change.add("blacklist", "market", CONDITION, who="bob")
    assert again.after == again.before
    gone = change.remove("blacklist", "market", CONDITION, who="bob")
    assert gone.after.entries == ()
    clock.advance(REFRESH_MS)
    assert read.refusal(market()) is None
    assert change.remove("blacklist", "market", CONDITION, who="bob").after == gone.after


def test_nothing_invalid_is_stored() -> None:
    store = MemoryStore()
    with pytest.raises(InvalidInput):
        ChangeMarketLists(store, ManualClock(T0)).add("blacklist", "market", "0x1", who="ann")
    assert stored_lists(store).version == 0


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("dies_at", [1, 2, 3])
def test_a_repeated_change_ends_the_same(dies_at: int, after: bool) -> None:
    store = DyingStore(dies_at, after)
    store.armed = True
    change = ChangeMarketLists(store, ManualClock(T0))
    for category in ("sports", "crypto", "politics"):
        for _ in range(2):
            try:
                change.add("whitelist", "category", category, who="ann")
            except PapercopyError:
                continue
    assert [e.value for e in stored_lists(store).entries] == ["sports", "crypto", "politics"]


def test_concurrent_changes_both_count() -> None:
    class Racing(MemoryStore):
        raced = False

        def commit(self, writes: object) -> None:  # type: ignore[override]
            if not self.raced:
                self.raced = True
                ChangeMarketLists(self, clock).add("blacklist", "category", "crypto", who="bob")
            super().commit(writes)  # type: ignore[arg-type]

    clock = ManualClock(T0)
    store = Racing()
    ChangeMarketLists(store, clock).add("blacklist", "category", "sports", who="ann")
    assert [e.value for e in stored_lists(store).entries] == ["crypto", "sports"]
