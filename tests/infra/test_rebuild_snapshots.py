"""The command that computes snapshots again, on the file of an embedded engine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from chalicelib.adapters.clock import ManualClock
from chalicelib.adapters.embedded.sqlite_store import SqliteStore
from chalicelib.domain.snapshot import Snapshot
from chalicelib.keyspace import portfolio_pk
from chalicelib.ports import Put
from infra.rebuild_snapshots import main, moment
from tests.workflow.harness import M, System, chain, leg

LONG_AGO = 1_600_000_000_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three minutes of a portfolio that bought something, long ago."""
    store = SqliteStore(tmp_path / "papercopy.sqlite3")
    system = System(store=store, clock=ManualClock(LONG_AGO))
    system.follow()
    system.clock.advance(10_000)
    ts = system.clock.now_ms()
    part = leg(10_000 * M, 510_000, ts_block=ts - 2_000)
    system.services.ingest(chain([part], ts_seen=ts))
    system.run_workflows()
    for _ in range(3):
        system.clock.advance(60_000)
        system.services.mark_portfolios()
    store.close()
    return tmp_path


def spoil(folder: Path) -> None:
    store = SqliteStore(folder / "papercopy.sqlite3")
    pk = portfolio_pk("main/global", 1)
    found = store.query(Snapshot, "portfolio", pk, start="snapshot#1m#", end="snapshot#1m$")
    store.commit([Put(replace(found[1], cash=7))])
    store.close()


def test_it_finds_what_differs_and_mends_it_when_told(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--data", str(folder)]
    assert main(where) == 0
    assert "main/global epoch 1: 3 equal, 0 differing, 0 missing" in capsys.readouterr().out
    spoil(folder)
    assert main([*where, "main/global"]) == 1
    assert capsys.readouterr().out == "main/global epoch 1: 2 equal, 1 differing, 0 missing\n"
    assert main([*where, "--write", "main/global"]) == 0
    assert main([*where, "main/global"]) == 0


def test_what_it_cannot_do_it_says(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--data", str(folder), "main/nothing"]) == 2
    assert main(["--data", str(folder), "--from", "yesterday"]) == 2
    assert main(["--data", str(folder / "elsewhere")]) == 2
    assert capsys.readouterr().err.count("rebuild-snapshots: ") == 3


def test_times_are_utc() -> None:
    assert moment("1970-01-02T00:00") == 86_400_000
