"""The asyncio shell against a real local WebSocket server."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from feed_fakes import (
    OTHER,
    TX,
    WALLET,
    Recorder,
    block_hash,
    chain_head,
    confirmation,
    fill_log,
    head,
    log_in,
    makers_of,
    notification,
    upgrade_log,
)
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from chalicelib.adapters.polygon.rpc import RangeTooWide
from chalicelib.domain.errors import Permanent, Retryable
from chalicelib.domain.evidence import FillMessage
from chalicelib.domain.exchange_log import LIVE_EXCHANGES
from chalicelib.domain.registry import Check, ExchangeContract
from chalicelib.domain.rules import SystemRules, TriggerMode
from chalicelib.services.exchanges import DEFAULTS
from chalicelib.watcher import __main__ as main
from chalicelib.watcher import delivery, errands
from chalicelib.watcher.outputs import GapClosed
from chalicelib.watcher.runner import ChainReads, RunnerLimits, Surroundings, Watcher
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
    head_recheck_s=0.02,
    api_first_s=0.05,
    gap_fill_s=0.05,
    cursors_s=0,
    retry_s=0.02,
    retry_s_max=0.05,
    drain_s=2,
    last_words_s=1,
)


def chain(**calls: object) -> ChainReads:
    """A node that knows nothing, except for the calls given."""
    known: dict[str, object] = {
        "head_number": lambda: 0,
        "block_time": lambda block_hash: None,
        "canonical": lambda number: None,
        "logs": lambda first, last, addresses, makers: [],
    }
    return ChainReads(**(known | calls))


def around_of(recorder: Recorder) -> Surroundings:
    return Surroundings(recorder, recorder, recorder, dict, recorder.beat, recorder.keep)


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
            await until(lambda: len(node.subscribed) == 3)
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
                await until(lambda n=round_number: len(node.subscribed) == 3 * n)
                await node.sockets[-1].close()
            await until(lambda: len(node.subscribed) == 12)
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


def test_nobody_listening_is_retried_until_somebody_does() -> None:
    async def scenario() -> None:
        recorder = Recorder()
        watcher = Watcher(
            "ws://127.0.0.1:9",
            PolygonSession({WALLET: "lead"}),
            around_of(recorder),
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
            await until(lambda: len(node.subscribed) == 3)
            followed[OTHER] = "two"
            await until(lambda: node.unsubscribed == 1)
            assert len(node.subscribed) == 4
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
            await until(lambda: len(node.subscribed) == 3)
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
        async with running(node, recorder, chain=chain(block_time=slow)):
            await until(lambda: len(node.subscribed) == 3)
            await node.say(notification(fill_log(blockTimestamp=None)))
            await until(lambda: recorder.messages)
        assert recorder.messages[0].chain[0].leg.ts_block == 9_000

    run(scenario)


def test_a_socket_that_lies_behind_is_replaced() -> None:
    async def scenario() -> None:
        node, recorder = Node(), Recorder()
        async with running(node, recorder, chain=chain(head_number=lambda: 100)):
            await until(lambda: len(node.subscribed) == 3)
            await node.say(head(16))
            await until(lambda: node.accepted == 2)

    run(scenario)


def test_refused_payloads_are_kept() -> None:
    async def scenario() -> None:
        node, recorder = Node(), Recorder()
        async with running(node, recorder):
            await until(lambda: len(node.subscribed) == 3)
            await node.say(notification(fill_log(logIndex=None)), "nonsense")
            await until(lambda: len(recorder.kept) == 2)
        assert recorder.kept[0][1].startswith("logIndex")
        assert recorder.counts["watcher_refused"] == 2

    run(scenario)


def test_stopping_hands_over_what_was_heard() -> None:
    async def scenario() -> None:
        node, recorder = Node(), Recorder(failures=1)
        async with running(node, recorder) as (_, stop):
            await until(lambda: len(node.subscribed) == 3)
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
            await until(lambda: len(node.subscribed) == 3)
            await node.say(notification(fill_log()))
            await until(lambda: recorder.counts.get("watcher_send_retries"))
        assert time.monotonic() - started < 3

    run(scenario)


def test_a_message_the_queue_refuses_is_kept_and_the_others_arrive() -> None:
    async def scenario() -> None:
        recorder = Recorder()

        class Picky(Recorder):
            def send(self, messages: Sequence[FillMessage]) -> None:
                if any(m.chain[0].leg.log_index == 1 for m in messages):
                    raise Permanent("too large")
                recorder.send(messages)

        node = Node()
        async with running(node, recorder, queue=Picky()):
            await until(lambda: len(node.subscribed) == 3)
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


def test_a_reader_faster_than_the_queue_loses_nothing() -> None:
    async def scenario() -> None:
        node, recorder = Node(), Recorder()
        async with running(node, recorder) as (watcher, _):
            watcher._delivery._messages_max = 4
            await listening(node)
            await node.say(*(notification(fill_log(log_index=n)) for n in range(200)))
            await until(lambda: len(recorder.messages) == 200)
        assert "watcher_evidence_dropped" not in recorder.counts
        sent = [message.chain[0].leg.log_index for message in recorder.messages]
        assert sent == list(range(200))

    run(scenario)


def test_the_process_settles_before_it_listens() -> None:
    script = (
        "import gc\n"
        "from chalicelib.watcher import __main__ as main\n"
        "main.settle()\n"
        "assert gc.get_threshold() == main.GC_THRESHOLDS\n"
        "assert gc.isenabled() and gc.get_freeze_count() > 0\n"
    )
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", script], check=True, cwd=root, timeout=60)


def test_backoff_grows_to_its_bound() -> None:
    limits = RunnerLimits(backoff_s=0.5, backoff_s_max=30)
    assert [backoff_s(limits, n, 1.0) for n in (0, 1, 2, 5, 6, 10_000)] == [0.5, 1, 2, 16, 30, 30]
    assert backoff_s(limits, 0, 0.0) == 0.25


def test_a_signal_ends_the_process_in_order() -> None:
    async def scenario() -> None:
        recorder = Recorder()
        watcher = Watcher(
            "ws://127.0.0.1:9", PolygonSession({}), around_of(recorder), limits=LIMITS
        )
        task = asyncio.create_task(main.serve(watcher))
        await until(lambda: recorder.beats)
        os.kill(os.getpid(), signal.SIGTERM)
        async with asyncio.timeout(2):
            await task
        assert recorder.beats[-1].detail == "stopped"

    run(scenario)


async def listening(node: Node) -> None:
    await until(lambda: len(node.subscribed) >= 3)


def test_a_gap_becomes_a_request_that_is_repeated_until_it_was_taken() -> None:
    asked: list[GapClosed] = []
    failures = [Retryable("the store is away")] * 3

    def request(gap: GapClosed) -> int:
        if failures:
            raise failures.pop()
        asked.append(gap)
        return 2

    async def scenario() -> None:
        node, recorder = Node(), Recorder()
        async with running(node, recorder, request_catch_up=request):
            await listening(node)
            await node.say(head())
            await until(lambda: asked)
            assert asked[0].reason == "start"
            await node.sockets[-1].close()
            await until(lambda: len(node.subscribed) == 6)
            await node.say(head(17))
            await until(lambda: len(asked) == 2)
        assert asked[1].leaders is None
        assert recorder.counts["watcher_catch_up_retries"] == 3
        assert recorder.counts["watcher_catch_ups_requested"] == 4
        assert recorder.counts["watcher_gaps"] == 2

    run(scenario)


def test_a_request_that_can_never_succeed_does_not_block_the_others() -> None:
    asked: list[str] = []

    def request(gap: GapClosed) -> int:
        asked.append(gap.reason)
        if len(asked) == 1:
            raise Permanent("no such thing")
        return 1

    async def scenario() -> None:
        node, recorder = Node(), Recorder()
        async with running(node, recorder, request_catch_up=request):
            for round_number in (1, 2):
                await until(lambda n=round_number: len(node.subscribed) == 3 * n)
                await node.say(head(15 + round_number))
                await until(lambda n=round_number: len(asked) == n)
                await node.sockets[-1].close()
        assert recorder.counts["watcher_catch_ups_refused"] == 1

    run(scenario)


def test_too_many_waiting_requests_become_one_that_covers_all() -> None:
    async def scenario() -> None:
        recorder, taken = Recorder(), []
        threads = errands.Threads(recorder)
        catch_ups = errands.CatchUps(
            lambda gap: len(taken.append(gap) or [1]), recorder, threads, LIMITS, lambda: 0.0
        )
        for number in range(200):
            catch_ups.ask(GapClosed(1_000 - number, 2_000 + number, "r", frozenset({str(number)})))
        task = asyncio.create_task(catch_ups.run())
        async with asyncio.timeout(3):
            await catch_ups.drain()
        task.cancel()
        threads.close()
        assert len(taken) == errands.WAITING_MAX
        assert (taken[-1].ts_from, taken[-1].ts_until, taken[-1].leaders) == (801, 2_199, None)

    run(scenario)


def test_what_an_earlier_process_delivered_is_checked() -> None:
    session = PolygonSession({WALLET: "lead"})
    (seen,) = session.receive(notification(log_in(10)), 1)
    wanted: list[int] = []

    def canonical(number: int) -> str:
        wanted.append(number)
        return block_hash(number, "b")

    async def scenario() -> None:
        node, recorder = Node(), Recorder()
        node_calls = chain(canonical=canonical)
        legs = [seen.message]
        async with running(node, recorder, chain=node_calls, recent_legs=lambda: legs):
            await listening(node)
            await node.say(chain_head(20))
            await until(lambda: recorder.messages)
        (message,) = recorder.messages
        assert message.chain[0].leg.removed
        assert wanted == [10]
        assert recorder.counts["watcher_reorged_logs"] == 1

    run(scenario)


def test_a_reorganisation_while_the_socket_was_down_is_found() -> None:
    async def scenario() -> None:
        node, recorder = Node(), Recorder()
        node_calls = chain(canonical=lambda number: block_hash(number, "b"))
        async with running(node, recorder, chain=node_calls):
            await listening(node)
            await node.say(notification(log_in(10)), chain_head(10))
            await until(lambda: len(recorder.messages) == 1)
            await node.sockets[-1].close()
            await until(lambda: len(node.subscribed) == 6)
            await node.say(chain_head(20, "b", "b"))
            await until(lambda: len(recorder.messages) == 2)
        assert recorder.messages[1].chain[0].leg.removed

    run(scenario)


def stalled_check(recorder: Recorder) -> Check:
    now = recorder.now_ms()
    return Check("t", "lead", WALLET, TX, "7", "BUY", "api_only", now + 9_000, now - 20_000, now)


@pytest.mark.parametrize("mode", ["both", "polygon"])
def test_a_stalled_subscription_is_renewed_while_the_api_is_read(
    mode: TriggerMode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chalicelib.watcher.stalls.RENEW_MS", 0)
    asked: list[GapClosed] = []

    async def scenario() -> None:
        node, recorder = Node(), Recorder()
        check = stalled_check(recorder)
        async with running(
            node,
            recorder,
            api_first=lambda: [check],
            rules=lambda: SystemRules(trigger_mode=mode),
            request_catch_up=lambda gap: len(asked.append(gap) or [1]),
        ):
            await listening(node)
            await node.say(head())
            if mode == "polygon":
                await until(lambda: len(recorder.beats) > 5)
                assert len(node.subscribed) == 3
                return
            await until(lambda: node.unsubscribed >= 1)
            await node.say(head(17))
            await until(lambda: any(gap.reason == "stalled subscription" for gap in asked))
        assert recorder.counts["watcher_stalled_subscriptions"] >= 1

    run(scenario)


def test_an_upgraded_exchange_is_stored_and_named(caplog: pytest.LogCaptureFixture) -> None:
    stored: list[tuple[str, str]] = []
    failures = [Retryable("the store is away")]

    def upgraded(exchange: str, implementation: str) -> None:
        if failures:
            raise failures.pop()
        stored.append((exchange, implementation))

    async def scenario() -> None:
        node, recorder = Node(), Recorder()
        proxy, code = LIVE_EXCHANGES[2], "0x" + "c0" * 20
        async with running(node, recorder, upgraded=upgraded):
            await listening(node)
            await node.say(head(), notification(upgrade_log(proxy, code)))
            await until(lambda: stored)
            await until(lambda: "was upgraded to" in recorder.beats[-1].detail)
        assert stored == [(proxy, code)]
        assert recorder.counts["exchange_upgraded"] == 1

    run(scenario)
    assert any(r.levelname == "ERROR" and "was upgraded" in r.message for r in caplog.records)


def test_a_new_exchange_is_listened_to_within_a_refresh() -> None:
    rows: list[ExchangeContract] = []

    async def scenario() -> None:
        node, recorder = Node(), Recorder()
        async with running(node, recorder, exchanges=lambda: list(rows)):
            await listening(node)
            rows.extend([*DEFAULTS, ExchangeContract("0x" + "e4" * 20, "v3", True)])
            await until(lambda: node.unsubscribed == 2)
            assert len(node.subscribed) == 5
            await node.say(head(), notification(fill_log(address="0x" + "e4" * 20)))
            await until(lambda: recorder.messages)
        assert node.accepted == 1

    run(scenario)


class Ranges:
    """A node's logs by block, which refuses more than `width` blocks at once."""

    def __init__(self, width: int) -> None:
        self.width = width
        self.head = 30
        self.asked: list[tuple[int, int]] = []
        self.makers: set[str] = set()
        self.behind = 1

    def logs(
        self, first: int, last: int, addresses: Sequence[str], makers: Sequence[str]
    ) -> list[dict[str, object]]:
        assert addresses
        assert makers
        assert last <= self.head
        self.asked.append((first, last))
        self.makers.update(makers)
        if last - first + 1 > self.width:
            raise RangeTooWide()
        if self.behind:
            self.behind -= 1
            raise Retryable("invalid block range")
        return [log_in(number) for number in range(first, last + 1) if number % 10 == 0]


