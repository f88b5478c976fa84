"""The preview of other latencies reaches its end, although the order was over long before."""

from __future__ import annotations

from contextlib import suppress

import pytest

from chalicelib.domain.errors import Retryable
from chalicelib.domain.stress import LATENCIES_MS, REACH_MS, StressDue
from chalicelib.keyspace import portfolio_pk
from chalicelib.ports import Store
from chalicelib.services.tapes import tape_requests, write_segments
from chalicelib.services.venue_book import VENUE_WAIT_MS_MAX
from tests.unit.tapes import segment
from tests.workflow.harness import TOKEN
from tests.workflow.taped import DECIDED, START, TapedSystem, pieces
from tests.workflow.test_exactly_once import DyingStore

M = 1_000_000
PLACED = DECIDED + 1_000
END = DECIDED + REACH_MS


def due(system: TapedSystem) -> list[StressDue]:
    return system.store.query(
        StressDue, "portfolio", portfolio_pk("main/global", 1), start="stress#", end="stress$"
    )


def latencies(system: TapedSystem) -> list[int]:
    return [point.latency_ms for point in system.attempt().stress]


def filled(store: Store | None = None) -> TapedSystem:
    """A BUY that is filled at its placement, when nothing later is recorded yet."""
    system = TapedSystem(store)
    system.record([(50, 900)], [(51, 900)], until=PLACED + 500)
    system.expect_tape(until=PLACED + 500)
    system.buys()
    system.at(PLACED + 600)
    return system


def rest_of_the_tape(system: TapedSystem) -> None:
    """From where the first part ended."""
    began = PLACED + 500
    later = segment(
        [(50, 900)],
        [(51, 900)],
        [(DECIDED + 4_000 - began, "ask", 51, 60)],
        start=START + began,
        length=END + 500 - began,
        token=TOKEN,
        proofs=[START + began],
    )
    write_segments(system.store, pieces(later), system.metrics)


def test_a_filled_order_asks_for_the_tape_to_the_end_of_its_preview() -> None:
    system = filled()
    assert system.attempt().status == "FILLED"
    assert latencies(system) == [0, 500, 1_000]
    wanted = [w for w in tape_requests(system.store, system.clock.now_ms()) if w.token_id == TOKEN]
    assert max(w.ts_until for w in wanted) >= START + END
    assert [row.ts_due for row in due(system)] == [START + END + VENUE_WAIT_MS_MAX]


def test_the_preview_is_completed_once_when_all_of_it_was_recorded() -> None:
    system = filled()
    system.services.sweep(0)
    assert latencies(system) == [0, 500, 1_000], "it is not its time"
    rest_of_the_tape(system)
    system.at(END + VENUE_WAIT_MS_MAX)
    before = system.attempt()
    system.services.sweep(0)
    assert latencies(system) == list(LATENCIES_MS)
    later = {p.latency_ms: p.shares for p in system.attempt().stress}
    assert later[15_000] == (60 * M, 30 * M, 15 * M)
    assert (system.attempt().status, system.attempt().outcome) == (before.status, before.outcome)
    assert due(system) == []
    version = system.attempt().version
    system.services.sweep(0)
    assert system.attempt().version == version


def test_a_reset_does_not_leave_a_preview_behind() -> None:
    system = filled()
    rest_of_the_tape(system)
    system.services.reset_paper({"main/global": 1}, who="ada")
    system.at(END + VENUE_WAIT_MS_MAX)
    system.services.sweep(0)
    assert latencies(system) == list(LATENCIES_MS)
    assert due(system) == []


def test_a_tape_that_never_came_leaves_the_preview_as_it_is() -> None:
    system = filled()
    system.at(END + VENUE_WAIT_MS_MAX)
    system.services.sweep(0)
    assert latencies(system) == [0, 500, 1_000]
    assert due(system) == []


def test_an_order_that_rested_to_the_end_of_its_preview_is_not_looked_at_again() -> None:
    system = TapedSystem()
    system.record([(50, 900)], [(51, 40), (52, 100)], [(DECIDED + 1, "ask", 52, 0)])
    system.expect_tape()
    system.buys()
    system.at(PLACED + 35_000)
    assert system.attempt().status == "CANCELLED"
    assert latencies(system) == list(LATENCIES_MS)
    assert due(system) == []


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("dies_at", [1, 2, 3])
def test_dying_at_a_commit_completes_it_all_the_same(dies_at: int, after: bool) -> None:
    store = DyingStore(dies_at, after)
    system = filled(store)
    rest_of_the_tape(system)
    system.at(END + VENUE_WAIT_MS_MAX)
    store.armed = True
    with suppress(Retryable):
        system.services.sweep(0)
    system.services.sweep(0)
    assert store.commits >= dies_at
    assert latencies(system) == list(LATENCIES_MS)
    assert due(system) == []
