"""The API as API Gateway calls it, on the services of a test's system."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from chalice.app import Chalice

from chalicelib.api.access import LOCAL_OWNER, local_access
from chalicelib.api.auth import auth, new_session
from chalicelib.api.guard import Door, secure
from chalicelib.api.reading import Sources, reading
from chalicelib.api.session import session_cookie
from chalicelib.api.throttle import Throttle
from chalicelib.domain.rules import CopyRules, SystemRules
from chalicelib.ports import Store
from chalicelib.services.market_directory import MarketDirectory
from chalicelib.services.read_models import ReadModels
from chalicelib.services.sign_outs import SignOuts
from infra.local.http_server import proxy_event
from tests.workflow.harness import OTHER, M, System, chain, leg

MINUTE_MS = 60_000
ACCESS = local_access(8000, (b"k" * 32,))
ORIGIN = ACCESS.origin
FACTS = {"engine": "embedded", "stage": "local", "version": "0", "venue": "simulated"}
NO_QUEUES = {"fills": 0, "dead": 0, "failures": 0}


@dataclass(frozen=True)
class Answer:
    """Status, headers by lower-case name, and the parsed body, None when there is none."""

    status: int
    headers: dict[str, str]
    body: Any

    @property
    def items(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.body["items"]
        return rows


@dataclass
class FixedRules:
    """Rules as a test sets them, one set of copy rules for all leaders."""

    copying: CopyRules = field(default_factory=CopyRules)
    detecting: SystemRules = field(default_factory=SystemRules)

    def rules_for(self, leader: str) -> CopyRules:
        return self.copying

    def system(self) -> SystemRules:
        return self.detecting


class Api:
    """Called by the signed-in owner; every answer is checked for what all of them share."""

    def __init__(self, system: System, *, store: Store | None = None) -> None:
        self.rules = FixedRules()
        self.queues = dict(NO_QUEUES)
        kept = store or system.store
        directory = MarketDirectory(kept, system.venue, system.clock)
        read = ReadModels(kept, directory, system.clock, self.rules)
        self._app = Chalice(app_name="papercopy-test", configure_logs=False)
        secure(self._app)
        self._app.register_blueprint(auth)
        self._app.register_blueprint(reading)
        clock, sign_outs = system.clock, SignOuts(kept, system.clock)
        Door.access, Door.now_ms = lambda: ACCESS, clock.now_ms
        Door.sign_outs, Door.throttle = lambda: sign_outs, Throttle()
        self.cookie = cookie_at(clock.now_ms())
        Sources.read = lambda: read
        Sources.health = lambda: read.health(FACTS, self.queues)

    def get(self, target: str, headers: Mapping[str, str] | None = None) -> Answer:
        sent = [("Cookie", self.cookie), *(headers or {}).items()]
        event = proxy_event("GET", target, sent, b"", list(self._app.routes))
        assert event is not None, target
        raw = self._app(event, None)
        found = {name.lower(): value for name, value in raw["headers"].items()}
        assert found["x-content-type-options"] == "nosniff"
        assert found["cache-control"] == "no-cache"
        answer = Answer(raw["statusCode"], found, json.loads(raw["body"]) if raw["body"] else None)
        if answer.status >= 400:
            assert found["content-type"] == "application/problem+json"
            assert answer.body["status"] == answer.status
            assert answer.body["title"] and answer.body["detail"]
            assert "Traceback" not in raw["body"]
        return answer

    def pages(self, target: str, limit: int) -> list[dict[str, Any]]:
        """Every row of a listing, page by page as the dashboard asks for them."""
        rows: list[dict[str, Any]] = []
        cursor = ""
        mark = "&" if "?" in target else "?"
        for _ in range(1_000):
            answer = self.get(f"{target}{mark}limit={limit}{cursor}")
            assert answer.status == 200
            assert len(answer.items) <= limit
            rows += answer.items
            if answer.body["next_cursor"] is None:
                return rows
            cursor = f"&cursor={answer.body['next_cursor']}".replace("#", "%23")
        raise AssertionError("the pages never ended")


def cookie_at(now_ms: int) -> str:
    """The owner's session as a browser sends it."""
    made = session_cookie(ACCESS, new_session(LOCAL_OWNER, now_ms // 1000))
    return made.partition(";")[0]


def trading(days: int, trades_per_day: int, *, other_every: int = 5) -> System:
    """A system with trades over several days, oldest first, every few of them another leader's."""
    system = System()
    system.follow()
    system.follow(OTHER, "bea")
    system.clock.advance(10_000)
    number = 0
    for each in range(days):
        for _ in range(trades_per_day):
            number += 1
            ts = system.clock.now_ms()
            part = leg(10_000 * M, 510_000, ts_block=ts - 2_000, index=number, block=number)
            side = "SELL" if number % 4 == 0 else "BUY"
            whose = {"leader": OTHER} if number % other_every == 0 else {}
            system.services.ingest(chain([part], number=number, side=side, ts_seen=ts, **whose))
            system.run_workflows()
            system.clock.advance(MINUTE_MS)
        if each < days - 1:
            system.clock.advance(86_400_000 - trades_per_day * 2 * MINUTE_MS)
    return system


def measure(system: System) -> None:
    """Hold the last day against a record in which the venue shows nothing."""
    system.clock.advance(2 * MINUTE_MS)
    system.services.measure()
