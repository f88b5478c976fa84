"""The whole API on the services of a test's system, called by the signed-in owner."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from chalice.app import Chalice

from chalicelib.adapters.admin_token import AdminToken
from chalicelib.api.auth import auth
from chalicelib.api.configuring import configuring
from chalicelib.api.desk import Desk
from chalicelib.api.followed import followed
from chalicelib.api.guard import Door, secure
from chalicelib.api.reading import Sources, reading
from chalicelib.api.records import Keeping, records
from chalicelib.api.throttle import Throttle
from chalicelib.api.trading import trading
from chalicelib.api.watching import watching
from chalicelib.bootstrap import Ports, ShownVenue, office_on
from chalicelib.domain.activity import ActivityEvent
from chalicelib.domain.errors import Retryable
from chalicelib.domain.orderbook import Book
from chalicelib.ports import Holding, Profile, WalletHoldings
from chalicelib.services.config_tests import ConfigTests
from chalicelib.services.sign_outs import SignOuts
from chalicelib.settings import Environment
from infra.local.http_server import proxy_event
from tests.api.calling import ACCESS, FACTS, NO_QUEUES, ORIGIN, Answer, cookie_at
from tests.workflow.harness import System

TOKEN = "t" * 43
JSON = {"Origin": ORIGIN, "Content-Type": "application/json"}


@dataclass
class ScriptedProfiles:
    """Users of the venue as a test sets them."""

    users: list[Profile] = field(default_factory=list)
    events: tuple[ActivityEvent, ...] = ()
    takers: int = 0
    held: tuple[Holding, ...] = ()
    down: bool = False
    calls: list[str] = field(default_factory=list)

    def _called(self, name: str) -> None:
        self.calls.append(name)
        if self.down:
            raise Retryable("the venue does not answer")

    def profile(self, wallet: str) -> Profile | None:
        self._called("profile")
        return next((user for user in self.users if user.wallet == wallet), None)

    def search(self, text: str, limit: int) -> list[Profile]:
        self._called("search")
        return [u for u in self.users if text.lower() in u.name.lower()][:limit]

    def recent(self, wallet: str) -> tuple[ActivityEvent, ...]:
        self._called("recent")
        return self.events

    def taker_trades(self, wallet: str, since_seconds: int) -> int:
        self._called("taker_trades")
        return self.takers

    def holdings(self, wallet: str) -> WalletHoldings:
        self._called("holdings")
        value = sum(one.shares * one.price // 1_000_000 for one in self.held)
        return WalletHoldings(len(self.held), False, value, self.held)


class VenueBooks:
    """Port Books on the scripted venue."""

    def __init__(self, system: System) -> None:
        self._venue = system.venue
        self.requests = 0

    def book(self, token_id: str, not_before: int) -> Book | None:
        return self._venue.book(token_id, not_before)

    def books(self, token_ids: Sequence[str]) -> Mapping[str, Book]:
        self.requests += 1
        found = {token: self._venue.book(token, 0) for token in token_ids}
        return {token: book for token, book in found.items() if book}


class Office:
    """Every route there is; tests of configurations run when a test says so."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.profiles = ScriptedProfiles()
        self.books = VenueBooks(system)
        self.asked: list[str] = []
        self.cannot_start = False
        self.tests = ConfigTests(system.store, system.clock)
        self._app = Chalice(app_name="papercopy-office", configure_logs=False)
        secure(self._app)
        for blueprint in (auth, reading, records, followed, trading, configuring, watching):
            self._app.register_blueprint(blueprint)
        self._serve()

    def _serve(self) -> None:
        system, services = self.system, self.system.services
        store, clock = system.store, system.clock
        sign_outs = SignOuts(store, clock)
        Door.access, Door.now_ms = lambda: ACCESS, clock.now_ms
        Door.sign_outs, Door.throttle = lambda: sign_outs, Throttle()
        Sources.read = lambda: services.read
        Sources.health = self._health
        Keeping.reset, Keeping.exports = lambda: services.reset_paper, lambda: services.exports
        Keeping.read = lambda: services.read
        token = AdminToken(lambda: TOKEN, clock.now_ms)
        Keeping.token = lambda: token
        ports = Ports(
            store=store,
            queue=system.queue,
            workflows=system.workflows,
            quarantine=system.quarantine,
            feed=system.venue,
            catalogue=system.venue,  # type: ignore[arg-type]
            books=self.books,
            midpoints=system.venue,
            holdings=system.venue,
            receipts=None,
            clock=clock,
            metrics=system.metrics,
        )
        office = office_on(
            ports,
            services,
            Environment(),
            ShownVenue(self.profiles, self.books),
            self._start_test,
            self._health,
            lambda: services.read.system(
                FACTS, NO_QUEUES, [{"table": "activity", "items": 3, "bytes": 900}]
            ),
        )
        Desk.office = lambda: office

    def _health(self) -> dict[str, Any]:
        return self.system.services.read.health(FACTS, NO_QUEUES)

    def _start_test(self, ref: str) -> None:
        if self.cannot_start:
            raise Retryable("nobody can be asked")
        self.asked.append(ref)

    def call(
        self,
        method: str,
        target: str,
        body: object = None,
        *,
        headers: Mapping[str, str] | None = None,
        raw: bytes | None = None,
    ) -> Answer:
        """`body` is sent as JSON, `raw` as it is."""
        sent = {"Cookie": cookie_at(self.system.clock.now_ms()), **(headers or {})}
        if method != "GET":
            sent = {**JSON, **sent}
        content = raw if raw is not None else b"" if body is None else json.dumps(body).encode()
        event = proxy_event(method, target, list(sent.items()), content, list(self._app.routes))
        assert event is not None, target
        told = self._app(event, None)
        found = {name.lower(): value for name, value in told["headers"].items()}
        kind = str(found.get("content-type", ""))
        is_json = kind.partition(";")[0].endswith("json") and "ndjson" not in kind
        parsed = json.loads(told["body"]) if told["body"] and is_json else None
        return Answer(told["statusCode"], found, parsed)

    def get(self, target: str, **headers: str) -> Answer:
        return self.call("GET", target, headers=headers)

    def post(self, target: str, body: object) -> Answer:
        return self.call("POST", target, body)

    def audited(self, action: str) -> list[dict[str, Any]]:
        """What the audit log says of an action, newest first."""
        return [row for row in self.get("/api/audit").items if row["action"] == action]
