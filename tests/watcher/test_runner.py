"""The asyncio shell against a real local WebSocket server."""

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from feed_fakes import (
    OTHER,
    WALLET,
    Recorder,
    confirmation,
    fill_log,
    head,
    makers_of,
    notification,
)
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from chalicelib.domain.errors import Permanent, Retryable
from chalicelib.watcher import __main__ as main
from chalicelib.watcher import delivery
from chalicelib.watcher.runner import RunnerLimits, Surroundings, Watcher
from chalicelib.watcher.session import PolygonSession
from chalicelib.watcher.surroundings import backoff_s

LIMITS = RunnerLimits(
    tick_s=0.02,
    open_timeout_s=1,
    send_timeout_s=1,
    close_timeout_s=0.05,
    backoff_s=0.02,
    backoff_s_max=0.2,
    stable_s=60,
    heartbeat_s=0.05,
    refresh_s=0.05,
    head_check_s=0.05,
    drain_s=2,
)


@dataclass
class Node:
    """A node that confirms every subscription; a test drives it through `sockets`."""

    accepted: int = 0
    subscribed: list[str] = field(default_factory=list)
    unsubscribed: int = 0
    sockets: list[ServerConnection] = field(default_factory=list)
    drop_at_once: bool = False
    url: str = ""

    async def handle(self, socket: ServerConnection) -> None:
        self.accepted += 1
        if self.drop_at_once:
            return
        self.sockets.append(socket)
        try:
            async for text in socket:
                assert isinstance(text, str)
                if json.loads(text)["method"] == "eth_unsubscribe":
                    self.unsubscribed += 1
                else:
                    self.subscribed.append(text)
                await socket.send(confirmation(text))
        except ConnectionClosed:
            pass
        finally:
            self.sockets.remove(socket)

    async def say(self, *frames: str) -> None:
        for frame in frames:
            await self.sockets[-1].send(frame)


