"""The embedded engine: papercopy in one process on SQLite, with nothing else to install."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from http import HTTPStatus
from pathlib import Path
from typing import IO, Any

from chalice.app import Chalice

from chalicelib.adapters.clock import SystemClock
from chalicelib.adapters.codec import to_text
from chalicelib.adapters.embedded.quarantine import FileQuarantine
from chalicelib.adapters.embedded.queue import MemoryFillQueue
from chalicelib.adapters.embedded.sqlite_store import SqliteStore
from chalicelib.adapters.embedded.workflows import TimerWorkflows
from chalicelib.adapters.metrics import CountingMetrics
from chalicelib.api.reading import VERSION, Sources, reading
from chalicelib.bootstrap import Ports, Services, services_on, venue_on, watcher_on
from chalicelib.domain.errors import InvalidInput, PapercopyError
from chalicelib.domain.evidence import FillMessage
from chalicelib.services.manage_leaders import leaders
from chalicelib.services.poll_leader import rewind_cursors
from chalicelib.settings import Environment
from infra.chalice_files import PROJECT_ROOT
from infra.local.http_server import HttpServer

# Not under "papercopy": Chalice silences the logger of that name.
log = logging.getLogger(__name__)

WORKERS = 2
TAKE_MAX = 8
TAKE_SECONDS = 0.5
SWEEP_S = 5
OVERDUE_MS = 4_000
"""In one process a row this late was forgotten; its book can still be had."""
MARK_S = 30
SYNC_S = 900
EXPIRE_S = 600
CATCH_UP_SECONDS = 900
STAGGER_S = 0.5
REVIVE_S = 2
STOP_S = 4


class AlreadyRunning(RuntimeError):
    """Another papercopy works in the same data folder."""


def lock_folder(folder: Path) -> IO[str]:
    """Take a data folder for this process until the answer is closed or the process ends.

    Raises AlreadyRunning when another process has it, OSError when it cannot be used.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = (folder / "lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise AlreadyRunning(f"another papercopy is using {folder}; stop it first") from error
    return lock


class EmbeddedEngine:
    """Store, queue, workflow timers, watcher, schedules, API and dashboard in one process."""

    def __init__(
        self, env: Environment, folder: Path, *, port: int = 0, wait_scale: float = 1.0
    ) -> None:
        """Raises AlreadyRunning when the folder is in use, OSError when the port is taken,
        InvalidInput or Permanent for an environment or a file that cannot work.
        """
        if env.mode[0] != "api" and not env.polygon_ws_url:
            raise InvalidInput("POLYGON_WS_URL", f"is needed in mode {env.mode[0]}")
        self.env = env
        self.clock = SystemClock()
        self.metrics = CountingMetrics()
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._answering = threading.Lock()
        # Errors go to this process's log; Chalice would take the terminal for itself.
        self._api = Chalice(app_name="papercopy", configure_logs=False)
        self._api.register_blueprint(reading)
        with ExitStack() as taken:
            # Whatever fails below, the folder, the port and the file are given back.
            taken.callback(lock_folder(folder).close)
            self._site = HttpServer(
                PROJECT_ROOT / "dashboard",
                port,
                lambda: list(self._api.routes),
                self._answer,
                unknown=HTTPStatus.NOT_FOUND,
            )
            taken.callback(self._site.stop)
            self.store = SqliteStore(folder / "papercopy.sqlite3")
            taken.callback(self.store.close)
            self.queue = MemoryFillQueue(self.clock)
            self.quarantine = FileQuarantine(folder / "quarantine.jsonl")
            self.workflows = TimerWorkflows(self.quarantine, wait_scale)
            self.ports = self._ports()
            self.services: Services = services_on(self.ports, int(env.starting_cash * 1_000_000))
            self._taken = taken.pop_all()

    def _ports(self) -> Ports:
        venue = venue_on(self.env, self.clock, self.metrics, self.quarantine)
        return Ports(
            store=self.store,
            queue=self.queue,
            workflows=self.workflows,
            quarantine=self.quarantine,
            feed=venue.feed,
            catalogue=venue.catalogue,
            books=venue.books,
            midpoints=venue.midpoints,
            clock=self.clock,
            metrics=self.metrics,
        )

    @property
    def url(self) -> str:
        """Where the dashboard is."""
        return f"{self._site.url}/"

    def follow(self, wallets: Sequence[tuple[str, str]]) -> None:
        """Follow these (address, name) pairs. Raises InvalidInput for a bad address."""
        for wallet, name in wallets:
            self.services.follow([wallet], name)

    def start(self) -> None:
        """Start everything; what an earlier process left unfinished is finished first."""
        Sources.read = lambda: self.services.read
        Sources.health = self._health
        mode, _ = self.env.mode
        # What was queued in memory when an earlier process died is polled again.
        rewind_cursors(self.store, CATCH_UP_SECONDS)
        self.workflows.run_with(self.services.copy_step)
        for number in range(WORKERS):
            self._spawn(f"ingest-{number}", self._ingest)
        self._spawn("sync", lambda: self._every(SYNC_S, self.services.sync_markets))
        self._spawn("sweep", lambda: self._every(SWEEP_S, self._sweep))
        self._spawn("marks", lambda: self._every(MARK_S, self.services.mark_portfolios))
        self._spawn("expire", lambda: self._every(EXPIRE_S, self._expire))
        self._spawn("poll", self._poll)
        if mode != "api":
            self._spawn("watcher", self._watch)
        self._site.start()

    def stop(self) -> None:
        """Stop in order, within STOP_S and the answers under way.

        A thread that still waits for the venue then is left behind: it is a daemon, the store it
        would write to is closed, and what it was doing is done again by the next start.
        """
        self._stop.set()
        deadline = time.monotonic() + STOP_S
        self._site.stop()
        self.workflows.stop(0)
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        self.workflows.stop(max(0.0, deadline - time.monotonic()))
        self._taken.close()

    def idle(self) -> bool:
        """Whether nothing is queued or waiting for its time."""
        return self.queue.depth() == 0 and self.workflows.waiting() == 0

    def _spawn(self, name: str, body: Callable[[], None]) -> None:
        thread = threading.Thread(target=self._keep_alive, args=(body,), name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _keep_alive(self, body: Callable[[], None]) -> None:
        """Run a thread's body; one that fails is logged and begins again, as a service would."""
        while not self._stop.is_set():
            try:
                body()
            except Exception as error:
                if self._stop.is_set():
                    return
                self.metrics.count("threads_revived")
                trace = not isinstance(error, PapercopyError)
                log.warning("%s: %s", threading.current_thread().name, error, exc_info=trace)
            self._stop.wait(REVIVE_S)

    def _every(self, seconds: float, action: Callable[[], Any]) -> None:
        """Run now and then at this interval until stopped; a failure waits for the next turn."""
        while not self._stop.is_set():
            started = time.monotonic()
            try:
                action()
            except PapercopyError as error:
                if not self._stop.is_set():
                    log.warning("%s: %s", threading.current_thread().name, error)
            self._stop.wait(max(0.05, seconds - (time.monotonic() - started)))

    def _ingest(self) -> None:
        while not self._stop.is_set():
            for delivery in self.queue.take(TAKE_MAX, TAKE_SECONDS):
                try:
                    self._ingest_one(delivery.message)
                    self.queue.ack(delivery)
                except Exception as error:
                    if not self._stop.is_set():
                        log.warning("fill message will be delivered again: %s", error)
                    if self.queue.fail(delivery, str(error)):
                        # Buried: the queue forgets it with the process, the file does not.
                        self.quarantine.keep("fills", to_text(delivery.message), str(error))

    def _ingest_one(self, message: FillMessage) -> None:
        try:
            self.services.ingest(message)
        except InvalidInput as error:
            self.quarantine.keep("ingest", to_text(message), str(error))
            self.metrics.count("messages_quarantined")

    def _poll(self) -> None:
        """Every leader at the poll interval, starts staggered; one slow leader delays the rest
        by at most its own bounded call."""
        while not self._stop.is_set():
            started = time.monotonic()
            followed = [leader for leader in leaders(self.store) if leader.state != "off"]
            stagger_s = min(STAGGER_S, self.env.poll_interval_s / (len(followed) + 1))
            for leader in followed:
                if self._stop.is_set():
                    return
                try:
                    self.services.poll_leader(leader.leader)
                except PapercopyError as error:
                    self.metrics.count("polls_failed")
                    if not self._stop.is_set():
                        log.warning("poll of %s failed: %s", leader.leader, error)
                self._stop.wait(stagger_s)
            if self.env.mode[0] == "polygon":
                # The chain is the source; the one pass was the catch-up that a start needs.
                self._stop.wait()
            rest = self.env.poll_interval_s - (time.monotonic() - started)
            self._stop.wait(max(0.05, rest))

    def _sweep(self) -> None:
        self.services.sweep(OVERDUE_MS)

    def _expire(self) -> None:
        self.store.sweep_expired(self.clock.now_ms() // 1000)

    def _watch(self) -> None:
        asyncio.run(self._watch_until_stopped())

    async def _watch_until_stopped(self) -> None:
        stop = asyncio.Event()
        watcher = watcher_on(self.env, self.ports)
        task = asyncio.create_task(watcher.run(stop))
        while not self._stop.is_set() and not task.done():
            await asyncio.sleep(0.2)
        stop.set()
        await task

    def _health(self) -> dict[str, Any]:
        mode, origin = self.env.mode
        facts = {
            "engine": "embedded",
            "stage": self.env.stage,
            "version": VERSION,
            "venue": self.env.venue,
        }
        queues = {
            "fills": self.queue.depth(),
            "dead": len(self.queue.dead()),
            "failures": self.metrics.snapshot().get("messages_quarantined", 0),
        }
        return self.services.read.health(mode, origin, facts, queues)

    def _answer(self, event: dict[str, Any]) -> dict[str, Any]:
        """The API as API Gateway would call it; Chalice serves one request at a time."""
        with self._answering:
            answered: dict[str, Any] = self._api(event, None)
            return answered
