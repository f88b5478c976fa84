"""The asyncio shell around the session: sockets, threads for what blocks, and nothing else.

The loop never blocks: everything that talks to the store, the queue or a node over HTTP runs in a
thread. What they cannot do now is retried; a failure that is not one of papercopy's ends the
process, which its supervisor starts again.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from chalicelib.domain.evidence import FillMessage
from chalicelib.domain.registry import Check, Heartbeat
from chalicelib.domain.rules import SystemRules
from chalicelib.watcher.delivery import Delivery
from chalicelib.watcher.errands import CatchUps, Lookups, Threads
from chalicelib.watcher.gap_filler import GapFiller
from chalicelib.watcher.node_socket import NodeSocket, SocketEnded, opened
from chalicelib.watcher.outputs import (
    Counted,
    Evidence,
    GapClosed,
    NeedBlock,
    NeedCanonical,
    Output,
    Reconnect,
    Refused,
    Send,
    Upgraded,
)
from chalicelib.watcher.session import PolygonSession
from chalicelib.watcher.surroundings import ChainReads, RunnerLimits, Surroundings, backoff_s

__all__ = ["ChainReads", "RunnerLimits", "Surroundings", "Watcher"]

SOURCE = "watcher"
YIELD_FRAMES = 64
SEED_TRIES_MAX = 5
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
        self._rules = SystemRules()
        self._socket: NodeSocket | None = None
        self._changed = asyncio.Event()
        self._was_up: bool | None = None
        self._ending = ""
        self._threads = Threads(around.metrics)
        self._block_times = Lookups()
        self._canonical = Lookups()
        self._upgrades = Lookups()
        self._delivery = Delivery(
            around.queue, around.refused, around.metrics, self._threads.run, jitter=jitter
        )
        self._catch_ups = CatchUps(
            around.request_catch_up, around.metrics, self._threads, self._limits, jitter
        )
        self._filler = GapFiller(session, around, self._threads, self._limits, self._act)

    def explains(self, tx_hash: str) -> bool:
        """Whether a log of this transaction was delivered lately; safe from any thread."""
        return self._session.explains(tx_hash)

    async def run(self, stop: asyncio.Event) -> None:
        """Listen until `stop` is set, then hand over what was heard and return."""
        try:
            async with asyncio.TaskGroup() as tasks:
                background = [
                    tasks.create_task(work)
                    for work in (
                        self._delivery.run(),
                        self._delivery.run_refusals(),
                        self._seed(),
                        self._catch_ups.run(),
                        self._beat(),
                        self._refresh(),
                        self._compare_heads(),
                        self._ask_api_first(),
                        self._filler.run(lambda: self._rules),
                    )
                ]
                await self._listen(stop)
                await self._drain()
                for task in background:
                    task.cancel()
                self._block_times.cancel()
                self._canonical.cancel()
                self._upgrades.cancel()
            await self._last_words()
        finally:
            self._threads.close()

    async def _drain(self) -> None:
        """Hand over evidence first, then requests, within one bound."""
        loop = asyncio.get_running_loop()
        until = loop.time() + self._limits.drain_s
        await self._delivery.drain(self._limits.drain_s)
        try:
            async with asyncio.timeout_at(until):
                await self._catch_ups.drain()
        except TimeoutError:
            _log.error("stopping with catch-up requests left; the next start asks for them")

    async def _last_words(self) -> None:
        last = self._proof("stopped")
        try:
            async with asyncio.timeout(self._limits.last_words_s):
                await self._threads.attempt(lambda: self._around.heartbeat(last), "heartbeat")
        except TimeoutError:
            _log.warning("the last heartbeat was not stored in time")

    async def _seed(self) -> None:
        """What an earlier process delivered; without it only this process's logs are checked."""
        for _ in range(SEED_TRIES_MAX):
            legs = await self._threads.attempt(self._around.recent_legs, "recent_legs")
            if legs is not None:
                self._session.seed(legs)
                return
            await asyncio.sleep(self._limits.retry_s)

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
        try:
            async with opened(self._url, self._limits) as socket:
                self._socket = socket
                first = self._session.connected(self._around.clock.now_ms())
                await self._obey([Send(text) for text in first])
                return await self._pump(socket, stop)
        except SocketEnded as error:
            return str(error)
        finally:
            self._socket = None

    async def _pump(self, socket: NodeSocket, stop: asyncio.Event) -> str:
        """Read until the socket ends, or is closed because it must be replaced or left."""
        self._ending = ""
        async with asyncio.TaskGroup() as tasks:
            ticker = tasks.create_task(self._tick(socket, stop))
            reason = await self._read(socket)
            ticker.cancel()
        return self._ending or reason

    async def _read(self, socket: NodeSocket) -> str:
        frames, now_ms, receive = 0, self._around.clock.now_ms, self._session.receive
        delivery = self._delivery
        try:
            while True:
                outputs = receive(await socket.receive(), now_ms())
                if len(outputs) == 1 and type(only := outputs[0]) is Evidence and not delivery.full:
                    # Nearly every frame, and the one whose speed matters.
                    delivery.evidence(only.message)
                elif outputs and (reason := await self._obey(outputs)) is not None:
                    return reason
                frames += 1
                if frames % YIELD_FRAMES == 0:
                    # Buffered frames are read without a pause; let the other tasks run.
                    await asyncio.sleep(0)
        except SocketEnded as error:
            return str(error)

    async def _tick(self, socket: NodeSocket, stop: asyncio.Event) -> None:
        while True:
            try:
                async with asyncio.timeout(self._limits.tick_s):
                    await stop.wait()
            except TimeoutError:
                await self._act(self._session.tick(self._around.clock.now_ms()))
                self._note_state()
            else:
                self._ending = "stopped"
                await socket.close()
                return

    async def _obey(self, outputs: Iterable[Output]) -> str | None:
        """Do what the session asks; why the socket must be replaced, if so."""
        for output in outputs:
            match output:
                case Evidence(message):
                    await self._hand_over(message)
                case Send(text):
                    if self._socket is not None:
                        await self._socket.send(text)
                case Refused(payload, error):
                    self._delivery.refused(payload, error)
                case NeedBlock(block_hash):
                    # When too many are under way the session asks again.
                    self._block_times.start(block_hash, partial(self._block_time, block_hash))
                case NeedCanonical(number):
                    if not self._canonical.start(number, partial(self._canonical_block, number)):
                        self._session.canonical(number, None, self._around.clock.now_ms())
                case GapClosed():
                    self._catch_ups.ask(output)
                    self._filler.gap(output)
                case Upgraded(exchange, implementation):
                    _log.error("exchange %s was upgraded to %s", exchange, implementation)
                    self._upgrades.start(output, partial(self._keep_upgrade, output))
                case Counted(name, value):
                    self._around.metrics.count(name, value)
                case Reconnect(reason):
                    return reason
        return None

    async def _hand_over(self, message: FillMessage) -> None:
        if self._delivery.full:
            await self._delivery.room()
        if not self._delivery.evidence(message):
            self._session.lost(message)

    async def _act(self, outputs: Iterable[Output]) -> None:
        """Obey from outside the pump: a socket to replace is closed, which the pump notices."""
        try:
            reason = await self._obey(outputs)
            if reason is not None and self._socket is not None:
                self._ending = reason
                await self._socket.close()
        except SocketEnded:
            # The pump sees the same end; the next socket subscribes everything.
            _log.warning("the socket ended while the watcher wanted something of it")

    async def _block_time(self, block_hash: str) -> None:
        chain = self._around.chain
        if chain is None:
            return
        ask = partial(chain.block_time, block_hash)
        ts_block = await self._threads.attempt(ask, "block_lookup")
        if ts_block is not None:
            await self._act(self._session.block_known(block_hash, ts_block))

    async def _canonical_block(self, number: int) -> None:
        chain, block_hash = self._around.chain, None
        if chain is not None:
            ask = partial(chain.canonical, number)
            block_hash = await self._threads.attempt(ask, "canonical_lookup")
        now = self._around.clock.now_ms()
        await self._act(self._session.canonical(number, block_hash, now))

    async def _keep_upgrade(self, upgrade: Upgraded) -> None:
        def keep() -> bool:
            self._around.upgraded(upgrade.exchange, upgrade.implementation)
            return True

        wait_s = self._limits.retry_s
        for _ in range(SEED_TRIES_MAX):
            if await self._threads.attempt(keep, "upgrade"):
                return
            await asyncio.sleep(wait_s)
            wait_s *= 2

    async def _refresh(self) -> None:
        """Follow the registry: a wallet added there is listened for within `refresh_s`."""
        around = self._around
        while True:
            exchanges = await self._threads.attempt(around.exchanges, "exchanges")
            if exchanges:
                await self._act(self._session.set_exchanges(exchanges, around.clock.now_ms()))
            wallets = await self._threads.attempt(around.wallets, "wallets")
            if wallets is not None:
                await self._act(self._session.set_wallets(wallets, around.clock.now_ms()))
            rules = await self._threads.attempt(around.rules, "rules")
            self._rules = rules or self._rules
            await asyncio.sleep(self._limits.refresh_s)

    async def _compare_heads(self) -> None:
        """One cheap question each `head_check_s`; soon again while the socket seems behind."""
        chain, limits = self._around.chain, self._limits
        while chain is not None:
            await asyncio.sleep(
                limits.head_recheck_s if self._session.behind else limits.head_check_s
            )
            number = await self._threads.attempt(chain.head_number, "head_check")
            if number is not None:
                now = self._around.clock.now_ms()
                await self._act(self._session.head_elsewhere(number, now))

    async def _ask_api_first(self) -> None:
        """Look for trades whose log should have come; checks exist only while the API is read."""
        while True:
            await asyncio.sleep(self._limits.api_first_s)
            checks: Sequence[Check] | None = ()
            if self._rules.trigger_mode != "polygon":
                checks = await self._threads.attempt(self._around.api_first, "api_first")
            now = self._around.clock.now_ms()
            await self._act(self._session.api_first(checks or (), now))

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
            await self._threads.attempt(lambda: self._around.heartbeat(proof), "heartbeat")  # noqa: B023
            try:
                async with asyncio.timeout(self._limits.heartbeat_s):
                    await self._changed.wait()
            except TimeoutError:
                continue