@asynccontextmanager
async def running(
    node: Node, recorder: Recorder, *, limits: RunnerLimits = LIMITS, **changes: object
) -> AsyncIterator[tuple[Watcher, asyncio.Event]]:
    async with serve(node.handle, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        around: dict[str, object] = {
            "queue": recorder,
            "clock": recorder,
            "metrics": recorder,
            "wallets": lambda: {WALLET: "lead"},
            "heartbeat": recorder.beat,
            "block_time": lambda block_hash: None,
            "refused": recorder.keep,
        }
        watcher = Watcher(
            f"ws://127.0.0.1:{port}",
            PolygonSession({WALLET: "lead"}),
            Surroundings(**(around | changes)),
            limits=limits,
        )
        stop = asyncio.Event()
        task = asyncio.create_task(watcher.run(stop))
        try:
            yield watcher, stop
        finally:
            stop.set()
            async with asyncio.timeout(5):
                await task


async def until(condition: Callable[[], object], seconds: float = 3) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(scenario())


def test_a_fill_travels_from_the_socket_to_the_queue() -> None:
    async def scenario() -> None:
        node, recorder = Node(), Recorder(failures=2)
        async with running(node, recorder):
            await until(lambda: len(node.subscribed) == 2)
            await node.say(head(), *(notification(fill_log(log_index=n)) for n in range(120)))
            await until(lambda: len(recorder.messages) == 120)
            await until(lambda: recorder.beats[-1].up)
        sent = [message.chain[0].leg.log_index for message in recorder.messages]
        assert sent == list(range(120))
        assert recorder.counts["watcher_send_retries"] == 2
        assert recorder.counts["watcher_evidence"] == 120
        assert recorder.beats[0].up is False
        assert (recorder.beats[-1].up, recorder.beats[-1].detail) == (False, "stopped")
        assert recorder.beats[-1].last_block == 16

    run(scenario)


def test_a_closed_socket_is_replaced_and_subscribed_anew() -> None:
    async def scenario() -> None:
        node, recorder = Node(), Recorder()
        async with running(node, recorder):
            for round_number in range(1, 4):
                await until(lambda n=round_number: len(node.subscribed) == 2 * n)
                await node.sockets[-1].close()
            await until(lambda: len(node.subscribed) == 8)
            await node.say(head(), notification(fill_log()))
            await until(lambda: recorder.messages)
        assert recorder.counts["watcher_reconnects"] == 3

    run(scenario)


def test_a_silent_socket_is_replaced(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("chalicelib.watcher.session.HEAD_SILENCE_MS_MAX", 100)

    async def scenario() -> None:
        node, recorder = Node(), Recorder()
        async with running(node, recorder):
            await until(lambda: node.accepted >= 2)
        assert recorder.counts["watcher_reconnects"] >= 1

    run(scenario)
    assert "no head for" in caplog.text


def test_accept_then_drop_is_no_hot_loop() -> None:
    async def scenario() -> None:
        node, recorder = Node(drop_at_once=True), Recorder()
        async with running(node, recorder):
            await asyncio.sleep(1)
            # 0.02 to 0.2 s steps, at least half of each: about ten in a second, fewer when busy.
            assert 2 <= node.accepted <= 16
            node.drop_at_once = False
            await until(lambda: node.sockets)

    run(scenario)


def test_nobody_listening_is_retried_until_somebody_does() -> None:
    async def scenario() -> None:
        recorder = Recorder()
        watcher = Watcher(
            "ws://127.0.0.1:9",
            PolygonSession({WALLET: "lead"}),
            Surroundings(
                recorder, recorder, recorder, dict, recorder.beat, lambda _: None, recorder.keep
            ),
            limits=LIMITS,
        )
        stop = asyncio.Event()
        task = asyncio.create_task(watcher.run(stop))
        await until(lambda: recorder.counts.get("watcher_reconnects", 0) >= 3)
        stop.set()
        async with asyncio.timeout(1):
            await task

    run(scenario)


def test_a_new_wallet_is_listened_for_without_a_new_socket() -> None:
    async def scenario() -> None:
        node, recorder = Node(), Recorder()
        followed = {WALLET: "lead"}
        async with running(node, recorder, wallets=lambda: dict(followed)):
            await until(lambda: len(node.subscribed) == 2)
            followed[OTHER] = "two"
            await until(lambda: node.unsubscribed == 1)
            assert sorted(makers_of(node.subscribed[-1])) == [WALLET, OTHER]
            await node.say(head(), notification(fill_log(OTHER)))
            await until(lambda: recorder.messages)
        assert node.accepted == 1
        assert recorder.messages[0].leader == "two"

    run(scenario)


def test_a_failing_registry_or_heartbeat_stops_nothing() -> None:
    def fail(*_: object) -> None:
        raise Retryable("the store is away")

    async def scenario() -> None:
        node, recorder = Node(), Recorder()
        async with running(node, recorder, wallets=fail, heartbeat=fail):
            await until(lambda: len(node.subscribed) == 2)
            await node.say(notification(fill_log()))
            await until(lambda: recorder.messages)
            await until(lambda: recorder.counts.get("watcher_heartbeat_failed", 0) > 1)
            await until(lambda: recorder.counts.get("watcher_wallets_failed", 0) > 1)

    run(scenario)


def test_block_times_are_looked_up_beside_the_loop() -> None:
    def slow(block_hash: str) -> int | None:
        time.sleep(0.05)
        return 9_000

    async def scenario() -> None:
        node, recorder = Node(), Recorder()
        async with running(node, recorder, block_time=slow):
            await until(lambda: len(node.subscribed) == 2)
            await node.say(notification(fill_log(blockTimestamp=None)))
            await until(lambda: recorder.messages)
        assert recorder.messages[0].chain[0].leg.ts_block == 9_000

    run(scenario)


def test_a_socket_that_lies_behind_is_replaced() -> None:
    async def scenario() -> None:
        node, recorder = Node(), Recorder()
        async with running(node, recorder, head_number=lambda: 100):
            await until(lambda: len(node.subscribed) == 2)
            await node.say(head(16))
            await until(lambda: node.accepted == 2)

    run(scenario)


def test_refused_payloads_are_kept() -> None:
    async def scenario() -> None:
        node, recorder = Node(), Recorder()
        async with running(node, recorder):
            await until(lambda: len(node.subscribed) == 2)
            await node.say(notification(fill_log(logIndex=None)), "nonsense")
            await until(lambda: len(recorder.kept) == 2)
        assert recorder.kept[0][1].startswith("logIndex")
        assert recorder.counts["watcher_refused"] == 2

    run(scenario)


def test_stopping_hands_over_what_was_heard() -> None:
    async def scenario() -> None:
        node, recorder = Node(), Recorder(failures=1)
        async with running(node, recorder) as (_, stop):
            await until(lambda: len(node.subscribed) == 2)
            await node.say(notification(fill_log()))
            await until(lambda: recorder.counts.get("watcher_send_retries"))
            stop.set()
        assert len(recorder.messages) == 1

    run(scenario)


def test_stopping_does_not_wait_forever_for_a_dead_queue() -> None:
    async def scenario() -> None:
        node, recorder = Node(), Recorder(failures=10**6)
        limits = RunnerLimits(tick_s=0.02, drain_s=0.1, close_timeout_s=0.05)
        started = time.monotonic()
        async with running(node, recorder, limits=limits):
            await until(lambda: len(node.subscribed) == 2)
            await node.say(notification(fill_log()))
            await until(lambda: recorder.counts.get("watcher_send_retries"))
        assert time.monotonic() - started < 3

    run(scenario)


def test_a_message_the_queue_refuses_is_kept_and_the_others_arrive() -> None:
    async def scenario() -> None:
        recorder = Recorder()

        class Picky:
            def send(self, messages: list[object]) -> None:
                if any(m.chain[0].leg.log_index == 1 for m in messages):
                    raise Permanent("too large")
                recorder.send(messages)

        node = Node()
        async with running(node, recorder, queue=Picky()):
            await until(lambda: len(node.subscribed) == 2)
            await node.say(*(notification(fill_log(log_index=n)) for n in range(3)))
            await until(lambda: len(recorder.messages) == 2 and recorder.kept)
        assert [m.chain[0].leg.log_index for m in recorder.messages] == [0, 2]
        assert recorder.kept[0][1] == "too large"

    run(scenario)


def test_a_full_buffer_drops_and_counts() -> None:
    async def scenario() -> None:
        recorder = Recorder()

        async def never(work: object) -> None:
            await asyncio.Event().wait()

        box = delivery.Delivery(
            recorder, recorder.keep, recorder, never, jitter=lambda: 0.0, messages_max=2
        )
        session = PolygonSession({WALLET: "lead"})
        (output,) = session.receive(notification(fill_log()), 1)
        for _ in range(5):
            box.evidence(output.message)
        assert recorder.counts == {"watcher_evidence_dropped": 3}

    run(scenario)


def test_backoff_grows_to_its_bound() -> None:
    limits = RunnerLimits(backoff_s=0.5, backoff_s_max=30)
    assert [backoff_s(limits, n, 1.0) for n in (0, 1, 2, 5, 6, 10_000)] == [0.5, 1, 2, 16, 30, 30]
    assert backoff_s(limits, 0, 0.0) == 0.25


def test_a_signal_ends_the_process_in_order() -> None:
    async def scenario() -> None:
        recorder = Recorder()
        around = Surroundings(
            recorder, recorder, recorder, dict, recorder.beat, lambda _: None, recorder.keep
        )
        watcher = Watcher("ws://127.0.0.1:9", PolygonSession({}), around, limits=LIMITS)
        task = asyncio.create_task(main.serve(watcher))
        await until(lambda: recorder.beats)
        os.kill(os.getpid(), signal.SIGTERM)
        async with asyncio.timeout(2):
            await task
        assert recorder.beats[-1].detail == "stopped"

    run(scenario)
