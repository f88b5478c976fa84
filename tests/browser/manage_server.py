"""Serves the dashboard with the real API on a small world, to test the pages that change things.

    python -m tests.browser.manage_server [--port 8898]

prints its address. Posts to `/api/fixture` steer it: `?world=full|empty|hostile` builds a new one,
`?answers=normal|error|stalled` says what the API does, `?tests=held|run` keeps tests of a
configuration waiting or runs them, `?meanwhile=config` changes a setting behind the page's back.
`GET /api/fixture` gives the owner's session cookie.
"""

from __future__ import annotations

import argparse
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from chalicelib.api.access import LOCAL_OWNER, Access, local_access
from chalicelib.api.auth import new_session
from chalicelib.api.guard import Door
from chalicelib.api.session import session_cookie
from infra.local.http_server import HttpServer
from tests.api.calling import ACCESS
from tests.browser.manage_world import World

DASHBOARD = Path(__file__).resolve().parents[2] / "dashboard"
CONTROL = "/fixture"
MARKUP = '<img src=x onerror="window.pwned=1"><b>bold</b>'
STALL_S_MAX = 30
ERROR = {
    "type": "about:blank",
    "title": "Temporarily unavailable",
    "detail": "the store does not answer",
    "status": 503,
}
Event = dict[str, Any]


class Desk:
    """The world of the moment and what its API does."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._worlds: dict[str, Callable[[], World]] = {
            "full": World,
            "empty": lambda: World(empty=True),
            "hostile": lambda: World(markup=MARKUP),
        }
        self._world = World()
        self._access: Access = ACCESS
        self._port = 0
        self._answers = "normal"
        self._moved = threading.Event()

    def serve(self, port: int) -> HttpServer:
        server = HttpServer(DASHBOARD, port, self._resources, self._invoke)
        self._port = server.port
        self._admit()
        server.start()
        return server

    def _admit(self) -> None:
        """Writes are taken from the port this server got."""
        self._access = local_access(self._port, ACCESS.keys)
        Door.access = lambda: self._access

    def _cookie(self) -> str:
        now_s = self._world.system.clock.now_ms() // 1000
        made = session_cookie(self._access, new_session(LOCAL_OWNER, now_s))
        return made.partition(";")[0]

    def _resources(self) -> list[str]:
        return [CONTROL, *self._world.office._app.routes]

    def _invoke(self, event: Event) -> Event:
        if event["resource"] == CONTROL:
            return self._control(event)
        if self._answers == "stalled":
            moved = self._moved
            moved.wait(STALL_S_MAX)
        if self._answers == "error":
            kind = {"Content-Type": "application/problem+json"}
            return {"statusCode": 503, "headers": kind, "body": json.dumps(ERROR)}
        with self._lock:
            answer: Event = self._world.office._app(event, None)
            return answer

    def _control(self, event: Event) -> Event:
        asked = event["queryStringParameters"] or {}
        with self._lock:
            told: Event = {}
            if "world" in asked:
                self._world = self._worlds[asked["world"]]()
                self._admit()
            if "answers" in asked:
                self._answers = asked["answers"]
                self._moved.set()
                self._moved = threading.Event()
            if "tests" in asked:
                self._world.holds_tests = asked["tests"] == "held"
                told["ran"] = self._world.run_tests() if asked["tests"] == "run" else 0
            if asked.get("meanwhile") == "config":
                self._change_config()
            told["cookie"] = self._cookie()
        kind = {"Content-Type": "application/json"}
        return {"statusCode": 200, "headers": kind, "body": json.dumps(told)}

    def _change_config(self) -> None:
        Door.access = lambda: ACCESS
        body = {"version": 1, "changes": {"buy_cash_min": "6"}}
        answer = self._world.office.post("/api/config/global", body)
        self._admit()
        assert answer.status == 200, answer.body


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    server = Desk().serve(parser.parse_args().port)
    print(server.url, flush=True)
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        server.stop()


if __name__ == "__main__":
    main()
