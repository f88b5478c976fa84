"""What the way to ingestion promises on SQS and inside one process alike."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import boto3
import pytest

from chalicelib.adapters.clock import ManualClock
from chalicelib.adapters.embedded.queue import Delivery, MemoryFillQueue
from chalicelib.adapters.fill_wire import parse_fill_message
from chalicelib.adapters.sqs import SqsFillQueue
from chalicelib.domain.evidence import FillMessage
from chalicelib.ports import FillQueue

from .aws_resources import REGION, create_queues
from .messages import fill_message

RECEIVES_MAX = 3


class Consumer(Protocol):
    """One message at a time from the other end; `retry` fails it and lets its back-off pass."""

    def take(self) -> tuple[Any, FillMessage] | None: ...
    def ack(self, receipt: Any) -> None: ...
    def retry(self, receipt: Any) -> None: ...
    def dead(self) -> list[FillMessage]: ...


class MemoryConsumer:
    def __init__(self, queue: MemoryFillQueue, clock: ManualClock) -> None:
        self._queue, self._clock = queue, clock

    def take(self) -> tuple[Delivery, FillMessage] | None:
        taken = self._queue.take(1)
        return (taken[0], taken[0].message) if taken else None

    def ack(self, receipt: Delivery) -> None:
        self._queue.ack(receipt)

    def retry(self, receipt: Delivery) -> None:
        self._queue.fail(receipt, "again")
        self._clock.advance(30_000)

    def dead(self) -> list[FillMessage]:
        return [letter.message for letter in self._queue.dead()]


class SqsConsumer:
    def __init__(self, client: Any) -> None:
        self._client = client
        self._url = client.get_queue_url(QueueName="papercopy-test-fills.fifo")["QueueUrl"]

    def _receive(self, url: str) -> tuple[str, FillMessage] | None:
        messages = self._client.receive_message(QueueUrl=url).get("Messages", [])
        if not messages:
            return None
        return messages[0]["ReceiptHandle"], parse_fill_message(messages[0]["Body"])

    def take(self) -> tuple[str, FillMessage] | None:
        return self._receive(self._url)

    def ack(self, receipt: str) -> None:
        self._client.delete_message(QueueUrl=self._url, ReceiptHandle=receipt)

    def retry(self, receipt: str) -> None:
        self._client.change_message_visibility(
            QueueUrl=self._url, ReceiptHandle=receipt, VisibilityTimeout=0
        )

    def dead(self) -> list[FillMessage]:
        dead = self._client.get_queue_url(QueueName="papercopy-test-fills-dead.fifo")["QueueUrl"]
        found = self._receive(dead)
        return [found[1]] if found else []


@pytest.fixture(params=["memory", "sqs"])
def ends(request: pytest.FixtureRequest) -> Iterator[tuple[FillQueue, Consumer]]:
    if request.param == "memory":
        clock = ManualClock(0)
        queue = MemoryFillQueue(clock, deliveries_max=RECEIVES_MAX)
        yield queue, MemoryConsumer(queue, clock)
    else:
        request.getfixturevalue("aws")
        client = boto3.client("sqs", region_name=REGION)
        create_queues(client, "test", receives_max=RECEIVES_MAX)
        yield SqsFillQueue("test", client), SqsConsumer(client)


Ends = tuple[FillQueue, Consumer]


def drain(consumer: Consumer) -> list[FillMessage]:
    found = []
    while taken := consumer.take():
        found.append(taken[1])
        consumer.ack(taken[0])
    return found


def test_messages_arrive_whole_and_in_order(ends: Ends) -> None:
    queue, consumer = ends
    messages = [fill_message("a", n) for n in range(25)]
    queue.send(messages[:3])
    queue.send(messages[3:])
    assert drain(consumer) == messages
    assert consumer.take() is None


def test_prepared_messages_arrive_like_any_other(ends: Ends) -> None:
    queue, consumer = ends
    messages = [fill_message("a", n) for n in range(25)]
    prepared = [queue.prepare(message) for message in messages]
    assert consumer.take() is None
    queue.send_prepared(prepared[:13])
    queue.send(messages[13:15])
    queue.send_prepared(prepared[15:])
    queue.send_prepared([])
    assert drain(consumer) == messages


def test_nothing_to_send_is_fine(ends: Ends) -> None:
    queue, consumer = ends
    queue.send([])
    assert consumer.take() is None


def test_the_same_message_may_be_sent_twice(ends: Ends) -> None:
    queue, consumer = ends
    message = fill_message("a", 1)
    queue.send([message, message])
    queue.send([message])
    assert drain(consumer) == [message] * 3


def test_a_leader_waits_for_his_message_in_flight(ends: Ends) -> None:
    queue, consumer = ends
    queue.send([fill_message("a", 1), fill_message("a", 2), fill_message("b", 3)])
    first = consumer.take()
    other = consumer.take()
    assert first is not None
    assert other is not None
    assert (first[1].ts_seen, other[1].ts_seen) == (1, 3)
    assert consumer.take() is None
    consumer.ack(first[0])
    second = consumer.take()
    assert second is not None
    assert second[1].ts_seen == 2


def test_a_failed_message_comes_again_before_its_successors(ends: Ends) -> None:
    queue, consumer = ends
    queue.send([fill_message("a", n) for n in range(3)])
    first = consumer.take()
    assert first is not None
    consumer.retry(first[0])
    assert [m.ts_seen for m in drain(consumer)] == [0, 1, 2]


def test_what_fails_too_often_goes_to_the_dead_letters(ends: Ends) -> None:
    queue, consumer = ends
    poison, healthy = fill_message("a", 1), fill_message("a", 2)
    queue.send([poison, healthy])
    for _ in range(RECEIVES_MAX):
        assert consumer.dead() == []
        taken = consumer.take()
        assert taken is not None
        assert taken[1] == poison
        consumer.retry(taken[0])
    assert drain(consumer) == [healthy]
    assert consumer.dead() == [poison]
