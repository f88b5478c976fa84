"""Polls of leaders in one process: a few at a time, each leader once, so that a slow one delays
nobody. Periodic polls and wake-ups go the same way.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from threading import Condition, Event

ASKED_MAX = 1_000
"""Polls waiting for their time; more than this are refused, the next round asks again."""
GAP_S = 5.0
"""Shortest time between the starts of two polls of one leader."""
IDLE_S_MAX = 1.0


class PollPool:
    """Port PollTicks. `work` is the body of each of its threads."""

    def __init__(
        self,
        poll: Callable[[str], object],
        *,
        gap_s: float = GAP_S,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._poll = poll
        self._gap_s = gap_s
        self._now = now
        self._changed = Condition()
        self._due: dict[str, list[float]] = {}
        self._started: dict[str, float] = {}
        self._running: set[str] = set()

    def send(self, leaders: Sequence[str], delays_seconds: Sequence[float]) -> None:
        """A poll of each of `leaders` after each delay; one that is asked for already counts."""
        with self._changed:
            now = self._now()
            for leader in leaders:
                for delay in delays_seconds:
                    self._ask(leader, now + delay)
            self._changed.notify_all()

    def at_once(self, leader: str) -> None:
        """A poll of `leader` as soon as a thread is free, however lately he was polled."""
        with self._changed:
            self._started.pop(leader, None)
            self._ask(leader, self._now())
            self._changed.notify_all()

    def _ask(self, leader: str, at: float) -> None:
        asked = self._due.setdefault(leader, [])
        # One that starts within the gap before this one leaves nothing for it to find.
        if any(at - self._gap_s < other <= at for other in asked):
            return
        if sum(map(len, self._due.values())) < ASKED_MAX:
            asked.append(at)

    def pending(self) -> int:
        """Polls that run or wait for their time."""
        with self._changed:
            return len(self._running) + sum(map(len, self._due.values()))

    def work(self, stop: Event) -> None:
        """Poll whoever is due until stopped. A failure of `poll` ends it: begin again."""
        while not stop.is_set():
            leader = self._take(IDLE_S_MAX)
            if leader is None:
                continue
            try:
                self._poll(leader)
            finally:
                with self._changed:
                    self._running.discard(leader)
                    self._changed.notify_all()

    def _take(self, seconds_max: float) -> str | None:
        """The leader who is due longest, now being polled; None when nobody was for a while."""
        with self._changed:
            now = self._now()
            at, leader = min(
                ((self._ready(who), who) for who in self._due if self._waits(who)),
                default=(now + seconds_max, ""),
            )
            if not leader or at > now:
                self._changed.wait(min(seconds_max, at - now))
                return None
            asked = self._due[leader]
            asked[:] = [other for other in asked if other > now]
            if not asked:
                del self._due[leader]
            self._started[leader] = now
            self._running.add(leader)
            return leader

    def _waits(self, leader: str) -> bool:
        return bool(self._due[leader]) and leader not in self._running

    def _ready(self, leader: str) -> float:
        """When his next poll may start."""
        last = self._started.get(leader)
        asked = min(self._due[leader])
        return asked if last is None else max(asked, last + self._gap_s)
