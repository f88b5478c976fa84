"""The clients of the venue against the simulated one, as a process of its own."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest
import requests

from chalicelib.adapters.clock import SystemClock
from chalicelib.adapters.embedded.quarantine import FileQuarantine
from chalicelib.adapters.metrics import CountingMetrics
from chalicelib.bootstrap import Venue, venue_on
from chalicelib.settings import environment
from infra.local.simulator_process import SimulatorProcess

HISTORY_MS = 120_000


@pytest.fixture(scope="module")
def venue() -> Iterator[SimulatorProcess]:
    """Two minutes old, so that the crowd traded some markets; the scripted ones nobody did."""
    genesis = time.time_ns() // 1_000_000 - HISTORY_MS
    made = SimulatorProcess.start(
        "--port", "0", "--genesis", str(genesis), "--fills-per-minute", "0",
        "--stage", "--leaders-wait", "3600",
    )  # fmt: skip
    yield made
    made.stop()


@pytest.fixture(scope="module")
def clients(venue: SimulatorProcess, tmp_path_factory: pytest.TempPathFactory) -> Venue:
    quarantine = FileQuarantine(tmp_path_factory.mktemp("quarantine") / "refused.jsonl")
    variables = environment(venue.environment())
    return venue_on(variables, SystemClock(), CountingMetrics(), quarantine)


def test_the_most_liquid_markets_are_those_the_venue_would_name(
    venue: SimulatorProcess, clients: Venue
) -> None:
    query = {"limit": 100, "version": ["v1", "v2"]}
    url = f"{venue.ready['gamma_api']}/markets/keyset"
    listed = requests.get(url, params=query, timeout=10).json()["markets"]
    found = clients.catalogue.most_liquid(5)
    assert len(found) == 5
    chosen = {token for pair in found for token in pair}
    rank = {
        token: market["liquidityNum"]
        for market in listed
        for token in market.get("positionIds") or json.loads(market["clobTokenIds"])
    }
    # Books go on moving between the two questions, the scripted ones do not.
    assert min(rank[token] for token in chosen) > max(rank.values()) / 100
    assert len(clients.catalogue.most_liquid(500)) == len(listed)


def test_last_trades_are_those_the_venue_states_one_by_one(
    venue: SimulatorProcess, clients: Venue
) -> None:
    gamma = venue.ready["gamma_api"]
    listed = requests.get(f"{gamma}/markets/keyset", params={"limit": 100}, timeout=10).json()
    tokens = [t for m in listed["markets"] for t in json.loads(m["clobTokenIds"])]
    untraded = {scene["token_id"] for scene in venue.control("stage")}
    assert untraded < set(tokens)
    found = clients.last_trades.last_trades([*tokens, "12345"])
    assert found and found.keys() <= set(tokens) - untraded
    assert all(0 < price < 1_000_000 for price in found.values())
    for token, price in list(found.items())[:3]:
        url = f"{venue.ready['clob_api']}/last-trade-price"
        stated = requests.get(url, params={"token_id": token}, timeout=10).json()["price"]
        # The crowd goes on trading between two questions.
        later = clients.last_trades.last_trades([token])[token]
        assert round(float(stated) * 1_000_000) in (price, later)
