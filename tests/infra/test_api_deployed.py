"""Every kind of route on the deployed topology, within the function's own rights."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.awsrequest import AWSRequest

from infra.functions import FUNCTIONS, policy
from infra.local.engine import AwsEngine
from infra.local.permissions import NotAllowed, Permissions, check

NOWHERE = dict.fromkeys(("DATA_API_URL", "GAMMA_API_URL", "CLOB_API_URL"), "http://127.0.0.1:9")
LEADER = "0x" + "ab" * 20
READS = (
    "/overview",
    "/live",
    "/system",
    "/users",
    f"/users/{LEADER}",
    "/trades",
    "/copy-attempts",
    "/portfolio/global",
    "/pnl",
    "/markets",
    "/market-lists",
    "/config/global",
    "/config/system",
    f"/config/user/{LEADER}",
    "/trigger-mode",
    "/latency",
    "/audit",
    "/openapi.json",
)
WRITES: tuple[tuple[str, str, Any, int], ...] = (
    ("POST", "/config/global", {"version": 0, "changes": {"copy_fraction": "0.02"}}, 200),
    ("POST", "/config/global", {"version": 0, "changes": {"copy_fraction": "0.03"}}, 409),
    ("POST", f"/config/user/{LEADER}", {"version": 0, "changes": {"copying": False}}, 200),
    ("POST", "/trigger-mode", {"mode": "api", "version": 0}, 200),
    (
        "POST",
        "/market-lists",
        {"action": "add", "listing": "blacklist", "kind": "category", "value": "sports"},
        200,
    ),
    ("POST", "/system/redrive", {"queue": "fills", "dry_run": True}, 200),
    ("POST", "/system/redrive", {"queue": "fills"}, 200),
    ("POST", "/system/redrive", {"queue": "failures", "limit": 5}, 200),
    ("POST", "/system/redrive", {"queue": "else"}, 400),
    ("POST", "/control/pause", {"action": "pause"}, 200),
    ("POST", "/control/pause", {"action": "resume"}, 200),
    ("DELETE", f"/users/{LEADER}", None, 200),
    ("POST", f"/users/{LEADER}/state", {"state": "on"}, 200),
)


class Caller:
    """The signed-in owner."""

    def __init__(self, engine: AwsEngine) -> None:
        assert engine.sign_in is not None
        self.engine = engine
        self._api = f"{engine.api_url}/api"
        self._cookie = engine.sign_in.cookie().partition(";")[0]

    def __call__(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        headers = {"Cookie": self._cookie}
        if method != "GET":
            headers |= {"Content-Type": "application/json", "Origin": self.engine.api_url}
        content = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._api + path, content, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())


@pytest.fixture(scope="module")
def caller() -> Iterator[Caller]:
    with AwsEngine(environment=NOWHERE, schedules=False, time_scale=0.01) as engine:
        yield Caller(engine)


def test_everything_is_read_and_changed_within_the_functions_rights(caller: Caller) -> None:
    assert caller("POST", "/users", {"who": LEADER, "name": "ada"})[0] == 201
    for path in READS:
        status, body = caller("GET", path)
        assert status == 200, (path, body)
    for method, path, body, wanted in WRITES:
        status, answer = caller(method, path, body)
        assert status == wanted, (method, path, answer)
    sizes = caller("GET", "/system")[1]["sizes"]
    assert [row["table"] for row in sizes] == ["registry", "activity", "portfolio", "audit"]
    actions = {row["action"] for row in caller("GET", "/audit")[1]["items"]}
    assert {"settings.change", "leader.follow", "leader.unfollow", "portfolio.pause"} <= actions
    assert list(caller.engine.runtime.errors) == []


def test_a_test_of_a_configuration_runs_in_a_function_of_its_own(caller: Caller) -> None:
    status, asked = caller("POST", "/config/test", {"changes": {"copy_fraction": "0.5"}})
    assert status == 202
    assert caller.engine.runtime.invocations["papercopy-local-config_test"] == 1
    found = {}
    for _ in range(200):
        status, found = caller("GET", f"/config/test/{asked['job']}")
        if found["state"] in ("done", "failed"):
            break
        time.sleep(0.05)
    assert (status, found["state"], found["error"]) == (200, "done", None)
    assert found["result"]["groups"] == 0


def test_only_the_api_may_start_that_function_and_no_other() -> None:
    granted = {
        function.name: statement["Resource"]
        for function in FUNCTIONS
        for statement in policy(function, "dev")["Statement"]  # type: ignore[attr-defined]
        if "lambda:InvokeFunction" in statement["Action"]
    }
    wanted = "arn:aws:lambda:*:*:function:papercopy-dev-config_test"
    assert granted == {"api_handler": [wanted]}


@pytest.mark.parametrize(
    ("function", "other"),
    [("papercopy-local", "papercopy-local-ingest"), ("papercopy-local-poll", "x")],
)
def test_an_invocation_needs_the_right_to_it(function: str, other: str) -> None:
    def invoke(name: str) -> AWSRequest:
        return AWSRequest("POST", f"http://x/2015-03-31/functions/{name}/invocations")

    with Permissions("local").of(function), pytest.raises(NotAllowed, match="InvokeFunction"):
        check(invoke(other))
    with Permissions("local").of("papercopy-local"):
        check(invoke("papercopy-local-config_test"))
