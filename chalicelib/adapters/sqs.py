"""Queues on SQS: fills to ingestion, ticks to the pollers, refusals for a person."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any, Literal
from uuid import uuid4

from chalicelib.adapters import codec, fill_wire
from chalicelib.adapters.aws import translating
from chalicelib.adapters.clock import SystemClock
from chalicelib.adapters.refused import refused_line
from chalicelib.domain.errors import InvalidInput, Permanent, Retryable
from chalicelib.domain.evidence import FillMessage
from chalicelib.ports import Clock

BATCH_MESSAGES_MAX = 10
BATCH_BYTES_MAX = 250_000
"""The service's 256 KB hold for a whole batch; the rest is room for its own envelope."""
SEND_ATTEMPTS_MAX = 3
SEND_BACKOFF_MS = 100
DELAY_SECONDS_MAX = 900
TICK_LEADERS_MAX = 1_000


@dataclass(frozen=True, slots=True)
class PollTick:
    """Whom to poll, and since when that is due (milliseconds; 0 when nobody said)."""

    leaders: tuple[str, ...]
    ts_due: int = 0
    v: Literal[1] = 1


@dataclass(frozen=True, slots=True)
class _Versioned:
    v: int


MARK_TICK = '{"marks":true,"v":1}'
"""A body of the polls queue that asks for marks instead of polls."""


def parse_poll_tick(body: str) -> PollTick:
    """A body of the polls queue. Raises InvalidInput."""
    version = codec.from_text(_Versioned, body).v
    if version != 1:
        raise InvalidInput("v", f"version 1 was expected, got {version}")
    return codec.from_text(PollTick, body)


class _Queue:
    """One queue by name; its URL is looked up once."""

    def __init__(self, client: Any, name: str) -> None:
        self._client = client
        self._name = name
        self._url = ""
        self._lock = Lock()

    def send(self, entries: Sequence[dict[str, Any]]) -> None:
        """Send entries (each with MessageBody) in order, in as few batches as their bounds allow.

        Raises Permanent, before anything is sent, for an entry larger than a batch, and Retryable
        when entries were still refused after SEND_ATTEMPTS_MAX tries.
        """
        for batch in list(_batches(entries)):
            self._send_batch(batch)

    def _send_batch(self, batch: list[dict[str, Any]]) -> None:
        left = [{**entry, "Id": str(i)} for i, entry in enumerate(batch)]
        refusals: list[dict[str, Any]] = []
        for attempt in range(SEND_ATTEMPTS_MAX):
            if attempt:
                time.sleep(SEND_BACKOFF_MS * 2 ** (attempt - 1) / 1000)
            with translating(f"send to {self._name}"):
                answer = self._client.send_message_batch(QueueUrl=self._find(), Entries=left)
            refusals = answer.get("Failed", [])
            if not refusals:
                return
            refused = {refusal["Id"] for refusal in refusals}
            left = [entry for entry in left if entry["Id"] in refused]
        why = f"{refusals[0].get('Code')}: {refusals[0].get('Message', '')}"
        message = f"send to {self._name}: {len(left)} of {len(batch)} messages refused ({why})"
        if all(refusal.get("SenderFault") for refusal in refusals):
            raise Permanent(message)
        raise Retryable(message)

    def _find(self) -> str:
        with self._lock:
            if not self._url:
                self._url = str(self._client.get_queue_url(QueueName=self._name)["QueueUrl"])
            return self._url


