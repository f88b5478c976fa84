"""The way from producers to ingestion inside one process, with the habits of an SQS FIFO queue.

Order holds per leader: while one of his messages is in flight or waits to be tried again, his
later ones stay where they are. A message that is neither acknowledged nor failed in time counts
as failed, because its worker died. What fails too often goes to the dead letters, and the leader's
next message moves up. Nothing outlives the process.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from threading import Condition

from chalicelib.domain.errors import Retryable
from chalicelib.domain.evidence import FillMessage
from chalicelib.ports import Clock

MESSAGES_MAX = 10_000
DELIVERIES_MAX = 5
BACKOFF_MS = 500
BACKOFF_MS_MAX = 30_000
VISIBILITY_MS = 60_000
DEAD_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message handed to a worker for the `deliveries`-th time; `receipt` acknowledges it."""

    receipt: int
    message: FillMessage
    deliveries: int


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that failed DELIVERIES_MAX times, with its last error."""

    message: FillMessage
    error: str


@dataclass(slots=True)
class _Waiting:
    order: int
    message: FillMessage
    deliveries: int = 0


@dataclass(slots=True)
class _Line:
    """One leader's messages; the head is in flight while `receipt` is set."""

    messages: deque[_Waiting] = field(default_factory=deque)
    receipt: int | None = None


class MemoryFillQueue:
    """Oldest deliverable message first; safe for any number of producers and workers.

    Times come from `clock`; only the waiting of `take` is real.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        messages_max: int = MESSAGES_MAX,
        deliveries_max: int = DELIVERIES_MAX,
        backoff_ms: int = BACKOFF_MS,
        visibility_ms: int = VISIBILITY_MS,
    ) -> None:
        self._clock = clock
        self._messages_max = messages_max
        self._deliveries_max = deliveries_max
        self._backoff_ms = backoff_ms
        self._visibility_ms = visibility_ms
        self._lines: dict[str, _Line] = {}
        self._ready: list[tuple[int, str]] = []
        self._later: list[tuple[int, int, str]] = []
        self._expiring: list[tuple[int, int, str]] = []
        self._dead: deque[DeadLetter] = deque(maxlen=DEAD_MAX)
        self._depth = 0
        self._numbers = 0
        self._changed = Condition()

    def send(self, messages: Sequence[FillMessage]) -> None:
        """Take over every message, or none and raise Retryable when they do not all fit."""
        with self._changed:
            if self._depth + len(messages) > self._messages_max:
                raise Retryable(f"the queue holds {self._depth} of {self._messages_max} messages")
            for message in messages:
                line = self._lines.setdefault(message.leader, _Line())
                waiting = _Waiting(self._number(), message)
                line.messages.append(waiting)
                if len(line.messages) == 1:
                    heappush(self._ready, (waiting.order, message.leader))
            self._depth += len(messages)
            self._changed.notify_all()

    def prepare(self, message: FillMessage) -> FillMessage:
        """The message itself: nothing leaves the process."""
        return message

    def send_prepared(self, prepared: Sequence[FillMessage]) -> None:
        """The same as `send`."""
        self.send(prepared)

    def take(self, batch: int, wait_seconds: float = 0.0) -> list[Delivery]:
        """At most `batch` messages of different leaders, oldest first.

        Waits up to `wait_seconds` for the first one.
        """
        deadline = time.monotonic() + wait_seconds
        with self._changed:
            while True:
                self._promote()
                taken = self._take_ready(batch)
                left = deadline - time.monotonic()
                if taken or left <= 0:
                    return taken
                self._changed.wait(min(left, self._next_change_seconds()))

    def ack(self, delivery: Delivery) -> None:
        """The message is done. An acknowledgement that comes too late changes nothing."""
        with self._changed:
            leader = delivery.message.leader
            line = self._lines.get(leader)
            if line is not None and line.receipt == delivery.receipt:
                self._advance(leader, line)

    def fail(self, delivery: Delivery, error: str) -> bool:
        """Try the message again after a back-off, or bury it when it failed too often.

        Returns whether it was buried.
        """
        with self._changed:
            line = self._lines.get(delivery.message.leader)
            if line is not None and line.receipt == delivery.receipt:
                return self._fail(delivery.message.leader, line, error)
            return False

    def depth(self) -> int:
        """Messages waiting or in flight."""
        with self._changed:
            return self._depth

    def dead(self) -> list[DeadLetter]:
        """The latest DEAD_MAX dead letters, oldest first."""
        with self._changed:
            return list(self._dead)

    def forget_dead(self) -> None:
        """Drop the dead letters: somebody else has dealt with them."""
        with self._changed:
            self._dead.clear()

    def _number(self) -> int:
        self._numbers += 1
        return self._numbers

    def _promote(self) -> None:
        """Move up lines whose back-off is over, and fail deliveries nobody answered for."""
        now = self._clock.now_ms()
        while self._expiring and self._expiring[0][0] <= now:
            _, receipt, leader = heappop(self._expiring)
            line = self._lines.get(leader)
            if line is not None and line.receipt == receipt:
                self._fail(leader, line, "no answer in time")
        while self._later and self._later[0][0] <= now:
            _, order, leader = heappop(self._later)
            heappush(self._ready, (order, leader))

    def _take_ready(self, batch: int) -> list[Delivery]:
        if len(self._expiring) > 2 * self._messages_max:
            self._forget_answered()
        taken: list[Delivery] = []
        while self._ready and len(taken) < batch:
            _, leader = heappop(self._ready)
            line = self._lines[leader]
            head = line.messages[0]
            head.deliveries += 1
            line.receipt = self._number()
            expires = self._clock.now_ms() + self._visibility_ms
            heappush(self._expiring, (expires, line.receipt, leader))
            taken.append(Delivery(line.receipt, head.message, head.deliveries))
        return taken

    def _forget_answered(self) -> None:
        """Keep only the expiries of deliveries in flight; answered ones stay until then."""
        flying = {line.receipt for line in self._lines.values()}
        self._expiring = [entry for entry in self._expiring if entry[1] in flying]
        heapify(self._expiring)

    def _fail(self, leader: str, line: _Line, error: str) -> bool:
        head = line.messages[0]
        if head.deliveries >= self._deliveries_max:
            self._dead.append(DeadLetter(head.message, error))
            self._advance(leader, line)
            return True
        line.receipt = None
        backoff_ms = min(self._backoff_ms * 2 ** (head.deliveries - 1), BACKOFF_MS_MAX)
        heappush(self._later, (self._clock.now_ms() + backoff_ms, head.order, leader))
        self._changed.notify_all()
        return False

    def _advance(self, leader: str, line: _Line) -> None:
        line.messages.popleft()
        line.receipt = None
        self._depth -= 1
        if line.messages:
            heappush(self._ready, (line.messages[0].order, leader))
        else:
            del self._lines[leader]
        self._changed.notify_all()

    def _next_change_seconds(self) -> float:
        """Seconds until a back-off ends or a delivery expires, at least one millisecond."""
        times = [heap[0][0] for heap in (self._later, self._expiring) if heap]
        if not times:
            return 3_600.0
        return max(1, min(times) - self._clock.now_ms()) / 1000
