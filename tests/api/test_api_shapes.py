"""Every answer has exactly the fields the dashboard reads, and revalidates without a body."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

from chalicelib.domain.registry import Drift, Heartbeat, HoldingsCheck
from chalicelib.ports import Put
from chalicelib.services.heartbeats import beat
from tests.api.calling import Api, measure, trading
from tests.browser import fixture_server
from tests.workflow.harness import LEADER, OTHER, T0, TOKEN, M, System, chain, leg

LISTINGS = ("/api/trades", "/api/copy-attempts", "/api/completeness")
ROUTES = ("/api/health", "/api/overview", "/api/latency", *LISTINGS)


@pytest.fixture(scope="module")
def busy() -> System:
    system = trading(days=2, trades_per_day=8)
    measure(system)
    return system


@pytest.fixture
def api(busy: System) -> Api:
    return Api(busy)


def expected(path: str) -> Any:
    """The canned answer that the dashboard's own tests show."""
    document = fixture_server.answer(path, {}, "normal")
    assert document is not None
    return document


def fields(rows: list[dict[str, Any]]) -> set[str]:
    (names,) = {frozenset(row) for row in rows}
    return set(names)


def kinds(rows: list[dict[str, Any]]) -> dict[str, set[str]]:
    """The types every field takes over all rows, without None."""
    found: dict[str, set[str]] = {}
    for row in rows:
        for name, value in row.items():
            if value is not None:
                found.setdefault(name, set()).add(type(value).__name__)
    return found


@pytest.mark.parametrize("path", LISTINGS)
def test_listings_have_the_fields_and_types_the_dashboard_reads(api: Api, path: str) -> None:
    answer, canned = api.get(path), expected(path)
    assert set(answer.body) == set(canned) == {"items", "next_cursor"}
    assert len(answer.items) > 5
    assert fields(answer.items) == fields(canned["items"])
    ours, theirs = kinds(answer.items), kinds(canned["items"])
    for name in ours.keys() & theirs.keys():
        assert ours[name] == theirs[name], name


def test_overview_has_the_fields_the_dashboard_reads(api: Api) -> None:
    answer, canned = api.get("/api/overview"), expected("/api/overview")
    assert set(answer.body) == set(canned)
    for part in ("leaders", "portfolios"):
        assert fields(answer.body[part]) == fields(canned[part])
    assert set(answer.body["counts"]) == set(canned["counts"])
    kinds_found = [row["kind"] for row in answer.body["portfolios"]]
    assert kinds_found == ["global", "leader", "leader", "shadow", "shadow"]


def test_overview_counts_what_the_listings_show(api: Api) -> None:
    counts = api.get("/api/overview").body["counts"]
    trades = api.pages("/api/trades", 50)
    attempts = api.pages("/api/copy-attempts", 50)
    assert counts["trades"] == len(trades)
    assert counts["attempts"] == len(attempts)
    assert counts["executed"] == sum(row["decision"] == "EXECUTE" for row in attempts)
    assert counts["skipped"] == sum(row["decision"] == "SKIP" for row in attempts)
    leaders = {row["leader"]: row["trades"] for row in api.get("/api/overview").body["leaders"]}
    for leader in (LEADER, OTHER):
        assert leaders[leader] == sum(row["leader"] == leader for row in trades)


def test_equity_is_cash_plus_positions(api: Api) -> None:
    for row in api.get("/api/overview").body["portfolios"]:
        assert row["equity_micros"] == row["cash_micros"] + row["positions_value_micros"]


def test_health_has_the_fields_the_dashboard_reads(busy: System) -> None:
    now = busy.clock.now_ms()
    beat(busy.store, Heartbeat("watcher", now, True, "listening", now, now, 7, now))
    answer, canned = Api(busy).get("/api/health"), expected("/api/health")
    assert set(answer.body) == set(canned)
    for part in ("mode", "chain", "api", "registry", "queues", "completeness"):
        assert set(answer.body[part]) == set(canned[part]), part


def test_latency_has_the_fields_the_dashboard_reads(api: Api) -> None:
    answer, canned = api.get("/api/latency").body, expected("/api/latency")
    assert set(answer) == set(canned)
    assert set(answer["overall"]) == set(canned["overall"])
    assert fields(answer["leaders"]) == fields(canned["leaders"])
    for part in (answer["overall"], *answer["leaders"]):
        assert [row["stage"] for row in part["stages"]] == list(fixture_server.STAGES)
        assert fields(part["stages"]) == fields(canned["overall"]["stages"])


