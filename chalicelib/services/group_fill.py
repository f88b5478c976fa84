"""A fill into its copy group, exactly once, with a work row for every portfolio that follows."""

from __future__ import annotations

from chalicelib.domain.errors import Conflict, Retryable
from chalicelib.domain.group import Fill, Group, accepts, join, open_group
from chalicelib.domain.identifiers import fill_id, is_combo
from chalicelib.domain.lane import Work
from chalicelib.domain.latency_model import settle_ms
from chalicelib.domain.money import SHARE_STEP
from chalicelib.domain.registry import Leader, PortfolioRef
from chalicelib.domain.trade import Increment, Trade
from chalicelib.keyspace import fill_key, group_key, line_pk
from chalicelib.ports import Clock, CopyRun, Metrics, Put, Rules, Store, Write
from chalicelib.services.portfolios import followers

ROUNDS_MAX = 8
WAIT_SECONDS_MAX = 240
MARGIN_MS = 1_000
"""Waits are whole seconds; one second more makes sure the step runs after its time."""


def wait_seconds(until_ms: int, now_ms: int) -> int:
    """Whole seconds from now to a margin after `until_ms`, 1..WAIT_SECONDS_MAX."""
    return max(1, min(WAIT_SECONDS_MAX, -(-(until_ms + MARGIN_MS - now_ms) // 1000)))


class GroupFill:
    """Commit 3 of ingestion."""

    def __init__(self, store: Store, rules: Rules, clock: Clock, metrics: Metrics) -> None:
        self._store = store
        self._rules = rules
        self._clock = clock
        self._metrics = metrics

    def __call__(
        self, leader: Leader, trade: Trade, increment: Increment, pre_sell: int | None
    ) -> CopyRun | None:
        """The workflow to start for the fill's group, or None when it may never trade.

        Repetition finds the fill row and returns the same workflow. Raises Retryable under lasting
        contention.
        """
        refs = followers(self._store, leader)
        for _ in range(ROUNDS_MAX):
            known = self._store.get(Fill, fill_key(trade.trade_id, increment.seq))
            if known:
                return self._run_of(known, refs)
            group, writes = self._place(leader, trade, increment, pre_sell, refs)
            fill = _fill(trade, increment, pre_sell, group)
            try:
                self._store.commit([Put(fill), *writes])
            except Conflict:
                continue
            self._metrics.count("fills_grouped" if group else "fills_not_copyable")
            return self._run(group, refs) if group else None
        raise Retryable(f"group of {trade.trade_id} stayed contended for {ROUNDS_MAX} rounds")

    def _place(
        self,
        leader: Leader,
        trade: Trade,
        increment: Increment,
        pre_sell: int | None,
        refs: list[PortfolioRef],
    ) -> tuple[Group | None, list[Write]]:
        """The group the fill goes to (None: nowhere) and the writes that put it there."""
        if trade.backfill or not refs or is_combo(trade.token_id):
            return None, []
        latest = self._latest(trade)
        if latest and accepts(latest, increment.ts_seen):
            group = join(latest, increment, pre_sell)
            return group, [Put(group)]
        if increment.fill_shares < SHARE_STEP:
            return None, []
        window_ms = self._rules.rules_for(leader.leader).aggregation_window_ms
        number = latest.number + 1 if latest else 0
        group = open_group(trade, increment, pre_sell, number, window_ms)
        return group, [Put(group), *(Put(_work(group, ref)) for ref in refs)]

    def _latest(self, trade: Trade) -> Group | None:
        found = self._store.query(
            Group,
            "activity",
            line_pk(trade.leader, trade.token_id, trade.side),
            limit=1,
            newest_first=True,
        )
        return found[0] if found else None

    def _run_of(self, fill: Fill, refs: list[PortfolioRef]) -> CopyRun | None:
        if fill.group_number is None:
            return None
        key = group_key(fill.leader, fill.token_id, fill.side, fill.group_number)
        group = self._store.get(Group, key)
        return self._run(group, refs) if group else None

    def _run(self, group: Group, refs: list[PortfolioRef]) -> CopyRun:
        settle = settle_ms(self._rules.rules_for(group.leader), 0)
        wait = wait_seconds(group.opened + settle, self._clock.now_ms())
        return CopyRun(group.group_id, tuple(ref.portfolio_id for ref in refs), wait)


def _fill(trade: Trade, increment: Increment, pre_sell: int | None, group: Group | None) -> Fill:
    return Fill(
        fill_id=fill_id(trade.trade_id, increment.seq),
        trade_id=trade.trade_id,
        seq=increment.seq,
        leader=trade.leader,
        token_id=trade.token_id,
        side=trade.side,
        shares=increment.fill_shares,
        cash=increment.fill_cash,
        pre_sell=pre_sell,
        group_number=group.number if group else None,
        ts_block=increment.ts_block,
        ts_seen=increment.ts_seen,
    )


def _work(group: Group, ref: PortfolioRef) -> Work:
    return Work(
        portfolio_id=ref.portfolio_id,
        epoch=ref.epoch,
        ts_due=group.ts_decided,
        kind="group",
        ref=group.group_id,
        leader=group.leader,
        token_id=group.token_id,
        side=group.side,
        group_number=group.number,
        ts_decided=group.ts_decided,
        ts_block=group.ts_block,
        order=group.order,
    )
