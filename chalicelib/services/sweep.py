"""Finish what nobody came back for: work rows overdue in any portfolio."""

from __future__ import annotations

from collections.abc import Callable

from chalicelib.domain.registry import Heartbeat, PortfolioRef
from chalicelib.ports import Clock, Metrics, Store
from chalicelib.services.advance_portfolio import AdvancePortfolio, due_work
from chalicelib.services.heartbeats import beat
from chalicelib.services.portfolios import all_portfolios

OVERDUE_MS = 30_000
ADVANCES_PER_PORTFOLIO_MAX = 20


class Sweep:
    """Executions are hints; this is what makes them unnecessary."""

    def __init__(
        self,
        store: Store,
        advance: AdvancePortfolio,
        clock: Clock,
        metrics: Metrics,
        finish_reset: Callable[[PortfolioRef], int] | None = None,
        complete_stress: Callable[[PortfolioRef], int] | None = None,
    ) -> None:
        """`finish_reset` ends what a portfolio's epoch before the current one left unfinished.

        `complete_stress` completes the previews of its attempts.
        """
        self._complete_stress = complete_stress
        self._store = store
        self._finish_reset = finish_reset
        self._advance = advance
        self._clock = clock
        self._metrics = metrics

    def __call__(self, overdue_ms: int = OVERDUE_MS) -> int:
        """Rows worked off. One stuck portfolio never keeps the others waiting."""
        rows, stuck = 0, []
        for ref in all_portfolios(self._store):
            if ref.kind == "shadow":
                continue
            try:
                if self._finish_reset:
                    self._finish_reset(ref)
                for _ in range(ADVANCES_PER_PORTFOLIO_MAX):
                    if not self._overdue(ref, overdue_ms):
                        break
                    rows += self._advance(ref.portfolio_id).rows
                if self._complete_stress:
                    self._complete_stress(ref)
            except Exception as error:  # noqa: BLE001 - whatever it is, the others must go on
                stuck.append(f"{ref.portfolio_id}: {error}")
        self._metrics.count("swept_rows", rows)
        now = self._clock.now_ms()
        beat(self._store, Heartbeat("sweeper", now, not stuck, "; ".join(stuck)[:500]))
        return rows

    def _overdue(self, ref: PortfolioRef, overdue_ms: int) -> bool:
        until = self._clock.now_ms() - overdue_ms
        return bool(due_work(self._store, ref.portfolio_id, ref.epoch, until, 1))
