"""What was stored of single hours: trades, and the global portfolio's attempts, per leader."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from chalicelib.domain.completeness import HOUR_MS
from chalicelib.domain.errors import Permanent
from chalicelib.domain.lane import Attempt
from chalicelib.domain.trade import Trade
from chalicelib.keyspace import Table, day
from chalicelib.ports import R, Store
from chalicelib.services.portfolios import ACCOUNT, global_id

PAGE = 500
PAGES_MAX = 200
MARGIN_MS = 300_000
"""The listings are read this far beyond an hour: a reorganisation moves a trade a little, and an
attempt is decided a little after its block."""


@dataclass(slots=True)
class StoredHour:
    """Trades and attempts around one hour by leader."""

    trades: dict[str, list[Trade]] = field(default_factory=dict)
    attempts: dict[str, list[Attempt]] = field(default_factory=dict)


class StoredHours:
    """Hours read from the listings once each; made for one measurement and then thrown away."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[int, StoredHour] = {}

    def of(self, ts_hour: int) -> StoredHour:
        """What lies in the hour from `ts_hour` on (milliseconds), and MARGIN_MS beyond.

        Raises Permanent when there is more than PAGES_MAX pages; a part would be a wrong answer.
        """
        known = self._known.get(ts_hour)
        if known is not None:
            return known
        made = StoredHour()
        end = ts_hour + HOUR_MS + MARGIN_MS
        for trade in self._listed(Trade, "activity", "trades#", ts_hour - MARGIN_MS, end):
            made.trades.setdefault(trade.leader, []).append(trade)
        prefix = f"attempts#{ACCOUNT}#"
        for attempt in self._listed(Attempt, "portfolio", prefix, ts_hour, end):
            if attempt.portfolio_id == global_id():
                made.attempts.setdefault(attempt.leader, []).append(attempt)
        self._known[ts_hour] = made
        return made

    def _listed(
        self, kind: type[R], table: Table, prefix: str, ts_from: int, ts_until: int
    ) -> Iterator[R]:
        """Records of a day-partitioned listing with ts_from ≤ time < ts_until."""
        floor = f"{ts_from:013d}"
        for listed_day in dict.fromkeys((day(ts_from), day(ts_until - 1))):
            before = f"{ts_until:013d}"
            for _ in range(PAGES_MAX):
                rows = self._store.feed(kind, table, prefix + listed_day, before=before, limit=PAGE)
                inside = [(sk, record) for sk, record in rows if sk >= floor]
                yield from (record for _, record in inside)
                if len(inside) < PAGE:
                    break
                before = inside[-1][0]
            else:
                raise Permanent(f"more than {PAGES_MAX * PAGE} of {kind.__name__} in one hour")