def numbers_of(recorder: Recorder) -> set[int]:
    return {message.chain[0].leg.block_number for message in list(recorder.messages)}


def test_a_sweep_finds_what_the_socket_did_not_deliver() -> None:
    ranges, kept = Ranges(width=7), []

    async def scenario() -> None:
        node, recorder = Node(), Recorder()
        async with running(
            node,
            recorder,
            rules=lambda: SystemRules(gap_fill="sweep", gap_fill_blocks_max=20),
            chain=chain(logs=ranges.logs, head_number=lambda: ranges.head),
            cursors=lambda: dict.fromkeys(LIVE_EXCHANGES, 5),
            keep_cursors=kept.append,
        ):
            await listening(node)
            await until(lambda: numbers_of(recorder) == {10, 20, 30})
            ranges.head = 44
            await until(lambda: numbers_of(recorder) == {10, 20, 30, 40})
            await until(lambda: kept and kept[-1] == dict.fromkeys(LIVE_EXCHANGES, 44))
        assert ranges.makers == {WALLET}
        assert recorder.counts["gap_fill_ranges_refused"] == 2
        assert recorder.counts["gap_fill_failed"] == 1
        # Once the width is known it is kept.
        assert all(last - first < 7 for first, last in ranges.asked[3:])

    run(scenario)


