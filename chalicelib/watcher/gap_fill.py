"""Which blocks to read by range queries, how far they were read, and how wide to ask. No I/O.

Ranges never reach above the head they were planned with. Providers bound the blocks of one query
between 5 and 10,000 and say so only by refusing, so a refused range is asked again in halves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

OVERLAP_BLOCKS = 4
"""Blocks read again by each sweep: backends of one provider disagree about the head."""
BACK_BLOCKS_MAX = 2_400
"""About an hour; what lies before that is left to the Data API."""
BLOCKS_PER_QUERY = 10
"""What the free plans allow."""


@dataclass(frozen=True, slots=True)
class BlockRange:
    """Blocks `first` to `last`, both included, of these exchanges."""

    first: int
    last: int
    exchanges: tuple[str, ...]

    @property
    def blocks(self) -> int:
        """How many blocks."""
        return self.last - self.first + 1


class GapFill:
    """Plans one round at a time: `sweep` or `gap`, then `next` and `done` until None."""

    def __init__(self, cursors: Mapping[str, int] | None = None) -> None:
        self._cursors = dict(cursors or {})
        self._next: dict[str, int] = {}
        self._target = -1
        self._asked_max = BLOCKS_PER_QUERY
        self._blocks_max = BLOCKS_PER_QUERY

    @property
    def cursors(self) -> Mapping[str, int]:
        """The last block read, by exchange."""
        return self._cursors

    @property
    def target(self) -> int:
        """The last block of the round, -1 when none runs."""
        return self._target

    def allow(self, blocks_max: int) -> None:
        """The setting for blocks of one query; only a change of it forgets what was refused."""
        if blocks_max != self._asked_max:
            self._asked_max = self._blocks_max = max(1, blocks_max)

    def sweep(self, exchanges: Sequence[str], head: int) -> int:
        """Begin a round up to the head; the blocks left out because they are too far back."""
        skipped = 0
        oldest = max(0, head - BACK_BLOCKS_MAX + 1)
        self._next, self._target = {}, head
        for exchange in exchanges:
            read = min(self._cursors.get(exchange, head - OVERLAP_BLOCKS), head)
            first = max(0, read - OVERLAP_BLOCKS + 1)
            skipped = max(skipped, oldest - first)
            self._next[exchange] = max(first, oldest)
        return skipped

    def gap(self, exchanges: Sequence[str], first: int, last: int) -> int:
        """Begin a round over one gap, its newest blocks only; the blocks left out."""
        oldest = max(0, last - BACK_BLOCKS_MAX + 1)
        self._next = dict.fromkeys(exchanges, max(first, oldest))
        self._target = last
        return max(0, oldest - first)

    def next(self) -> BlockRange | None:
        """The range to ask for now, None when the round is over."""
        waiting = {e: n for e, n in self._next.items() if n <= self._target}
        if not waiting:
            return None
        first = min(waiting.values())
        last = min(first + self._blocks_max - 1, self._target)
        return BlockRange(first, last, tuple(e for e, n in waiting.items() if n <= last))

    def done(self, read: BlockRange) -> None:
        """A range was answered and its logs handed on."""
        for exchange in read.exchanges:
            self._next[exchange] = read.last + 1
            self._cursors[exchange] = max(self._cursors.get(exchange, 0), read.last)

    def too_wide(self, refused: BlockRange, blocks: int = 0) -> bool:
        """A range was refused, perhaps with the node's bound; False when it cannot be smaller."""
        if refused.blocks == 1:
            self.abandon()
            return False
        named = blocks if 0 < blocks < refused.blocks else refused.blocks // 2
        self._blocks_max = max(1, named)
        return True

    def abandon(self) -> None:
        """End the round; a sweep begins again where it stood."""
        self._next, self._target = {}, -1
