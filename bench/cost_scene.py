"""An hour of the production topology, minute by minute on a clock of its own, counted.

Functions, queues, workflows and tables are the deployed ones in moto. Schedules are fired once a
minute of the scene's clock, waits of workflows move that clock, and what the watcher's task does
by its timetable is called as often as its own intervals say. Each function has services of its
own, as each has its own process on AWS.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from threading import Event, RLock
from typing import Any, Self

from moto.stepfunctions.parser.asl.component.state.wait.wait_function.wait_function import (
    WaitFunction,
)

from bench.cost_meter import CountingStream, Meter, Tally, hooked
from bench.cost_venue import LEADERS, Copied, VenueServer, groups, message, recorded, row, script
from chalicelib import bootstrap, lambda_entry, observability
from chalicelib.adapters.clock import SystemClock
from chalicelib.adapters.sqs import _Queue
from chalicelib.bootstrap import Production, build_watches
from chalicelib.domain.registry import Heartbeat
from chalicelib.services.tape_reading import BOOKS_SOURCE
from chalicelib.watcher import market_watch
from chalicelib.watcher.wiring import SOURCE
from infra.local.engine import AwsEngine
from infra.local.patching import Patches
from tests.e2e.ledgers import follow_since

MINUTE_MS = 60_000
SETTLE_S = 60.0
WATCHER = "watcher"


class SceneClock:
    """Real time plus what was skipped; goes forward only."""

    def __init__(self) -> None:
        self._ahead_ms = 0
        self._lock = RLock()

    def now_ms(self) -> int:
        with self._lock:
            return time.time_ns() // 1_000_000 + self._ahead_ms

    def go_to(self, ts: int) -> None:
        with self._lock:
            self._ahead_ms += max(0, ts - self.now_ms())


@dataclass
class Duty:
    """Something the watcher does every so often; 0 means nothing is due before the start."""

    every_ms: float
    do: Callable[[], object]
    due: float = 0.0


class WatcherByTheClock:
    """The watcher's timetable on the wiring of its task; tapes are written when they are wanted."""

    def __init__(self, meter: Meter, clock: SceneClock, variables: Mapping[str, str]) -> None:
        self._meter, self._clock = meter, clock
        self._lock = RLock()
        self._served: set[tuple[str, int, int]] = set()
        self.groups: dict[str, tuple[Copied, int]] = {}
        watcher, markets = build_watches({**os.environ, **variables})
        around, books = watcher._around, markets._around.books
        assert books is not None
        self._store = lambda_entry.production().ports.store
        self._write = books.write
        limits = watcher._limits

        def alive(source: str, heard: Callable[[Heartbeat], None]) -> Callable[[], object]:
            # A node's head moves all the time, so no two proofs are alike.
            return lambda: heard(
                Heartbeat(
                    source, clock.now_ms(), True, "connected, 10 wallets", clock.now_ms(),
                    clock.now_ms(), 90_000_000, clock.now_ms(),
                )
            )  # fmt: skip

        second = 1_000
        self._duties = [
            Duty(limits.heartbeat_s * second, alive(SOURCE, around.heartbeat)),
            Duty(2 * limits.heartbeat_s * second, alive(BOOKS_SOURCE, books.heartbeat)),
            Duty(limits.refresh_s * second, around.exchanges),
            Duty(limits.refresh_s * second, around.wallets),
            Duty(limits.refresh_s * second, around.rules),
            Duty(limits.api_first_s * second, around.api_first),
            Duty(market_watch.INTEREST_S * second, markets._around.interest),
            Duty(market_watch.INTEREST_S * second, books.held),
            Duty(market_watch.INTEREST_S * second, books.mode),
            Duty(market_watch.REQUESTS_S * second, lambda: self._record(books.requests())),
        ]

    def catch_up(self) -> None:
        """Do what is due by now, in the order of time."""
        with self._lock, self._meter.acting(WATCHER):
            now = self._clock.now_ms()
            for duty in self._duties:
                duty.due = duty.due or now
                while duty.due <= now:
                    duty.do()
                    duty.due += duty.every_ms

    def _record(self, requests: Iterable[Any]) -> None:
        for wanted in requests:
            name = wanted.token_id, wanted.ts_from, wanted.ts_until
            found = self.groups.get(wanted.token_id)
            if name in self._served or found is None:
                continue
            self._served.add(name)
            self._write(recorded(*found, wanted.ts_from, wanted.ts_until))


