"""What a walk of the market registry costs, on a list of its own: the scene's venue has none."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.market_sync import Counted, CountingStore, MadeUpGamma
from chalicelib.adapters.clock import SystemClock
from chalicelib.adapters.embedded.sqlite_store import SqliteStore
from chalicelib.adapters.metrics import CountingMetrics
from chalicelib.adapters.polymarket.gamma import Gamma
from chalicelib.services.sync_markets import SyncMarkets

SCALE = 10
"""A list this much shorter than the venue's: what a walk costs goes by its changes."""


def walk_units(assumed: Mapping[str, Any]) -> dict[str, float]:
    """DynamoDB's units of one walk that meets the assumed share of changed markets."""
    venue = MadeUpGamma(int(assumed["markets_open"]) // SCALE)
    with tempfile.TemporaryDirectory() as folder:
        sqlite = SqliteStore(Path(folder) / "walk.sqlite3")
        store = CountingStore(sqlite)
        sync = SyncMarkets(store, Gamma(venue, venue), SystemClock(), CountingMetrics())
        _walk(sync, venue)
        venue.move_on(float(assumed["markets_changed_per_walk"]))
        store.counted = Counted()
        _walk(sync, venue)
        counted = store.counted
        sqlite.close()
    return {
        "dynamodb_write_units": counted.write_units * SCALE,
        "dynamodb_read_units": counted.read_units * SCALE,
    }


def _walk(sync: SyncMarkets, venue: MadeUpGamma) -> None:
    for _ in range(10):
        if sync() >= len(venue.open):
            return
