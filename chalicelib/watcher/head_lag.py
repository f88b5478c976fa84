"""Whether the socket's head lies behind another endpoint's. No I/O."""

from __future__ import annotations

from typing import Literal

HEAD_LAG_BLOCKS_MAX = 3
BEHIND_AGAIN_MS = 60_000
"""A socket is replaced for lying behind at most this often: the other endpoint may be wrong."""

Verdict = Literal["fine", "replace", "disagreement"]


class HeadLag:
    """One comparison proves nothing, because both heads move; two in a row do.

    An endpoint that lags itself proves nothing either, and one that contradicts every socket is
    believed only once in BEHIND_AGAIN_MS.
    """

    def __init__(self) -> None:
        self.blocks = 0
        self.proven = False
        self._ts_replaced = -BEHIND_AGAIN_MS

    @property
    def suspected(self) -> bool:
        """Whether the next comparison should come soon."""
        return self.blocks > HEAD_LAG_BLOCKS_MAX and not self.proven

    def connected(self) -> None:
        """A new socket starts without a record."""
        self.blocks, self.proven = 0, False

    def compare(self, ours: int, theirs: int, now_ms: int) -> Verdict:
        """What the two heads say about the socket."""
        before, self.blocks = self.blocks, theirs - ours
        self.proven = min(before, self.blocks) > HEAD_LAG_BLOCKS_MAX
        if not self.proven:
            return "fine"
        if now_ms - self._ts_replaced < BEHIND_AGAIN_MS:
            return "disagreement"
        self._ts_replaced = now_ms
        return "replace"
