"""What follows from new marks in every executable portfolio: its breakers, and what it owes."""

from __future__ import annotations

from collections.abc import Mapping

from chalicelib.domain.errors import PapercopyError
from chalicelib.domain.registry import Heartbeat, PortfolioRef
from chalicelib.ports import Clock, Metrics, Store
from chalicelib.services.heartbeats import beat
from chalicelib.services.portfolio_view import LatestMarks, PortfolioViews
from chalicelib.services.portfolios import all_portfolios
from chalicelib.services.retry_exits import RetryExits
from chalicelib.services.watch_breakers import WatchBreakers

SOURCE = "breakers"


class TendPortfolios:
    """Called after each mark cycle; one portfolio's failure never keeps the others waiting."""

    def __init__(
        self,
        store: Store,
        views: PortfolioViews,
        marks: LatestMarks,
        watch: WatchBreakers,
        retry: RetryExits,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._store = store
        self._views = views
        self._marks = marks
        self._watch = watch
        self._retry = retry
        self._clock = clock
        self._metrics = metrics

    def __call__(self) -> int:
        """The number of exits begun; open breakers stand in the heartbeat's detail.

        Raises Retryable when the store cannot tell marks or portfolios.
        """
        begun, told = 0, []
        prices, ts_marks = self._marks.fresh()
        for ref in all_portfolios(self._store):
            if ref.kind == "shadow":
                continue
            try:
                exits, tripped = self._tend(ref, prices, ts_marks)
            except PapercopyError as error:
                self._metrics.count("portfolios_untended")
                told.append(f"{ref.portfolio_id}: {error}")
                continue
            begun += exits
            if tripped:
                told.append(f"{ref.portfolio_id}: {', '.join(tripped)}")
        beat(self._store, Heartbeat(SOURCE, self._clock.now_ms(), not told, "; ".join(told)[:500]))
        return begun

    def _tend(
        self, ref: PortfolioRef, prices: Mapping[str, int], ts_marks: int
    ) -> tuple[int, tuple[str, ...]]:
        head, view = self._views.whole(ref)
        # Before the first mark cycle nothing is known that could be lost.
        equity = head.cash + view.value(prices)
        tripped = self._watch(head, equity, ts_marks) if ts_marks else ()
        return self._retry(head, view, prices), tripped
