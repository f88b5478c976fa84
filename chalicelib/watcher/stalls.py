"""Whether a subscription delivers what it should, judged by trades the API showed first. No I/O."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass

from chalicelib.domain.registry import Check
from chalicelib.watcher.subscriptions import Shard

LATE_MS = 15_000
"""How long a log may come later than the API's row."""
CHECK_MS_MAX = 10 * 60_000
"""Older questions are not judged: the log may have been seen and forgotten."""
RENEW_MS = 30_000
SEEN_MAX = 10_000
MISSING_MAX = 1_000
HOPELESS_RENEWALS = 3
HOPELESS_MS = 10 * 60_000


Fill = tuple[str, str]
"""Transaction and wallet."""


@dataclass(frozen=True, slots=True)
class _Missing:
    """A fill that another way showed first; times in milliseconds."""

    ts_block: int
    ts_raised: int


class Stalls:
    """The fills the socket delivered, those it did not, and which shards had to be renewed."""

    def __init__(self) -> None:
        self._missing: dict[Fill, _Missing] = {}
        self._seen: OrderedDict[Fill, None] = OrderedDict()
        self._heard: dict[str, int] = {}
        self._renewed: list[int] = []

    def connected(self) -> None:
        """A new socket starts without a record."""
        self._renewed.clear()

    def seen(self, tx_hash: str, wallet: str, now_ms: int) -> None:
        """A log of this transaction was delivered for this wallet."""
        key = (tx_hash, wallet)
        if key not in self._seen:
            self._seen[key] = None
            if len(self._seen) > SEEN_MAX:
                self._seen.popitem(last=False)
        self._heard[wallet] = now_ms

    def expect(self, tx_hash: str, wallet: str, ts_block: int, ts_raised: int) -> None:
        """A fill is known from elsewhere: its log should come, or have come."""
        key = (tx_hash, wallet)
        if key in self._seen or key in self._missing or len(self._missing) >= MISSING_MAX:
            return
        self._missing[key] = _Missing(ts_block, ts_raised)

    def knows(self, tx_hash: str, wallet: str) -> bool:
        """Whether a log of this transaction was delivered for this wallet, as far as remembered."""
        return (tx_hash, wallet) in self._seen

    def accused(
        self,
        checks: Iterable[Check],
        followed: Container[str],
        shard_of: Callable[[str], Shard | None],
        now_ms: int,
    ) -> list[tuple[Shard, int]]:
        """Shards to renew, each with the time (milliseconds) since which logs may be missing.

        A check is remembered: its row may be answered and gone before the log is late enough.
        """
        for check in checks:
            self.expect(check.tx_hash, check.wallet, check.ts_block, check.ts_raised)
        self._heard = {w: ts for w, ts in self._heard.items() if w in followed}
        found: dict[Shard, int] = {}
        for fill, missing in list(self._missing.items()):
            waited = now_ms - missing.ts_raised
            shard = shard_of(fill[1])
            if waited > CHECK_MS_MAX or fill in self._seen or fill[1] not in followed:
                del self._missing[fill]
            elif shard is None or waited <= LATE_MS:
                continue
            elif missing.ts_block <= shard.ts_confirmed:
                # It was mined before this subscription: no fault of its own.
                del self._missing[fill]
            elif now_ms - shard.ts_confirmed >= RENEW_MS:
                found[shard] = min(missing.ts_block, found.get(shard, missing.ts_block))
        self._renewed += [now_ms] * len(found)
        return [(shard, min(ts, self._last_proof(shard))) for shard, ts in found.items()]

    def _last_proof(self, shard: Shard) -> int:
        return max([shard.ts_confirmed, *(self._heard.get(w, 0) for w in shard.wallets)])

    def hopeless(self, now_ms: int) -> bool:
        """Whether renewing alone did not help."""
        self._renewed = [ts for ts in self._renewed if now_ms - ts < HOPELESS_MS]
        return len(self._renewed) >= HOPELESS_RENEWALS
