"""Value what is held: midpoints of every held token onto one sheet."""

from __future__ import annotations

from chalicelib.domain.errors import Conflict
from chalicelib.domain.registry import MARKS_MAX, Heartbeat, Mark, MarkSheet
from chalicelib.keyspace import MARKS_KEY
from chalicelib.ports import Clock, Midpoints, Put, Store
from chalicelib.services.heartbeats import beat
from chalicelib.services.portfolios import all_portfolios, positions_of


class MarkPortfolios:
    """One marking cycle; a token without a midpoint keeps its last mark."""

    def __init__(self, store: Store, midpoints: Midpoints, clock: Clock) -> None:
        self._store = store
        self._midpoints = midpoints
        self._clock = clock

    def __call__(self) -> int:
        """The number of tokens marked. Raises Retryable when the venue did not answer."""
        held = sorted(
            {
                position.token_id
                for ref in all_portfolios(self._store)
                for position in positions_of(self._store, ref.portfolio_id, ref.epoch)
                if position.shares
            }
        )[:MARKS_MAX]
        sheet = self._store.get(MarkSheet, MARKS_KEY)
        known = {mark.token_id: mark for mark in sheet.marks} if sheet else {}
        now = self._clock.now_ms()
        prices = self._midpoints.midpoints(held) if held else {}
        fresh = {token: Mark(token, price, now) for token, price in prices.items()}
        marks = tuple({**known, **fresh}[t] for t in held if t in fresh or t in known)
        version = sheet.version if sheet else 0
        try:
            self._store.commit([Put(MarkSheet(marks, now, version))])
        except Conflict:
            return 0
        beat(self._store, Heartbeat("marks", now, True, f"{len(fresh)} tokens"))
        return len(fresh)
