"""A scripted venue and, per file, each engine once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import count

import pytest

from tests.e2e.engines import Engine, open_engine
from tests.e2e.ledgers import follow_since
from tests.e2e.venue import Script, VenueServer
from tests.workflow.harness import CONDITION, OPPOSITE, TOKEN

_numbers = count(1)


@pytest.fixture(scope="module")
def patch() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="module")
def venue() -> Iterator[VenueServer]:
    """One market with deep books on both sides, the harness's own."""
    script = Script()
    script.add_market(CONDITION, (TOKEN, OPPOSITE))
    script.set_book(TOKEN, [("0.51", "1000")], [("0.52", "1000")])
    script.set_book(OPPOSITE, [("0.48", "1000")], [("0.49", "1000")])
    with VenueServer(script) as server:
        yield server


@pytest.fixture(scope="module", params=["embedded", "aws"])
def engine(
    request: pytest.FixtureRequest,
    venue: VenueServer,
    tmp_path_factory: pytest.TempPathFactory,
    patch: pytest.MonkeyPatch,
) -> Iterator[Engine]:
    running = open_engine(
        request.param, venue.environment(), tmp_path_factory.mktemp("data"), patch
    )
    yield running
    running.stop()


@pytest.fixture
def past() -> int:
    """Forty seconds ago: evidence stamped then is due at once, and overdue for the sweeper."""
    return time.time_ns() // 1_000_000 - 40_000


@pytest.fixture
def leader(engine: Engine, past: int) -> str:
    """Somebody of this test's own, followed since long before `past`."""
    address = f"0x{next(_numbers):040x}"
    follow_since(engine.store, past - 600_000, [address])
    return address