def test_a_reconnect_reads_exactly_its_gap() -> None:
    ranges = Ranges(width=100)
    ranges.behind = 0

    async def scenario() -> None:
        node, recorder = Node(), Recorder()
        async with running(
            node,
            recorder,
            rules=lambda: SystemRules(gap_fill="on_reconnect"),
            chain=chain(
                logs=ranges.logs,
                head_number=lambda: ranges.head,
                canonical=lambda number: block_hash(number),
            ),
        ):
            await listening(node)
            await node.say(chain_head(11))
            await node.sockets[-1].close()
            await until(lambda: len(node.subscribed) == 6)
            # The other node is one block behind the socket for a moment.
            await node.say(chain_head(31))
            await until(lambda: recorder.beats[-1].last_block == 31)
            ranges.head = 31
            await until(lambda: numbers_of(recorder) == {20, 30})
        assert (ranges.asked[0][0], ranges.asked[-1][1]) == (11, 31)

    run(scenario)


def test_without_the_setting_no_range_is_ever_asked_for() -> None:
    def never(*_: object) -> list[dict[str, object]]:
        raise AssertionError("a range was asked for")

    async def scenario() -> None:
        node, recorder = Node(), Recorder()
        async with running(node, recorder, chain=chain(logs=never, head_number=lambda: 16)):
            await listening(node)
            await node.say(head())
            await node.sockets[-1].close()
            await until(lambda: len(node.subscribed) == 6)
            await node.say(head(19))
            await until(lambda: len(recorder.beats) > 10)

    run(scenario)


