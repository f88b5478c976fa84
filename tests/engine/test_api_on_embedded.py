"""The API of a running engine against the simulated venue: follow by name, watch, change, test."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chalicelib.api import shapes
from chalicelib.services.read_models.live import BYTES_MAX
from chalicelib.settings import environment
from infra.local.embedded import EmbeddedEngine
from infra.local.simulator_process import SimulatorProcess
from tests.engine.launching import surroundings, until

HISTORY_MS = 120_000
"""Some 240 fills before the start, 80 after it; then leaders go quiet and orders come to an end."""


class Caller:
    """The owner, signed in."""

    def __init__(self, engine: EmbeddedEngine) -> None:
        self._origin = engine.url.rstrip("/")
        self._cookie = engine.sign_in.cookie()

    def __call__(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        headers = {"Cookie": self._cookie}
        if method != "GET":
            headers |= {"Content-Type": "application/json", "Origin": self._origin}
        content = None if body is None else json.dumps(body).encode()
        url = f"{self._origin}/api{path}"
        request = urllib.request.Request(url, content, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())


@pytest.fixture(scope="module")
def venue() -> Iterator[SimulatorProcess]:
    genesis = str(time.time_ns() // 1_000_000 - HISTORY_MS)
    made = SimulatorProcess.start(
        "--port", "0", "--genesis", genesis, "--fills-per-minute", "120",
        "--max-fills", "320", "--holdings",
    )  # fmt: skip
    yield made
    made.stop()


@pytest.fixture(scope="module")
def ask(venue: SimulatorProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    variables = surroundings(**{**venue.environment(), "POLL_INTERVAL_S": "5"})
    engine = EmbeddedEngine(environment(variables), Path(tmp_path_factory.mktemp("engine")))
    engine.start()
    try:
        yield Caller(engine)
    finally:
        engine.stop()


def test_somebody_is_previewed_by_name_and_followed(ask: Caller, venue: SimulatorProcess) -> None:
    leader = venue.leaders()[0]
    status, body = ask("GET", f"/users/preview?q={leader['name']}")
    assert status == 200
    found = shapes.Preview.model_validate_json(json.dumps(body), strict=True).leader
    assert found is not None
    assert (found.wallet, found.state) == (leader["wallet"].lower(), None)
    assert found.activity is not None and found.activity.trades > 0
    assert found.holdings is not None and found.holdings.count > 0
    assert found.maker_share_micros is not None
    assert found.copying is not None
    status, body = ask("POST", "/users", {"who": leader["name"]})
    assert (status, body["leader"], body["name"]) == (201, found.wallet, leader["name"])


def test_what_he_does_is_shown_live(ask: Caller, venue: SimulatorProcess) -> None:
    for leader in venue.leaders():
        assert ask("POST", "/users", {"who": leader["wallet"]})[0] == 201

    def attempted() -> Any:
        return len(ask("GET", "/copy-attempts?limit=50")[1]["items"]) > 5

    until(attempted, 60)
    status, body = ask("GET", "/live")
    assert status == 200
    shapes.Live.model_validate_json(json.dumps(body), strict=True)
    assert body["parts"]["trades"]["body"]["items"]
    assert len(json.dumps(body, separators=(",", ":")).encode()) < BYTES_MAX


def test_markets_have_books_and_the_pages_their_shapes(ask: Caller) -> None:
    _, body = ask("GET", "/markets?limit=10")
    rows = shapes.Markets.model_validate_json(json.dumps(body), strict=True).items
    assert rows
    assert any(o.spread_micros and o.buy_depth_micros for r in rows for o in r.outcomes)
    _, one = ask("GET", f"/markets/{rows[0].condition_id}")
    shapes.Market.model_validate_json(json.dumps(one), strict=True)
    for path, shape in (
        ("/users", shapes.Users),
        ("/portfolio/global", shapes.GlobalPortfolio),
        ("/pnl", shapes.Pnl),
        ("/system", shapes.System),
        ("/trades", shapes.Trades),
        ("/copy-attempts", shapes.Attempts),
    ):
        status, found = ask("GET", path)
        assert status == 200, found
        shape.model_validate_json(json.dumps(found), strict=True)


def test_a_configuration_is_tested_on_what_just_happened(ask: Caller) -> None:
    changes = {"changes": {"leader_notional_min": "1000000"}, "hours": 1}

    def tested() -> Any:
        """A test's result; what is under way takes no part, so there are no groups at first."""
        status, asked = ask("POST", "/config/test", changes)
        assert status == 202
        job = f"/config/test/{asked['job']}"
        until(lambda: ask("GET", job)[1]["state"] in ("done", "failed"), 60)
        found = ask("GET", job)[1]
        assert found["state"] == "done", found["error"]
        result = shapes.ConfigTest.model_validate_json(json.dumps(found), strict=True).result
        assert result is not None
        return result if result.groups else None

    result = until(tested, 90)
    assert sum(row.before.executed + row.before.skipped for row in result.portfolios) > 0
    assert sum(row.after.executed for row in result.portfolios) == 0
