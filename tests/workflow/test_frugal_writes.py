"""What is stored less often than it is seen, and that nothing is lost by it."""

from __future__ import annotations

import pytest

from chalicelib.adapters.clock import ManualClock
from chalicelib.adapters.embedded.memory_store import MemoryStore
from chalicelib.adapters.metrics import CountingMetrics
from chalicelib.adapters.stored_rules import REFRESH_MS, StoredRules
from chalicelib.domain.breakers import Breakers, observed
from chalicelib.domain.portfolio import Head
from chalicelib.domain.registry import Heartbeat, SettingsRow
from chalicelib.domain.rules import CopyRules
from chalicelib.keyspace import breakers_key, heartbeat_key
from chalicelib.ports import CopyRun, Put
from chalicelib.services.heartbeats import Beats, beat
from chalicelib.services.watch_breakers import QUIET_MS, WatchBreakers
from tests.workflow.harness import LEADER, RecordingQuarantine, System, chain, leg

DAY_MS = 86_400_000
NOON = 20_775 * DAY_MS + DAY_MS // 2
M = 1_000_000
HEAD = Head("main/global", "global", "", 1, 10_000 * M, 10_000 * M)


class FixedRules:
    def rules_for(self, leader: str) -> CopyRules:
        return CopyRules()


class CountingStore(MemoryStore):
    def __init__(self) -> None:
        super().__init__()
        self.reads = self.commits = self.queries = 0

    def get(self, kind, key):  # type: ignore[no-untyped-def]
        self.reads += 1
        return super().get(kind, key)

    def query(self, *args, **kwargs):  # type: ignore[no-untyped-def]
        self.queries += 1
        return super().query(*args, **kwargs)

    def commit(self, writes) -> None:  # type: ignore[no-untyped-def]
        self.commits += 1
        super().commit(writes)


def watched(store: MemoryStore, seen: list[tuple[int, int]]) -> Breakers:
    watch = WatchBreakers(store, FixedRules(), CountingMetrics())  # type: ignore[arg-type]
    for ts, equity in seen:
        watch(HEAD, equity, ts)
    found = store.get(Breakers, breakers_key("main/global", 1))
    assert found
    return found


def test_an_equity_that_changes_nothing_is_stored_every_five_minutes() -> None:
    store = CountingStore()
    watched(store, [(NOON + i * 30_000, 9_990 * M + i) for i in range(41)])
    # The first one, and one for each QUIET_MS of the twenty minutes.
    assert store.commits == 1 + 41 * 30_000 // QUIET_MS


@pytest.mark.parametrize("step_s", [30, 45, 60])
def test_a_day_opens_with_the_last_equity_before_it_all_the_same(step_s: int) -> None:
    midnight = NOON + DAY_MS // 2
    seen = [
        (ts, 9_900 * M + (ts - NOON) // 1_000 * 7 % (90 * M))
        for ts in range(midnight - 1_500_000, midnight + 300_000, step_s * 1_000)
    ]
    plain = Breakers("main/global", 1)
    for ts, equity in seen:
        plain = observed(plain, equity, ts, CopyRules())
    found = watched(MemoryStore(), seen)
    assert found.day_equity == plain.day_equity
    assert found.high_water == plain.high_water


def test_a_breaker_that_opens_is_stored_at_once() -> None:
    found = watched(MemoryStore(), [(NOON, 10_000 * M), (NOON + 30_000, 8_000 * M)])
    assert found.ts_daily == found.ts_drawdown == NOON + 30_000
    assert found.equity == 8_000 * M


def test_beats_read_once_and_again_after_somebody_else_wrote() -> None:
    store = CountingStore()
    prove = Beats(store)
    for ts in range(1, 6):
        prove(Heartbeat("watcher", ts, True))
    assert store.reads == 1
    beat(store, Heartbeat("watcher", 9, True, "another"))
    # The one that meets the other's version is lost; an older one never replaces a newer one.
    for ts in (6, 7, 10):
        prove(Heartbeat("watcher", ts, True))
    found = store.get(Heartbeat, heartbeat_key("watcher"))
    assert found and found.ts == 10


def test_settings_are_read_together_and_never_older_than_said() -> None:
    store, clock = CountingStore(), ManualClock(NOON)
    rules = StoredRules(store, RecordingQuarantine(), clock, CountingMetrics())
    before = rules.rules_for(LEADER)
    assert rules.rules_for("0xother") == before
    store.commit([Put(SettingsRow("global", '{"order_ttl_ms": 5000}'))])
    clock.advance(REFRESH_MS - 1)
    assert rules.rules_for("0xother").order_ttl_ms == before.order_ttl_ms
    clock.advance(1)
    queries = store.queries
    assert rules.rules_for("0xother").order_ttl_ms == rules.rules_for(LEADER).order_ttl_ms == 5_000
    assert store.queries == queries + 1 and store.reads == 0


def test_a_fill_that_joins_a_group_starts_no_second_execution() -> None:
    system = System()
    system.follow()
    system.clock.advance(10_000)
    now = system.clock.now_ms()
    started: list[CopyRun] = []
    system.workflows.start = started.append  # type: ignore[method-assign]
    for number in (1, 2):
        part = leg(4_000 * M, 510_000, ts_block=now - 2_000, index=number)
        system.services.ingest(chain([part], number=number, ts_seen=now + number))
    assert len(started) == 1
