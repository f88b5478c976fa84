"""One mark cycle: marks first, then the minute's snapshots."""

from __future__ import annotations

from chalicelib.domain.errors import PapercopyError
from chalicelib.ports import Metrics
from chalicelib.services.mark_portfolios import MarkPortfolios
from chalicelib.services.snapshot_portfolios import SnapshotPortfolios


class MarkCycle:
    """What schedules call; the cycle between two minutes only marks."""

    def __init__(
        self, mark: MarkPortfolios, snapshot: SnapshotPortfolios, metrics: Metrics
    ) -> None:
        self._mark = mark
        self._snapshot = snapshot
        self._metrics = metrics

    def __call__(self, *, shadows: bool = True, afresh: bool = False) -> int:
        """The number of tokens marked; `shadows` False is a cycle between two minutes.

        `afresh` marks what only shadows hold, too, however short ago that was done.
        Raises Retryable when the venue did not answer. Snapshots that fail are a minute's gap.
        """
        marked = self._mark(shadows=shadows, afresh=afresh)
        if shadows:
            try:
                self._snapshot()
            except PapercopyError:
                self._metrics.count("snapshots_failed")
        return marked
