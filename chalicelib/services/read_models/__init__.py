"""What the dashboard and the API show, as plain JSON-ready dictionaries.

Amounts carry the suffix `_micros`; times are milliseconds UTC.
"""

from __future__ import annotations

from chalicelib.ports import Clock, Rules, Store
from chalicelib.services.market_directory import MarketDirectory
from chalicelib.services.read_models.attempts import (
    Wanted,
    list_attempts,
    read_attempt,
    read_tape_of,
)
from chalicelib.services.read_models.audit_log import list_audit
from chalicelib.services.read_models.global_portfolio import read_global
from chalicelib.services.read_models.health import read_health
from chalicelib.services.read_models.listing import EVER, PAGE_MAX, Json, MarketTexts, Range
from chalicelib.services.read_models.markets import read_lists
from chalicelib.services.read_models.measured import list_hours, read_latency
from chalicelib.services.read_models.overview import read_overview
from chalicelib.services.read_models.performance import read_performance, read_skip_ledger
from chalicelib.services.read_models.pnl import read_pnl
from chalicelib.services.read_models.portfolio import read_portfolio, read_series
from chalicelib.services.read_models.standing import standings
from chalicelib.services.read_models.system import read_system
from chalicelib.services.read_models.trades import list_trades
from chalicelib.services.read_models.users import list_users, read_user

__all__ = ["EVER", "PAGE_MAX", "Json", "Range", "ReadModels", "Wanted"]


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

    def trades(
        self,
        cursor: str | None,
        limit: int,
        leader: str | None,
        market: str | None = None,
        within: Range = EVER,
    ) -> Json:
        """Trades newest first. Raises InvalidInput for a cursor that is not ours."""
        now = self._clock.now_ms()
        texts = self._texts(now)
        return list_trades(self._store, texts, now, cursor, limit, leader, market, within)

    def copy_attempts(self, cursor: str | None, limit: int, which: Wanted) -> Json:
        """Attempts newest first. Raises InvalidInput for a cursor that is not ours."""
        now = self._clock.now_ms()
        return list_attempts(self._store, self._texts(now), now, cursor, limit, which)

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

    def portfolio(self, name: str) -> Json | None:
        """One portfolio's measures, None where there is none. Raises InvalidInput for a name."""
        return read_portfolio(self._store, name, self._clock.now_ms())

    def snapshots(self, name: str, span: str) -> Json | None:
        """A portfolio's series over a span; None and InvalidInput as above."""
        return read_series(self._store, name, span, self._clock.now_ms())

    def performance(self, leader: str, span: str) -> Json | None:
        """How copying a leader fares; None when he was never followed. Raises InvalidInput."""
        return read_performance(self._store, leader, span, self._clock.now_ms())

    def skip_ledger(self, portfolio: str, leader: str | None) -> Json | None:
        """What skipped signals would have earned; None and InvalidInput as for a portfolio."""
        return read_skip_ledger(self._store, portfolio, leader, self._clock.now_ms())

    def audit(self, cursor: str | None, limit: int) -> Json:
        """Changes newest first. Raises InvalidInput for a cursor that is not ours."""
        return list_audit(self._store, self._clock.now_ms(), cursor, limit)

    def users(self, cursor: str | None, limit: int, state: str | None) -> Json:
        """Users by address. Raises InvalidInput for a cursor that is not ours."""
        now = self._clock.now_ms()
        return list_users(self._store, self._rules, now, cursor, limit, state)

    def user(self, leader: str) -> Json | None:
        """One user in full, None for somebody who was never followed."""
        now = self._clock.now_ms()
        return read_user(self._store, self._rules, self._texts(now), now, leader)

    def global_portfolio(self) -> Json | None:
        """The global portfolio with positions, exposure and limits; None before it is opened."""
        now = self._clock.now_ms()
        return read_global(self._store, self._directory, self._rules, self._texts(now), now)

    def standings(self) -> list[Json]:
        """Which executable portfolios are paused or stopped by a breaker."""
        return standings(self._store, self._clock.now_ms())

    def pnl(self, name: str, days: int) -> Json | None:
        """Gains of all portfolios, and of one by day; None and InvalidInput as for a portfolio."""
        return read_pnl(self._store, self._clock.now_ms(), name, days)

    def system(self, facts: Json, queues: Json, sizes: list[Json]) -> Json:
        """The machinery in full."""
        return read_system(self._store, self._rules, self._clock.now_ms(), facts, queues, sizes)

    def market_lists(self) -> Json:
        """Both lists of markets."""
        return read_lists(self._store, self._clock.now_ms())

    def _texts(self, now: int) -> MarketTexts:
        return MarketTexts(self._directory, now, self._rules.rules_for("").close_guard_ms)
