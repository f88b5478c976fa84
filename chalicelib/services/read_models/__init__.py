"""What the dashboard and the API show, as plain JSON-ready dictionaries.

Amounts carry the suffix `_micros`; times are milliseconds UTC.
"""

from __future__ import annotations

from chalicelib.ports import Clock, Rules, Store
from chalicelib.services.market_directory import MarketDirectory
from chalicelib.services.read_models.attempts import list_attempts, read_attempt, read_tape_of
from chalicelib.services.read_models.health import read_health
from chalicelib.services.read_models.listing import PAGE_MAX, Json, MarketTexts
from chalicelib.services.read_models.measured import list_hours, read_latency
from chalicelib.services.read_models.overview import read_overview
from chalicelib.services.read_models.trades import list_trades

__all__ = ["PAGE_MAX", "Json", "ReadModels"]


class ReadModels:
    """Views for the dashboard; listings read a bounded number of pages."""

    def __init__(
        self, store: Store, directory: MarketDirectory, clock: Clock, rules: Rules
    ) -> None:
        self._store = store
        self._directory = directory
        self._clock = clock
        self._rules = rules

    def overview(self) -> Json:
        """Leaders, portfolios with equity, and totals."""
        return read_overview(self._store, self._clock.now_ms())

    def health(self, facts: Json, queues: Json) -> Json:
        """What works, what does not, and since when. `facts` name engine, stage and venue."""
        return read_health(self._store, self._rules, self._clock.now_ms(), facts, queues)

    def trades(self, cursor: str | None, limit: int, leader: str | None) -> Json:
        """Trades newest first. Raises InvalidInput for a cursor that is not ours."""
        now = self._clock.now_ms()
        return list_trades(self._store, self._texts(now), now, cursor, limit, leader)

    def copy_attempts(
        self, cursor: str | None, limit: int, portfolio: str | None, decision: str | None
    ) -> Json:
        """Attempts newest first. Raises InvalidInput for a cursor that is not ours."""
        now = self._clock.now_ms()
        return list_attempts(self._store, self._texts(now), now, cursor, limit, portfolio, decision)

    def copy_attempt(self, ref: str) -> Json | None:
        """One attempt in full, None where there is none. Raises InvalidInput for a foreign name."""
        now = self._clock.now_ms()
        return read_attempt(self._store, self._directory, self._rules, now, ref)

    def tape(self, ref: str) -> Json | None:
        """The book around one attempt; None and InvalidInput as above."""
        return read_tape_of(self._store, self._clock.now_ms(), ref)

    def completeness(self, cursor: str | None, limit: int, leader: str | None) -> Json:
        """Hours newest first, per leader. Raises InvalidInput for a cursor that is not ours."""
        return list_hours(self._store, self._clock.now_ms(), cursor, limit, leader)

    def latency(self) -> Json:
        """Delays per stage over the last day, overall and per leader."""
        return read_latency(self._store, self._clock.now_ms())

    def _texts(self, now: int) -> MarketTexts:
        return MarketTexts(self._directory, now, self._rules.rules_for("").close_guard_ms)
