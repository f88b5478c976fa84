"""A trade the Data API has shown: the groups that wait for it need not wait for it any longer."""

from __future__ import annotations

from chalicelib.domain.errors import Conflict, Retryable
from chalicelib.domain.group import Fill, Group, awaits_api, confirm
from chalicelib.domain.lane import Work
from chalicelib.domain.records import replace
from chalicelib.domain.registry import PortfolioRef
from chalicelib.domain.trade import Trade
from chalicelib.keyspace import fill_key, group_key, key_of, portfolio_pk
from chalicelib.ports import Delete, Put, Rules, Store, Write
from chalicelib.services.portfolios import all_portfolios

ROUNDS_MAX = 8
ROWS_MAX = 50
"""Work rows of one portfolio that are due in the same millisecond."""
FILLS_MAX = 1_000


class ConfirmGroups:
    """What ingestion calls with every trade that both sources know; see `confirm_groups`."""

    def __init__(self, store: Store, rules: Rules) -> None:
        self._store = store
        self._rules = rules

    def __call__(self, trade: Trade, ts_seen: int) -> None:
        """Raises Retryable under lasting contention."""
        if self._rules.rules_for(trade.leader).execute_on == "api_confirmed":
            confirm_groups(self._store, trade, ts_seen)


def confirm_groups(store: Store, trade: Trade, ts_seen: int) -> int:
    """Tell the undecided groups of a trade's fills that the Data API showed it at `ts_seen`.

    A group that waits for nothing else becomes due earlier, in every portfolio, in the same
    commit. Returns how many groups changed; a repetition changes none. Raises Retryable under
    lasting contention.
    """
    if awaits_api(trade):
        return 0
    pk = fill_key(trade.trade_id, 0).pk
    fills = store.query(Fill, "activity", pk, start="fill#", end="fill$", limit=FILLS_MAX)
    numbers = {fill.group_number for fill in fills if fill.group_number is not None}
    return sum(_confirm(store, trade, number, ts_seen) for number in sorted(numbers))


def _confirm(store: Store, trade: Trade, number: int, ts_seen: int) -> bool:
    key = group_key(trade.leader, trade.token_id, trade.side, number)
    for _ in range(ROUNDS_MAX):
        before = store.get(Group, key)
        if before is None:
            return False
        after = confirm(before, trade.trade_id, ts_seen)
        if after == before:
            return False
        writes: list[Write] = [Put(after)]
        if after.ts_decided < before.ts_decided:
            for ref in _copiers(store, trade.leader):
                writes += _moved(store, ref, before, after)
        try:
            store.commit(writes)
        except Conflict:
            continue
        return True
    raise Retryable(f"group {number} of {trade.trade_id} stayed contended for {ROUNDS_MAX} rounds")


def _copiers(store: Store, leader: str) -> list[PortfolioRef]:
    """Portfolios that may have the leader's groups in their lanes, whatever his state is now."""
    return [
        ref
        for ref in all_portfolios(store)
        if ref.kind == "global" or (ref.kind == "leader" and ref.leader == leader)
    ]


def _moved(store: Store, ref: PortfolioRef, before: Group, after: Group) -> list[Write]:
    """The group's work row of one portfolio at its earlier time.

    Nothing where the row stands elsewhere: then the lane moved it, and looks at the group again.
    """
    rows = store.query(
        Work,
        "portfolio",
        portfolio_pk(ref.portfolio_id, ref.epoch),
        start=f"work#{before.ts_decided:013d}",
        end=f"work#{before.ts_decided + 1:013d}",
        limit=ROWS_MAX,
    )
    for row in rows:
        if row.ref == after.group_id:
            due = after.ts_decided
            earlier = replace(row, ts_due=due, ts_decided=due, version=0)
            return [Delete(key_of(row), row.version), Put(earlier)]
    return []
