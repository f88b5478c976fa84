"""The embedded engine: papercopy in one process on SQLite, with nothing else to install."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from typing import IO, Any

from chalice.app import Chalice

from chalicelib.adapters.admin_token import AdminToken, file_token
from chalicelib.adapters.clock import SystemClock
from chalicelib.adapters.codec import to_text
from chalicelib.adapters.embedded import DATABASE
from chalicelib.adapters.embedded.dead_letters import REQUEST_FILE, FileDeadLetters
from chalicelib.adapters.embedded.quarantine import FileQuarantine
from chalicelib.adapters.embedded.queue import MemoryFillQueue
from chalicelib.adapters.embedded.sqlite_store import SqliteStore
from chalicelib.adapters.embedded.workflows import TimerWorkflows
from chalicelib.adapters.metrics import CountingMetrics
from chalicelib.api.auth import auth
from chalicelib.api.configuring import configuring
from chalicelib.api.desk import Desk
from chalicelib.api.followed import followed
from chalicelib.api.guard import Door, secure
from chalicelib.api.reading import VERSION, Sources, reading
from chalicelib.api.records import Keeping, records
from chalicelib.api.throttle import Throttle
from chalicelib.api.trading import trading
from chalicelib.api.watching import watching
from chalicelib.bootstrap import (
    Ports,
    Services,
    announce_mode,
    market_watch_on,
    node_on,
    office_on,
    services_on,
    shown_venue_on,
    venue_on,
    watcher_on,
)
from chalicelib.domain.errors import InvalidInput, PapercopyError
from chalicelib.domain.evidence import FillMessage
from chalicelib.domain.registry import Heartbeat
from chalicelib.services.audit import OPERATOR
from chalicelib.services.catch_up import request_catch_up
from chalicelib.services.config_tests import ConfigTests
from chalicelib.services.heartbeats import beat
from chalicelib.services.manage_leaders import leaders
from chalicelib.services.poll_leader import rewind_cursors
from chalicelib.services.redrive import LIMIT_MAX, Redrive
from chalicelib.services.sign_outs import SignOuts
from chalicelib.services.verify_trades import softly
from chalicelib.settings import Environment
from chalicelib.watcher.fills_told import FillsTold
from chalicelib.watcher.market_watch import MarketWatch
from chalicelib.watcher.runner import Watcher
from infra.chalice_files import PROJECT_ROOT
from infra.local.http_server import HttpServer
from infra.local.poll_pool import PollPool
from infra.local.sign_in import ADDRESS_FILE, LocalSignIn, folder_key

# Not under "papercopy": Chalice silences the logger of that name.
log = logging.getLogger(__name__)

WORKERS = 2
TAKE_MAX = 8
TAKE_SECONDS = 0.5
SWEEP_S = 5
OVERDUE_MS = 4_000
"""In one process a row this late was forgotten; its book can still be had."""
VERIFY_S = 2
TEND_S = 15
MARK_S = 30
MEASURE_S = 20
RECONCILE_S = 60
LOOK_BACK_S = 60
LEDGERS_S = 300
SYNC_S = 900
SYNC_TURNS_MAX = 10
EXPIRE_S = 600
CATCH_UP_SECONDS = 900
POLLERS = 4
ROUND_S_MAX = 5
"""How soon a change of whom to poll, or of the mode, is noticed between two rounds."""
REVIVE_S = 2
WATCH_STEP_S = 0.2
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
        self.env = env
        self._folder = folder
        self.clock = SystemClock()
        self.metrics = CountingMetrics()
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._answering = threading.Lock()
        self.watching = False
        self._watcher: Watcher | None = None
        self._markets: MarketWatch | None = None
        # Errors go to this process's log; Chalice would take the terminal for itself.
        self._api = Chalice(app_name="papercopy", configure_logs=False)
        secure(self._api)
        self._api.register_blueprint(auth)
        self._api.register_blueprint(reading)
        self._api.register_blueprint(records)
        self._api.register_blueprint(followed)
        self._api.register_blueprint(trading)
        self._api.register_blueprint(configuring)
        self._api.register_blueprint(watching)
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
            self.sign_in = LocalSignIn(self._site.port, folder_key(folder), self.clock.now_ms)
            self._site.put_before(self.sign_in)
            self._address = folder / ADDRESS_FILE
            taken.callback(self._address.unlink, missing_ok=True)
            file_token(folder)
            self._admin = AdminToken(lambda: file_token(folder), self.clock.now_ms)
            self.store = SqliteStore(folder / DATABASE)
            taken.callback(self.store.close)
            self.queue = MemoryFillQueue(self.clock)
            self.quarantine = FileQuarantine(folder / "quarantine.jsonl")
            self._dead_letters = FileDeadLetters(
                folder / "quarantine.jsonl",
                self._redriven,
                self.quarantine,
                self.queue.forget_dead,
            )
            self.workflows = TimerWorkflows(self.quarantine, wait_scale)
            self.poll_ticks = PollPool(self._poll_one)
            self.ports = self._ports()
            self.services: Services = services_on(
                self.ports,
                int(env.starting_cash * 1_000_000),
                env=env,
                ask_api=self.poll_ticks.at_once,
            )
            mode = self.services.rules.system().trigger_mode
            if mode != "api" and not env.polygon_ws_url:
                raise InvalidInput("POLYGON_WS_URL", f"is needed in mode {mode}")
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
            holdings=venue.holdings,
            receipts=node_on(self.env, self.metrics, hasty=True),
            clock=self.clock,
            metrics=self.metrics,
            last_trades=venue.last_trades,
            resolutions=venue.resolutions,
        )

    @property
    def url(self) -> str:
        """Where the dashboard is."""
        return f"{self._site.url}/"

    def sign_in_link(self) -> str:
        """A link that opens the dashboard and signs in once."""
        return self.sign_in.link()

    def follow(self, wallets: Sequence[tuple[str, str]]) -> None:
        """Follow these (address, name) pairs. Raises InvalidInput for a bad address."""
        for wallet, name in wallets:
            self.services.follow([wallet], name)

    def start(self) -> None:
        """Start everything; what an earlier process left unfinished is finished first."""
        Sources.read = lambda: self.services.read
        Sources.health = self._health
        Keeping.reset = lambda: self.services.reset_paper
        Keeping.exports = lambda: self.services.exports
        Keeping.read = lambda: self.services.read
        Keeping.token = lambda: self._admin
        office = office_on(
            self.ports,
            self.services,
            self.env,
            shown_venue_on(self.env, self.clock, self.metrics),
            self._start_test,
            self._health,
            self._system,
            self._dead_letters,
        )
        Desk.office = lambda: office
        sign_outs = SignOuts(self.store, self.clock)
        Door.access = lambda: self.sign_in.access
        Door.sign_outs = lambda: sign_outs
        Door.now_ms = self.clock.now_ms
        Door.throttle = Throttle()
        announce_mode(self.services.rules, log.info, log.warning)
        # What was queued in memory when an earlier process died is polled again.
        rewind_cursors(self.store, CATCH_UP_SECONDS)
        self.workflows.run_with(self.services.copy_step)
        for number in range(WORKERS):
            self._spawn(f"ingest-{number}", self._ingest)
        self._spawn("sync", lambda: self._every(SYNC_S, self._sync))
        self._spawn("sweep", lambda: self._every(SWEEP_S, self._sweep))
        self._spawn("leaders", lambda: self._every(TEND_S, self.services.tend_leaders))
        self._spawn("verify", lambda: self._every(VERIFY_S, self._verify))
        self._spawn("marks", lambda: self._every(MARK_S, self._mark))
        self._spawn("measure", lambda: self._every(MEASURE_S, self.services.measure))
        self._spawn("reconcile", lambda: self._every(RECONCILE_S, self._reconcile))
        self._spawn("look-back", lambda: self._every(LOOK_BACK_S, self.services.look_back))
        self._spawn("ledgers", lambda: self._every(LEDGERS_S, self.services.check_ledgers))
        self._spawn("expire", lambda: self._every(EXPIRE_S, self._expire))
        self._spawn("poll", self._poll_rounds)
        for number in range(POLLERS):
            self._spawn(f"poll-{number}", lambda: self.poll_ticks.work(self._stop))
        self._spawn("watcher", self._watch)
        self._spawn("markets", self._watch_markets)
        self._site.start()
        self._address.write_text(self.url)

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
            raised = self.services.ingest(message)
            if raised:
                softly(lambda: self.services.verify_trades.at_once(raised), self.metrics)
        except InvalidInput as error:
            self.quarantine.keep("ingest", to_text(message), str(error))
            self.metrics.count("messages_quarantined")

    def _poll(self) -> None:
        """Ask for the polls of each round, their starts staggered; the pool does them."""
        due = self.services.poll_schedule()
        for place, leader in enumerate(due.leaders):
            self.poll_ticks.send([leader], [due.offset_ms(place) / 1000])
        mode = self.services.rules.system().trigger_mode
        until = time.monotonic() + (due.interval_s if due.leaders else ROUND_S_MAX)
        while (left := until - time.monotonic()) > 0:
            if self._stop.wait(min(left, ROUND_S_MAX)):
                return
            if self.services.rules.system().trigger_mode != mode:
                return

    def _poll_rounds(self) -> None:
        self._request_catch_ups()
        while not self._stop.is_set():
            self._poll()

    def _poll_one(self, leader: str) -> None:
        try:
            failure = self.services.poll_leader(leader).failure
        except PapercopyError as error:
            failure = str(error)
        if failure:
            self.metrics.count("polls_failed")
            if not self._stop.is_set():
                log.warning("poll of %s failed: %s", leader, failure)

    def _request_catch_ups(self) -> None:
        """Whatever was missed while nothing ran here is read, in every mode."""
        now = self.clock.now_ms()
        for leader in leaders(self.store):
            if leader.state != "off":
                began = now - CATCH_UP_SECONDS * 1000
                request_catch_up(self.store, leader.leader, began, now, "start")

    def _sync(self) -> None:
        """Walk to the end of the venue's list of markets, in as many turns as it takes."""
        for _ in range(SYNC_TURNS_MAX):
            self.services.sync_markets()
            if self.services.sync_markets.finished or self._stop.is_set():
                return

    def _mark(self) -> None:
        self.services.mark_portfolios()
        self.services.tend_portfolios()
        self.services.settle_markets()
        self.services.mark_days()

    def _sweep(self) -> None:
        self.services.sweep(OVERDUE_MS)
        request = self._folder / REQUEST_FILE
        if request.exists():
            redrive = Redrive(self.store, self._dead_letters, self.clock, self.metrics)
            redrive("fills", LIMIT_MAX, OPERATOR)
            request.unlink(missing_ok=True)

    def _redriven(self, message: FillMessage) -> None:
        """Ingest what was refused once; what is still refused says so by raising."""
        raised = self.services.ingest(message)
        if raised:
            softly(lambda: self.services.verify_trades.at_once(raised), self.metrics)

    def _reconcile(self) -> None:
        self.services.reconcile()
        self.services.reconcile.days()

    def _verify(self) -> None:
        """Read the receipts that are due; what fails stays for the next turn."""
        softly(self.services.verify_trades, self.metrics)

    def _expire(self) -> None:
        self.store.sweep_expired(self.clock.now_ms() // 1000)

    def _chain_wanted(self) -> bool:
        return self.services.rules.system().trigger_mode != "api"

    def _watch(self) -> None:
        """Watch the chain while the trigger mode asks for it."""
        while not self._stop.wait(WATCH_STEP_S):
            if not self._chain_wanted():
                continue
            if not self.env.polygon_ws_url:
                detail = "POLYGON_WS_URL is not set"
                beat(self.store, Heartbeat("watcher", self.clock.now_ms(), False, detail))
                self._stop.wait(REVIVE_S)
                continue
            asyncio.run(self._watch_while_wanted())

    async def _watch_while_wanted(self) -> None:
        stop = asyncio.Event()
        told = replace(self.ports, queue=FillsTold(self.queue, self._fill_seen))
        self._watcher = watcher_on(self.env, told, rules=self.services.rules)
        task = asyncio.create_task(self._watcher.run(stop))
        self.watching = True
        try:
            while not self._stop.is_set() and not task.done() and self._chain_wanted():
                await asyncio.sleep(WATCH_STEP_S)
        finally:
            stop.set()
            await task
            self.watching = False

    def _explains(self, tx_hash: str) -> bool:
        """Whether the watch on the chain knows whose transaction it was."""
        watcher = self._watcher
        return self.watching and watcher is not None and watcher.explains(tx_hash)

    def _fill_seen(self, token_id: str, ts_seen: int, leader: str) -> None:
        """A leader traded this token: its book is worth recording."""
        markets = self._markets
        if markets is not None:
            markets.fill_seen(token_id, ts_seen, leader)

    def _watch_markets(self) -> None:
        asyncio.run(self._watch_markets_until_stopped())

    async def _watch_markets_until_stopped(self) -> None:
        stop = asyncio.Event()
        self._markets = market_watch_on(
            self.env, self.ports, self.services, self._wake, explained=self._explains
        )
        task = asyncio.create_task(self._markets.run(stop))
        while not self._stop.is_set() and not task.done():
            await asyncio.sleep(WATCH_STEP_S)
        stop.set()
        await task

    def _wake(self, woken: Sequence[str]) -> None:
        for leader in woken:
            self.poll_ticks.send([leader], [0])

    def _facts(self) -> dict[str, Any]:
        return {
            "engine": "embedded",
            "stage": self.env.stage,
            "version": VERSION,
            "venue": self.env.venue,
        }

    def _queues(self) -> dict[str, Any]:
        return {
            "fills": self.queue.depth(),
            "dead": len(self.queue.dead()),
            "failures": self.metrics.snapshot().get("messages_quarantined", 0),
        }

    def _health(self) -> dict[str, Any]:
        return self.services.read.health(self._facts(), self._queues())

    def _system(self) -> dict[str, Any]:
        stored = sum(file.stat().st_size for file in self._folder.glob(f"{DATABASE}*"))
        sizes = [{"table": "all", "items": None, "bytes": stored}]
        return self.services.read.system(self._facts(), self._queues(), sizes)

    def _start_test(self, ref: str) -> None:
        """Replay in a thread of its own; one that is cut off by the end counts as failed later."""
        from chalicelib.replay.last import replayed_job

        tests, replay = ConfigTests(self.store, self.clock), replayed_job(self.store, self.clock)

        def body() -> None:
            try:
                tests.run(ref, replay)
            except PapercopyError as error:
                if not self._stop.is_set():
                    log.warning("test of a configuration: %s", error)

        threading.Thread(target=body, name="config-test", daemon=True).start()

    def _answer(self, event: dict[str, Any]) -> dict[str, Any]:
        """The API as API Gateway would call it; Chalice serves one request at a time."""
        with self._answering:
            answered: dict[str, Any] = self._api(event, None)
            return answered
