"""The stored trigger mode is followed at run time: the watch on the chain ends and begins again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from chalicelib.adapters.stored_rules import SYSTEM, change_settings
from chalicelib.domain.errors import InvalidInput
from chalicelib.services.heartbeats import heartbeats
from chalicelib.settings import environment
from infra.local.embedded import EmbeddedEngine
from infra.local.simulator_process import SimulatorProcess
from tests.engine.launching import surroundings, until

FOLLOWED_WITHIN_S = 15


@pytest.fixture(scope="module")
def venue() -> Iterator[SimulatorProcess]:
    made = SimulatorProcess.start("--port", "0", "--fills-per-minute", "0")
    yield made
    made.stop()


def change(engine: EmbeddedEngine, mode: str) -> None:
    change_settings(engine.store, engine.clock, SYSTEM, {"trigger_mode": mode})


def test_the_chain_is_watched_while_the_stored_mode_says_so(
    tmp_path: Path, venue: SimulatorProcess
) -> None:
    engine = EmbeddedEngine(environment({**surroundings(), **venue.environment()}), tmp_path)
    change(engine, "api")
    engine.start()
    try:
        until(lambda: engine.services.rules.system().trigger_mode == "api", FOLLOWED_WITHIN_S)
        until(lambda: not engine.watching, FOLLOWED_WITHIN_S)
        for _ in range(2):
            since = engine.clock.now_ms()
            change(engine, "polygon")
            until(lambda: engine.watching, FOLLOWED_WITHIN_S)
            proof = until(
                lambda since=since: (
                    (beat := heartbeats(engine.store).get("watcher"))
                    and beat.ts >= since
                    and beat.up
                    and beat
                ),
                FOLLOWED_WITHIN_S,
            )
            assert proof.last_block > 0
            change(engine, "api")
            until(lambda: not engine.watching, FOLLOWED_WITHIN_S)
    finally:
        engine.stop()


def test_a_mode_that_needs_an_endpoint_nobody_gave_is_reported(
    tmp_path: Path, venue: SimulatorProcess
) -> None:
    variables = {**venue.environment(), "POLYGON_WS_URL": ""}
    folder = tmp_path / "data"
    folder.mkdir()
    with pytest.raises(InvalidInput, match="POLYGON_WS_URL"):
        EmbeddedEngine(environment({**surroundings(), **variables}), folder)
    first = EmbeddedEngine(
        environment({**surroundings(), **variables, "TRIGGER_MODE": "api"}), folder
    )
    change(first, "api")
    first.stop()
    engine = EmbeddedEngine(environment({**surroundings(), **variables}), folder)
    engine.start()
    try:
        change(engine, "both")
        proof = until(lambda: heartbeats(engine.store).get("watcher"), FOLLOWED_WITHIN_S)
        assert not proof.up
        assert "POLYGON_WS_URL" in proof.detail
    finally:
        engine.stop()
