"""What only the SQLite store promises: surviving its process, sharing its file, expiring."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from chalicelib.adapters.embedded import sqlite_store
from chalicelib.adapters.embedded.sqlite_store import SqliteStore
from chalicelib.domain.errors import Conflict, InvalidInput, Permanent, Retryable
from chalicelib.domain.ledger import Entry
from chalicelib.domain.registry import Heartbeat, SettingsRow
from chalicelib.domain.trade import Trade
from chalicelib.keyspace import heartbeat_key, portfolio_pk, settings_key, trade_key
from chalicelib.ports import QUERY_LIMIT_MAX, Put, Require

from .records import DAY_MS, trade

ROOT = Path(__file__).resolve().parents[2]
WRITER = """
import sys
from dataclasses import replace
from chalicelib.adapters.embedded.sqlite_store import SqliteStore
from chalicelib.domain.registry import Heartbeat
from chalicelib.keyspace import heartbeat_key
from chalicelib.ports import Put
from tests.contract.records import entry

store = SqliteStore(sys.argv[1])
counter = store.get(Heartbeat, heartbeat_key("counter")) or Heartbeat("counter", 0, True)
while True:
    store.commit([Put(replace(counter, ts=counter.ts + 1)), Put(entry(counter.ts))])
    counter = replace(counter, ts=counter.ts + 1, version=counter.version + 1)
    print(counter.ts, flush=True)
