"""From the socket to the queue: a bounded buffer that keeps order and retries."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import islice
from typing import Protocol, TypeVar

from chalicelib.adapters.codec import to_text
from chalicelib.domain.errors import InvalidInput, PapercopyError, Retryable
from chalicelib.domain.evidence import FillMessage
from chalicelib.ports import FillQueue, Metrics, Prepared

T = TypeVar("T")
MESSAGES_MAX = 20_000
REFUSALS_MAX = 1_000
BATCH_MESSAGES = 1_000
ROOM_WAIT_S_MAX = 1.0
RETRY_S = 0.2
RETRY_S_MAX = 10.0
_log = logging.getLogger(__name__)


class InThread(Protocol):
    """Runs blocking work off the loop."""

    def __call__(self, work: Callable[[], T]) -> Awaitable[T]:
        """The result of `work`."""


Waiting = tuple[FillMessage, Prepared]
"""A message and its form on the queue, which is made while it is at hand."""


class Delivery:
    """Hands evidence to the queue in order, and refusals to whoever keeps them.

    A full buffer makes the reader wait for a moment (`room`). What still does not fit is dropped,
    counted and named to the caller, who lets the API be read for it: a reader that stopped
    reading for longer would lose its socket.
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
        self._prepare = queue.prepare
        self._keep = keep
        self._metrics = metrics
        self._in_thread = in_thread
        self._jitter = jitter
        self._messages_max = messages_max
        self._waiting: deque[Waiting] = deque()
        self._some = asyncio.Event()
        self._moved = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._stuck = False
        self._refusals: asyncio.Queue[tuple[str, str]] = asyncio.Queue(REFUSALS_MAX)

    @property
    def full(self) -> bool:
        """Whether the next message would be dropped."""
        return len(self._waiting) >= self._messages_max

    def evidence(self, message: FillMessage) -> bool:
        """Take a message for the queue; False when there is no room for it."""
        waiting = self._waiting
        if self.full:
            self._metrics.count("watcher_evidence_dropped")
            return False
        try:
            waiting.append((message, self._prepare(message)))
        except InvalidInput as error:
            self.refused(repr(message), str(error))
            return True
        if len(waiting) == 1:
            self._some.set()
            self._idle.clear()
        return True

    async def room(self) -> None:
        """Wait until the buffer is not full, at most ROOM_WAIT_S_MAX.

        While nothing can be sent the reader waits only once: it must go on reading.
        """
        if self._stuck:
            return
        try:
            async with asyncio.timeout(ROOM_WAIT_S_MAX):
                while self.full and not self._stuck:
                    self._moved.clear()
                    await self._moved.wait()
        except TimeoutError:
            self._stuck = True

    def refused(self, payload: str, error: str) -> None:
        """Take a payload that can never be processed."""
        self._metrics.count("watcher_refused")
        try:
            self._refusals.put_nowait((payload, error))
        except asyncio.QueueFull:
            self._metrics.count("watcher_refused_dropped")

    async def run(self) -> None:
        """Deliver forever, in batches that shrink while something is wrong.

        A batch that cannot be sent now is repeated; the one message of a batch that can never be
        sent is found by halving and kept for a person. What was sent twice is harmless.
        """
        waiting, size, wait_s = self._waiting, BATCH_MESSAGES, RETRY_S
        while True:
            if not waiting:
                self._idle.set()
                self._some.clear()
                await self._some.wait()
            # They leave the buffer when they are sent, so that its bound and `drain` see them.
            batch = list(islice(waiting, size))
            prepared = [form for _, form in batch]
            try:
                await self._in_thread(partial(self._queue.send_prepared, prepared))
            except Retryable as error:
                self._metrics.count("watcher_send_retries")
                _log.warning("sending %d messages failed: %s", len(batch), error)
                self._stuck = True
                self._moved.set()
                await asyncio.sleep(wait_s * (0.5 + self._jitter() / 2))
                wait_s = min(wait_s * 2, RETRY_S_MAX)
                size = max(1, len(batch) // 2)
                continue
            except PapercopyError as error:
                if len(batch) > 1:
                    size = len(batch) // 2
                    continue
                self.refused(to_text(batch[0][0]), str(error))
            else:
                self._metrics.count("watcher_evidence", len(batch))
            for _ in batch:
                waiting.popleft()
            size, wait_s = min(size * 2, BATCH_MESSAGES), RETRY_S
            self._stuck = False
            self._moved.set()

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
                await self._idle.wait()
                await self._refusals.join()
        except TimeoutError:
            left = len(self._waiting)
            self._metrics.count("watcher_evidence_dropped", left)
            _log.error("stopping with %d messages unsent", left)
