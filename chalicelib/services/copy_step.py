"""One step of the copy workflow: advance the group's portfolios, say whether to come back."""

from __future__ import annotations

from dataclasses import replace

from chalicelib.domain.errors import Retryable
from chalicelib.domain.identifiers import attempt_id
from chalicelib.domain.lane import Work
from chalicelib.ports import Clock, CopyRun
from chalicelib.services.advance_portfolio import AdvancePortfolio
from chalicelib.services.group_fill import wait_seconds


class CopyStep:
    """What both engines' workflows call after each wait."""

    def __init__(self, advance: AdvancePortfolio, clock: Clock) -> None:
        self._advance = advance
        self._clock = clock

    def __call__(self, run: CopyRun) -> CopyRun:
        """The run for the next step; `wait_seconds` 0 ends it."""
        waits: list[int] = []
        for portfolio_id in run.portfolios:
            try:
                advanced = self._advance(portfolio_id)
            except Retryable:
                # The venue or the store did not answer: come again, up to STEPS_MAX times.
                waits.append(1)
                continue
            own = [w for w in advanced.waiting if _belongs(w, run.group_id)]
            waits += [wait_seconds(w.ts_due, self._clock.now_ms()) for w in own]
        return replace(run, wait_seconds=min(waits, default=0), rounds=run.rounds + 1)


def _belongs(work: Work, group_id: str) -> bool:
    return work.ref in (group_id, attempt_id(group_id, work.portfolio_id, work.epoch))
