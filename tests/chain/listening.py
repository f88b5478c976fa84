"""papercopy at a node: the real watcher, queue, ingestion, polls and receipts in one process."""

from __future__ import annotations

import asyncio
import json
import random
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import MISSING, fields

from chalicelib.adapters.embedded.memory_store import MemoryStore
from chalicelib.adapters.embedded.queue import MemoryFillQueue
from chalicelib.adapters.metrics import CountingMetrics
from chalicelib.adapters.polygon.rpc import PolygonRpc
from chalicelib.adapters.polymarket.http import HttpClient
from chalicelib.adapters.polymarket.throttle import TokenBucket
from chalicelib.bootstrap import Ports, services_on, watcher_on
from chalicelib.domain.activity import TRADE, ActivityEvent
from chalicelib.domain.errors import PapercopyError
from chalicelib.domain.registry import Check, Heartbeat, SettingsRow
from chalicelib.domain.trade import Trade, effective
from chalicelib.keyspace import day, heartbeat_key
from chalicelib.ports import ActivityPoll, Put
from chalicelib.services.manage_leaders import leaders
from chalicelib.services.portfolios import positions_of, shadow_id
from chalicelib.services.verify_trades import due_checks, softly
from chalicelib.settings import Environment
from chalicelib.watcher.surroundings import RunnerLimits
from tests.chain.anvil import Anvil
from tests.chain.chain import Chain, TradeKey
from tests.chain.clock import ShiftedClock
from tests.chain.relay import Relay
from tests.workflow.harness import (
    CASH,
    CONDITION,
    RecordingQuarantine,
    RecordingWorkflows,
    ScriptedVenue,
)

WAIT_S_MAX = 60
API_LAG_S = 12
FEED_SILENCE_MS = 11_000
"""Longer than a live feed is without a head."""
PATIENCE_MS = 61_000
"""Longer than any question waits for its receipt."""
FINAL_BLOCKS = 13
ROUNDS_MAX = 200
LOOKS_MAX = 4
CALLS = 1_000
LIMITS = RunnerLimits(
    tick_s=0.05,
    backoff_s=0.02,
    backoff_s_max=0.1,
    heartbeat_s=0.1,
    refresh_s=0.1,
    head_check_s=0.5,
    head_recheck_s=0.2,
    api_first_s=0.1,
    gap_fill_s=0.1,
    retry_s=0.05,
    retry_s_max=0.2,
)
"""Intervals short enough for a test; what they decide is the same."""


async def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for a condition, with a bound that only a failure reaches."""
    deadline = time.monotonic() + WAIT_S_MAX
    while not condition():
        assert time.monotonic() < deadline, f"not within {WAIT_S_MAX} s: {what}"
        await asyncio.sleep(0.01)


class MirrorFeed:
    """A Data API that shows what became canonical, `lag_s` of block time late."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self.lag_s = API_LAG_S
        self.down = False
        self.polls = 0

    def poll(
        self, wallet: str, since_seconds: int, until_seconds: int | None = None
    ) -> ActivityPoll:
        self.polls += 1
        newest = self._chain.head.timestamp - self.lag_s
        newest = newest if until_seconds is None else min(newest, until_seconds)
        if self.down:
            return ActivityPoll((), ())
        return ActivityPoll(
            tuple(
                ActivityEvent(
                    kind=TRADE,
                    wallet=wallet,
                    tx_hash=tx_hash,
                    timestamp=block.timestamp,
                    condition_id=CONDITION,
                    token_id=fill.token_id,
                    side=fill.side,
                    shares=fill.shares,
                    cash=fill.cash,
                    price_e10=fill.cash * 10**10 // fill.shares,
                    fee=None,
                    role=None,
                )
                for tx_hash, block, fills in self._chain.mined()
                if since_seconds <= block.timestamp <= newest
                for fill in fills
                if fill.wallet == wallet
            ),
            (),
        )

    def lag_seconds(self) -> int | None:
        return self.lag_s


