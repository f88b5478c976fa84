"""The asyncio shell around the session: sockets, threads for what blocks, and nothing else.

The loop never blocks: everything that talks to the store, the queue or a node over HTTP runs in a
thread. What they cannot do now is retried; a failure that is not one of papercopy's ends the
process, which its supervisor starts again.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus, WebSocketException

from chalicelib.domain.errors import PapercopyError
from chalicelib.domain.registry import Heartbeat
from chalicelib.watcher.delivery import Delivery
from chalicelib.watcher.outputs import Evidence, NeedBlock, Output, Reconnect, Refused, Send
from chalicelib.watcher.session import PolygonSession
from chalicelib.watcher.surroundings import RunnerLimits, Surroundings, backoff_s

__all__ = ["RunnerLimits", "Surroundings", "Watcher"]

T = TypeVar("T")
SOURCE = "watcher"
LOOKUPS_MAX = 4
YIELD_FRAMES = 64
_log = logging.getLogger(__name__)


class Watcher:
    """Keeps one session connected until told to stop."""

    def __init__(
        self,
        url: str,
        session: PolygonSession,
        around: Surroundings,
        *,
        limits: RunnerLimits | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._url = url
        self._session = session
        self._around = around
        self._limits = limits or RunnerLimits()
        self._jitter = jitter
        self._socket: ClientConnection | None = None
        self._changed = asyncio.Event()
        self._was_up: bool | None = None
        self._looking_up: set[str] = set()
        self._lookups: set[asyncio.Task[None]] = set()
        self._threads = ThreadPoolExecutor(max_workers=8, thread_name_prefix="watcher")
        self._delivery = Delivery(
            around.queue, around.refused, around.metrics, self._thread, jitter=jitter
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Listen until `stop` is set, then hand over what was heard and return."""
        try:
            async with asyncio.TaskGroup() as tasks:
                background = [
                    tasks.create_task(work)
                    for work in (
                        self._delivery.run(),
                        self._delivery.run_refusals(),
                        self._beat(),
                        self._refresh(),
                        self._compare_heads(),
                    )
                ]
                await self._listen(stop)
                await self._delivery.drain(self._limits.drain_s)
                for task in (*background, *self._lookups):
                    task.cancel()
            last = self._proof("stopped")
            await self._attempt(lambda: self._around.heartbeat(last), "heartbeat")
        finally:
            self._threads.shutdown(wait=False, cancel_futures=True)

    async def _thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def _attempt(self, work: Callable[[], T], what: str) -> T | None:
        """The result, or None after a counted failure; the caller comes again anyway."""
        try:
            return await self._thread(work)
        except PapercopyError as error:
            self._around.metrics.count(f"watcher_{what}_failed")
            _log.warning("%s failed: %s", what, error)
            return None

    async def _listen(self, stop: asyncio.Event) -> None:
        failures = 0
        while not stop.is_set():
            started = asyncio.get_running_loop().time()
            reason = await self._connection(stop)
            self._session.disconnected(reason)
            self._note_state()
            if stop.is_set():
                return
            # A server that accepts and drops is as good as one that does not accept.
            stable = asyncio.get_running_loop().time() - started >= self._limits.stable_s
            failures = 0 if stable else failures + 1
            self._around.metrics.count("watcher_reconnects")
            _log.warning("reconnecting: %s", reason)
            await self._wait(stop, backoff_s(self._limits, max(0, failures - 1), self._jitter()))

    async def _wait(self, stop: asyncio.Event, seconds: float) -> None:
        """Pause between two sockets; what waits for a block time goes on."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while not stop.is_set() and (left := until - loop.time()) > 0:
            await self._obey(self._session.tick(self._around.clock.now_ms()))
            try:
                async with asyncio.timeout(min(left, self._limits.tick_s)):
                    await stop.wait()
            except TimeoutError:
                continue

    async def _connection(self, stop: asyncio.Event) -> str:
        """One socket from its opening to its end; why it ended, without the address."""
        limits = self._limits
        try:
            async with connect(
                self._url,
                proxy=None,
                open_timeout=limits.open_timeout_s,
                close_timeout=limits.close_timeout_s,
                ping_interval=limits.ping_s,
                ping_timeout=limits.ping_s,
                max_size=limits.frame_bytes_max,
                max_queue=limits.frames_queued_max,
            ) as socket:
                self._socket = socket
                first = self._session.connected(self._around.clock.now_ms())
                await self._obey([Send(text) for text in first])
                return await self._pump(socket, stop)
        except InvalidStatus as error:
            return f"refused with status {error.response.status_code}"
        except (OSError, WebSocketException) as error:
            return type(error).__name__
        finally:
            self._socket = None

    async def _pump(self, socket: ClientConnection, stop: asyncio.Event) -> str:
        loop = asyncio.get_running_loop()
        ticked, frames = 0.0, 0
        while not stop.is_set():
            outputs: list[Output] = []
            try:
                async with asyncio.timeout(self._limits.tick_s):
                    frame = await socket.recv()
            except TimeoutError:
                pass
            else:
                outputs = self._session.receive(frame, self._around.clock.now_ms())
                frames += 1
            if loop.time() - ticked >= self._limits.tick_s:
                ticked = loop.time()
                outputs += self._session.tick(self._around.clock.now_ms())
            reason = await self._obey(outputs)
            self._note_state()
            if reason is not None:
                return reason
            if frames % YIELD_FRAMES == 0:
                # Buffered frames are read without a pause; let the other tasks run.
                await asyncio.sleep(0)
        return "stopped"

    async def _obey(self, outputs: Iterable[Output]) -> str | None:
        """Do what the session asks; why the socket must be replaced, if so."""
        for output in outputs:
            match output:
                case Send(text):
                    if self._socket is not None:
                        async with asyncio.timeout(self._limits.send_timeout_s):
                            await self._socket.send(text)
                case Evidence(message):
                    self._delivery.evidence(message)
                case Refused(payload, error):
                    self._delivery.refused(payload, error)
                case NeedBlock(block_hash):
                    self._look_up(block_hash)
                case Reconnect(reason):
                    return reason
        return None

    def _look_up(self, block_hash: str) -> None:
        """Ask for a block's time; when too many are under way the session asks again."""
        if block_hash in self._looking_up or len(self._looking_up) >= LOOKUPS_MAX:
            return
        self._looking_up.add(block_hash)
        task = asyncio.create_task(self._block_time(block_hash))
        self._lookups.add(task)
        task.add_done_callback(self._lookups.discard)

    async def _block_time(self, block_hash: str) -> None:
        try:
            ts_block = await self._attempt(
                lambda: self._around.block_time(block_hash), "block_lookup"
            )
        finally:
            self._looking_up.discard(block_hash)
        if ts_block is not None:
            await self._obey(self._session.block_known(block_hash, ts_block))

    async def _refresh(self) -> None:
        """Follow the registry: a wallet added there is listened for within `refresh_s`."""
        while True:
            wallets = await self._attempt(self._around.wallets, "wallets")
            if wallets is not None:
                outputs = self._session.set_wallets(wallets, self._around.clock.now_ms())
                try:
                    await self._obey(outputs)
                except (OSError, WebSocketException):
                    # The pump sees the same end; the next socket subscribes these wallets.
                    _log.warning("the socket ended while the wallets changed")
            await asyncio.sleep(self._limits.refresh_s)

    async def _compare_heads(self) -> None:
        head_number = self._around.head_number
        while head_number is not None:
            await asyncio.sleep(self._limits.head_check_s)
            number = await self._attempt(head_number, "head_check")
            if number is not None and await self._obey(self._session.head_elsewhere(number)):
                socket = self._socket
                if socket is not None:
                    await socket.close()

    def _note_state(self) -> None:
        up = self._session.health(self._around.clock.now_ms()).up
        if up != self._was_up:
            self._was_up = up
            self._changed.set()

    def _proof(self, stopped: str = "") -> Heartbeat:
        now = self._around.clock.now_ms()
        health = self._session.health(now)
        return Heartbeat(
            source=SOURCE,
            ts=now,
            up=health.up and not stopped,
            detail=stopped or health.detail,
            ts_connected=health.ts_connected,
            ts_last_event=health.ts_last_event,
            last_block=health.last_block,
            ts_last_block=health.ts_last_block,
        )

    async def _beat(self) -> None:
        """Prove life every `heartbeat_s`, and at once when the state changes."""
        while True:
            self._changed.clear()
            # Taken here, because the session belongs to the loop's thread.
            proof = self._proof()
            await self._attempt(lambda: self._around.heartbeat(proof), "heartbeat")  # noqa: B023
            try:
                async with asyncio.timeout(self._limits.heartbeat_s):
                    await self._changed.wait()
            except TimeoutError:
                continue
