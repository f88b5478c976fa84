"""Complete the previews of attempts that ended before the tape reached as far as they look."""

from __future__ import annotations

from dataclasses import replace

from chalicelib.domain.errors import Conflict
from chalicelib.domain.lane import Attempt
from chalicelib.domain.registry import PortfolioRef
from chalicelib.domain.stress import REACH_MS, StressDue, stress
from chalicelib.keyspace import attempt_key, key_of, portfolio_pk
from chalicelib.ports import Clock, Delete, Metrics, Put, Store, Write
from chalicelib.services.tape_reading import TapeReader

ROWS_MAX = 100
"""Of one portfolio and call; the next call goes on."""


class CompleteStress:
    """Each preview once, when everything that is ever recorded of its reach was.

    A preview decides nothing, so it stands beside the lane: what blocks here holds nobody up.
    """

    def __init__(self, store: Store, tapes: TapeReader, clock: Clock, metrics: Metrics) -> None:
        self._store = store
        self._tapes = tapes
        self._clock = clock
        self._metrics = metrics

    def __call__(self, ref: PortfolioRef) -> int:
        """How many were completed, in the epoch that a reset ended last too. Raises Retryable."""
        return sum(
            self._epoch(ref.portfolio_id, epoch) for epoch in {max(1, ref.epoch - 1), ref.epoch}
        )

    def _epoch(self, portfolio_id: str, epoch: int) -> int:
        due = self._store.query(
            StressDue,
            "portfolio",
            portfolio_pk(portfolio_id, epoch),
            start="stress#",
            end=f"stress#{self._clock.now_ms() + 1:013d}",
            limit=ROWS_MAX,
        )
        done = 0
        for row in due:
            try:
                self._store.commit([*self._completed(row), Delete(key_of(row), row.version)])
                done += 1
            except Conflict:
                # Somebody noted something on the attempt; the next call finds it again.
                continue
        self._metrics.count("previews_completed", done)
        return done

    def _completed(self, row: StressDue) -> list[Write]:
        key = attempt_key(row.portfolio_id, row.epoch, row.ts_decided, row.attempt_id)
        attempt = self._store.get(Attempt, key)
        if attempt is None or attempt.order is None:
            return []
        order, ts = attempt.order, row.ts_decided
        tape = self._tapes.tape(order.token_id, ts, ts + REACH_MS)
        points = stress(tape, order.side, order.shares, order.limit, ts)
        return [] if points == attempt.stress else [Put(replace(attempt, stress=points))]
