"""Health says what works: starting, up, silent, down, off, and what could not be processed."""

from __future__ import annotations

import pytest

from chalicelib.domain.registry import Heartbeat
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
    assert health["mode"] == {"effective": "both", "source": "default"}


def test_a_silent_watcher_degrades_and_says_for_how_long(system: System) -> None:
    alive(system, "watcher")
    system.clock.advance(2 * MINUTE_MS)
    alive(system, "data_api")
    health = Api(system).get("/api/health").body
    assert health["status"] == "degraded"
    assert health["chain"]["state"] == "down"
    assert health["reasons"] == ["Polygon: the watcher is silent for 120 s"]


def test_a_silent_poller_degrades(system: System) -> None:
    alive(system, "data_api")
    system.clock.advance(2 * MINUTE_MS)
    alive(system, "watcher")
    health = Api(system).get("/api/health").body
    assert (health["status"], health["api"]["state"]) == ("degraded", "down")
    assert health["reasons"] == ["Data API: no poll for 120 s"]


def test_a_source_that_says_it_is_down_is_quoted(system: System) -> None:
    alive(system, "watcher", up=False, detail="connection refused")
    alive(system, "data_api")
    health = Api(system).get("/api/health").body
    assert (health["status"], health["reasons"]) == ("degraded", ["Polygon: connection refused"])


def test_both_down_is_down(system: System) -> None:
    alive(system, "watcher", up=False, detail="connection refused")
    alive(system, "data_api", up=False, detail="time-out")
    health = Api(system).get("/api/health").body
    assert health["status"] == "down"
    assert health["reasons"] == ["Polygon: connection refused", "Data API: time-out"]


@pytest.mark.parametrize(
    ("mode", "off", "on", "source"),
    [("api", "chain", "api", "data_api"), ("polygon", "api", "chain", "watcher")],
)
def test_a_source_that_is_not_used_is_off_and_the_other_decides(
    system: System, mode: str, off: str, on: str, source: str
) -> None:
    api = Api(system)
    api.mode = mode
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
