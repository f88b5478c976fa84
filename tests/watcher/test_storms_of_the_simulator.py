"""The whole watcher on a store against the simulated node, whose truth names every log."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from feed_fakes import Recorder

from chalicelib.adapters.embedded.memory_store import MemoryStore
from chalicelib.adapters.polygon.rpc import PolygonRpc
from chalicelib.adapters.polymarket.http import HttpClient, HttpPolicy
from chalicelib.domain.registry import CatchUp, Check, ExchangeContract, Leader
from chalicelib.domain.rules import CopyRules, GapFill, SystemRules
from chalicelib.ports import Put
from chalicelib.services.exchanges import exchanges
from chalicelib.watcher.runner import RunnerLimits, Watcher
from chalicelib.watcher.session import PolygonSession
from chalicelib.watcher.surroundings import Surroundings
from chalicelib.watcher.wiring import followed_wallets, stored_surroundings

ROOT = Path(__file__).parents[2]
WAIT_S_MAX = 90
LIMITS = RunnerLimits(
    backoff_s=0.1,
    refresh_s=0.3,
    head_check_s=0.5,
    head_recheck_s=0.2,
    heartbeat_s=0.2,
    api_first_s=0.3,
    gap_fill_s=0.3,
    retry_s=0.1,
)
pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("aiohttp") is None or not (ROOT / "simulator").is_dir(),
    reason="the simulated venue cannot run here",
)


class Rules:
    def __init__(self, gap_fill: GapFill) -> None:
        self._system = SystemRules(gap_fill=gap_fill)

    def rules_for(self, leader: str) -> CopyRules:
        return CopyRules()

    def system(self) -> SystemRules:
        return self._system


class Kept:
    def __init__(self) -> None:
        self.errors: list[str] = []

    def keep(self, source: str, payload: str, error: str) -> None:
        self.errors.append(error)


Place = tuple[str, str, int]


@dataclass
class Scene:
    """A venue, a store with its leaders, and what the watcher said."""

    venue: dict[str, Any]
    store: MemoryStore = field(default_factory=MemoryStore)
    said: Recorder = field(default_factory=Recorder)
    kept: Kept = field(default_factory=Kept)

    def __post_init__(self) -> None:
        for wallet in self.venue["leaders"]:
            self.store.commit([Put(Leader(wallet, wallet, (wallet,), "on", self.said.now_ms()))])

    async def call(self, path: str, body: object) -> Any:
        return await asyncio.to_thread(
            HttpClient(self.venue["control"], Recorder()).post, path, body
        )

    async def read(self, path: str) -> Any:
        http = HttpClient(self.venue["control"], Recorder())
        return await asyncio.to_thread(http.get, path, [("limit", "10000")])

    async def faults(self, **switches: object) -> None:
        await self.call("/faults", switches)

    async def truth(self) -> set[Place]:
        fills = (await self.read("/truth"))["fills"]
        return {(fill["tx_hash"], fill["block_hash"], fill["log_index"]) for fill in fills}

    def standing(self) -> set[Place]:
        """What the evidence says in the end; a removed log never comes back, as in ingestion."""
        seen: dict[Place, bool] = {}
        for message in list(self.said.messages):
            for item in message.chain:
                place = (item.tx_hash, item.leg.block_hash, item.leg.log_index)
                seen[place] = seen.get(place, False) or item.leg.removed
        return {place for place, removed in seen.items() if not removed}

    def count(self, name: str) -> int:
        return self.said.counts.get(name, 0)

    def catch_ups(self) -> list[CatchUp]:
        return self.store.query(CatchUp, "registry", "catch_ups")


async def until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + WAIT_S_MAX
    while not condition():
        assert time.monotonic() < deadline, f"no {what} within {WAIT_S_MAX} s"
        await asyncio.sleep(0.05)


@pytest.fixture
def scene() -> Iterator[Scene]:
    command = [sys.executable, "-m", "simulator", "--port", "0", "--fills-per-minute", "400"]
    command += ["--leaders-wait", "4", "--seed", "11"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield Scene(json.loads(process.stdout.readline()))
        finally:
            process.terminate()


@asynccontextmanager
async def watching(
    scene: Scene,
    gap_fill: GapFill = "off",
    change: Callable[[Surroundings], Surroundings] = lambda around: around,
) -> AsyncIterator[None]:
    rules = Rules(gap_fill)
    policy = HttpPolicy(attempts_max=8, backoff_ms=10)
    rpc = PolygonRpc(
        HttpClient(scene.venue["polygon_http"], scene.said, name="polygon", policy=policy)
    )
    around = stored_surroundings(
        scene.store,
        scene.said,
        scene.said,
        scene.said,
        scene.kept,
        rules,
        scene.said.beat,
        rpc,
    )
    session = PolygonSession(followed_wallets(scene.store, rules))
    watcher = Watcher(scene.venue["polygon_ws"], session, change(around), limits=LIMITS)
    stop = asyncio.Event()
    task = asyncio.create_task(watcher.run(stop))
    try:
        yield
    finally:
        stop.set()
        await task


def test_every_log_is_told_and_every_left_one_taken_back_through_a_storm(scene: Scene) -> None:
    async def scenario() -> None:
        async with watching(scene, "sweep"):
            await until(lambda: scene.said.beats and scene.said.beats[-1].up, "listening")
            await scene.faults(
                duplicate_logs=True,
                logs_drop_rate=0.3,
                omit_block_timestamp=True,
                logs_range_max=3,
                http_error_rate=0.1,
                http_scope="polygon",
            )
            for fault in ({"reorg": 3}, {"reorg_silent": 3}, {"reorg_drop": 3}):
                known = len(scene.standing())
                await until(lambda n=known: len(scene.standing()) > n + 8, "further fills")
                before = scene.count("watcher_reorged_logs")
                await scene.faults(**fault)
                await until(
                    lambda n=before: scene.count("watcher_reorged_logs") > n, f"{fault} noticed"
                )
            known = scene.count("watcher_reconnects")
            await scene.faults(ws_stall=True, disconnect=True)
            await until(lambda: scene.count("watcher_reconnects") > known, "reconnect")
            await scene.faults(reorg_silent=2)
            await scene.faults(ws_stall=False, logs_drop_rate=0.0)
            known = len(scene.standing())
            await until(lambda: len(scene.standing()) > known + 5, "fills after all that")
            await scene.call("/stop_leaders", {})
            deadline = time.monotonic() + WAIT_S_MAX
            while (truth := await scene.truth()) != scene.standing():
                assert time.monotonic() < deadline, scene.standing() ^ truth
                await asyncio.sleep(0.3)
            assert len(truth) > 10
        assert scene.kept.errors == []
        assert scene.count("gap_fill_ranges_refused") >= 1
        reasons = {row.reason for row in scene.catch_ups()}
        assert reasons & {"start", "ConnectionClosedError"}

    asyncio.run(scenario())


def test_a_reorganisation_that_nobody_announced_is_found_without_a_node(scene: Scene) -> None:
    async def scenario() -> None:
        async with watching(scene, change=lambda around: replace(around, chain=None)):
            await until(lambda: len(scene.standing()) > 8, "fills")
            await scene.faults(reorg_silent=4)
            await until(lambda: scene.count("watcher_reorged_logs") > 0, "reorganisation")
            await scene.call("/stop_leaders", {})
            deadline = time.monotonic() + WAIT_S_MAX
            while wrong := scene.standing() - await scene.truth():
                assert time.monotonic() < deadline, wrong
                await asyncio.sleep(0.3)

    asyncio.run(scenario())


def test_a_subscription_that_fell_silent_is_renewed(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chalicelib.watcher.stalls.LATE_MS", 2_000)
    monkeypatch.setattr("chalicelib.watcher.stalls.RENEW_MS", 3_000)
    open_checks: list[Check] = []

    async def notice() -> None:
        """What ingestion would write for trades that only the API shows."""
        fills = (await scene.read("/truth"))["fills"]
        now = scene.said.now_ms()
        known = {place[0] for place in scene.standing()}
        open_checks[:] = [
            Check(
                trade_id=fill["tx_hash"],
                leader=fill["wallet"],
                wallet=fill["wallet"],
                tx_hash=fill["tx_hash"],
                token_id=fill["token_id"],
                side=fill["side"],
                reason="api_only",
                ts_block=fill["ts_block"],
                ts_raised=fill["ts_published"],
                ts_due=now,
            )
            for fill in fills
            if fill["tx_hash"] not in known
        ]

    async def scenario() -> None:
        checks = lambda around: replace(around, api_first=lambda: list(open_checks))  # noqa: E731
        async with watching(scene, change=checks):
            await until(lambda: len(scene.standing()) > 3, "fills")
            assert scene.count("watcher_stalled_subscriptions") == 0
            await scene.faults(ws_stall_subscriptions=1)
            deadline = time.monotonic() + WAIT_S_MAX
            while scene.count("watcher_stalled_subscriptions") == 0:
                assert time.monotonic() < deadline
                await notice()
                await asyncio.sleep(0.2)
            open_checks.clear()
            known = len(scene.standing())
            await until(lambda: len(scene.standing()) > known + 3, "fills after the renewal")
            assert scene.said.beats[-1].up
        assert scene.count("watcher_reconnects") == 0
        assert scene.count("watcher_catch_ups_requested") > len(scene.venue["leaders"])

    asyncio.run(scenario())


def test_a_moved_exchange_is_noticed_and_followed_once_it_is_a_row(scene: Scene) -> None:
    async def scenario() -> None:
        known = {contract.address for contract in exchanges(scene.store)}
        async with watching(scene):
            await until(lambda: len(scene.standing()) > 3, "fills")
            await scene.faults(rotate_exchange="v3")
            await until(lambda: scene.count("exchange_upgraded") == 1, "upgrade notice")
            await until(lambda: any(c.implementation for c in exchanges(scene.store)), "stored row")
            await until(lambda: "was upgraded to" in scene.said.beats[-1].detail, "health")
            deadline = time.monotonic() + WAIT_S_MAX
            moved: set[str] = set()
            while not moved:
                assert time.monotonic() < deadline
                fills = (await scene.read("/truth"))["fills"]
                moved = {fill["exchange"] for fill in fills} - known
                await asyncio.sleep(0.3)
            (address,) = moved
            scene.store.commit([Put(ExchangeContract(address, "v3", True))])

            async def heard() -> bool:
                fills = (await scene.read("/truth"))["fills"]
                theirs = {fill["tx_hash"] for fill in fills if fill["exchange"] == address}
                return bool(theirs & {place[0] for place in scene.standing()})

            while not await heard():
                assert time.monotonic() < deadline
                await asyncio.sleep(0.3)
        assert scene.count("watcher_reconnects") == 0

    asyncio.run(scenario())


def test_a_node_that_lags_over_http_replaces_no_socket_and_is_asked_little(scene: Scene) -> None:
    async def scenario() -> None:
        await scene.faults(http_head_lag_blocks=20)
        async with watching(scene):
            await until(lambda: len(scene.standing()) > 20, "fills")
            assert scene.said.beats[-1].up
        counters = await scene.read("/counters")
        assert scene.count("watcher_reconnects") == 0
        assert counters.get("rpc eth_getLogs", 0) == 0
        assert counters.get("polygon unfiltered subscriptions", 0) == 0
        # Nothing but the head checks, which this test makes sixty times as often.
        assert counters["rpc http calls"] == counters["rpc eth_blockNumber"]

    asyncio.run(scenario())