class Papercopy:
    """Everything between a Polygon endpoint and the shadows, on an in-memory store."""

    def __init__(
        self,
        node: Anvil,
        chain: Chain,
        clock: ShiftedClock,
        ws_url: str,
        rng: random.Random,
        *,
        http: bool = True,
        system: Mapping[str, object] | None = None,
    ) -> None:
        self.clock = clock
        self.store = MemoryStore()
        self.metrics = CountingMetrics()
        self.quarantine = RecordingQuarantine()
        self.queue = MemoryFillQueue(self.clock)
        self.feed = MirrorFeed(chain)
        self._rng = rng
        self.verifies = True
        self._stopped = threading.Event()
        venue = ScriptedVenue(self.clock)  # type: ignore[arg-type]
        parts = {
            "store": self.store,
            "queue": self.queue,
            "workflows": RecordingWorkflows(),
            "quarantine": self.quarantine,
            "feed": self.feed,
            "catalogue": venue,
            "books": venue,
            "midpoints": venue,
            "holdings": venue,
            "receipts": PolygonRpc(
                HttpClient(node.http_url, self.metrics, bucket=TokenBucket(CALLS, CALLS))
            ),
            "clock": self.clock,
            "metrics": self.metrics,
        }
        needed = [f.name for f in fields(Ports) if f.name in parts or f.default is MISSING]
        self.ports = Ports(**{name: parts[name] for name in needed})  # type: ignore[arg-type]
        self.services = services_on(self.ports, CASH)
        if system:
            self.store.commit([Put(SettingsRow("system", json.dumps(system)))])
        self.env = Environment(
            polygon_ws_url=ws_url, polygon_http_url=node.http_url if http else ""
        )

    def follow(self, *users: Sequence[str]) -> None:
        """Follow users by their wallets."""
        for wallets in users:
            self.services.follow(list(wallets), "somebody")

    @property
    def wallets(self) -> dict[str, str]:
        """Wallet to leader."""
        return {w: leader.leader for leader in leaders(self.store) for w in leader.wallets}

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """The watcher and one ingesting worker run; on leaving, all that was heard is ingested."""
        with self._ingesting():
            self.start_watcher()
            try:
                yield
            finally:
                await self.stop_watcher()
                await until(lambda: self.queue.depth() == 0, "an empty queue")

    def start_watcher(self) -> None:
        """A new watcher, as a new process would start it."""
        self._stop = asyncio.Event()
        watcher = watcher_on(self.env, self.ports, limits=LIMITS)
        self._watcher = asyncio.create_task(watcher.run(self._stop))

    async def stop_watcher(self) -> None:
        """Tell the watcher to stop and wait until it did."""
        self._stop.set()
        await self._watcher

    @contextmanager
    def _ingesting(self) -> Iterator[None]:
        self._stopped.clear()
        worker = threading.Thread(target=self._ingest, name="ingest")
        worker.start()
        try:
            yield
        finally:
            self._stopped.set()
            worker.join(WAIT_S_MAX)

    def _ingest(self) -> None:
        """As the embedded engine does; now and then a message is delivered twice."""
        while not self._stopped.is_set():
            if self.verifies:
                softly(self.services.verify_trades, self.metrics)
            for delivery in self.queue.take(10, 0.05):
                try:
                    for _ in range(2 if self._rng.random() < 0.1 else 1):
                        self.services.ingest(delivery.message)
                except PapercopyError as error:
                    self.queue.fail(delivery, str(error))
                else:
                    self.queue.ack(delivery)

    async def poll(self) -> None:
        """Poll every leader once."""
        for leader in leaders(self.store):
            await asyncio.to_thread(self.services.poll_leader, leader.leader)

    def trades(self) -> list[Trade]:
        """Every trade there is."""
        now = self.clock.now_ms()
        days = {day(now - back * 3_600_000) for back in range(5)}
        return [
            trade
            for name in sorted(days)
            for _, trade in self.store.feed(
                Trade, "activity", f"trades#{name}", before=None, limit=1000
            )
        ]

    def counted(self) -> dict[TradeKey, tuple[int, int]]:
        """(shares, cash) per trade that counts for anything."""
        totals = {(t.wallet, t.tx_hash, t.token_id, t.side): effective(t) for t in self.trades()}
        return {key: (total.shares, total.cash) for key, total in totals.items() if total.shares}

    def difference(self, truth: dict[TradeKey, tuple[int, int]]) -> str:
        """Every trade that is not as it should be, with its evidence."""
        counted = self.counted()
        stored = {(t.wallet, t.tx_hash, t.token_id, t.side): t for t in self.trades()}
        return "\n".join(
            f"{key} is {counted.get(key)}, should be {truth.get(key)}: {stored.get(key)}"
            for key in truth.keys() | counted.keys()
            if counted.get(key) != truth.get(key)
        )

    def open_checks(self) -> list[Check]:
        """Questions that wait for a receipt."""
        return self.store.query(Check, "activity", "checks", limit=1000)

    def due(self) -> list[Check]:
        """Questions whose time has come."""
        return due_checks(self.store, self.clock.now_ms())

    def shadow(self, leader: str) -> dict[str, int]:
        """Shares per token in a leader's shadow, without the empty positions."""
        rows = positions_of(self.store, shadow_id(leader), 1)
        return {row.token_id: row.shares for row in rows if row.shares}

    def expected_shadow(
        self, leader: str, truth: dict[TradeKey, tuple[int, int]]
    ) -> dict[str, int]:
        """What the shadow must hold by the truth."""
        held: Counter[str] = Counter()
        for (wallet, _, token, side), (shares, _) in truth.items():
            if self.wallets[wallet] == leader:
                held[token] += shares if side == "BUY" else -shares
        return {token: shares for token, shares in held.items() if shares}

    def assert_exact(self, truth: dict[TradeKey, tuple[int, int]]) -> None:
        """Every fill of the truth counted once, nothing else, and the shadows equal to it."""
        assert self.counted() == truth
        for leader in set(self.wallets.values()):
            assert self.shadow(leader) == self.expected_shadow(leader, truth)
        for trade in self.trades():
            assert trade.pending == ()
            assert trade.posted == effective(trade)
        assert self.quarantine.kept == []
        assert self.queue.dead() == []


