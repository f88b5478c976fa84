"""How much is waiting in a stage's queues, for the health view."""

from __future__ import annotations

from typing import Any

from chalicelib.adapters.aws import translating
from chalicelib.ports import Clock

CACHE_MS = 30_000
_QUEUES = {
    "fills": ("fills.fifo",),
    "dead": ("fills-dead.fifo", "polls-dead"),
    "failures": ("failures",),
}


class QueueDepths:
    """Approximate message counts, asked for at most every CACHE_MS."""

    def __init__(self, stage: str, client: Any, clock: Clock) -> None:
        self._stage = stage
        self._client = client
        self._clock = clock
        self._known: tuple[int, dict[str, int]] | None = None

    def __call__(self) -> dict[str, int]:
        """Waiting fills, dead letters, and quarantined payloads. Raises Retryable or Permanent."""
        now = self._clock.now_ms()
        if self._known is None or now - self._known[0] > CACHE_MS:
            counts = {name: sum(map(self._depth, queues)) for name, queues in _QUEUES.items()}
            self._known = (now, counts)
        return self._known[1]

    def _depth(self, queue: str) -> int:
        with translating(f"read the depth of {queue}"):
            url = self._client.get_queue_url(QueueName=f"papercopy-{self._stage}-{queue}")
            attributes = self._client.get_queue_attributes(
                QueueUrl=url["QueueUrl"], AttributeNames=["ApproximateNumberOfMessages"]
            )
            return int(attributes["Attributes"]["ApproximateNumberOfMessages"])
