"""Make moto's SQS exact under threads: locking, FIFO order, deduplication, scaled time.

moto's own SQS-to-Lambda mapping (inside SendMessage, no retries) is switched off here; the
poller in `infra.local.poller` does that work with AWS semantics.
"""

import threading
import time
from collections.abc import Callable
from typing import Any

from moto.core.utils import unix_time, unix_time_millis
from moto.sqs.models import Message, Queue, SQSBackend

from infra.local.patching import Patches

DEDUPLICATION_MS = 5 * 60 * 1000
RECEIVE_STEP_S = 0.05

_lock = threading.RLock()


class Doorbells:
    """One event per queue, rung when a message arrives or a FIFO group becomes free."""

    def __init__(self) -> None:
        self._bells: dict[str, threading.Event] = {}

    def of(self, queue_name: str) -> threading.Event:
        return self._bells.setdefault(queue_name, threading.Event())

    def ring(self, queue_name: str) -> None:
        bell = self._bells.get(queue_name)
        if bell is not None:
            bell.set()


def _is_duplicate(queue: Queue, message: Message) -> bool:
    """AWS remembers an id for five minutes, also after the message was deleted; moto does not."""
    # A message on its way to a dead-letter queue or back was received before.
    if not queue.fifo_queue or not message.deduplication_id or message.approximate_receive_count:
        return False
    seen: dict[str, float] = queue.__dict__.setdefault("deduplication_ids", {})
    now = unix_time_millis()
    while seen and now - seen[oldest := next(iter(seen))] >= DEDUPLICATION_MS:
        del seen[oldest]
    if message.deduplication_id in seen:
        return True
    seen[message.deduplication_id] = now
    return False


def _release_expired(queue: Queue) -> None:
    """Free all timed-out messages before any is handed out.

    moto frees them one by one while it walks the queue, so of two timed-out messages of a group
    the second is delivered first.
    """
    for message in [message for message in queue.pending_messages if message.visible]:
        queue.pending_messages.discard(message)


def _locked(method: Callable[..., Any]) -> Callable[..., Any]:
    def call(self: SQSBackend, *arguments: Any, **options: Any) -> Any:
        with _lock:
            return method(self, *arguments, **options)

    return call


def patch_sqs(patches: Patches, doorbells: Doorbells, time_scale: float) -> None:
    """`time_scale` shrinks visibility time-outs and delays: 0.1 makes 60 s last 6 s."""
    receive_message = SQSBackend.receive_message

    def add_message(queue: Queue, message: Message) -> None:
        with _lock:
            if _is_duplicate(queue, message):
                return
            queue._messages.append(message)
        doorbells.ring(queue.name)

    def receive(
        backend: SQSBackend,
        queue_name: str,
        count: int,
        wait_seconds_timeout: int,
        visibility_timeout: int,
        message_attribute_names: list[str] | None = None,
    ) -> list[Message]:
        give_up_at = unix_time() + int(wait_seconds_timeout or 0)
        while True:
            with _lock:
                _release_expired(backend.get_queue(queue_name))
                messages = receive_message(
                    backend, queue_name, count, 0, visibility_timeout, message_attribute_names
                )
            if messages or unix_time() >= give_up_at:
                return messages
            time.sleep(RECEIVE_STEP_S)

    def change_visibility(message: Message, visibility_timeout: int) -> None:
        message.visible_at = unix_time_millis() + int(visibility_timeout) * 1000 * time_scale

    def delay(message: Message, delay_seconds: int) -> None:
        message.delayed_until = unix_time_millis() + int(delay_seconds) * 1000 * time_scale

    patches.replace(Queue, "add_message", add_message)
    patches.replace(SQSBackend, "receive_message", receive)
    patches.replace(Message, "change_visibility", change_visibility)
    patches.replace(Message, "delay", delay)
    for name in ("delete_message", "change_message_visibility", "purge_queue"):
        patches.replace(SQSBackend, name, _locked(getattr(SQSBackend, name)))


def queue_depths(sqs: Any, prefix: str) -> dict[str, int]:
    """Messages per queue: visible, in flight and delayed together, by name without `prefix`."""
    names = [f"ApproximateNumberOfMessages{kind}" for kind in ("", "NotVisible", "Delayed")]
    depths = {}
    for url in sqs.list_queues(QueueNamePrefix=prefix).get("QueueUrls", []):
        attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        short = url.rsplit("/", 1)[1].removeprefix(prefix)
        depths[short] = sum(int(attributes[name]) for name in names)
    return depths