def _batches(entries: Sequence[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    batch: list[dict[str, Any]] = []
    batch_bytes = 0
    for entry in entries:
        entry_bytes = len(entry["MessageBody"].encode())
        if entry_bytes > BATCH_BYTES_MAX:
            raise Permanent(f"a message has {entry_bytes} bytes, at most {BATCH_BYTES_MAX} fit")
        if len(batch) == BATCH_MESSAGES_MAX or batch_bytes + entry_bytes > BATCH_BYTES_MAX:
            yield batch
            batch, batch_bytes = [], 0
        batch.append(entry)
        batch_bytes += entry_bytes
    if batch:
        yield batch


PreparedFill = tuple[str, bytes]
"""The leader, whose messages keep their order, and the body."""


class SqsFillQueue:
    """Port FillQueue on `papercopy-{stage}-fills.fifo`.

    A message refused in the middle of a batch and accepted on repetition comes after its
    successors; order saves ingestion contention and decides nothing.
    """

    def __init__(self, stage: str, client: Any) -> None:
        self._queue = _Queue(client, f"papercopy-{stage}-fills.fifo")

    def prepare(self, message: FillMessage) -> PreparedFill:
        """What will be sent for a message. Raises InvalidInput for text that is not Unicode."""
        return message.leader, fill_wire.encode(message)

    def send_prepared(self, prepared: Sequence[PreparedFill]) -> None:
        """Hand over every message. Raises Retryable, or Permanent for one that is too large."""
        self._queue.send(
            [
                {
                    "MessageBody": body.decode(),
                    "MessageGroupId": leader,
                    # New for each send and kept on its repetitions: the queue drops the copy of
                    # a batch whose answer was lost, and never evidence sent twice on purpose.
                    "MessageDeduplicationId": uuid4().hex,
                }
                for leader, body in prepared
            ]
        )

    def send(self, messages: Sequence[FillMessage]) -> None:
        """Prepare and hand over every message. Raises what both of them raise."""
        self.send_prepared([self.prepare(message) for message in messages])


class SqsQuarantine:
    """Port Quarantine on `papercopy-{stage}-failures`."""

    def __init__(self, stage: str, client: Any) -> None:
        self._queue = _Queue(client, f"papercopy-{stage}-failures")

    def keep(self, source: str, payload: str, error: str) -> None:
        """Store one refused payload, cut to 100 KB. Raises Retryable or Permanent."""
        self._queue.send([{"MessageBody": refused_line(source, payload, error)}])


class SqsPollTicks:
    """Delayed ticks to the pollers on `papercopy-{stage}-polls`."""

    def __init__(self, stage: str, client: Any, clock: Clock | None = None) -> None:
        self._queue = _Queue(client, f"papercopy-{stage}-polls")
        self._clock = clock or SystemClock()

    def send(self, leaders: Sequence[str], delays_seconds: Sequence[int]) -> None:
        """One tick for all `leaders` after each of `delays_seconds` (0..900).

        Raises ValueError outside the bounds, Retryable or Permanent from the queue.
        """
        if any(not 0 <= delay <= DELAY_SECONDS_MAX for delay in delays_seconds):
            raise ValueError(f"a delay is 0 to {DELAY_SECONDS_MAX} seconds: {delays_seconds}")
        if len(leaders) > TICK_LEADERS_MAX:
            raise ValueError(f"{len(leaders)} leaders in one tick, at most {TICK_LEADERS_MAX} fit")
        self._send([(tuple(leaders), delay) for delay in delays_seconds])

    def send_each(self, ticks: Sequence[tuple[str, int]]) -> None:
        """A tick of its own for each (leader, delay in seconds, 0..900), ten to a request.

        Raises ValueError outside the bounds, Retryable or Permanent from the queue.
        """
        if any(not 0 <= delay <= DELAY_SECONDS_MAX for _, delay in ticks):
            raise ValueError(f"a delay is 0 to {DELAY_SECONDS_MAX} seconds: {ticks}")
        self._send([((leader,), delay) for leader, delay in ticks])

    def _send(self, ticks: Sequence[tuple[tuple[str, ...], int]]) -> None:
        now = self._clock.now_ms()
        self._queue.send(
            [
                {
                    "MessageBody": codec.to_text(PollTick(leaders, now + delay * 1000)),
                    "DelaySeconds": delay,
                }
                for leaders, delay in ticks
            ]
        )

    def send_marks(self, delay_seconds: int) -> None:
        """Ask for marks after a delay (0..900 s). Raises ValueError, Retryable or Permanent."""
        if not 0 <= delay_seconds <= DELAY_SECONDS_MAX:
            raise ValueError(f"a delay is 0 to {DELAY_SECONDS_MAX} seconds: {delay_seconds}")
        self._queue.send([{"MessageBody": MARK_TICK, "DelaySeconds": delay_seconds}])
