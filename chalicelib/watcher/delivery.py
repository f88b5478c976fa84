"""From the socket to the queue: a bounded buffer that keeps order and retries."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

from chalicelib.adapters.codec import to_text
from chalicelib.domain.errors import PapercopyError, Retryable
from chalicelib.domain.evidence import FillMessage
from chalicelib.ports import FillQueue, Metrics

T = TypeVar("T")
MESSAGES_MAX = 20_000
REFUSALS_MAX = 1_000
BATCH_MESSAGES = 50
RETRY_S = 0.2
RETRY_S_MAX = 10.0
_log = logging.getLogger(__name__)


class InThread(Protocol):
    """Runs blocking work off the loop."""

    def __call__(self, work: Callable[[], T]) -> Awaitable[T]:
        """The result of `work`."""


class Delivery:
    """Hands evidence to the queue in order, and refusals to whoever keeps them.

    What does not fit is dropped and counted: the pollers find those trades again, whereas a
    reader that stops reading would lose its socket.
    """

    def __init__(
        self,
        queue: FillQueue,
        keep: Callable[[str, str], None],
        metrics: Metrics,
        in_thread: InThread,
        *,
        jitter: Callable[[], float],
        messages_max: int = MESSAGES_MAX,
    ) -> None:
        self._queue = queue
        self._keep = keep
        self._metrics = metrics
        self._in_thread = in_thread
        self._jitter = jitter
        self._messages: asyncio.Queue[FillMessage] = asyncio.Queue(messages_max)
        self._refusals: asyncio.Queue[tuple[str, str]] = asyncio.Queue(REFUSALS_MAX)

    def evidence(self, message: FillMessage) -> None:
        """Take a message for the queue."""
        try:
            self._messages.put_nowait(message)
        except asyncio.QueueFull:
            self._metrics.count("watcher_evidence_dropped")

    def refused(self, payload: str, error: str) -> None:
        """Take a payload that can never be processed."""
        self._metrics.count("watcher_refused")
        try:
            self._refusals.put_nowait((payload, error))
        except asyncio.QueueFull:
            self._metrics.count("watcher_refused_dropped")

    async def run(self) -> None:
        """Deliver forever."""
        while True:
            batch = [await self._messages.get()]
            while len(batch) < BATCH_MESSAGES and not self._messages.empty():
                batch.append(self._messages.get_nowait())
            await self._send(batch)
            for _ in batch:
                self._messages.task_done()

    async def _send(self, batch: Sequence[FillMessage]) -> None:
        """Send until it is done; a message that can never be sent is kept for a person."""
        wait_s = RETRY_S
        while True:
            try:
                await self._in_thread(lambda: self._queue.send(batch))
            except Retryable as error:
                self._metrics.count("watcher_send_retries")
                _log.warning("sending %d messages failed: %s", len(batch), error)
                await asyncio.sleep(wait_s * (0.5 + self._jitter() / 2))
                wait_s = min(wait_s * 2, RETRY_S_MAX)
            except PapercopyError as error:
                if len(batch) == 1:
                    self.refused(to_text(batch[0]), str(error))
                else:
                    for message in batch:
                        await self._send([message])
                return
            else:
                self._metrics.count("watcher_evidence", len(batch))
                return

    async def run_refusals(self) -> None:
        """Keep refusals forever; one that cannot be kept is logged, never retried."""
        while True:
            payload, reason = await self._refusals.get()
            try:
                await self._in_thread(lambda: self._keep(payload, reason))  # noqa: B023
            except PapercopyError as error:
                _log.error("a refusal (%s) was not kept: %s", reason, error)
            self._refusals.task_done()

    async def drain(self, seconds: float) -> None:
        """Wait until everything is handed over, at most `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                await self._messages.join()
                await self._refusals.join()
        except TimeoutError:
            left = self._messages.qsize()
            self._metrics.count("watcher_evidence_dropped", left)
            _log.error("stopping with %d messages unsent", left)
