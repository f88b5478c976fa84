"""The document is that of the code, every route is in it, and every answer keeps to it: whatever a
caller sends, no failure of ours, no status that is not documented, no body of another shape."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

import app as deployed
from chalicelib.api import shapes
from chalicelib.api.contract import OPERATIONS, document, text
from infra.chalice_files import PROJECT_ROOT
from tests.api.calling import measure, trading
from tests.api.office import TOKEN, Office
from tests.workflow.harness import CONDITION, LEADER, OTHER

DOCUMENT = document()
ROUTES = sorted(OPERATIONS)
NAMES = [f"{method} {path}" for method, path in ROUTES]
Json = dict[str, Any]


@lru_cache(maxsize=1)
def office() -> Office:
    system = trading(days=3, trades_per_day=7, other_every=3)
    measure(system)
    system.services.mark_portfolios()
    return Office(system)


@lru_cache(maxsize=1)
def known() -> dict[str, list[str]]:
    """Path variables that name something, first a real one."""
    api = office()
    attempts = api.get("/api/copy-attempts").items
    assert any(row["reasons"] for row in attempts)
    filled = next(row for row in attempts if row["vwap_micros"])
    job = api.post("/api/config/test", {"changes": {"copy_fraction": "0.02"}})
    return {
        "leader": [LEADER, OTHER, "0x" + "9" * 40],
        "market": [CONDITION, "0x" + "0" * 64],
        "attempt": [filled["ref"], *(row["ref"] for row in attempts[:3])],
        "job": [job.body["job"], "1795000000000-" + "0" * 32],
        "portfolio": ["main.global", f"main.leader.{LEADER}", f"shadow.{LEADER}", "main.none"],
        "kind": ["trades", "attempts", "fills", "ledger"],
        "provider": ["github"],
    }


OF_OTHERS = {
    "/auth/login",
    "/auth/callback/{provider}",
    "/auth/session",
    "/audit",
    "/exports/{kind}",
}
"""Reads of sign-in, and of records that say themselves how they are bounded."""
BODIES: Mapping[str, list[Json]] = {
    "/users": [{"who": "0x" + "7" * 40}, {"who": LEADER, "name": "ann"}, {"who": "nobody"}],
    "/users/{leader}/state": [{"state": "off"}, {"state": "on"}],
    "/market-lists": [
        {"action": "add", "listing": "blacklist", "kind": "category", "value": "sports"},
        {"action": "remove", "listing": "blacklist", "kind": "market", "value": CONDITION},
    ],
    "/control/pause": [{"action": "pause"}, {"action": "resume", "portfolio": "main/global"}],
    "/config/global": [{"version": 0, "changes": {"copy_fraction": 0.02}}],
    "/config/system": [{"version": 0, "changes": {"poll_interval_s": 20}}],
    "/config/user/{leader}": [{"version": 0, "changes": {"copying": False}}],
    "/config/test": [{"changes": {"copy_fraction": "0.5"}, "hours": 1}],
    "/trigger-mode": [{"mode": "api", "version": 0}, {"mode": None, "version": 1}],
    "/admin/reset-paper": [{"portfolios": {"main/global": 1}}],
}
SOMETHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3)
    ),
    max_leaves=6,
)


@lru_cache(maxsize=200)
def validator(name: str) -> Draft202012Validator:
    schema = {"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]}
    return Draft202012Validator(schema)


def said(method: str, path: str) -> Json:
    found: Json = DOCUMENT["paths"][path][method.lower()]
    return found


def conforms(method: str, path: str, status: int, headers: Mapping[str, str], body: Any) -> None:
    responses = said(method, path)["responses"]
    # Nothing is down here, so nothing a caller sends may look as if it were.
    assert status < 500, (method, path, status, body)
    assert str(status) in responses, (method, path, status, body)
    content = responses[str(status)].get("content")
    kind = headers.get("content-type", "").partition(";")[0]
    if not content:
        assert body is None
        return
    assert kind in content, (method, path, status, kind)
    reference = content[kind]["schema"].get("$ref")
    if reference:
        problems = list(validator(reference.rsplit("/", 1)[1]).iter_errors(body))
        assert not problems, (method, path, problems[0].message, list(problems[0].absolute_path))
        shape = OPERATIONS[method, path].shape
        if status < 400 and shape:
            shape.model_validate_json(json.dumps(body), strict=True)


def called(
    method: str, path: str, variables: Mapping[str, str], query: Mapping[str, str], raw: bytes
) -> None:
    target = re.sub(r"{(\w+)}", lambda found: quote(variables[found[1]], safe=""), path)
    tail = f"?{urlencode(query)}" if query else ""
    headers = {"x-admin-token": TOKEN} if path == "/admin/reset-paper" else {}
    answer = office().call(method, f"/api{target}{tail}", headers=headers, raw=raw)
    conforms(method, path, answer.status, answer.headers, answer.body)


def test_the_document_in_the_repository_is_that_of_the_code() -> None:
    kept = (PROJECT_ROOT / "docs" / "openapi.json").read_text()
    assert kept == text(), "run python -m chalicelib.api.contract > docs/openapi.json"


def test_every_route_of_the_application_is_documented_and_no_other() -> None:
    routes = {(m, path) for path, found in deployed.app.routes.items() for m in found}
    assert routes == set(OPERATIONS)
    assert routes == {(m.upper(), p) for p, ops in DOCUMENT["paths"].items() for m in ops}


def test_the_document_is_served_as_it_is_kept() -> None:
    assert office().get("/api/openapi.json").body == DOCUMENT


def test_every_schema_is_valid_and_every_reference_leads_somewhere() -> None:
    for name, schema in DOCUMENT["components"]["schemas"].items():
        Draft202012Validator.check_schema(schema)
        assert schema["type"] in ("object", "string"), name
    for reference in set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(DOCUMENT))):
        assert reference in DOCUMENT["components"]["schemas"]


def test_every_operation_says_what_it_does_and_what_a_read_costs() -> None:
    for method, path in ROUTES:
        operation = said(method, path)
        assert 5 < len(operation["summary"]) < 120, path
        told = f"{operation['summary']} {operation.get('description', '')}"
        if method == "GET" and path not in OF_OTHERS:
            assert re.search(r"\b(costs?|reads?)\b", told, re.IGNORECASE), path


def test_only_the_open_routes_need_no_session() -> None:
    for method, path in ROUTES:
        operation = said(method, path)
        assert ("401" in operation["responses"]) == (operation.get("security") != []), path


@pytest.mark.parametrize(("method", "path"), ROUTES, ids=NAMES)
def test_a_right_call_is_answered_as_documented(method: str, path: str) -> None:
    variables = {name: values[0] for name, values in known().items()}
    for body in BODIES.get(path, [{}]) if method == "POST" else [None]:
        called(method, path, variables, {}, json.dumps(body).encode() if body is not None else b"")


@pytest.mark.parametrize(
    ("method", "path"), [r for r in ROUTES if OPERATIONS[r].query and r[1] != "/auth/login"]
)
def test_every_documented_parameter_is_known_and_no_other(method: str, path: str) -> None:
    variables = {name: values[0] for name, values in known().items()}
    target = re.sub(r"{(\w+)}", lambda found: variables[found[1]], path)
    if path.startswith("/auth/"):
        return
    for name in OPERATIONS[method, path].query or {}:
        refusal = office().get(f"/api{target}?{name}=%00")
        detail = refusal.body["detail"] if refusal.status == 400 else ""
        assert "is not a parameter" not in detail, name
    refusal = office().get(f"/api{target}?unheard_of=1")
    assert refusal.status == 400
    assert refusal.body["detail"].startswith("unheard_of: ")


@pytest.mark.parametrize(("method", "path"), ROUTES, ids=NAMES)
@given(choice=st.data())
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
def test_whatever_is_sent_the_answer_is_documented(
    method: str, path: str, choice: st.DataObject
) -> None:
    hostile = st.text(min_size=1, max_size=40)
    variables = {
        name: choice.draw(_seldom(hostile, st.sampled_from(values)), label=name)
        for name, values in known().items()
        if f"{{{name}}}" in path
    }
    # A path that ends in a slash, or has dots for a name, is another path.
    variables = {name: value.replace("/", "_") or "_" for name, value in variables.items()}
    query = choice.draw(_queries(method, path), label="query")
    raw = choice.draw(_bodies(method, path), label="body")
    called(method, path, variables, query, raw)


def _seldom(
    strange: st.SearchStrategy[Any], usual: st.SearchStrategy[Any]
) -> st.SearchStrategy[Any]:
    """One in six is strange: what is refused at once tells little of what lies behind."""
    return st.integers(0, 5).flatmap(lambda drawn: usual if drawn else strange)


def _queries(method: str, path: str) -> st.SearchStrategy[dict[str, str]]:
    documented = OPERATIONS[method, path].query or {}
    values = {
        name: _seldom(st.text(max_size=30), _value(schema)) for name, schema in documented.items()
    }
    right = (
        st.sets(st.sampled_from(sorted(values)), max_size=2).flatmap(
            lambda names: st.fixed_dictionaries({name: values[name] for name in names})
        )
        if values
        else st.just({})
    )
    hostile = st.dictionaries(st.text(min_size=1, max_size=9), st.text(max_size=9), max_size=1)
    return _seldom(hostile, right)


def _value(schema: Json) -> st.SearchStrategy[str]:
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if schema["type"] == "integer":
        return st.integers(-1, schema.get("maximum", 10**6) + 1).map(str)
    if "pattern" in schema:
        return st.from_regex(schema["pattern"], fullmatch=True)
    return st.sampled_from(["main/global", "main.global", "0x" + "1" * 40, "2026-11-20~1"])


def _bodies(method: str, path: str) -> st.SearchStrategy[bytes]:
    if method == "GET":
        return st.just(b"")
    anything = SOMETHING.map(lambda value: json.dumps(value).encode())
    right = BODIES.get(path, [{}])
    changed = st.builds(
        lambda body, name, value: json.dumps({**body, name: value}).encode(),
        st.sampled_from(right),
        st.sampled_from(sorted({key for body in right for key in body} | {"extra"})),
        SOMETHING,
    )
    return (
        st.sampled_from(right).map(lambda b: json.dumps(b).encode())
        | changed
        | anything
        | (st.binary(max_size=40))
    )


def test_a_shape_refuses_what_it_does_not_name() -> None:
    """Else the tests above could not fail."""
    body = office().get("/api/market-lists").body
    with pytest.raises(ValueError, match="more"):
        shapes.MarketLists.model_validate({**body, "more": 1})


def test_a_cold_start_makes_neither_the_shapes_nor_a_replay() -> None:
    code = (
        "import app, sys; "
        "print([m for m in sys.modules if m.startswith(('chalicelib.replay', "
        "'chalicelib.api.shapes', 'chalicelib.api.contract'))])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT_ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
