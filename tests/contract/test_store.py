"""What every store must do, whatever it stands on."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from chalicelib.domain.errors import Conflict
from chalicelib.domain.ledger import Entry
from chalicelib.domain.registry import Heartbeat, Leader
from chalicelib.domain.trade import Trade
from chalicelib.keyspace import (
    heartbeat_key,
    leader_key,
    portfolio_pk,
    trade_key,
)
from chalicelib.ports import WRITES_MAX, Delete, Put, Require, Store, Write

from .records import entry, trade

ENTRIES = portfolio_pk("acc/global", 1)
FEED = "trades#2026-11-20"


def beat(source: str, ts: int = 1) -> Heartbeat:
    return Heartbeat(source, ts, True)


def stored_beat(store: Store, source: str) -> Heartbeat:
    found = store.get(Heartbeat, heartbeat_key(source))
    assert found is not None
    return found


def seqs(entries: list[Entry]) -> list[int]:
    return [e.seq for e in entries]


def test_a_missing_record_is_none(store: Store) -> None:
    assert store.get(Heartbeat, heartbeat_key("nobody")) is None
    assert store.query(Heartbeat, "registry", "nothing") == []
    assert store.feed(Trade, "activity", "trades#1970-01-01", before=None, limit=1) == []


def test_a_put_raises_the_version_by_one(store: Store) -> None:
    store.commit([Put(beat("a", 5))])
    assert stored_beat(store, "a") == replace(beat("a", 5), version=1)
    store.commit([Put(replace(stored_beat(store, "a"), ts=6))])
    assert stored_beat(store, "a") == replace(beat("a", 6), version=2)


@pytest.mark.parametrize("version", [0, 1, 3])
def test_a_put_of_another_version_conflicts(store: Store, version: int) -> None:
    store.commit([Put(beat("a"))])
    store.commit([Put(stored_beat(store, "a"))])
    with pytest.raises(Conflict):
        store.commit([Put(replace(beat("a", 9), version=version))])
    assert stored_beat(store, "a") == replace(beat("a"), version=2)


def test_a_put_of_a_version_that_was_never_stored_conflicts(store: Store) -> None:
    with pytest.raises(Conflict):
        store.commit([Put(replace(beat("a"), version=1))])
    assert store.get(Heartbeat, heartbeat_key("a")) is None


@pytest.mark.parametrize("alone", [True, False])
def test_delete_removes_the_expected_version_only(store: Store, alone: bool) -> None:
    more: list[Write] = [] if alone else [Put(beat("other"))]
    key = heartbeat_key("a")
    store.commit([Put(beat("a"))])
    for version in (0, 2):
        with pytest.raises(Conflict):
            store.commit([Delete(key, version), *more])
    assert store.get(Heartbeat, key) is not None
    store.commit([Delete(key, 1), *more])
    assert store.get(Heartbeat, key) is None
    assert "a" not in [b.source for b in store.query(Heartbeat, "registry", "heartbeats")]
    with pytest.raises(Conflict):
        store.commit([Delete(key, 1)])
    store.commit([Delete(key, 0)])
    store.commit([Put(beat("a", 7))])
    assert stored_beat(store, "a") == replace(beat("a", 7), version=1)


@pytest.mark.parametrize("alone", [True, False])
def test_require_checks_and_writes_nothing(store: Store, alone: bool) -> None:
    key = heartbeat_key("a")
    more: list[Write] = [] if alone else [Put(beat("b"))]
    with pytest.raises(Conflict):
        store.commit([Require(key, 1), *more])
    assert store.get(Heartbeat, heartbeat_key("b")) is None
    store.commit([Require(key, 0), *more])
    assert store.get(Heartbeat, key) is None
    assert (store.get(Heartbeat, heartbeat_key("b")) is None) == alone
    store.commit([Put(beat("a"))])
    for version in (0, 2):
        with pytest.raises(Conflict):
            store.commit([Require(key, version)])
    store.commit([Require(key, 1)])
    assert stored_beat(store, "a").version == 1


@pytest.mark.parametrize("place", [0, 1, 2, 3])
def test_nothing_of_a_conflicting_commit_is_applied(store: Store, place: int) -> None:
    store.commit([Put(beat("kept")), Put(beat("changed"))])
    writes: list[Write] = [
        Put(Leader("0xnew", "n", ("0xnew",), "on", 0)),
        Delete(heartbeat_key("kept"), 1),
        Put(replace(stored_beat(store, "changed"), ts=99)),
    ]
    writes.insert(place, Require(heartbeat_key("missing"), 4))
    with pytest.raises(Conflict):
        store.commit(writes)
    assert store.get(Leader, leader_key("0xnew")) is None
    assert stored_beat(store, "kept") == replace(beat("kept"), version=1)
    assert stored_beat(store, "changed") == replace(beat("changed"), version=1)
    writes.pop(place)
    store.commit(writes)
    assert store.get(Leader, leader_key("0xnew")) is not None
    assert store.get(Heartbeat, heartbeat_key("kept")) is None
    assert stored_beat(store, "changed").ts == 99


def test_a_commit_may_span_tables(store: Store) -> None:
    store.commit([Put(beat("a")), Put(trade(1)), Put(entry(1))])
    assert store.get(Trade, trade_key(trade(1).trade_id)) == replace(trade(1), version=1)
    with pytest.raises(Conflict):
        store.commit([Put(trade(2)), Put(beat("a"))])
    assert store.get(Trade, trade_key(trade(2).trade_id)) is None


def test_a_commit_of_the_largest_size(store: Store) -> None:
    store.commit([Put(entry(n)) for n in range(WRITES_MAX)])
    assert seqs(store.query(Entry, "portfolio", ENTRIES)) == list(range(WRITES_MAX))
    writes: list[Write] = [Put(entry(100 + n)) for n in range(WRITES_MAX - 1)]
    with pytest.raises(Conflict):
        store.commit([*writes, Put(entry(WRITES_MAX - 1))])
    assert len(store.query(Entry, "portfolio", ENTRIES)) == WRITES_MAX


def test_a_commit_outside_its_bounds_is_refused(store: Store) -> None:
    refused: list[list[Write]] = [
        [],
        [Put(beat(str(n))) for n in range(WRITES_MAX + 1)],
        [Put(beat("a")), Delete(heartbeat_key("a"), 0)],
    ]
    for writes in refused:
        with pytest.raises(ValueError):
            store.commit(writes)
    assert store.query(Heartbeat, "registry", "heartbeats") == []


def _increment(store: Store, source: str) -> None:
    for _ in range(10_000):
        current = store.get(Heartbeat, heartbeat_key(source))
        try:
            store.commit(
                [Put(replace(current or beat(source, 0), ts=(current.ts if current else 0) + 1))]
            )
        except Conflict:
            continue
        return
    raise AssertionError("an increment lost 10,000 times")


def test_concurrent_increments_lose_nothing(store: Store) -> None:
    threads, rounds = 8, 15

    def work(number: int) -> None:
        for n in range(rounds):
            _increment(store, "shared")
            store.commit([Put(beat(f"own{number}-{n}"))])

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, range(threads)))
    shared = stored_beat(store, "shared")
    assert (shared.ts, shared.version) == (threads * rounds, threads * rounds)
    assert len(store.query(Heartbeat, "registry", "heartbeats", limit=999)) == threads * rounds + 1


def test_transfers_between_two_records_stay_balanced(store: Store) -> None:
    """Readers never check: only the commits' own conditions keep the sum."""
    store.commit([Put(beat("left", 1_000)), Put(beat("right", 1_000))])

    def work(number: int) -> int:
        done = 0
        while done < 5:
            left, right = stored_beat(store, "left"), stored_beat(store, "right")
            moved = number + 1
            try:
                store.commit(
                    [
                        Put(replace(left, ts=left.ts - moved)),
                        Put(replace(right, ts=right.ts + moved)),
                    ]
                )
            except Conflict:
                continue
            done += 1
        return done

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, range(4))) == [5] * 4
    left, right = stored_beat(store, "left"), stored_beat(store, "right")
    assert (left.ts, right.ts) == (950, 1_050)
    assert left.version == right.version == 21