class Scene:
    """A node with its exchanges, a relay before it and papercopy behind that."""

    def __init__(self, chain: Chain, relay: Relay, papercopy: Papercopy) -> None:
        self.chain = chain
        self.relay = relay
        self.papercopy = papercopy

    async def listening(self) -> None:
        """Wait until a log of any followed wallet would arrive."""
        wallets = self.papercopy.wallets
        await until(lambda: self.relay.listening(wallets), "every wallet subscribed")

    async def outlasted(self) -> None:
        """Let time pass without a head until the watcher connects anew."""
        before = self.relay.connections
        for _ in range(ROUNDS_MAX):
            self.papercopy.clock.shift(FEED_SILENCE_MS)
            await asyncio.sleep(0.1)
            if self.relay.connections > before:
                break
        await self.listening()

    async def heard(self) -> None:
        """Wait until the watcher knows the head."""
        head, store = self.chain.head.number, self.papercopy.store

        def known() -> bool:
            beat = store.get(Heartbeat, heartbeat_key("watcher"))
            return beat is not None and beat.last_block == head

        await until(known, f"the head {head}")

    @asynccontextmanager
    async def restarted(self) -> AsyncIterator[None]:
        """Stop the watcher, let something happen, and start another one."""
        await self.papercopy.stop_watcher()
        # The old connection must not pass for the new one.
        self.relay.cut()
        yield
        self.papercopy.start_watcher()
        await self.listening()

    async def replaced(self, action: Callable[[], None]) -> None:
        """Do what ends the connection and wait for one that listens again."""
        before = self.relay.connections
        action()
        await until(lambda: self.relay.connections > before, "a new connection")
        await self.listening()

    def truth(self) -> dict[TradeKey, tuple[int, int]]:
        """What the node says now."""
        return self.chain.truth(tuple(self.papercopy.wallets))

    async def exact(self) -> None:
        """Wait until what counts is what the node says, and see that the rest agrees."""
        papercopy, truth = self.papercopy, self.truth()
        try:
            await until(lambda: papercopy.counted() == truth, "every fill counted once")
        except AssertionError as error:
            error.add_note(papercopy.difference(truth))
            raise

    async def recovered(self) -> None:
        """Let the Data API catch up and heads go on until what the feed lost is counted too."""
        self.papercopy.feed.lag_s = 0
        await self._going_on(self.papercopy.poll)

    async def settled(self) -> None:
        """Let heads go on until what counts is what the node says; the API is not asked."""

        async def nothing() -> None:
            return

        await self._going_on(nothing)

    async def _going_on(self, meanwhile: Callable[[], Awaitable[None]]) -> None:
        papercopy, truth = self.papercopy, self.truth()
        deadline = time.monotonic() + WAIT_S_MAX
        while papercopy.counted() != truth:
            assert time.monotonic() < deadline, papercopy.difference(truth)
            await meanwhile()
            self.chain.mine()
            await self.heard()

    async def answered(self) -> None:
        """Let enough blocks and time pass for every open question to be answered by receipts."""
        for _ in range(FINAL_BLOCKS):
            self.chain.mine()
            await self.heard()
        papercopy = self.papercopy
        await until(lambda: papercopy.queue.depth() == 0, "an empty queue")
        for _ in range(LOOKS_MAX):
            papercopy.clock.shift(PATIENCE_MS)
            await until(lambda: not papercopy.due(), "every question that is due looked at")
        assert papercopy.open_checks() == []


@asynccontextmanager
async def scene(
    *users: Sequence[str],
    seed: int = 0,
    http: bool = True,
    system: Mapping[str, object] | None = None,
) -> AsyncIterator[Scene]:
    """Follow these users and listen. On leaving, what was heard is ingested and must be exact.

    `http` says whether the watcher has the node's HTTP side too, `system` are stored settings.
    """
    rng = random.Random(seed)
    clock = ShiftedClock()
    with Anvil(clock.now_ms() // 1000) as node:
        chain = Chain(node, rng, clock)
        async with Relay(node.ws_url, rng) as relay:
            papercopy = Papercopy(node, chain, clock, relay.url, rng, http=http, system=system)
            papercopy.follow(*users)
            made = Scene(chain, relay, papercopy)
            async with papercopy.watching():
                await made.listening()
                yield made
            papercopy.assert_exact(made.truth())
