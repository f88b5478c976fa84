"""The writes that count an attempt which is over, for the commit that ends it.

Counting is part of that commit, so it happens exactly once and is never behind. A portfolio's
lane ends one attempt at a time, so nobody else writes these counters.
"""

from __future__ import annotations

from chalicelib.domain.completeness import hour_of
from chalicelib.domain.hindsight import looks_back
from chalicelib.domain.lane import Attempt
from chalicelib.domain.performance import LeaderCounts, counted
from chalicelib.domain.records import replace
from chalicelib.keyspace import portfolio_pk
from chalicelib.ports import Put, Store, Write
from chalicelib.services.portfolios import account_of


def latest_counts(
    store: Store, portfolio_id: str, epoch: int, leader: str, before: int | None = None
) -> LeaderCounts | None:
    """The counters of one leader in a portfolio, or as they stood at `before` (milliseconds)."""
    prefix = f"counts#{leader}#"
    found = store.query(
        LeaderCounts,
        "portfolio",
        portfolio_pk(portfolio_id, epoch),
        start=prefix,
        end=f"counts#{leader}$" if before is None else f"{prefix}{before:013d}",
        limit=1,
        newest_first=True,
    )
    return found[0] if found else None


def counting(store: Store, attempt: Attempt) -> list[Write]:
    """The leader's counters after the attempt, and the look back at it where one is worth it."""
    hour = hour_of(attempt.decision.ts_decided)
    before = latest_counts(store, attempt.portfolio_id, attempt.epoch, attempt.leader)
    known = before or LeaderCounts(attempt.portfolio_id, attempt.epoch, attempt.leader, hour)
    after = counted(known, attempt)
    if after.ts_hour != known.ts_hour:
        # The first attempt of an hour begins its row.
        after = replace(after, version=0)
    later = looks_back(attempt, account_of(attempt.portfolio_id))
    return [Put(after), *([Put(later)] if later else [])]
