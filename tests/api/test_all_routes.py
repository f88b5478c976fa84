"""Every route of both engines: none answers without a session but the open ones, and none writes
for another origin."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chalice.app import Chalice

import app as deployed
from chalicelib.adapters.clock import ManualClock
from chalicelib.adapters.embedded.memory_store import MemoryStore
from chalicelib.api.access import local_access
from chalicelib.api.auth import new_session
from chalicelib.api.guard import OPEN, Door
from chalicelib.api.reading import Sources
from chalicelib.api.session import session_cookie
from chalicelib.api.throttle import Throttle
from chalicelib.services.sign_outs import SignOuts
from infra.local.embedded import EmbeddedEngine
from tests.api.signing_in import KEY, START_MS
from tests.engine.launching import ROOT, surroundings

ACCESS = local_access(8000, (KEY,))
WHAT_MAY_BE_OPEN = {
    "GET /health",
    "GET /auth/login",
    "GET /auth/callback/{provider}",
    "GET /auth/session",
    "POST /auth/logout",
}
SAFE = {"GET", "HEAD", "OPTIONS"}


@pytest.fixture(scope="module")
def applications(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Chalice]]:
    from chalicelib.settings import environment

    env = environment(surroundings(TRIGGER_MODE="api"))
    engine = EmbeddedEngine(env, Path(tmp_path_factory.mktemp("data")))
    yield {"deployed": deployed.app, "embedded": engine._api}
    engine.stop()


@pytest.fixture(params=["deployed", "embedded"])
def application(request: pytest.FixtureRequest, applications: dict[str, Chalice]) -> Chalice:
    clock = ManualClock(START_MS)
    sign_outs = SignOuts(MemoryStore(), clock)
    Door.access, Door.now_ms = lambda: ACCESS, clock.now_ms
    Door.sign_outs, Door.throttle = lambda: sign_outs, Throttle()
    Sources.health = lambda: {"status": "ok"}
    return applications[request.param]


def routes_of(application: Chalice) -> set[tuple[str, str]]:
    return {(method, path) for path, found in application.routes.items() for method in found}


def call(
    application: Chalice, method: str, resource: str, headers: dict[str, str]
) -> dict[str, Any]:
    names = re.findall(r"\{(\w+)\+?\}", resource)
    event = {
        "resource": resource,
        "path": resource,
        "httpMethod": method,
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "multiValueQueryStringParameters": None,
        "pathParameters": dict.fromkeys(names, "x") or None,
        "stageVariables": None,
        "requestContext": {"resourcePath": resource, "httpMethod": method},
        "body": "{}",
    }
    answer: dict[str, Any] = application(event, None)
    return answer


def cookie() -> str:
    made = session_cookie(ACCESS, new_session("local:owner", START_MS // 1000))
    return made.partition(";")[0]


def test_both_engines_serve_the_same_routes(applications: dict[str, Chalice]) -> None:
    """Two applications in one process: registering a route again must not change its method."""
    found = {name: routes_of(made) for name, made in applications.items()}
    assert found["deployed"] == found["embedded"]
    assert ("POST", "/auth/logout") in found["deployed"]
    assert ("GET", "/auth/logout") not in found["deployed"]


def test_the_open_routes_are_these_and_exist(application: Chalice) -> None:
    assert {f"{method} {path}" for method, path in OPEN} == WHAT_MAY_BE_OPEN
    assert routes_of(application) >= OPEN


def test_no_other_route_answers_without_a_session(application: Chalice) -> None:
    closed = routes_of(application) - OPEN
    assert len(closed) >= 7
    own = {"Origin": ACCESS.origin, "Content-Type": "application/json"}
    for headers in (own, {**own, "Cookie": f"{ACCESS.session_name}=forged.forged"}):
        for method, resource in closed:
            answer = call(application, method, resource, headers)
            assert answer["statusCode"] == 401, (method, resource)
            assert json.loads(answer["body"])["status"] == 401


def test_no_write_is_taken_from_another_origin(application: Chalice) -> None:
    writes = {(m, r) for m, r in routes_of(application) if m not in SAFE}
    assert writes
    json_kind = {"Content-Type": "application/json", "Cookie": cookie()}
    foreign = (
        ({**json_kind}, 403),
        ({**json_kind, "Origin": "https://evil.example"}, 403),
        ({**json_kind, "Origin": ACCESS.origin, "Sec-Fetch-Site": "cross-site"}, 403),
        ({"Cookie": cookie(), "Origin": ACCESS.origin, "Content-Type": "text/plain"}, 415),
    )
    for method, resource in writes:
        for headers, status in foreign:
            answer = call(application, method, resource, headers)
            assert answer["statusCode"] == status, (method, resource, headers)


def test_the_open_ones_answer_without_a_session(application: Chalice) -> None:
    own = {"Origin": ACCESS.origin, "Content-Type": "application/json"}
    for method, resource in OPEN:
        assert call(application, method, resource, own)["statusCode"] != 401, resource


def test_a_cold_start_loads_no_client_of_a_provider_or_of_aws_for_it() -> None:
    """Most requests carry a session and most processes never sign anybody in."""
    code = "import sys, chalicelib.api.auth; print(sorted({'requests', 'boto3'} & {*sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_an_event_that_is_no_request_is_refused(application: Chalice) -> None:
    answer = application({"requestContext": {}, "httpMethod": "GET"}, None)
    assert answer["statusCode"] == 400
