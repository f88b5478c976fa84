"""A browser before the API: it keeps cookies and follows what it is told, as browsers do."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import urlencode

from chalice.app import Chalice

from chalicelib.adapters.clock import ManualClock
from chalicelib.adapters.embedded.memory_store import MemoryStore
from chalicelib.api.access import Access
from chalicelib.api.auth import auth
from chalicelib.api.guard import Door, secure
from chalicelib.api.throttle import Throttle
from chalicelib.services.sign_outs import SignOuts
from infra.local.http_server import proxy_event

ORIGIN = "https://papercopy.example"
KEY, OTHER_KEY = b"k" * 40, b"o" * 40
START_MS = 1_795_132_800_123


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    cookies: list[str]
    body: Any

    @property
    def location(self) -> str:
        return self.headers["location"]


class Site:
    """The API with sign-in, and one closed route of each kind: GET /secret and POST /secret."""

    def __init__(self, access: Access) -> None:
        self.clock = ManualClock(START_MS)
        self.access = access
        self.store = MemoryStore()
        self.sign_outs = SignOuts(self.store, self.clock)
        self.app = Chalice(app_name="papercopy-auth", configure_logs=False)
        secure(self.app)
        self.app.register_blueprint(auth)
        self.written: list[str] = []
        self.app.route("/secret", methods=["GET"])(self._secret)
        self.app.route("/secret", methods=["POST"])(self._write)
        self.app.route("/broken", methods=["GET"])(self._broken)
        Door.access, Door.now_ms = lambda: self.access, self.clock.now_ms
        Door.sign_outs, Door.throttle = lambda: self.sign_outs, Throttle()

    def _secret(self) -> dict[str, str]:
        return {"secret": "figures"}

    def _write(self) -> dict[str, str]:
        self.written.append("once")
        return {"done": "yes"}

    def _broken(self) -> dict[str, str]:
        raise ZeroDivisionError("hidden detail")

    def ask(
        self, method: str, target: str, headers: list[tuple[str, str]], body: bytes = b""
    ) -> Answer:
        event = proxy_event(method, f"/api{target}", headers, body, list(self.app.routes))
        assert event is not None, target
        raw = self.app(event, None)
        found = {name.lower(): value for name, value in raw["headers"].items()}
        many = {name.lower(): values for name, values in raw["multiValueHeaders"].items()}
        cookies = many.get("set-cookie") or [v for v in [found.get("set-cookie")] if v]
        text = raw["body"]
        assert "Traceback" not in text
        if raw["statusCode"] >= 400:
            assert found["content-type"] == "application/problem+json"
            assert json.loads(text)["status"] == raw["statusCode"]
        return Answer(raw["statusCode"], found, cookies, json.loads(text) if text else None)


@dataclass
class Browser:
    """Cookies by name; the attributes our cookies must have are checked when they are set."""

    site: Site
    cookies: dict[str, str] = field(default_factory=dict)

    def get(self, target: str, query: Mapping[str, str] | None = None, **headers: str) -> Answer:
        given = f"{target}?{urlencode(query)}" if query else target
        return self._keep(self.site.ask("GET", given, self._headers(headers)))

    def post(self, target: str, body: object = None, **headers: str) -> Answer:
        usual = {
            "Origin": self.site.access.origin,
            "Sec_Fetch_Site": "same-origin",
            "Content_Type": "application/json",
        }
        sent = {name: value for name, value in {**usual, **headers}.items() if value}
        content = b"" if body is None else json.dumps(body).encode()
        return self._keep(self.site.ask("POST", target, self._headers(sent), content))

    def _headers(self, given: Mapping[str, str]) -> list[tuple[str, str]]:
        sent = [(name.replace("_", "-"), value) for name, value in given.items()]
        if self.cookies:
            pairs = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
            sent.append(("Cookie", pairs))
        return sent

    def _keep(self, answer: Answer) -> Answer:
        for line in answer.cookies:
            ((name, morsel),) = SimpleCookie(line).items()
            assert morsel["httponly"] and morsel["path"] == "/" and not morsel["domain"]
            assert morsel["samesite"] in ("Strict", "Lax")
            assert bool(morsel["secure"]) == (not self.site.access.is_local)
            assert name.startswith("__Host-") == (not self.site.access.is_local)
            if morsel["max-age"] == "0":
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = morsel.value
        return answer
