"""The embedded engine copies from the simulator; its recording replays to the same ledgers."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from chalicelib.adapters.embedded.sqlite_store import SqliteStore
from chalicelib.domain.ledger import digest
from chalicelib.services.portfolios import all_portfolios, entries_from
from chalicelib.settings import environment
from infra.local.embedded import EmbeddedEngine
from infra.local.simulator_process import SimulatorProcess
from tests.e2e.engines import store_setting
from tests.e2e.ledgers import attempts_of, work_of
from tests.engine.launching import until

ROOT = Path(__file__).resolve().parents[2]
FILLS = 30
QUICK = '{"order_ttl_ms": 4000, "leader_notional_min": 0, "buy_spread_max": "0.05"}'
"""Orders that rest for a moment only, and guards wide enough for the simulator's books."""


def command(*arguments: str) -> tuple[int, dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-m", "chalicelib", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == "", done.stderr[-3000:]
    return done.returncode, json.loads(done.stdout)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of an engine that copied everything the simulator's leaders did."""
    folder = tmp_path_factory.mktemp("data")
    venue = SimulatorProcess.start(
        "--port", "0", "--seed", "11", "--fills-per-minute", "200", "--max-fills", str(FILLS),
        "--leaders-wait", "6", "--holdings",
    )  # fmt: skip
    try:
        variables = {**venue.environment(), "TRIGGER_MODE": "both", "POLL_INTERVAL_S": "5"}
        engine = EmbeddedEngine(environment(variables), folder)
        store_setting(engine.store, "global", QUICK)
        engine.follow([(row["wallet"], row["name"]) for row in venue.leaders()])
        engine.start()
        try:
            until(lambda: _copied(engine), 120)
        finally:
            engine.stop()
    finally:
        venue.stop()
    return folder


def _copied(engine: EmbeddedEngine) -> bool:
    """Whether the leaders' fills were all ingested and everything of them is over."""
    entries = sum(
        entry.kind == "TRADE_FILL"
        for ref in all_portfolios(engine.store)
        if ref.kind == "shadow"
        for entry in entries_from(engine.store, ref.portfolio_id, ref.epoch)
    )
    return entries >= FILLS - 5 and engine.idle() and not work_of(engine.store)


def test_a_recorded_period_replays_to_the_same_ledgers_and_decisions(
    data: Path, tmp_path: Path
) -> None:
    file = str(tmp_path / "period.jsonl.gz")
    # Nothing comes any more, so the period may end later than everything in it.
    end = time.time_ns() // 1_000_000 + 60_000
    code, told = command("record", "--data", str(data), "--until", str(end), "--out", file)
    assert code == 0
    assert told["quiet"]
    code, summary = command("replay", file)
    assert summary["mismatches"] == []
    assert (code, summary["differences"]) == (0, 0)
    store = SqliteStore(data / "papercopy.sqlite3")
    portfolios = all_portfolios(store)
    live = {
        ref.portfolio_id: digest(entries_from(store, ref.portfolio_id, ref.epoch))
        for ref in portfolios
    }
    assert summary["digests"] == live
    attempts = [a for ref in portfolios for a in attempts_of(store, ref.portfolio_id)]
    assert summary["compared"] == len(attempts) == summary["attempts"] >= 20
    assert summary["verdicts"]["EXECUTE"] >= 4
    store.close()
