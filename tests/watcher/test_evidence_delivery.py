"""The buffer between the socket and the queue."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

import pytest
from feed_fakes import WALLET, Recorder, fill_log, notification

from chalicelib.domain.errors import InvalidInput, Permanent, Retryable
from chalicelib.domain.evidence import FillMessage
from chalicelib.watcher import delivery
from chalicelib.watcher.delivery import Delivery
from chalicelib.watcher.outputs import Evidence
from chalicelib.watcher.session import PolygonSession

T = TypeVar("T")


def message(log_index: int) -> FillMessage:
    session = PolygonSession({WALLET: "lead"})
    (output,) = session.receive(notification(fill_log(log_index=log_index)), 1)
    assert isinstance(output, Evidence)
    return output.message


def indices(messages: Sequence[FillMessage]) -> list[int]:
    return [found.chain[0].leg.log_index for found in messages]


class Bodies(Recorder):
    """A queue whose prepared form is not the message; `poison` can never be sent."""

    def __init__(self, *, poison: int = -1, failures: int = 0) -> None:
        super().__init__(failures=failures)
        self.poison = poison
        self.batches: list[int] = []

    def prepare(self, found: FillMessage) -> object:
        if found.leader == "":
            raise InvalidInput("leader", "is no text")
        return ("prepared", found)

    def send_prepared(self, prepared: Sequence[object]) -> None:
        self.batches.append(len(prepared))
        messages = [form[1] for form in prepared]  # type: ignore[index]
        if self.poison in indices(messages):
            raise Permanent("too large")
        self.send(messages)


class Gate:
    """Runs work on the loop, once it is open."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.entered = asyncio.Event()

    async def __call__(self, work: Callable[[], T]) -> T:
        self.entered.set()
        await self.open.wait()
        return work()


def box_of(queue: Recorder, gate: Gate, messages_max: int = 100) -> Delivery:
    return Delivery(queue, queue.keep, queue, gate, jitter=lambda: 0.0, messages_max=messages_max)


@asynccontextmanager
async def running(box: Delivery) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(box.run()), asyncio.create_task(box.run_refusals())]
    try:
        async with asyncio.timeout(10):
            yield
    finally:
        for task in tasks:
            task.cancel()


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "RETRY_S", 0.001)


def test_what_cannot_be_sent_is_found_among_many_and_the_order_stays() -> None:
    async def scenario() -> None:
        queue, gate = Bodies(poison=700), Gate()
        box = box_of(queue, gate, 2_000)
        for number in range(1_000):
            assert box.evidence(message(number))
        gate.open.set()
        async with running(box):
            await box.drain(10)
        assert indices(queue.messages) == [n for n in range(1_000) if n != 700]
        ((payload, error),) = queue.kept
        assert error == "too large"
        assert '"log_index":700' in payload
        # Halving finds it; one by one would take a thousand calls.
        assert len(queue.batches) < 50
        assert queue.counts["watcher_evidence"] == 999

    asyncio.run(scenario())


def test_failures_shrink_a_batch_and_successes_let_it_grow_again() -> None:
    async def scenario() -> None:
        queue, gate = Bodies(failures=3), Gate()
        box = box_of(queue, gate)
        for number in range(64):
            box.evidence(message(number))
        gate.open.set()
        async with running(box):
            await box.drain(10)
        assert queue.batches == [64, 32, 16, 8, 16, 32, 8]
        assert indices(queue.messages) == list(range(64))

    asyncio.run(scenario())


def test_what_has_no_form_on_the_queue_is_kept_for_a_person() -> None:
    async def scenario() -> None:
        queue, gate = Bodies(), Gate()
        box = box_of(queue, gate)
        found = message(1)
        nameless = FillMessage("", found.wallet, 1, chain=found.chain)
        assert box.evidence(nameless)
        async with running(box):
            gate.open.set()
            await box.drain(10)
        assert queue.messages == []
        ((payload, error),) = queue.kept
        assert error == "leader: is no text"
        assert WALLET in payload

    asyncio.run(scenario())


def test_a_full_buffer_lets_the_reader_wait_until_a_batch_is_gone() -> None:
    async def scenario() -> None:
        queue, gate = Bodies(), Gate()
        box = box_of(queue, gate, 2)
        async with running(box):
            for number in range(2):
                assert box.evidence(message(number))
            assert box.full
            reader = asyncio.create_task(box.room())
            await gate.entered.wait()
            assert not reader.done()
            gate.open.set()
            await reader
            assert not box.full
            assert box.evidence(message(2))
            await box.drain(10)
        assert indices(queue.messages) == [0, 1, 2]
        assert "watcher_evidence_dropped" not in queue.counts

    asyncio.run(scenario())


def test_the_reader_waits_once_for_a_queue_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "ROOM_WAIT_S_MAX", 0.01)

    async def scenario() -> None:
        queue, gate = Bodies(), Gate()
        box = box_of(queue, gate, 1)
        async with running(box):
            assert box.evidence(message(0))
            await box.room()
            monkeypatch.setattr(delivery, "ROOM_WAIT_S_MAX", 600)
            await box.room()
            assert not box.evidence(message(1))
            assert queue.counts == {"watcher_evidence_dropped": 1}
            gate.open.set()
            await box.drain(10)
            # Once something was sent again, waiting makes sense again.
            gate.open.clear()
            gate.entered.clear()
            assert box.evidence(message(2))
            reader = asyncio.create_task(box.room())
            await gate.entered.wait()
            assert not reader.done()
            gate.open.set()
            await reader

    asyncio.run(scenario())


def test_the_reader_does_not_wait_while_sending_fails() -> None:
    class Down(Bodies):
        def send_prepared(self, prepared: Sequence[object]) -> None:
            raise Retryable("the queue is away")

    async def scenario() -> None:
        queue, gate = Down(), Gate()
        box = box_of(queue, gate, 1)
        async with running(box):
            assert box.evidence(message(0))
            reader = asyncio.create_task(box.room())
            await gate.entered.wait()
            gate.open.set()
            await reader
            assert box.full
            assert not box.evidence(message(1))

    asyncio.run(scenario())


def test_draining_gives_up_in_time_and_says_what_is_left(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        queue, gate = Bodies(), Gate()
        box = box_of(queue, gate)
        async with running(box):
            for number in range(3):
                box.evidence(message(number))
            await gate.entered.wait()
            await box.drain(0.01)
        assert queue.counts["watcher_evidence_dropped"] == 3

    asyncio.run(scenario())
    assert "with 3 messages unsent" in caplog.text
