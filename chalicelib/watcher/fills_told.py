"""A queue of fills that lets the market watch know which tokens are traded, as they pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from chalicelib.domain.evidence import FillMessage
from chalicelib.ports import FillQueue, Prepared


class FillsTold:
    """Port FillQueue: tells (token, time seen in ms, leader) of live trades, then hands them on."""

    def __init__(self, queue: FillQueue, tell: Callable[[str, int, str], None]) -> None:
        self._queue = queue
        self._tell = tell

    def send(self, messages: Sequence[FillMessage]) -> None:
        """Hand over every message, in order, or raise what the queue raises."""
        for message in messages:
            self._tell_of(message)
        self._queue.send(messages)

    def prepare(self, message: FillMessage) -> Prepared:
        """What `send_prepared` takes."""
        self._tell_of(message)
        return self._queue.prepare(message)

    def send_prepared(self, prepared: Sequence[Prepared]) -> None:
        """Hand over everything, in order, or raise what the queue raises."""
        self._queue.send_prepared(prepared)

    def _tell_of(self, message: FillMessage) -> None:
        if message.backfill:
            return
        tokens = {item.token_id for item in message.chain}
        for token in tokens.union(item.token_id for item in message.api):
            self._tell(token, message.ts_seen, message.leader)