def test_latency_of_all_leaders_counts_each_of_them(api: Api) -> None:
    answer = api.get("/api/latency").body
    for place, row in enumerate(answer["overall"]["stages"]):
        parts = [leader["stages"][place]["count"] for leader in answer["leaders"]]
        assert row["count"] == sum(parts)
    chain = answer["overall"]["stages"][0]
    assert chain["count"] > 0 and chain["p50_ms"] == chain["p99_ms"] == 2_000


def test_the_day_of_a_leader_is_the_sum_of_his_hours(api: Api) -> None:
    hours = api.pages("/api/completeness", 3)
    assert [row["ts_hour"] for row in hours] == sorted(
        (row["ts_hour"] for row in hours), reverse=True
    )
    for leader in api.get("/api/overview").body["leaders"]:
        his = [row for row in hours if row["leader"] == leader["leader"]]
        assert his == api.pages(f"/api/completeness?leader={leader['leader']}", 50)
        for name, value in leader["completeness"].items():
            if name != "ts_until":
                assert value == sum(row[name] for row in his), name


def test_a_leader_shows_when_his_positions_last_agreed() -> None:
    system = System()
    system.follow()
    api = Api(system)
    (before,) = api.get("/api/overview").body["leaders"]
    assert before["positions_agreed_at"] is before["positions_checked_at"] is None
    drift = (Drift(TOKEN, 5 * M, T0),)
    system.store.commit([Put(HoldingsCheck(LEADER, T0 + 2, T0 + 1, 3, 0, drift))])
    (after,) = api.get("/api/overview").body["leaders"]
    assert (after["positions_agreed_at"], after["positions_checked_at"]) == (T0 + 1, T0 + 2)
    assert after["positions_differing"] == 1


def test_a_trade_that_may_not_be_copied_says_why() -> None:
    system = System()
    system.follow()
    history = T0 - 3_600_000
    system.services.ingest(chain([leg(100 * M, 500_000, ts_block=history)], backfill=True))
    (row,) = Api(system).get("/api/trades").items
    assert row["backfill"] and row["not_copied"]["code"] == "SKIP_BACKFILL"
    assert row["not_copied"]["text"]


def test_an_empty_system_answers_with_empty_lists() -> None:
    api = Api(System())
    for path in LISTINGS:
        assert api.get(path).body == {"items": [], "next_cursor": None}
    latency = api.get("/api/latency").body
    assert latency["leaders"] == []
    assert {row["p50_ms"] for row in latency["overall"]["stages"]} == {None}
    overview = api.get("/api/overview").body
    assert overview["leaders"] == overview["portfolios"] == []
    assert set(overview["counts"].values()) == {0}


@pytest.mark.parametrize("path", ROUTES)
def test_an_unchanged_answer_is_304_without_a_body(api: Api, path: str) -> None:
    first = api.get(path)
    tag = first.headers["etag"]
    for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = api.get(path, {"If-None-Match": known})
        assert (again.status, again.body, again.headers["etag"]) == (304, None, tag)
    assert api.get(path, {"If-None-Match": '"other"'}).status == 200


def test_the_tag_ignores_the_time_of_the_answer_but_no_change() -> None:
    system = trading(days=1, trades_per_day=3)
    api = Api(system)
    first = api.get("/api/overview")
    system.clock.advance(1_000)
    assert api.get("/api/overview", {"If-None-Match": first.headers["etag"]}).status == 304
    later = api.get("/api/overview")
    assert later.body["now"] == first.body["now"] + 1_000
    system.services.follow(["0x" + "3" * 40], "cy")
    assert api.get("/api/overview", {"If-None-Match": first.headers["etag"]}).status == 200


def test_the_deployed_application_has_the_same_routes() -> None:
    deployed = importlib.import_module("app").app
    one = "/api/copy-attempts/{attempt}"
    pages = {*ROUTES, one, f"{one}/tape"}
    served = {f"/api{path}": set(methods) for path, methods in deployed.routes.items()}
    assert {path: served.get(path) for path in pages} == {path: {"GET"} for path in pages}
