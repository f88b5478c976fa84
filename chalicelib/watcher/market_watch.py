"""The asyncio shell around the market channel: sockets per shard of tokens, wake-ups and books.

An accelerator and nothing else: without it, polling finds the same fills at its own pace, and
orders are executed on single snapshots. So no failure in here ends anything but its own socket.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar
from uuid import uuid4

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus, WebSocketException

from chalicelib.adapters.polymarket.market_events import LastTrade, MarketEvent
from chalicelib.domain.errors import PapercopyError
from chalicelib.domain.registry import Heartbeat
from chalicelib.domain.rules import BookMode
from chalicelib.domain.tape import Segment
from chalicelib.ports import Clock, Metrics
from chalicelib.services.tape_reading import BOOKS_SOURCE
from chalicelib.watcher.book_keeper import BookKeeper, BookSurroundings
from chalicelib.watcher.market_session import TOKENS_MAX, MarketSession, divided
from chalicelib.watcher.outputs import Output, Reconnect, Send
from chalicelib.watcher.surroundings import RunnerLimits, backoff_s
from chalicelib.watcher.wake_ups import WakeUps

T = TypeVar("T")
CONNECTIONS_MAX = 10
INTEREST_S = 60.0
REQUESTS_S = 3.0
"""What this process's own fills want is known at once; the rest is served from the ring."""
THREADS = 4
FRAME_BYTES_MAX = 4 * 1024 * 1024
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class MarketSurroundings:
    """What the market watch needs of the world. The callables may block and raise PapercopyError.

    `interest` gives token → leaders, `drain` asks for a poll of leaders now, `explained` tells
    whether evidence of a transaction was seen. Without `books` none are kept.
    """

    clock: Clock
    metrics: Metrics
    interest: Callable[[], Mapping[str, frozenset[str]]]
    drain: Callable[[Sequence[str]], None]
    explained: Callable[[str], bool]
    books: BookSurroundings | None = None


