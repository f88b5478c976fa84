"""Work beside the loop: attempts in threads, look-ups at a node, and requests that must succeed."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TypeVar

from chalicelib.domain.errors import PapercopyError, Retryable
from chalicelib.ports import Metrics
from chalicelib.watcher.outputs import GapClosed
from chalicelib.watcher.surroundings import RunnerLimits

T = TypeVar("T")
THREADS_MAX = 16
LOOKUPS_MAX = 4
WAITING_MAX = 64
_log = logging.getLogger(__name__)


class Threads:
    """Runs what blocks off the loop."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._pool = ThreadPoolExecutor(THREADS_MAX, thread_name_prefix="watcher")

    async def run(self, work: Callable[[], T]) -> T:
        """The result of `work`."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    async def attempt(self, work: Callable[[], T], what: str) -> T | None:
        """The result, or None after a counted failure; the caller comes again anyway."""
        try:
            return await self.run(work)
        except PapercopyError as error:
            self._metrics.count(f"watcher_{what}_failed")
            _log.warning("%s failed: %s", what, error)
            return None

    def close(self) -> None:
        """Let go of what still runs."""
        self._pool.shutdown(wait=False, cancel_futures=True)


class Lookups:
    """Questions to a node, each once at a time and not too many at once."""

    def __init__(self) -> None:
        self._open: dict[object, asyncio.Task[None]] = {}

    def start(self, key: object, ask: Callable[[], Awaitable[None]]) -> bool:
        """Ask unless the same question is open; False when too many are."""
        if key in self._open:
            return True
        if len(self._open) >= LOOKUPS_MAX:
            return False
        task = asyncio.ensure_future(ask())
        self._open[key] = task
        task.add_done_callback(lambda done: self._ended(key, done))
        return True

    def _ended(self, key: object, task: asyncio.Task[None]) -> None:
        self._open.pop(key, None)
        if not task.cancelled() and (error := task.exception()):
            _log.error("a look-up failed: %r", error)

    def cancel(self) -> None:
        """Nobody needs the answers any more."""
        for task in list(self._open.values()):
            task.cancel()


class CatchUps:
    """Asks for the API to be read over every gap, until each request was taken."""

    def __init__(
        self,
        request: Callable[[GapClosed], int],
        metrics: Metrics,
        threads: Threads,
        limits: RunnerLimits,
        jitter: Callable[[], float],
    ) -> None:
        self._request = request
        self._metrics = metrics
        self._threads = threads
        self._limits = limits
        self._jitter = jitter
        self._waiting: deque[GapClosed] = deque()
        self._some = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def ask(self, gap: GapClosed) -> None:
        """Take a gap; when too many wait, the last two become one that covers both."""
        if len(self._waiting) >= WAITING_MAX:
            other = self._waiting.pop()
            known = [ts for ts in (gap.ts_from, other.ts_from) if ts is not None]
            whole = len(known) == 2
            gap = replace(
                gap,
                ts_from=min(known) if whole else None,
                ts_until=max(gap.ts_until, other.ts_until),
                leaders=None,
            )
        self._waiting.append(gap)
        self._idle.clear()
        self._some.set()

    async def run(self) -> None:
        """Ask forever."""
        wait_s = self._limits.retry_s
        while True:
            if not self._waiting:
                self._idle.set()
                self._some.clear()
                await self._some.wait()
            gap = self._waiting[0]
            try:
                made = await self._threads.run(lambda: self._request(gap))  # noqa: B023
            except Retryable as error:
                self._metrics.count("watcher_catch_up_retries")
                _log.warning("asking for a catch-up failed: %s", error)
                await asyncio.sleep(wait_s * (0.5 + self._jitter() / 2))
                wait_s = min(wait_s * 2, self._limits.retry_s_max)
                continue
            except PapercopyError as error:
                made = 0
                self._metrics.count("watcher_catch_ups_refused")
                _log.error("a catch-up of %s was refused: %s", gap, error)
            wait_s = self._limits.retry_s
            self._metrics.count("watcher_catch_ups_requested", made)
            self._waiting.remove(gap)

    async def drain(self) -> None:
        """Wait until every request was taken."""
        await self._idle.wait()