class Scene:
    """The running topology with ten leaders; `hours` of it are counted by its meter."""

    def __init__(self, latencies: dict[str, float]) -> None:
        self.meter = Meter(latencies)
        self.clock = SceneClock()
        self._patches = Patches()
        self._made: dict[str, Production] = {}
        self._lock = RLock()
        self._open = Event()
        self._cleanup = ExitStack()
        self.number = 0
        self.script = script()

    def __enter__(self) -> Self:
        out = sys.stdout
        self._cleanup.callback(setattr, sys, "stdout", out)
        self._cleanup.callback(self._patches.undo)
        stream = CountingStream(self.meter)
        for handler in observability.logger.handlers:
            self._patches.replace(handler, "stream", stream)
        sys.stdout = stream  # type: ignore[assignment]
        self._patches.replace(SystemClock, "now_ms", lambda _: self.clock.now_ms())
        self._patches.replace(lambda_entry, "production", self._production)
        self._patches.replace(bootstrap, "production", self._production)
        venue = self._cleanup.enter_context(VenueServer(self.script))
        environment = {
            **venue.environment(),
            "POLYGON_WS_URL": "ws://127.0.0.1:9/",
            "CLOB_WS_URL": "ws://127.0.0.1:9/",
            "VENUE_BUDGET_SHARES": "1",
        }
        self.engine = AwsEngine("cost", environment, schedules=False)
        self._cleanup.callback(self.engine.stop)
        self.engine.start()
        send = _Queue.send
        self._patches.replace(_Queue, "send", lambda queue, entries: send(queue, _now(entries)))
        hooked(self.meter, self._patches.replace)
        self._patches.replace(WaitFunction, "_wait_interval", self._waits())
        self.store = lambda_entry.production().ports.store
        now = self.clock.now_ms()
        for number, leader in enumerate(LEADERS):
            follow_since(self.store, now - 1_200_000, [leader], f"leader {number}")
        self._fresh_watcher(environment)
        return self

    def __exit__(self, *_: object) -> None:
        self._open.set()
        self._cleanup.close()

    def _fresh_watcher(self, variables: Mapping[str, str]) -> None:
        with self.meter.acting(WATCHER):
            self.watcher = WatcherByTheClock(self.meter, self.clock, variables)

    def _production(self) -> Production:
        """One per function, as each has its own process."""
        who = self.meter.who or "scene"
        with self._lock:
            if who not in self._made:
                self._made[who] = _UNCACHED()
            return self._made[who]

    def _waits(self) -> Callable[..., None]:
        def wait_interval(_: Any, env: Any, wait_seconds: float) -> None:
            """The scene's clock moves on, once all fills of the group are in."""
            until = self.clock.now_ms() + int(wait_seconds * 1000)
            while env.is_running() and not self._open.wait(0.05):
                pass
            self.clock.go_to(until)
            self.watcher.catch_up()
            self.meter.add("states_wait_ms", wait_seconds * 1000, "copy_trade")

        return wait_interval

    def hour(self, fills: int, minutes: int = 60) -> Tally:
        """Counts of an hour with so many fills, evenly spread."""
        before = self.meter.snapshot()
        planned = list(groups(fills, self.number))
        self.number += len(planned)
        start = self.clock.now_ms()
        start += MINUTE_MS - start % MINUTE_MS
        for minute in range(minutes):
            self.clock.go_to(start + minute * MINUTE_MS)
            self.watcher.catch_up()
            for name, every in self._schedules().items():
                if minute % every == 0:
                    self.engine.fire(name)
            self.engine.wait_idle(SETTLE_S)
            first, last = (len(planned) * (minute + k) // minutes for k in (0, 1))
            for group in planned[first:last]:
                self.copy(group)
        self.clock.go_to(start + minutes * MINUTE_MS)
        self.watcher.catch_up()
        return self.meter.snapshot().minus(before)

    def _schedules(self) -> dict[str, int]:
        """Minutes between two runs of each deployed schedule, those of an hour or less."""
        assert self.engine._ticker is not None
        found = self.engine._ticker.schedules().values()
        return {each.name: each.period_s // 60 for each in found if each.period_s <= 3_600}

    def copy(self, group: Copied) -> None:
        """A group from the watcher's first message to the end of its workflow."""
        self._open.clear()
        queue = lambda_entry.production().ports.queue
        now = self.clock.now_ms()
        self.watcher.groups[group.token] = group, now
        for fill in range(group.fills):
            with self.meter.acting(WATCHER):
                queue.send([message(group, fill, now)])
            rows = self.script.activity.setdefault(group.leader, [])
            rows.insert(0, row(group, fill, now))
            self._ingested()
        self._open.set()
        self.engine.wait_idle(SETTLE_S)

    def _ingested(self) -> None:
        until = time.monotonic() + SETTLE_S
        while self.engine.queue_depths()["fills.fifo"] or self.engine.runtime.running:
            if time.monotonic() > until:
                raise TimeoutError("a fill was not ingested")
            time.sleep(0.01)

    def dashboard(self, minutes: int = 10) -> Tally:
        """Counts of so many minutes of the first page, open: its parts by their intervals."""
        import requests

        before = self.meter.snapshot()
        assert self.engine.sign_in is not None
        session = requests.Session()
        session.headers["Cookie"] = self.engine.sign_in.cookie()
        tags: dict[str, str] = {}
        for second in range(0, minutes * 60, 5):
            answer = session.get(f"{self.engine.api_url}/api/live", params=tags, timeout=30)
            answer.raise_for_status()
            tags = {name: part["tag"] for name, part in answer.json()["parts"].items()}
            for every, path in PAGE:
                if second % every == 0:
                    found = session.get(f"{self.engine.api_url}{path}", timeout=30)
                    found.raise_for_status()
            self.clock.go_to(self.clock.now_ms() + 5_000)
        return self.meter.snapshot().minus(before)


def _now(entries: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without delays: these would pass in real time."""
    return [{k: v for k, v in entry.items() if k != "DelaySeconds"} for entry in entries]


PAGE = ((10, "/api/pnl?days=30"), (30, "/api/portfolios/main.global/snapshots?span=1d"))
_UNCACHED: Callable[[], Production] = bootstrap.production.__wrapped__
