"""One step of the copy workflow: advance the group's portfolios, say whether to come back."""

from __future__ import annotations

from dataclasses import replace

from chalicelib.domain.errors import Retryable
from chalicelib.domain.identifiers import attempt_id
from chalicelib.domain.lane import Work
from chalicelib.ports import Clock, CopyRun
from chalicelib.services.advance_portfolio import AdvancePortfolio
from chalicelib.services.group_fill import wait_seconds

CONFIRMATION_MS_MAX = 40_000
"""Nothing that is waited for second by second is further away than this."""
TAPE_SECONDS = 3
"""Between looks for the recording of an order that expired; it comes within seconds."""


class CopyStep:
    """What both engines' workflows call after each wait."""

    def __init__(self, advance: AdvancePortfolio, clock: Clock) -> None:
        self._advance = advance
        self._clock = clock

    def __call__(self, run: CopyRun) -> CopyRun:
        """The run for the next step; `wait_seconds` 0 ends it.

        While the group waits for confirmation the steps are a second apart and are not counted:
        that wait is bounded by the group's time.
        """
        waits: list[int] = []
        confirming = False
        for portfolio_id in run.portfolios:
            try:
                advanced = self._advance(portfolio_id)
            except Retryable:
                # The venue or the store did not answer: come again, up to STEPS_MAX times.
                waits.append(1)
                continue
            now = self._clock.now_ms()
            own = [w for w in advanced.waiting if _belongs(w, run.group_id)]
            waits += [_wait(w, now) for w in own]
            confirming |= any(_confirming(w, now) for w in own)
        rounds = run.rounds if confirming else run.rounds + 1
        return replace(run, wait_seconds=min(waits, default=0), rounds=rounds)


def _wait(work: Work, now: int) -> int:
    """Whole seconds until the row is worth another step."""
    if _confirming(work, now):
        return 1
    if work.kind == "resting" and work.ts_due < now:
        return TAPE_SECONDS
    return wait_seconds(work.ts_due, now)


def _belongs(work: Work, group_id: str) -> bool:
    return work.ref in (group_id, attempt_id(group_id, work.portfolio_id, work.epoch))


def _confirming(work: Work, now: int) -> bool:
    """Whether the row is a group whose own time is still to come.

    Workflows begin when the window is over, so all that can be waited for is its confirmation.
    """
    is_undecided = work.kind == "group" and work.ts_due == work.ts_decided
    return is_undecided and now < work.ts_due <= now + CONFIRMATION_MS_MAX