def test_a_hanging_node_never_delays_the_socket() -> None:
    release = threading.Event()

    def hang(*_: object) -> list[dict[str, object]]:
        release.wait(10)
        raise Retryable("gave up")

    async def scenario() -> None:
        node, recorder = Node(), Recorder()
        try:
            async with running(
                node,
                recorder,
                chain=chain(logs=hang, head_number=lambda: 30, block_time=hang, canonical=hang),
                rules=lambda: SystemRules(gap_fill="sweep"),
            ):
                await listening(node)
                for number in range(20):
                    log = log_in(40 + number, blockTimestamp=None)
                    await node.say(notification(log))
                await node.say(*(notification(log_in(30, log_index=n)) for n in range(50)))
                await until(lambda: len(recorder.messages) == 50)
        finally:
            release.set()

    run(scenario)


def test_two_watchers_send_the_same_and_hurt_nobody() -> None:
    async def scenario() -> None:
        node, one, two = Node(), Recorder(), Recorder()
        async with running(node, one), running(node, two):
            await until(lambda: len(node.subscribed) == 6)
            for socket in list(node.sockets):
                await socket.send(notification(fill_log()))
            await until(lambda: one.messages and two.messages)
        assert one.messages[0].chain == two.messages[0].chain

    run(scenario)


