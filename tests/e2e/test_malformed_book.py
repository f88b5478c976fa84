"""A malformed book, live: those behind it in the line wait five seconds at most, on real waits."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from chalicelib.domain.reasons import Reason
from infra.local.stack import wait_until
from tests.e2e.engines import Engine, open_engine
from tests.e2e.ledgers import attempts_of, work_of
from tests.e2e.venue import VenueServer
from tests.workflow.harness import TOKEN, M, chain, leg, tx

HELD_UP_SECONDS_MAX = 9.0
"""Five for the book, the window and latencies before them, and whole-second waits."""
LEADER = "0x" + "b0" * 20
NEIGHBOUR = "0x" + "b1" * 20


@pytest.fixture(scope="module", params=["embedded", "aws"])
def engine(
    request: pytest.FixtureRequest,
    venue: VenueServer,
    tmp_path_factory: pytest.TempPathFactory,
    patch: pytest.MonkeyPatch,
) -> Iterator[Engine]:
    running = open_engine(
        request.param,
        venue.environment(),
        tmp_path_factory.mktemp("data"),
        patch,
        leaders=[LEADER, NEIGHBOUR],
        wait_scale=1.0,
    )
    yield running
    running.stop()


def test_a_malformed_book_holds_its_line_up_for_five_seconds_and_no_other(
    engine: Engine, venue: VenueServer
) -> None:
    broken = str(int(tx(0xB00C), 16))
    venue.script.add_market(tx(0xC0), (broken, str(int(broken) + 1)))
    venue.script.books[broken] = {"asset_id": broken, "timestamp": "1", "bids": "none", "asks": []}
    now = time.time_ns() // 1_000_000
    started = time.monotonic()
    for number, token, leader in ((1, broken, LEADER), (2, TOKEN, LEADER), (3, TOKEN, NEIGHBOUR)):
        part = leg(10_000 * M, 510_000, ts_block=now - 1_000, index=number)
        message = chain([part], number=number, ts_seen=now + number, leader=leader, token=token)
        engine.send(message)

    def filled(portfolio: str, leader: str) -> bool:
        return any(
            a.status == "FILLED" and a.leader == leader
            for a in attempts_of(engine.store, portfolio)
        )

    own = f"main/leader/{NEIGHBOUR}"
    assert wait_until(lambda: filled(own, NEIGHBOUR), 6.0, 0.05), "another line was held up"
    # The global line is shared, so both wait behind the broken one, and no longer than it may.
    for leader in (LEADER, NEIGHBOUR):
        assert wait_until(lambda: filled("main/global", leader), HELD_UP_SECONDS_MAX, 0.05)  # noqa: B023
    assert time.monotonic() - started < HELD_UP_SECONDS_MAX + 2
    (skipped,) = (a for a in attempts_of(engine.store, "main/global") if a.token_id == broken)
    assert skipped.reasons == (Reason.BOOK_MISSING,)
    assert engine.counted("clob_book_refused") >= 2
    engine.settle()
    assert work_of(engine.store) == []
    assert [line for line in engine.refused() if line.get("source") == "copy_trade"] == []


def test_the_malformed_book_is_kept_with_its_payload(engine: Engine, venue: VenueServer) -> None:
    broken = str(int(tx(0xB00D), 16))
    venue.script.add_market(tx(0xC1), (broken, str(int(broken) + 1)))
    venue.script.books[broken] = {"asset_id": broken, "timestamp": "1", "bids": "none", "asks": []}
    then = time.time_ns() // 1_000_000 - 40_000
    part = leg(10_000 * M, 510_000, ts_block=then, index=9)
    engine.send(chain([part], number=9, ts_seen=then, leader=LEADER, token=broken))
    engine.settle()
    kept = [line for line in engine.refused() if broken in str(line.get("payload"))]
    assert [line["error"].split(":")[0] for line in kept] == ["bids"]
