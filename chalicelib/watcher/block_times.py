"""Block times by hash, and logs that wait for one. Bounded, no I/O.

Some providers put no `blockTimestamp` into logs. The header of the block usually follows within
milliseconds (their order is random), so a look-up is asked for only after a short grace.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace

from chalicelib.domain.exchange_log import LeaderFill

TIMES_MAX = 2_048
PARKED_MAX = 2_000
GRACE_MS = 250
ASK_AGAIN_MS = 2_000
PARKED_MS_MAX = 60_000


@dataclass(frozen=True, slots=True)
class SeenFill:
    """A fill, the log it came from, and the moment it was seen (milliseconds)."""

    fill: LeaderFill
    raw: str
    ts_seen: int


@dataclass(slots=True)
class _Waiting:
    """Fills of one block whose time is unknown."""

    fills: list[SeenFill]
    ts_parked: int
    ts_ask: int


class BlockTimes:
    """What is known of block times, and who waits."""

    def __init__(self) -> None:
        self._times: OrderedDict[str, int] = OrderedDict()
        self._waiting: dict[str, _Waiting] = {}
        self._parked = 0

    def get(self, block_hash: str) -> int | None:
        """Milliseconds of a block's time, if it was seen."""
        return self._times.get(block_hash)

    def learn(self, block_hash: str, ts_block: int) -> list[SeenFill]:
        """Remember a block's time; the fills that waited for it, now complete."""
        self._times[block_hash] = ts_block
        self._times.move_to_end(block_hash)
        if len(self._times) > TIMES_MAX:
            self._times.popitem(last=False)
        waiting = self._waiting.pop(block_hash, None)
        if waiting is None:
            return []
        self._parked -= len(waiting.fills)
        return [replace(s, fill=replace(s.fill, ts_block=ts_block)) for s in waiting.fills]

    def park(self, block_hash: str, fill: LeaderFill, raw: str, now_ms: int) -> bool:
        """Let a fill wait for its block's time; False when too many wait already."""
        if self._parked >= PARKED_MAX:
            return False
        waiting = self._waiting.get(block_hash)
        if waiting is None:
            waiting = _Waiting([], now_ms, now_ms + GRACE_MS)
            self._waiting[block_hash] = waiting
        waiting.fills.append(SeenFill(fill, raw, now_ms))
        self._parked += 1
        return True

    def due(self, now_ms: int) -> list[str]:
        """Hashes to look up now; each comes again until its time is known."""
        hashes = [h for h, waiting in self._waiting.items() if waiting.ts_ask <= now_ms]
        for block_hash in hashes:
            self._waiting[block_hash].ts_ask = now_ms + ASK_AGAIN_MS
        return hashes

    def expired(self, now_ms: int) -> list[SeenFill]:
        """Fills that waited too long; they are forgotten here."""
        gone = [h for h, w in self._waiting.items() if now_ms - w.ts_parked > PARKED_MS_MAX]
        fills = [seen for h in gone for seen in self._waiting.pop(h).fills]
        self._parked -= len(fills)
        return fills
