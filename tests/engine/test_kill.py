"""A process killed in the middle of traffic neither loses nor repeats a fill."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from chalicelib.adapters.embedded.sqlite_store import SqliteStore
from infra.local.ground_truth import compare, ledgers_hold
from infra.local.simulator_process import SimulatorProcess
from tests.engine.launching import running, surroundings, until

FILLS = 50


@pytest.fixture
def venue() -> Iterator[SimulatorProcess]:
    """A venue of its own, which outlives the process that is killed."""
    made = SimulatorProcess.start(
        *("--port", "0", "--max-fills", str(FILLS), "--fills-per-minute", "300"),
        *("--leaders-wait", "10"),
    )
    yield made
    made.stop()


@contextmanager
def opened(data: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(data / "live" / "papercopy.sqlite3")
    try:
        yield store
    finally:
        store.close()


def complete(data: Path, venue: SimulatorProcess) -> bool:
    with opened(data) as store:
        verdict = compare(store, venue, "both", time.time_ns() // 1_000_000)
    return verdict.clean and verdict.seen_api == verdict.truth


def test_a_kill_in_the_middle_of_traffic(tmp_path: Path, venue: SimulatorProcess) -> None:
    urls = {k: v for k, v in venue.environment().items() if k.endswith("_URL")}
    env = surroundings(**urls, POLL_INTERVAL_S="5")
    leaders = ",".join(row["wallet"] for row in venue.leaders())
    ask = ("--venue", "live", "--port", "0")
    with running(tmp_path, *ask, "--leaders", leaders, env=env) as run:
        until(lambda: len(run.listing("/api/trades")) >= 12, 40)
        run.process.kill()
        run.process.wait()
    # Whom to follow is known from the first start.
    with running(tmp_path, *ask, env=env) as run:
        assert "following 4 leaders" in "".join(run.said)
        until(lambda: venue.control("truth", after=0, limit=1)["done"], 60)
        until(lambda: complete(tmp_path, venue), 45)
        assert run.end(signal.SIGINT) == 0
    assert run.clean()
    with opened(tmp_path) as store:
        verdict = compare(store, venue, "both", time.time_ns() // 1_000_000)
        assert (verdict.missed, verdict.duplicated, verdict.wrong) == ([], [], [])
        assert verdict.truth == FILLS
        assert ledgers_hold(store) == []
