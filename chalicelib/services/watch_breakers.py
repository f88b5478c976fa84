"""Circuit breakers of a portfolio: told its equity, they open, and close with their time."""

from __future__ import annotations

from chalicelib.domain.breakers import Breakers, observed, open_breakers
from chalicelib.domain.errors import Conflict
from chalicelib.domain.portfolio import Head
from chalicelib.domain.reasons import Reason
from chalicelib.domain.records import replace
from chalicelib.domain.risk import DAY_MS
from chalicelib.keyspace import breakers_key
from chalicelib.ports import Metrics, Put, Require, Rules, Store, Write
from chalicelib.services.snapshot_portfolios import latest_snapshots

ROUNDS_MAX = 5
QUIET_MS = 300_000
"""An equity that changes nothing is stored this often, and always this close to midnight."""


def breakers_of(store: Store, head: Head) -> Breakers:
    """The breakers of a portfolio's epoch; all closed where nothing was seen yet."""
    key = breakers_key(head.portfolio_id, head.epoch)
    return store.get(Breakers, key) or Breakers(head.portfolio_id, head.epoch)


class WatchBreakers:
    """Looks at equity: with each mark cycle, and whenever a portfolio decides."""

    def __init__(self, store: Store, rules: Rules, metrics: Metrics) -> None:
        self._store = store
        self._rules = rules
        self._metrics = metrics

    def __call__(self, head: Head, equity: int, ts: int) -> tuple[Reason, ...]:
        """Store what the equity (micros) at `ts` means; the breakers that are open then.

        What only moves the last equity is stored every QUIET_MS, and each time before a day ends,
        since a day and a week open with the last one before them.
        The equity must be that of one moment: nothing here requires the head. Raises Conflict when
        others keep storing, Retryable when the store cannot answer.
        """
        newest = latest_snapshots(self._store, head.portfolio_id, head.epoch)
        minute = newest[0] if newest else None
        rules = self._rules.rules_for(head.leader)
        for _ in range(ROUNDS_MAX):
            before = breakers_of(self._store, head)
            after = observed(before, equity, ts, rules, minute)
            try:
                if _is_worth_storing(before, after):
                    self._store.commit([Put(after)])
            except Conflict:
                continue
            self._count(before, after)
            return open_breakers(after, ts)
        raise Conflict(f"the breakers of {head.portfolio_id} keep changing")

    def at_decision(self, head: Head, equity: int, ts: int) -> tuple[tuple[Reason, ...], Write]:
        """The breakers open at `ts`, and the write that must be part of the decision's commit.

        It stores a breaker that opened just now, and else requires that nobody opened one.
        """
        before = breakers_of(self._store, head)
        after = observed(before, equity, ts, self._rules.rules_for(head.leader))
        self._count(before, after)
        if is_news(before, after):
            return open_breakers(after, ts), Put(after)
        key = breakers_key(head.portfolio_id, head.epoch)
        return open_breakers(after, ts), Require(key, before.version)

    def _count(self, before: Breakers, after: Breakers) -> None:
        opened = [new for old, new in zip(_times(before), _times(after), strict=True) if new > old]
        if opened:
            self._metrics.count("breakers_opened", len(opened))


def is_news(before: Breakers, after: Breakers) -> bool:
    """Whether a decision stores what it saw: the first equity, and a breaker that opened."""
    return before.version == 0 or _times(after) != _times(before)


def _is_worth_storing(before: Breakers, after: Breakers) -> bool:
    if after == before:
        return False
    quiet = replace(after, ts=before.ts, equity=before.equity, ts_high=before.ts_high)
    is_due = after.ts - before.ts >= QUIET_MS or DAY_MS - after.ts % DAY_MS <= QUIET_MS
    return is_due or quiet != before


def _times(breakers: Breakers) -> tuple[int, int, int]:
    return breakers.ts_daily, breakers.ts_weekly, breakers.ts_drawdown
