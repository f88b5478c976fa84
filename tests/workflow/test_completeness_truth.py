"""The tally of each hour equals what is known of the simulated venue's own truth."""

from __future__ import annotations

import importlib.util
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from chalicelib.adapters.clock import ManualClock
from chalicelib.adapters.polymarket.data_api import DataApi
from chalicelib.adapters.polymarket.http import HttpClient
from chalicelib.domain.completeness import SETTLED_MS, HourTally, Verdict
from chalicelib.domain.evidence import ChainEvidence, FillMessage
from chalicelib.domain.identifiers import trade_id
from chalicelib.domain.trade import ChainLeg
from chalicelib.services.completeness import MeasureCompleteness
from infra.local.simulator_process import ROOT, SimulatorProcess
from tests.workflow.harness import System
from tests.workflow.test_completeness import Mode

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("aiohttp") is None or not (ROOT / "simulator").is_dir(),
    reason="the simulated venue cannot run here",
)

Fill = dict[str, Any]
Tallies = dict[str, Counter[str]]
PAST_MS = 900_000
FILLS = 150


@pytest.fixture(scope="module")
def simulator() -> Iterator[SimulatorProcess]:
    """A venue whose trading is over: its record is complete."""
    genesis = time.time_ns() // 1_000_000 - PAST_MS
    options = {"--port": 0, "--fills-per-minute": 120, "--max-fills": FILLS, "--genesis": genesis}
    process = SimulatorProcess.start(*(str(part) for pair in options.items() for part in pair))
    yield process
    process.stop()


def by_trade(simulator: SimulatorProcess) -> dict[str, list[Fill]]:
    fills = simulator.control("truth", after=0, limit=2 * FILLS)["fills"]
    assert len(fills) == FILLS
    trades: dict[str, list[Fill]] = {}
    for fill in fills:
        key = trade_id(fill["wallet"], fill["tx_hash"], fill["token_id"], fill["side"])
        trades.setdefault(key, []).append(fill)
    return trades


def leg_of(fill: Fill, *, again: int = 0) -> ChainEvidence:
    """The fill's log; `again` makes it another one of equal amounts."""
    leg = ChainLeg(
        block_hash=fill["block_hash"],
        block_number=fill["block_number"],
        log_index=fill["log_index"] + again,
        ts_block=fill["ts_block"],
        shares=fill["shares_micros"],
        cash=fill["cash_micros"],
        fee=fill["fee_micros"],
        fee_asset="collateral",
        role=fill["role"],
        order_hash=fill["order_hash"],
    )
    return ChainEvidence(fill["tx_hash"], fill["token_id"], fill["side"], leg)


def detect(system: System, number: int, fills: list[Fill]) -> Verdict:
    """Let the system see a trade well, late, in part, too much of it, or not at all."""
    lag_ms, legs = 2_000, [leg_of(fill) for fill in fills]
    verdict: Verdict = "live"
    if number % 5 == 1:
        verdict, lag_ms = "recovered", 75_000
    elif number % 5 == 2:
        verdict, legs = "missed", legs[1:]
    elif number % 11 == 3:
        verdict, legs = "duplicated", [*legs, leg_of(fills[-1], again=1_000)]
    if legs:
        first = fills[0]
        seen = first["ts_block"] + lag_ms
        system.services.ingest(
            FillMessage(first["wallet"], first["wallet"], seen, chain=tuple(legs))
        )
    return verdict


def sums(tallies: list[HourTally]) -> Tallies:
    """Verdicts per leader over all hours, without zeros."""
    found: Tallies = {}
    for tally in tallies:
        for name in ("live", "recovered", "missed", "duplicated"):
            found.setdefault(tally.leader, Counter())[name] += getattr(tally, name)
    return {leader: +counter for leader, counter in found.items()}


def test_what_was_detected_is_tallied_as_the_truth_says_and_then_healed(
    simulator: SimulatorProcess,
) -> None:
    trades = by_trade(simulator)
    blocks = [fill["ts_block"] for fills in trades.values() for fill in fills]
    system = System(clock=ManualClock(min(blocks) - 1_000))
    for leader in simulator.leaders():
        system.follow(leader["wallet"], leader["name"])
    expected: Tallies = {}
    for number, fills in enumerate(trades.values()):
        verdict = detect(system, number, fills)
        expected.setdefault(fills[0]["wallet"], Counter())[verdict] += 1
    assert {v for counter in expected.values() for v in counter} == {
        "live",
        "recovered",
        "missed",
        "duplicated",
    }
    system.clock.advance(max(blocks) + SETTLED_MS + 1_000 - system.clock.now_ms())
    http = HttpClient(simulator.ready["data_api"], system.metrics, name="data_api")
    measure = MeasureCompleteness(
        system.store, DataApi(http), system.queue, system.clock, system.metrics, Mode()
    )
    assert sums(measure()) == expected

    for message in system.queue.messages:
        system.services.ingest(message)
    # Of a trade that was seen in part the first part was live, so it is not among the recovered.
    healed = sums(measure())
    for leader, before in expected.items():
        assert healed[leader]["missed"] == 0
        assert healed[leader]["duplicated"] == before["duplicated"]
        assert healed[leader].total() == before.total()