class MarketWatch:
    """Keeps one connection per shard of tokens until told to stop.

    `watcher` names the tapes this process writes; it is drawn at random by default.
    """

    def __init__(
        self,
        url: str,
        around: MarketSurroundings,
        *,
        limits: RunnerLimits | None = None,
        interest_s: float = INTEREST_S,
        jitter: Callable[[], float] = random.random,
        watcher: str = "",
    ) -> None:
        self._url = url
        self._around = around
        self._limits = limits or RunnerLimits()
        self._interest_s = interest_s
        self._jitter = jitter
        self._wake_ups = WakeUps()
        mode: BookMode = "rest" if around.books is None else "ws+snapshot"
        self._books = BookKeeper(watcher or uuid4().hex[:8], mode, jitter)
        self._sessions = [
            MarketSession(number, self._books.store) for number in range(CONNECTIONS_MAX)
        ]
        self._sockets: dict[int, ClientConnection] = {}
        self._threads = ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="market")
        self._interest: Mapping[str, frozenset[str]] = {}
        self._held: frozenset[str] = frozenset()
        self._liquid: tuple[str, ...] = ()
        self._following = asyncio.Lock()

    @property
    def books(self) -> BookKeeper:
        """The books this watch keeps."""
        return self._books

    def fill_seen(self, token: str, ts_seen: int, leader: str = "") -> None:
        """A leader's fill was seen: its token's tape is wanted. Safe to call from any thread."""
        self._books.fill_seen(token, ts_seen, leader)

    async def run(self, stop: asyncio.Event) -> None:
        """Listen until `stop` is set."""
        try:
            async with asyncio.TaskGroup() as tasks:
                work = [tasks.create_task(self._refresh()), tasks.create_task(self._wake())]
                work += [tasks.create_task(keeping) for keeping in self._keeping()]
                work += [tasks.create_task(self._keep(number)) for number in range(CONNECTIONS_MAX)]
                await stop.wait()
                for task in work:
                    task.cancel()
        finally:
            self._threads.shutdown(wait=False, cancel_futures=True)

    async def _attempt(self, work: Callable[[], T], what: str) -> T | None:
        """The result, or None after a counted failure; the caller comes again anyway."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except PapercopyError as error:
            self._around.metrics.count(f"market_{what}_failed")
            _log.warning("%s failed: %s", what, error)
            return None

    async def _refresh(self) -> None:
        """Follow what leaders hold and traded, and what we hold."""
        while True:
            interest = await self._attempt(self._around.interest, "interest")
            if interest is not None:
                self._interest = interest
            if self._around.books is not None:
                mode = await self._attempt(self._around.books.mode, "mode")
                self._books.mode = mode or self._books.mode
                held = await self._attempt(self._around.books.held, "held")
                self._held = self._held if held is None else frozenset(held)
                liquid = await self._attempt(self._around.books.liquid, "liquid")
                self._liquid = self._liquid if liquid is None else tuple(liquid)
            await self._follow()
            await asyncio.sleep(self._interest_s)

    async def _follow(self) -> None:
        """Listen for wanted tokens first, then held ones, the leaders' and the most liquid."""
        async with self._following:
            self._wake_ups.follow(self._interest)
            wanted, held = self._books.remembered(), self._held
            known = [*sorted(wanted), *sorted(held), *sorted(self._interest)]
            ordered = dict.fromkeys([*known, *self._liquid])
            listed = list(ordered)[: TOKENS_MAX * CONNECTIONS_MAX]
            shares, left_out = divided([session.tokens for session in self._sessions], listed)
            self._around.metrics.count(
                "market_tokens_left_out", left_out + len(ordered) - len(listed)
            )
            self._books.track(dict(enumerate(shares)))
            for number, session in enumerate(self._sessions):
                fresh = shares[number] - session.tokens
                await self._obey(number, session.set_tokens(shares[number]))
                if number in self._sockets:
                    self._books.store.resumed(fresh, self._around.clock.now_ms())

    def _keeping(self) -> list[Coroutine[object, object, None]]:
        """What keeps books: their bounds and tapes, snapshots, and what others want."""
        around = self._around.books
        if around is None:
            return []
        return [
            self._tend(),
            self._ask(around),
            self._write(around),
            self._wanted(around),
            self._prove_alive(around),
        ]

    async def _tend(self) -> None:
        """Cut tapes, and subscribe anew to what fell silent."""
        store = self._books.store
        while True:
            now = self._around.clock.now_ms()
            await self._resubscribe(self._books.tick(now))
            for name, value in store.counted().items():
                self._around.metrics.count(name, value)
            if not self._books.remembered() <= set(store.tokens) and self._books.mode != "rest":
                await self._follow()
            await asyncio.sleep(self._limits.tick_s)

    async def _resubscribe(self, tokens: Sequence[str]) -> None:
        for number, session in enumerate(self._sessions):
            mine = session.tokens & frozenset(tokens)
            if mine and number in self._sockets:
                self._around.metrics.count("market_resubscribed", len(mine))
                self._books.store.unheard(mine)
                await self._obey(number, session.resubscribe(mine))
                self._books.store.resumed(mine, self._around.clock.now_ms())

    async def _ask(self, around: BookSurroundings) -> None:
        """Have the venue tell whole books, by request or by subscribing anew."""
        while True:
            asked = self._books.due(self._around.clock.now_ms())
            if asked and self._books.mode == "ws":
                await self._resubscribe(asked)
            elif asked:
                found = await self._attempt(lambda: around.snapshots(asked), "books")  # noqa: B023
                if found is not None:
                    self._books.answered(asked, found, self._around.clock.now_ms())
            await asyncio.sleep(self._limits.tick_s)

    async def _write(self, around: BookSurroundings) -> None:
        while True:
            taken, pause_s = self._books.take_segments(), self._limits.tick_s
            if taken and not await self._attempt(lambda: _written(around, taken), "tapes"):  # noqa: B023
                self._books.give_back(taken)
                pause_s = self._limits.retry_s
            await asyncio.sleep(pause_s)

    async def _wanted(self, around: BookSurroundings) -> None:
        """What fills and requests of other processes want."""
        while True:
            fills = self._books.new_fills()
            if fills:
                told = await self._attempt(lambda: _placed(fills, around), "fills")  # noqa: B023
                self._books.want_fills(told or [], self._around.clock.now_ms())
            requests = await self._attempt(around.requests, "tape_requests")
            now = self._around.clock.now_ms()
            for request in requests or ():
                self._books.want(request.token_id, request.ts_from, request.ts_until, now)
            await self._fill_or_time()

    async def _prove_alive(self, around: BookSurroundings) -> None:
        """Tell readers of tapes whether it is worth waiting for one, at once when that changes."""
        loop = asyncio.get_running_loop()
        said, again = "", 0.0
        while True:
            now = self._around.clock.now_ms()
            wanted = sum(session.wanted for session in self._sessions)
            up = self._books.mode != "rest" and len(self._sockets) >= wanted
            detail = f"{len(self._sockets)} of {wanted} connections, mode {self._books.mode}"
            if detail != said or loop.time() >= again:
                proof = Heartbeat(
                    BOOKS_SOURCE, now, up, detail, ts_last_event=self._books.store.ts_last_frame
                )
                await self._attempt(lambda: around.heartbeat(proof), "heartbeat")  # noqa: B023
                said, again = detail, loop.time() + self._limits.heartbeat_s
            await asyncio.sleep(self._limits.tick_s)

    async def _fill_or_time(self) -> None:
        """Wait for REQUESTS_S, shorter when a fill comes."""
        until = asyncio.get_running_loop().time() + REQUESTS_S
        while asyncio.get_running_loop().time() < until and not self._books.has_fills:
            await asyncio.sleep(self._limits.tick_s)

    async def _wake(self) -> None:
        while True:
            await asyncio.sleep(self._limits.tick_s)
            due = self._wake_ups.due(self._around.clock.now_ms(), self._around.explained)
            if due:
                self._around.metrics.count("wake_ups", len(due))
                await self._attempt(lambda: self._around.drain(due), "wake_up")  # noqa: B023

    async def _keep(self, number: int) -> None:
        """One connection after the other, while there is something to listen for."""
        session, failures = self._sessions[number], 0
        loop = asyncio.get_running_loop()
        while True:
            if not session.wanted:
                await asyncio.sleep(self._limits.tick_s)
                continue
            started = loop.time()
            reason = await self._connection(number, session)
            session.disconnected()
            self._books.store.disconnected(number)
            failures = 0 if loop.time() - started >= self._limits.stable_s else failures + 1
            self._around.metrics.count("market_reconnects")
            _log.info("market channel %d reconnects: %s", number, reason)
            await asyncio.sleep(backoff_s(self._limits, max(0, failures - 1), self._jitter()))

    async def _connection(self, number: int, session: MarketSession) -> str:
        limits = self._limits
        try:
            async with connect(
                self._url,
                proxy=None,
                open_timeout=limits.open_timeout_s,
                close_timeout=limits.close_timeout_s,
                ping_interval=None,
                max_size=FRAME_BYTES_MAX,
            ) as socket:
                self._sockets[number] = socket
                first = session.connected(self._around.clock.now_ms())
                await self._obey(number, [Send(text) for text in first])
                self._books.store.resumed(session.tokens, self._around.clock.now_ms())
                return await self._pump(number, session, socket)
        except InvalidStatus as error:
            return f"refused with status {error.response.status_code}"
        except (OSError, WebSocketException) as error:
            return type(error).__name__
        finally:
            self._sockets.pop(number, None)

    async def _pump(self, number: int, session: MarketSession, socket: ClientConnection) -> str:
        while session.wanted:
            try:
                async with asyncio.timeout(self._limits.tick_s):
                    frame = await socket.recv()
            except TimeoutError:
                pass
            else:
                self._heard(session.receive(frame, self._around.clock.now_ms()))
            reason = await self._obey(number, session.tick(self._around.clock.now_ms()))
            if reason is not None:
                return reason
        return "nothing to listen for"

    def _heard(self, events: Iterable[MarketEvent]) -> None:
        now = self._around.clock.now_ms()
        for event in events:
            if isinstance(event, LastTrade):
                self._wake_ups.printed(event.token_id, event.tx_hash, now)

    async def _obey(self, number: int, outputs: Iterable[Output]) -> str | None:
        """Do what a session asks; why its socket must be replaced, if so."""
        for output in outputs:
            match output:
                case Send(text):
                    socket = self._sockets.get(number)
                    if socket is not None:
                        try:
                            async with asyncio.timeout(self._limits.send_timeout_s):
                                await socket.send(text)
                        except (OSError, WebSocketException) as error:
                            # The reader of the socket meets the same end.
                            _log.debug("market channel %d: %s", number, type(error).__name__)
                case Reconnect(reason):
                    return reason
                case _:
                    continue
        return None


def _written(around: BookSurroundings, segments: Sequence[Segment]) -> bool:
    around.write(segments)
    return True


def _placed(
    fills: Iterable[tuple[str, int, str]], around: BookSurroundings
) -> list[tuple[str, int, int]]:
    return [(token, ts, around.placed_within_ms(token, leader)) for token, ts, leader in fills]
