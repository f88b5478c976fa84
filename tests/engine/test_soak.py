"""Faults at random end in exact books, and without faults the venue is hardly asked anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from chalicelib.adapters.clock import SystemClock
from infra.local.ground_truth import compare
from infra.local.simulator_process import SimulatorProcess
from infra.local.soak import WAYS, Result, soak
from infra.local.stack import open_stack, wait_until

SECONDS = 20
FILLS = 40
WAIT_SECONDS_MAX = 180


@pytest.mark.parametrize("seed", [5])
def test_every_way_of_detecting_survives_every_fault(seed: int) -> None:
    said: list[str] = []
    assert soak(SECONDS, tuple(WAYS), seed, said.append, brief=True), "\n".join(said)
    titles, *results = (line.split("  ") for line in said[1].splitlines())
    place = [title.strip() for title in titles if title].index("needless")
    assert {[cell.strip() for cell in row if cell][place] for row in results} == {"0"}


def test_a_book_asked_for_without_need_spoils_a_clean_result() -> None:
    assert Result("both", fills=1, books=3).clean
    assert not Result("both", fills=1, books=3, needless_books=1).clean


def test_with_default_settings_a_free_plan_is_enough(tmp_path: Path) -> None:
    """No range query, no unfiltered subscription, at most one node call per fill, few refusals.

    And of no tracked token the book is asked for: the market channel tells all of it.
    """
    simulator = SimulatorProcess.start(
        "--port", "0", "--max-fills", str(FILLS), "--fills-per-minute", "120",
        "--leaders-wait", "5",
    )  # fmt: skip
    try:
        stack = open_stack("embedded", simulator.environment(), tmp_path)
        try:
            stack.follow([(row["wallet"], row["name"]) for row in simulator.leaders()])
            stack.start()

            def all_seen() -> bool:
                truth = simulator.control("truth", after=0, limit=1)
                if not truth["done"]:
                    return False
                now = SystemClock().now_ms()
                found = compare(stack.store, simulator, "both", now)
                return found.clean and found.seen_chain == found.seen_api == found.truth == FILLS

            assert wait_until(all_seen, WAIT_SECONDS_MAX)
            counters = simulator.control("counters")
        finally:
            stack.stop()
    finally:
        simulator.stop()
    assert counters["clob ws assets subscribed"] > 0
    assert counters["clob books asked for needlessly"] == 0
    assert counters["rpc eth_getLogs"] == 0
    assert counters["polygon unfiltered subscriptions"] == 0
    assert counters["rpc http calls"] <= FILLS
    assert counters["429"] < counters["http calls"] / 100
