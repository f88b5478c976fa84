"""The cost benchmark's scene: its groups end as planned, and twice the fills cost twice as much."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from bench.cost_bill import price_table
from bench.cost_scene import Scene
from chalicelib.services.portfolios import global_id
from tests.e2e.ledgers import attempts_of

FILLS = 15
"""Ten groups: two of each ending that the five of a turn have."""


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    table = price_table()
    report = {"lambda_report_bytes": table["lambda_report_bytes"]}
    with Scene({**table["latency_ms"], **report}) as running:
        yield running


@pytest.mark.slow
def test_twice_the_fills_cost_twice_as_much(scene: Scene) -> None:
    # Warm: markets are stored once, functions look up names once.
    scene.hour(FILLS, minutes=2)
    counted = []
    for times in (0, 1, 2):
        # What the API shows of the last fills is polled a minute later.
        scene.hour(0, minutes=2)
        counted.append(scene.hour(FILLS * times, minutes=2))
    quiet, once, twice = counted
    for unit in ("dynamodb_write_units", "sqs_fifo_requests", "lambda_requests"):
        base = quiet.of(unit)
        assert twice.of(unit) - base == pytest.approx(2 * (once.of(unit) - base), rel=0.25), unit
    # One execution per group, whatever joins it.
    assert once.of("states_requests") == 10
    assert not scene.engine.runtime.errors
    endings = Counter(str(a.status) for a in attempts_of(scene.store, global_id()))
    assert endings["FILLED"] and endings["CANCELLED"] and endings["SKIPPED"]