def test_a_server_that_always_drops_is_backed_off_from_for_ever() -> None:
    waits: list[float] = []

    def jitter() -> float:
        waits.append(asyncio.get_running_loop().time())
        return 1.0

    async def scenario() -> None:
        node, recorder = Node(drop_at_once=True), Recorder()
        async with serve(node.handle, "127.0.0.1", 0) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            watcher = Watcher(
                f"ws://127.0.0.1:{port}",
                PolygonSession({WALLET: "lead"}),
                around_of(recorder),
                limits=RunnerLimits(backoff_s=0.001, backoff_s_max=0.01, drain_s=1),
                jitter=jitter,
            )
            stop = asyncio.Event()
            task = asyncio.create_task(watcher.run(stop))
            await until(lambda: node.accepted >= 30, seconds=10)
            stop.set()
            await task
        # Every attempt was preceded by its own wait.
        assert len(waits) >= node.accepted - 1

    run(scenario)


HANGING = """
import asyncio, sys, time
sys.path[:0] = sys.argv[1:]
from feed_fakes import WALLET, Recorder, fill_log, notification
from chalicelib.watcher import __main__ as main
from chalicelib.watcher.runner import RunnerLimits, Surroundings, Watcher
from chalicelib.watcher.session import PolygonSession

class Hanging(Recorder):
    def send(self, messages):
        print("sending", flush=True)
        time.sleep(600)

recorder = Hanging()
session = PolygonSession({WALLET: "lead"})
around = Surroundings(recorder, recorder, recorder, dict, recorder.beat, recorder.keep)
watcher = Watcher("ws://127.0.0.1:9", session, around, limits=RunnerLimits(drain_s=DRAIN))
for output in session.receive(notification(fill_log()), 1):
    watcher._delivery.evidence(output.message)
asyncio.run(main.serve(watcher))
main.leave(0)
"""


@pytest.mark.parametrize(("drain_s", "again", "code"), [(0.2, False, 0), (600, True, 128 + 15)])
def test_neither_a_hanging_thread_nor_a_long_drain_keeps_the_process(
    drain_s: float, again: bool, code: int
) -> None:
    script = HANGING.replace("DRAIN", str(drain_s))
    here = Path(__file__).parent
    command = [sys.executable, "-c", script, str(here), str(here.parents[1])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "sending\n"
            process.send_signal(signal.SIGTERM)
            while again and process.poll() is None:
                process.send_signal(signal.SIGTERM)
                time.sleep(0.05)
            assert process.wait(30) == code
        finally:
            process.kill()


def test_all_waits_at_the_end_fit_into_twenty_seconds() -> None:
    limits = RunnerLimits()
    assert limits.drain_s + limits.last_words_s + limits.close_timeout_s <= 20
