"""When a trade on a leader's token is printed and nobody tells whose it was. No I/O.

The market channel prints trades within a tenth of a second but without wallets. A print on a token
that a leader holds or traded lately is followed up: if no evidence of its transaction came within
WAIT_MS, the leader's activity is polled once, at most every AGAIN_MS.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping

WAIT_MS = 3_000
AGAIN_MS = 5_000
PRINTS_MAX = 5_000
"""Prints that wait at once; beyond it the oldest counts as unexplained right away."""


class WakeUps:
    """Prints in, leaders to poll out."""

    def __init__(self) -> None:
        self._interest: Mapping[str, frozenset[str]] = {}
        self._prints: deque[tuple[int, str, str]] = deque()
        self._wanted: set[str] = set()
        self._woken: dict[str, int] = {}

    def follow(self, interest: Mapping[str, frozenset[str]]) -> None:
        """Which leaders care about which token from now on."""
        self._interest = interest
        known = frozenset[str]().union(*interest.values()) if interest else frozenset[str]()
        self._wanted &= known
        self._woken = {leader: ts for leader, ts in self._woken.items() if leader in known}

    def printed(self, token_id: str, tx_hash: str, now_ms: int) -> None:
        """A trade was printed; `tx_hash` is empty where the venue does not know it yet."""
        if token_id not in self._interest:
            return
        if len(self._prints) >= PRINTS_MAX:
            _, _, oldest = self._prints.popleft()
            self._wanted |= self._interest.get(oldest, frozenset())
        self._prints.append((now_ms + WAIT_MS, tx_hash, token_id))

    def due(self, now_ms: int, explained: Callable[[str], bool]) -> list[str]:
        """Leaders to poll now; `explained` tells whether a transaction's evidence was seen."""
        while self._prints and self._prints[0][0] <= now_ms:
            _, tx_hash, token_id = self._prints.popleft()
            if not tx_hash or not explained(tx_hash):
                self._wanted |= self._interest.get(token_id, frozenset())
        ready = sorted(
            leader
            for leader in self._wanted
            if now_ms - self._woken.get(leader, now_ms - AGAIN_MS) >= AGAIN_MS
        )
        for leader in ready:
            self._woken[leader] = now_ms
        self._wanted -= set(ready)
        return ready
