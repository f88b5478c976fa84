"""The two clients that are compared; each runs in a fresh process and reports what it queued."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import Any

from bench.feed_logs import WALLETS
from chalicelib.adapters.fill_wire import encode
from chalicelib.domain.evidence import FillMessage
from chalicelib.domain.exchange_log import LIVE_EXCHANGES, TOPIC_V2

QUIET_S_MAX = 10.0
"""A run in which nothing arrives for so long is over."""

ABI = {
    "type": "event",
    "name": "OrderFilled",
    "anonymous": False,
    "inputs": [
        {"name": name, "type": kind, "indexed": place < 3}
        for place, (name, kind) in enumerate(
            (
                ("orderHash", "bytes32"),
                ("maker", "address"),
                ("taker", "address"),
                ("side", "uint8"),
                ("tokenId", "uint256"),
                ("makerAmountFilled", "uint256"),
                ("takerAmountFilled", "uint256"),
                ("fee", "uint256"),
                ("builder", "bytes32"),
                ("metadata", "bytes32"),
            )
        )
    ],
}


class EncodingQueue:
    """The fills queue without the service: makes message bytes and notes when they were ready.

    No body is kept once it was taken, as by a queue whose service answered: fresh memory for all of
    them would cost a quarter of the run. The digests tell whether all were distinct.
    """

    def __init__(self) -> None:
        self.digests: set[int] = set()
        self.queued_ns: list[int] = []
        self.taken = 0

    def prepare(self, message: FillMessage) -> bytes:
        """Make the bytes that would go out."""
        body = encode(message)
        self.queued_ns.append(time.perf_counter_ns())
        return body

    def send_prepared(self, bodies: Sequence[bytes]) -> None:
        """Take bytes."""
        self.digests.update(map(hash, bodies))
        self.taken += len(bodies)

    def send(self, messages: Sequence[FillMessage]) -> None:
        """Make the bytes and take them."""
        self.send_prepared([self.prepare(message) for message in messages])


class Tally:
    """Counts instead of metrics."""

    def __init__(self) -> None:
        self.counts: dict[str, float] = {}

    def count(self, name: str, value: float = 1, **_: str) -> None:
        """Add to a counter."""
        self.counts[name] = self.counts.get(name, 0) + value

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: None


async def _until(done: Callable[[], int], count: int) -> float:
    """Wait until `done()` reaches `count` or nothing happens any more; seconds of processor time.

    They count from a moment shortly before the first log.
    """
    last, since, cpu = 0, time.monotonic(), time.process_time()
    while (now := done()) < count:
        if now == 0:
            cpu = time.process_time()
        if now != last:
            last, since = now, time.monotonic()
        if time.monotonic() - since > QUIET_S_MAX:
            break
        await asyncio.sleep(0.02)
    return time.process_time() - cpu


def papercopy(port: int, count: int, results: Connection) -> None:
    """The watcher with its own session and delivery; only the queue's service is missing."""
    from chalicelib.adapters.clock import SystemClock
    from chalicelib.watcher.__main__ import settle
    from chalicelib.watcher.runner import Watcher
    from chalicelib.watcher.session import PolygonSession
    from chalicelib.watcher.surroundings import Surroundings

    queue, tally = EncodingQueue(), Tally()
    refused: list[tuple[str, str]] = []
    leaders = {wallet: wallet for wallet in WALLETS}
    around = Surroundings(
        queue=queue,
        clock=SystemClock(),
        metrics=tally,  # type: ignore[arg-type]
        wallets=lambda: leaders,
        heartbeat=lambda _: None,
        refused=lambda payload, error: refused.append((payload, error)),
    )
    settle()
    watcher = Watcher(f"ws://127.0.0.1:{port}", PolygonSession(leaders), around)

    async def run() -> float:
        stop = asyncio.Event()
        running = asyncio.create_task(watcher.run(stop))

        def done() -> int:
            dropped = tally.counts.get("watcher_evidence_dropped", 0)
            return queue.taken + int(dropped) + len(refused)

        cpu_s = await _until(done, count)
        stop.set()
        await running
        return cpu_s

    cpu_s = asyncio.run(run())
    distinct = len(queue.digests)
    results.send({"queued_ns": queue.queued_ns, "distinct": distinct, "cpu_s": cpu_s})


def web3(port: int, count: int, results: Connection) -> None:
    """AsyncWeb3 with a logs subscription whose handler decodes; it makes no message bytes."""
    from web3 import AsyncWeb3, WebSocketProvider
    from web3.utils.subscriptions import LogsSubscription

    queued_ns: list[int] = []
    found: list[Any] = []

    async def run() -> float:
        async with AsyncWeb3(WebSocketProvider(f"ws://127.0.0.1:{port}")) as w3:
            event = w3.eth.contract(abi=[ABI]).events.OrderFilled()

            async def handle(context: Any) -> None:
                found.append(event.process_log(context.result))
                queued_ns.append(time.perf_counter_ns())

            makers = ["0x" + "0" * 24 + wallet[2:] for wallet in WALLETS]
            await w3.subscription_manager.subscribe(
                LogsSubscription(
                    address=[w3.to_checksum_address(a) for a in LIVE_EXCHANGES],
                    topics=[TOPIC_V2, None, makers],  # type: ignore[list-item]
                    handler=handle,
                )
            )
            handling = asyncio.create_task(w3.subscription_manager.handle_subscriptions())
            cpu_s = await _until(lambda: len(queued_ns), count)
            handling.cancel()
            await asyncio.gather(handling, return_exceptions=True)
            return cpu_s

    cpu_s = asyncio.run(run())
    distinct = len({(log["transactionHash"], log["logIndex"]) for log in found})
    results.send({"queued_ns": queued_ns, "distinct": distinct, "cpu_s": cpu_s})
