"""When the feed was proven whole, and for which stretches it was not. No I/O.

A proof is a head that arrives while every subscription is confirmed. What lies between the last
proof before a loss and the first one after it may be missing and is left to the Data API.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from chalicelib.watcher.outputs import GapClosed

START_BACK_MS = 15 * 60_000
RECONNECT_BACK_MS = 5 * 60_000
BACK_MS_MAX = 24 * 3_600_000


@dataclass(frozen=True, slots=True)
class Proof:
    """A head's number and block time in milliseconds; zeros when there was none."""

    number: int = 0
    ts_block: int = 0


class Gaps:
    """What has to be caught up once the feed is whole."""

    def __init__(self, before: Proof) -> None:
        self._last = before
        self._open: GapClosed | None = None
        self._began = False
        self._missed: dict[tuple[frozenset[str], str], int] = {}
        self._new: set[str] = set()

    def connected(self, now_ms: int, reason: str) -> None:
        """A new socket is open: everything since the last proof may be missing."""
        back = RECONNECT_BACK_MS if self._began else START_BACK_MS
        reason = reason if self._began else "start"
        self._began = True
        if self._open is None:
            since = min(self._last.ts_block or now_ms, now_ms - back)
            self._open = GapClosed(since, 0, reason, None, self._last.number)

    def missed(self, leaders: frozenset[str], ts_from: int, reason: str) -> None:
        """Logs of these leaders may be missing since then."""
        key = (leaders, reason)
        self._missed[key] = min(ts_from, self._missed.get(key, ts_from))

    def added(self, leaders: Iterable[str]) -> None:
        """These leaders are listened for from the next proof on."""
        self._new.update(leaders)

    def proven(self, proof: Proof, now_ms: int) -> list[GapClosed]:
        """A head came while everything was subscribed: what can be caught up now."""
        self._last = proof
        if self._open is None and not self._missed and not self._new:
            return []
        until, oldest = proof.ts_block, now_ms - BACK_MS_MAX
        closed: list[GapClosed] = []
        if self._open is not None:
            gap = self._open
            since = max(oldest, min(gap.ts_from or 0, until - RECONNECT_BACK_MS))
            closed.append(GapClosed(since, until, gap.reason, None, gap.block_from, proof.number))
        for (leaders, reason), ts_from in self._missed.items():
            since = max(oldest, min(ts_from, until - RECONNECT_BACK_MS))
            closed.append(GapClosed(since, until, reason, leaders))
        if self._new:
            closed.append(GapClosed(None, until, "followed", frozenset(self._new)))
        self._open = None
        self._missed.clear()
        self._new.clear()
        return closed
