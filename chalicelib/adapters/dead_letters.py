"""Dead letters on SQS: counted, handed in again, or shown and discarded.

Messages are received, sent and deleted here one by one rather than by the queue's own move task:
that one cannot be bounded, tells nothing until it ends, and knows no way out of the failures
queue. Dying between send and delete sends twice, which is harmless.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

from chalicelib.adapters.aws import translating
from chalicelib.adapters.fill_wire import parse_fill_message
from chalicelib.domain.errors import InvalidInput
from chalicelib.ports import Redriven

RECEIVE_MAX = 10
HELD_SECONDS = 60
"""How long a received message stays hidden: longer than a run may take."""
_DEAD = {"fills": "fills-dead.fifo", "polls": "polls-dead", "failures": "failures"}

Message = dict[str, Any]
Entry = tuple[str, dict[str, str]]
"""The queue to send to, and what to send."""


class SqsDeadLetters:
    """Port DeadLetters on the dead-letter and failures queues of a stage."""

    def __init__(self, stage: str, client: Any) -> None:
        self._prefix = f"papercopy-{stage}-"
        self._client = client
        self._urls: dict[str, str] = {}

    def count(self, queue: str) -> int:
        """About how many messages lie there."""
        with translating(f"count {queue}"):
            found = self._client.get_queue_attributes(
                QueueUrl=self._url(_DEAD[queue]), AttributeNames=["ApproximateNumberOfMessages"]
            )
        return int(found["Attributes"]["ApproximateNumberOfMessages"])

    def redrive(self, queue: str, limit: int) -> Redriven:
        """Send at most `limit` messages to where they came from, oldest first."""
        return self._empty(queue, limit, lambda message: _entry(queue, message))

    def discard(self, queue: str, limit: int, show: Callable[[str], None]) -> Redriven:
        """Remove at most `limit` messages after showing each."""

        def shown(message: Message) -> Entry:
            show(message["Body"])
            return "", {}

        return self._empty(queue, limit, shown)

    def _empty(
        self, queue: str, limit: int, entry_of: Callable[[Message], Entry | None]
    ) -> Redriven:
        """Take messages out; those that `entry_of` has no entry for are put back."""
        dead = _DEAD[queue]
        moved, kept = 0, list[Message]()
        for message in self._received(dead, limit):
            entry = entry_of(message)
            if entry is None:
                kept.append(message)
                continue
            target, fields = entry
            with translating(f"redrive {dead}"):
                if target:
                    self._client.send_message(QueueUrl=self._url(target), **fields)
                self._client.delete_message(
                    QueueUrl=self._url(dead), ReceiptHandle=message["ReceiptHandle"]
                )
            moved += 1
        for message in kept:
            with translating(f"put back into {dead}"):
                self._client.change_message_visibility(
                    QueueUrl=self._url(dead),
                    ReceiptHandle=message["ReceiptHandle"],
                    VisibilityTimeout=0,
                )
        return Redriven(moved, len(kept), self.count(queue))

    def _received(self, dead: str, limit: int) -> Iterator[Message]:
        """At most `limit` messages, each once, until the queue shows no more."""
        left = limit
        while left > 0:
            with translating(f"receive from {dead}"):
                found: list[Message] = self._client.receive_message(
                    QueueUrl=self._url(dead),
                    MaxNumberOfMessages=min(RECEIVE_MAX, left),
                    VisibilityTimeout=HELD_SECONDS,
                    WaitTimeSeconds=1,
                    AttributeNames=["MessageGroupId"],
                ).get("Messages", [])
            if not found:
                return
            yield from found
            left -= len(found)

    def _url(self, name: str) -> str:
        if name not in self._urls:
            with translating(f"find {name}"):
                found = self._client.get_queue_url(QueueName=self._prefix + name)
            self._urls[name] = str(found["QueueUrl"])
        return self._urls[name]


def _entry(queue: str, message: Message) -> Entry | None:
    """Where a dead letter goes and as what; None when nothing would come of it."""
    body = message["Body"]
    if queue == "polls":
        return "polls", {"MessageBody": body}
    if queue == "fills":
        return _fill(body, message.get("Attributes", {}).get("MessageGroupId", ""))
    refused = refused_fill(body)
    return _fill(*refused) if refused else None


def _fill(body: str, group: str) -> Entry:
    # A new deduplication id: the queue would drop a repetition of one it has just seen.
    fields = {"MessageGroupId": group, "MessageDeduplicationId": uuid4().hex}
    return "fills.fifo", {"MessageBody": body, **fields}


def refused_fill(line: str) -> tuple[str, str] | None:
    """The fill message in a refusal and its leader; None for everything else, and for a part."""
    try:
        told = json.loads(line)
        whole = told["payload_bytes"] == len(told["payload"].encode())
        if told["source"] not in ("ingest", "fills") or not whole:
            return None
        return told["payload"], parse_fill_message(told["payload"]).leader
    except (InvalidInput, ValueError, TypeError, KeyError, AttributeError):
        return None
