"""Try again what sells could not sell: with each mark cycle, at most once a minute."""

from __future__ import annotations

from collections.abc import Mapping

from chalicelib.domain.errors import Conflict, PapercopyError
from chalicelib.domain.exit_debt import exit_work, is_due, target
from chalicelib.domain.lane import Work
from chalicelib.domain.money import cash_floor
from chalicelib.domain.pause import is_paused
from chalicelib.domain.portfolio import Head, Position
from chalicelib.ports import Clock, CopyRun, CopyWorkflows, Metrics, Put, Rules, Store, Write
from chalicelib.services import portfolios
from chalicelib.services.market_directory import MarketDirectory
from chalicelib.services.portfolio_view import PortfolioView

EXITS_MAX = 20
"""Tries one portfolio begins in one cycle, those that waited longest first."""
WAIT_S = 1


class RetryExits:
    """Puts a work row into the lane for each debt that could be sold now.

    What cannot succeed is left alone: shares worth less than the venue takes, markets that take no
    orders (settlement ends those), tokens with an order of ours still open.
    """

    def __init__(
        self,
        store: Store,
        workflows: CopyWorkflows,
        directory: MarketDirectory,
        rules: Rules,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._store = store
        self._workflows = workflows
        self._directory = directory
        self._rules = rules
        self._clock = clock
        self._metrics = metrics

    def __call__(self, head: Head, view: PortfolioView, marks: Mapping[str, int]) -> int:
        """Tries begun in one portfolio. Raises Retryable when the store cannot answer."""
        now = self._clock.now_ms()
        if is_paused(head.pauses) or head.kind == "shadow":
            return 0
        busy = {row.token_id for row in view.orders.values()}
        owed = [p for p in view.positions.values() if is_due(p, now) and p.token_id not in busy]
        owed.sort(key=lambda p: (p.ts_exit, p.token_id, p.leader))
        rows = [
            exit_work(head, position, _price(position, marks), now)
            for position in owed
            if self._may_sell(position, marks.get(position.token_id))
        ]
        if not rows:
            return 0
        # Two leaders' parts of one token go one after the other.
        first = {row.token_id: row for row in reversed(rows)}
        return self._begin(head, list(first.values())[-EXITS_MAX:])

    def _may_sell(self, position: Position, mark: int | None) -> bool:
        market = self._directory.known(position.token_id)
        if market is None or market.closed or not market.accepting_orders:
            return False
        rules = self._rules.rules_for(position.leader)

        def is_enough(shares: int) -> bool:
            if shares < max(rules.dust_shares, 1):
                return False
            return mark is None or cash_floor(shares, mark) >= rules.marketable_cash_min

        if not is_enough(position.shares - position.reserved):
            return False
        is_out = portfolios.is_out(self._store, position.leader, position.token_id)
        return is_enough(target(position, leader_is_out=is_out))

    def _begin(self, head: Head, rows: list[Work]) -> int:
        writes: list[Write] = [Put(head), *(Put(row) for row in rows)]
        try:
            self._store.commit(writes)
        except Conflict:
            # The lane moved; the next cycle looks again.
            return 0
        self._metrics.count("exits_tried_again", len(rows))
        for row in rows:
            try:
                self._workflows.start(CopyRun(row.ref, (head.portfolio_id,), WAIT_S))
            except PapercopyError:
                self._metrics.count("workflows_not_started")
        return len(rows)


def _price(position: Position, marks: Mapping[str, int]) -> int:
    """The token's mark, or what a share cost, rounded down."""
    mark = marks.get(position.token_id)
    return position.cost * 1_000_000 // position.shares if mark is None else mark
