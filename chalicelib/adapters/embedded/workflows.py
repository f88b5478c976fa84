"""Workflow timers in this process: the same steps as the state machine, waited for by one thread.

A run that cannot be finished here (restart, lasting failure) is finished by the sweeper, because
the work rows, not the timers, are the truth.
"""

from __future__ import annotations

import heapq
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from threading import Condition, Thread

from chalicelib.domain.errors import PapercopyError, Retryable
from chalicelib.ports import STEPS_MAX, CopyRun, Quarantine

RUNS_MAX = 20_000
TRIES_MAX = 3
RETRY_SECONDS = 1
_log = logging.getLogger(__name__)


class TimerWorkflows:
    """Implements CopyWorkflows; `wait_scale` shortens waits in tests."""

    def __init__(self, quarantine: Quarantine, wait_scale: float = 1.0) -> None:
        self._quarantine = quarantine
        self._wait_scale = wait_scale
        self._heap: list[tuple[float, int, CopyRun, int]] = []
        self._names: set[str] = set()
        self._numbers = count()
        self._changed = Condition()
        self._stopping = False
        self._busy = False
        self._thread: Thread | None = None

    def run_with(self, step: Callable[[CopyRun], CopyRun]) -> None:
        """Start working off runs with `step`."""
        self._thread = Thread(target=self._work, args=(step,), name="workflows", daemon=True)
        self._thread.start()

    def start(self, run: CopyRun) -> None:
        with self._changed:
            if run.group_id in self._names:
                return
            if len(self._heap) >= RUNS_MAX:
                raise Retryable(f"more than {RUNS_MAX} copy workflows are waiting")
            self._names.add(run.group_id)
            self._push(run, run.wait_seconds, tries=0)

    def waiting(self) -> int:
        """Runs that are not finished."""
        with self._changed:
            return len(self._heap) + self._busy

    def stop(self, timeout_s: float = 10.0) -> None:
        """Stop after the step under way."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._thread:
            self._thread.join(timeout_s)

    def _push(self, run: CopyRun, seconds: int, tries: int) -> None:
        due = time.monotonic() + seconds * self._wait_scale
        heapq.heappush(self._heap, (due, next(self._numbers), run, tries))
        self._changed.notify_all()

    def _work(self, step: Callable[[CopyRun], CopyRun]) -> None:
        while True:
            with self._changed:
                while not self._stopping and (
                    not self._heap or self._heap[0][0] > time.monotonic()
                ):
                    self._changed.wait(self._heap[0][0] - time.monotonic() if self._heap else None)
                if self._stopping:
                    return
                _, _, run, tries = heapq.heappop(self._heap)
                self._busy = True
            self._advance(step, run, tries)

    def _advance(self, step: Callable[[CopyRun], CopyRun], run: CopyRun, tries: int) -> None:
        """One step; failures are retried a few times, then left to the sweeper."""
        following, wait, failure = run, 0, ""
        try:
            following = step(run)
            wait, tries = following.wait_seconds, 0
        except Retryable as error:
            wait, tries, failure = RETRY_SECONDS << tries, tries + 1, str(error)
        except PapercopyError as error:
            tries, failure = TRIES_MAX, str(error)
        except Exception as error:  # noqa: BLE001
            # One broken run must not end the thread that all others wait for.
            _log.exception("copy workflow %s failed", run.group_id)
            tries, failure = TRIES_MAX, f"{type(error).__name__}: {error}"
        given_up = tries >= TRIES_MAX or following.rounds >= STEPS_MAX
        with self._changed:
            self._busy = False
            if self._stopping:
                return
            if wait and not given_up:
                self._push(replace(following, wait_seconds=wait), wait, tries)
            else:
                self._names.discard(run.group_id)
        if given_up:
            self._keep(run, failure or "too many rounds")

    def _keep(self, run: CopyRun, failure: str) -> None:
        try:
            self._quarantine.keep("copy_trade", run.group_id, failure)
        except PapercopyError as error:
            _log.error("copy workflow %s (%s) was not kept: %s", run.group_id, failure, error)
