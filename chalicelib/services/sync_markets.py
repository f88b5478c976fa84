"""Bring the registry up to date with the venue's list of markets."""

from __future__ import annotations

from chalicelib.domain.registry import Heartbeat
from chalicelib.ports import Clock, MarketCatalogue, Metrics, Store
from chalicelib.services.heartbeats import beat
from chalicelib.services.market_directory import store_market


class SyncMarkets:
    """Every open market of the venue into the registry; only changes are written."""

    def __init__(
        self, store: Store, catalogue: MarketCatalogue, clock: Clock, metrics: Metrics
    ) -> None:
        self._store = store
        self._catalogue = catalogue
        self._clock = clock
        self._metrics = metrics

    def __call__(self) -> int:
        """The number of markets seen. Raises Retryable when a page failed."""
        seen = changed = 0
        for market in self._catalogue.markets():
            seen += 1
            changed += store_market(self._store, market)
        self._metrics.count("markets_changed", changed)
        beat(
            self._store,
            Heartbeat("registry", self._clock.now_ms(), True, f"{seen} markets", last_block=seen),
        )
        return seen