"""


def beat(source: str, ts: int = 1) -> Heartbeat:
    return Heartbeat(source, ts, True)


def all_entries(store: SqliteStore) -> list[int]:
    pk, start, found = portfolio_pk("acc/global", 1), "", list[int]()
    while True:
        page = store.query(Entry, "portfolio", pk, start=start, limit=QUERY_LIMIT_MAX)
        if not page:
            return found
        found += [e.seq for e in page]
        last = page[-1]
        start = f"entry#{last.ts_effective:013d}#{last.order:08d}#{last.reference}#{last.kind}\x00"


def test_a_killed_process_leaves_a_consistent_prefix(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    acknowledged = 0
    for commits in (50, 173, 400):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        for _ in range(commits):
            acknowledged = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        rest = process.stdout.read().split("\n")[:-1]
        acknowledged = int(rest[-1]) if rest else acknowledged
        assert process.wait(10) == -signal.SIGKILL
        store = SqliteStore(path)
        counter = store.get(Heartbeat, heartbeat_key("counter"))
        assert counter is not None
        # The commit after the last acknowledged one may have landed before its line was printed.
        assert counter.ts - acknowledged in (0, 1)
        assert counter.version == counter.ts
        assert all_entries(store) == list(range(counter.ts))
        store.close()
        acknowledged = counter.ts


def test_what_was_committed_is_there_after_reopening(tmp_path: Path) -> None:
    first = SqliteStore(tmp_path / "store.db")
    first.commit([Put(beat("a", 5))])
    first.close()
    second = SqliteStore(tmp_path / "store.db")
    assert second.get(Heartbeat, heartbeat_key("a")) == replace(beat("a", 5), version=1)


def test_two_stores_on_one_file_lose_nothing(tmp_path: Path) -> None:
    stores = [SqliteStore(tmp_path / "store.db") for _ in range(2)]
    stores[0].commit([Put(beat("shared", 0))])

    def work(store: SqliteStore) -> None:
        done = 0
        while done < 100:
            current = store.get(Heartbeat, heartbeat_key("shared"))
            assert current is not None
            try:
                store.commit(
                    [
                        Require(heartbeat_key("never"), 0),
                        Put(replace(current, ts=current.ts + 1)),
                    ]
                )
            except Conflict:
                continue
            done += 1

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(work, stores))
    for store in stores:
        found = store.get(Heartbeat, heartbeat_key("shared"))
        assert found is not None
        assert (found.ts, found.version) == (200, 201)


def test_a_commit_holds_the_file_from_its_first_read(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "store.db")
    other = SqliteStore(tmp_path / "store.db", busy_ms_max=10)
    outcomes: list[str] = []

    def meanwhile(statement: str) -> None:
        if statement.startswith("SELECT version"):
            try:
                other.commit([Put(beat("b"))])
                outcomes.append("committed")
            except Retryable:
                outcomes.append("refused")

    store._connection.set_trace_callback(meanwhile)
    store.commit([Require(heartbeat_key("b"), 0), Put(beat("a"))])
    assert outcomes == ["refused"]
    assert other.get(Heartbeat, heartbeat_key("b")) is None


def test_a_held_file_is_retryable_and_nothing_is_applied(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "store.db", busy_ms_max=50)
    other = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    started = time.monotonic()
    with pytest.raises(Retryable, match="locked"):
        store.commit([Put(beat("a"))])
    assert time.monotonic() - started < 2
    assert store.get(Heartbeat, heartbeat_key("a")) is None
    other.execute("ROLLBACK")
    store.commit([Put(beat("a"))])


def test_a_full_disk_is_retryable_and_nothing_is_applied(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "store.db")
    pages = store._connection.execute("PRAGMA page_count").fetchone()[0]
    store._connection.execute(f"PRAGMA max_page_count = {pages + 2}")
    large = SettingsRow("large", "x" * 100_000)
    with pytest.raises(Retryable, match="disk is full"):
        store.commit([Put(beat("a")), Put(large)])
    assert store.get(Heartbeat, heartbeat_key("a")) is None
    store._connection.execute("PRAGMA max_page_count = 1000000")
    store.commit([Put(beat("a")), Put(large)])
    assert store.get(SettingsRow, settings_key("large")) == replace(large, version=1)


def test_a_newer_file_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    SqliteStore(path).close()
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {sqlite_store.SCHEMA_VERSION + 1}")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(Permanent, match="newer papercopy"):
        SqliteStore(path)
    assert path.read_bytes() == before


def test_a_file_of_another_program_is_refused(tmp_path: Path) -> None:
    foreign = sqlite3.connect(tmp_path / "foreign.db")
    foreign.execute("CREATE TABLE songs (name TEXT)")
    foreign.close()
    (tmp_path / "text.db").write_text("not a database " * 100)
    with pytest.raises(Permanent, match="another program"):
        SqliteStore(tmp_path / "foreign.db")
    with pytest.raises(Permanent, match="not a database"):
        SqliteStore(tmp_path / "text.db")
    with pytest.raises(Permanent, match="unable to open"):
        SqliteStore(tmp_path / "nowhere" / "store.db")


def test_a_closed_store_says_so(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "store.db")
    store.close()
    with pytest.raises(Permanent, match="closed"):
        store.get(Heartbeat, heartbeat_key("a"))


def test_a_body_that_does_not_parse_is_permanent(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "store.db")
    store.commit([Put(beat("a"))])
    store._connection.execute("UPDATE items SET body = '{}'")
    with pytest.raises(Permanent, match="heartbeats a does not hold a Heartbeat: source"):
        store.get(Heartbeat, heartbeat_key("a"))


def test_text_that_is_not_unicode_is_refused(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "store.db")
    with pytest.raises(InvalidInput):
        store.commit([Put(SettingsRow("a", "\ud800"))])
    with pytest.raises(InvalidInput):
        store.get(SettingsRow, settings_key("\ud800"))


def test_the_sweep_removes_what_expired_in_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_store, "SWEEP_ROWS_MAX", 3)
    monkeypatch.setattr(sqlite_store, "SWEEP_BATCHES_MAX", 2)
    store = SqliteStore(tmp_path / "store.db")
    trades = [trade(n, ts_listed=DAY_MS + n * 1_000) for n in range(10)]
    store.commit([*(Put(t) for t in trades), Put(beat("kept"))])
    expiry_seconds = DAY_MS // 1_000 + 400 * 86_400
    assert store.sweep_expired(expiry_seconds) == 0
    assert store.sweep_expired(expiry_seconds + 8) == 6
    assert store.sweep_expired(expiry_seconds + 8) == 2
    assert store.sweep_expired(expiry_seconds + 8) == 0
    left = [store.get(Trade, trade_key(t.trade_id)) is not None for t in trades]
    assert left == [False] * 8 + [True] * 2
    assert len(store.feed(Trade, "activity", "trades#2026-11-20", before=None, limit=99)) == 2
    assert store.get(Heartbeat, heartbeat_key("kept")) is not None


def test_reads_use_the_keys(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "store.db")
    for statement, values in (
        (sqlite_store._GET, ("a",) * 3),
        (sqlite_store._FEED, ("a", "b", "c", 1)),
        (sqlite_store._SWEEP, (1, 1)),
        (f"{sqlite_store._QUERY} DESC LIMIT ?", ("a", "b", "c", "d", 1)),
    ):
        plan = store._connection.execute(f"EXPLAIN QUERY PLAN {statement}", values).fetchall()
        steps = " ".join(step[-1] for step in plan)
        assert "SCAN" not in steps, steps
        assert "TEMP B-TREE" not in steps, steps
