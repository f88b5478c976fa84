"""Health says what works: starting, up, silent, down, off, and what could not be processed."""

from __future__ import annotations

import pytest

from chalicelib.domain.registry import Heartbeat
from chalicelib.domain.rules import CopyRules, SystemRules, TriggerMode
from chalicelib.services.completeness import SOURCE
from chalicelib.services.heartbeats import beat
from tests.api.calling import Api
from tests.workflow.harness import System

MINUTE_MS = 60_000


@pytest.fixture
def system() -> System:
    return System()


def alive(system: System, source: str, *, up: bool = True, detail: str = "") -> None:
    now = system.clock.now_ms()
    beat(system.store, Heartbeat(source, now, up, detail, now, now, 79_000_000, now))


def test_before_the_first_sign_of_life_both_sources_are_starting(system: System) -> None:
    health = Api(system).get("/api/health").body
    assert (health["chain"]["state"], health["api"]["state"]) == ("starting", "starting")
    assert health["chain"]["last_block"] is None and health["api"]["last_poll_at"] is None
    assert health["registry"] == {"markets": 0, "synced_at": None}


def test_both_up(system: System) -> None:
    alive(system, "watcher")
    alive(system, "data_api")
    health = Api(system).get("/api/health").body
    assert (health["status"], health["reasons"]) == ("ok", [])
    assert (health["chain"]["state"], health["api"]["state"]) == ("up", "up")
    assert health["chain"]["last_block"] == 79_000_000
    assert health["mode"] == {"effective": "both", "source": "default", "stored": None}
    assert (health["warnings"], health["blocking"]) == ([], [])
    assert health["completeness"]["state"] == "starting"


def test_a_silent_watcher_degrades_and_says_for_how_long(system: System) -> None:
    alive(system, "watcher")
    system.clock.advance(2 * MINUTE_MS)
    alive(system, "data_api")
    health = Api(system).get("/api/health").body
    assert health["status"] == "degraded"
    assert health["chain"]["state"] == "down"
    assert health["reasons"] == [
        "Polygon: the watcher is silent for 120 s. Trades are detected by the Data API alone."
    ]


def test_a_silent_poller_degrades(system: System) -> None:
    alive(system, "data_api")
    system.clock.advance(2 * MINUTE_MS)
    alive(system, "watcher")
    health = Api(system).get("/api/health").body
    assert (health["status"], health["api"]["state"]) == ("degraded", "down")
    assert health["reasons"] == [
        "Data API: no poll for 120 s. Trades are detected by the chain alone."
    ]


def test_a_source_that_says_it_is_down_is_quoted(system: System) -> None:
    alive(system, "watcher", up=False, detail="connection refused")
    alive(system, "data_api")
    health = Api(system).get("/api/health").body
    assert health["status"] == "degraded"
    (reason,) = health["reasons"]
    assert reason.startswith("Polygon: connection refused. ")


def test_both_down_is_down(system: System) -> None:
    alive(system, "watcher", up=False, detail="connection refused")
    alive(system, "data_api", up=False, detail="time-out")
    health = Api(system).get("/api/health").body
    assert health["status"] == "down"
    (reason,) = health["reasons"]
    assert reason.startswith("Polygon: connection refused; Data API: time-out. ")


@pytest.mark.parametrize(
    ("mode", "off", "on", "source"),
    [("api", "chain", "api", "data_api"), ("polygon", "api", "chain", "watcher")],
)
def test_a_source_that_is_not_used_is_off_and_the_other_decides(
    system: System, mode: TriggerMode, off: str, on: str, source: str
) -> None:
    api = Api(system)
    api.rules.detecting = SystemRules(trigger_mode=mode)
    alive(system, source)
    health = api.get("/api/health").body
    assert (health["status"], health[off]["state"], health[on]["state"]) == ("ok", "off", "up")
    assert mode in health[off]["detail"]
    system.clock.advance(5 * MINUTE_MS)
    assert api.get("/api/health").body["status"] == "down"


def test_dead_letters_are_a_sentence(system: System) -> None:
    api = Api(system)
    api.queues = {"fills": 3, "dead": 2, "failures": 5}
    health = api.get("/api/health").body
    assert health["queues"] == {"fills": 3, "dead": 2, "failures": 5}
    assert health["reasons"] == ["2 messages could not be processed."]


def test_what_blocks_buys_is_named(system: System) -> None:
    api = Api(system)
    api.rules.detecting = SystemRules(trigger_mode="polygon")
    alive(system, "watcher", up=False, detail="connection refused")
    health = api.get("/api/health").body
    assert health["blocking"] == ["POLYGON_UNHEALTHY"]
    assert "No positions are opened." in health["reasons"][0]


def test_an_environment_that_overrides_a_stored_mode_is_a_visible_warning(system: System) -> None:
    api = Api(system)
    alive(system, "data_api")
    api.rules.detecting = SystemRules("api", "environment", "both")
    health = api.get("/api/health").body
    assert health["mode"] == {"effective": "api", "source": "environment", "stored": "both"}
    (warning,) = health["warnings"]
    assert "mode api is in force, both is stored" in warning
    assert (health["status"], health["reasons"]) == ("ok", [])


@pytest.mark.parametrize(
    "rules",
    [
        SystemRules("api", "environment", ""),
        SystemRules("api", "environment", "api"),
        SystemRules("api", "setting", ""),
    ],
)
def test_what_overrides_nothing_is_no_warning(system: System, rules: SystemRules) -> None:
    api = Api(system)
    api.rules.detecting = rules
    assert api.get("/api/health").body["warnings"] == []


@pytest.mark.parametrize(
    ("execute_on", "wait_ms", "warned"),
    [
        ("api_confirmed", 3_000, True),
        ("api_confirmed", 5_999, True),
        ("api_confirmed", 6_000, False),
        ("first_seen", 3_000, False),
    ],
)
def test_a_wait_in_which_the_data_api_never_confirms_is_said(
    system: System, execute_on: str, wait_ms: int, warned: bool
) -> None:
    system.follow()
    api = Api(system)
    api.rules.copying = CopyRules(execute_on=execute_on, api_lag_fallback_ms=wait_ms)  # type: ignore[arg-type]
    warnings = api.get("/api/health").body["warnings"]
    assert [f"wait {wait_ms / 1000:g} s" in text and "ada" in text for text in warnings] == (
        [True] if warned else []
    )


def test_an_incomplete_hour_degrades_and_says_what_is_missing(system: System) -> None:
    alive(system, "watcher")
    alive(system, "data_api")
    alive(system, SOURCE)
    api = Api(system)
    assert api.get("/api/health").body["completeness"]["state"] == "ok"
    alive(system, SOURCE, up=False, detail="2 of the venue's trades are missing here")
    health = api.get("/api/health").body
    assert (health["status"], health["completeness"]["state"]) == ("degraded", "degraded")
    assert health["reasons"] == ["Completeness: 2 of the venue's trades are missing here."]


@pytest.mark.parametrize(("mode", "state"), [("both", "degraded"), ("polygon", "ok")])
def test_a_measurement_that_stopped_is_said_unless_it_is_daily(
    system: System, mode: TriggerMode, state: str
) -> None:
    alive(system, SOURCE)
    system.clock.advance(20 * MINUTE_MS)
    alive(system, "watcher")
    alive(system, "data_api")
    api = Api(system)
    api.rules.detecting = SystemRules(trigger_mode=mode)
    health = api.get("/api/health").body
    assert health["completeness"]["state"] == state
    assert ("not measured for 20 min" in health["completeness"]["detail"]) == (mode == "both")
