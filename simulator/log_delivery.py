"""How pushed logs reach a subscription: the faults between a block and a client's socket."""

from __future__ import annotations

import heapq
import json
import math
from typing import Any

from simulator.faults import Faults
from simulator.logs import Log
from simulator.outbox import Outbox
from simulator.venue import Venue

DELAYED_MAX = 50_000


def as_served(log: Log, faults: Faults) -> Log:
    """The log as this node writes it: some providers leave out the block's timestamp."""
    if not faults.omit_block_timestamp:
        return log
    return {name: value for name, value in log.items() if name != "blockTimestamp"}


def notification(subscription: str, result: dict[str, Any]) -> str:
    params = {"subscription": subscription, "result": result}
    return json.dumps({"jsonrpc": "2.0", "method": "eth_subscription", "params": params})


class LogDelivery:
    """Sends logs, or loses, repeats, holds back and shuffles them as the switches say.

    Subscriptions are known by their id, which is unique in a simulator's life.
    """

    def __init__(self, venue: Venue) -> None:
        self.venue = venue
        self._stalled: set[str] = set()
        self._delayed: list[tuple[int, int, Outbox, str]] = []
        self._serial = 0
        venue.time_listeners.append(self._release)

    def stall(self, part: float | str, subscriptions: list[str]) -> None:
        """Silence a seeded choice of these; 0 lets all speak again."""
        self._stalled.clear()
        if not part or not subscriptions:
            return
        count = 1 if isinstance(part, str) else math.ceil(part * len(subscriptions))
        self._stalled.update(self.venue.wire_rng.sample(sorted(subscriptions), count))
        self.venue.acted("ws_stall_subscriptions", count)

    def forget(self, subscription: str) -> None:
        self._stalled.discard(subscription)

    def send(self, outbox: Outbox, subscription: str, log: Log) -> None:
        venue, faults = self.venue, self.venue.faults
        if subscription in self._stalled:
            venue.counters["polygon logs stalled"] += 1
            return
        if faults.logs_drop_rate and venue.wire_rng.random() < faults.logs_drop_rate:
            venue.counters["polygon logs dropped"] += 1
            venue.acted("logs_drop_rate")
            return
        if faults.omit_block_timestamp:
            venue.acted("omit_block_timestamp")
        if faults.duplicate_logs:
            venue.acted("duplicate_logs")
        frame = notification(subscription, as_served(log, faults))
        for _ in range(2 if faults.duplicate_logs else 1):
            self._put(outbox, frame)

    def _put(self, outbox: Outbox, frame: str) -> None:
        """Now, or within `reorder_logs` ms of venue time at a moment of its own."""
        venue, limit = self.venue, self.venue.faults.reorder_logs
        venue.counters["polygon logs pushed"] += 1
        if not limit or len(self._delayed) >= DELAYED_MAX:
            outbox.put(frame)
            return
        venue.acted("reorder_logs")
        self._serial += 1
        due = venue.now + venue.wire_rng.randint(0, limit)
        heapq.heappush(self._delayed, (due, self._serial, outbox, frame))

    def _release(self, now: int) -> None:
        while self._delayed and self._delayed[0][0] <= now:
            _, _, outbox, frame = heapq.heappop(self._delayed)
            outbox.put(frame)
