"""What a walk over the venue's list of markets costs: `python -m bench.market_sync [--markets N]`.

Prints JSON lines and a table. The list is made up in the venue's shape and read through the
project's own adapter; the store is SQLite in a temporary folder behind a counter of DynamoDB's
units (4 KB a read, 1 KB a write, transactions double). Memory is the peak of the process's own
allocations above what it had before, the SQLite file not included.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import random
import tempfile
import time
import tracemalloc
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chalicelib.adapters.clock import SystemClock
from chalicelib.adapters.embedded.sqlite_store import SqliteStore
from chalicelib.adapters.metrics import CountingMetrics
from chalicelib.adapters.polymarket.gamma import Gamma
from chalicelib.adapters.rows import row_of
from chalicelib.keyspace import Key, Table
from chalicelib.ports import Put, R, Write
from chalicelib.services.sync_markets import SyncMarkets

ITEM_BYTES = 60
"""Attribute names, version and class name of an item, besides its keys and body."""
READ_BYTES, WRITE_BYTES = 4096, 1024
USD_PER_READ, USD_PER_WRITE = 0.125e-6, 0.625e-6
"""On demand, us-east-1."""
WALKS_PER_MONTH = 4 * 24 * 30


@dataclass(slots=True)
class Counted:
    """Calls, items and DynamoDB units of one phase."""

    reads: int = 0
    items_read: int = 0
    read_units: int = 0
    commits: int = 0
    items_written: int = 0
    write_units: int = 0
    requests: int = 0


def _bytes(record: Any) -> int:
    row = row_of(record)
    return len(row.body.encode()) + len(row.key.pk) + len(row.key.sk) + ITEM_BYTES


@dataclass
class CountingStore:
    """A store that counts what DynamoDB would charge."""

    store: SqliteStore
    counted: Counted = field(default_factory=Counted)

    def get(self, kind: type[R], key: Key) -> R | None:
        found = self.store.get(kind, key)
        self.counted.reads += 1
        self.counted.items_read += found is not None
        self.counted.read_units += math.ceil(_bytes(found) / READ_BYTES) if found else 1
        return found

    def query(self, kind: type[R], table: Table, pk: str, **how: Any) -> list[R]:
        found = self.store.query(kind, table, pk, **how)
        self.counted.reads += 1
        self.counted.items_read += len(found)
        self.counted.read_units += max(1, math.ceil(sum(map(_bytes, found)) / READ_BYTES))
        return found

    def feed(self, *_: Any, **__: Any) -> list[Any]:
        raise NotImplementedError

    def commit(self, writes: Sequence[Write]) -> None:
        alone = len(writes) == 1
        self.counted.commits += 1
        for write in writes:
            size = _bytes(write.record) if isinstance(write, Put) else WRITE_BYTES
            self.counted.write_units += math.ceil(size / WRITE_BYTES) * (1 if alone else 2)
        # A refused commit is charged like one that took effect.
        self.store.commit(writes)
        self.counted.items_written += len(writes)


class MadeUpGamma:
    """The keyset list in the venue's shape; rows are made when a page is asked for."""

    def __init__(self, markets: int) -> None:
        self.open = {2_000_000 + 37 * n: 0 for n in range(markets)}
        self.closed: set[int] = set()
        self.requests = 0

    def row(self, number: int) -> dict[str, object]:
        rng = random.Random(number)
        tokens = [str(rng.getrandbits(255) | 1 << 254) for _ in range(2)]
        names = ("Boston Celtics", "Golden State Warriors", "Real Madrid", "Bitcoin", "Fed rate")
        question = (
            f"Will {rng.choice(names)} do better than number {number} on November 2{number % 9}?"
        )
        return {
            "id": str(number),
            "question": question,
            "conditionId": f"0x{rng.getrandbits(256):064x}",
            "slug": question.lower().replace(" ", "-").rstrip("?"),
            "version": "v1",
            "outcomes": '["Yes", "No"]',
            "outcomePrices": f'["0.{rng.randrange(10, 99)}", "0.5"]',
            "clobTokenIds": json.dumps(tokens),
            "closed": number in self.closed,
            "acceptingOrders": number not in self.closed,
            "enableOrderBook": True,
            "negRisk": False,
            "orderPriceMinTickSize": "0.01" if self.open.get(number, 0) % 2 == 0 else "0.001",
            "orderMinSize": 5,
            "endDate": "2026-12-07T20:00:00Z",
            "feesEnabled": True,
            "feeSchedule": {"exponent": 1, "rate": "0.05", "takerOnly": True},
            "tags": [{"slug": "sports"}, {"slug": "nba"}, {"slug": "games"}],
            "events": [{"id": str(number // 3)}],
        }

    def get(self, path: str, params: Sequence[tuple[str, str]] = ()) -> object:
        self.requests += 1
        asked = [int(value) for name, value in params if name == "id"]
        query = dict(params)
        if asked:
            wanted = self.closed if query["closed"] == "true" else self.open.keys()
            return {"markets": [self.row(number) for number in asked if number in wanted]}
        after = int(query.get("after_cursor", "0"))
        numbers = sorted(number for number in self.open if number > after)[:101]
        page: dict[str, object] = {"markets": [self.row(number) for number in numbers[:100]]}
        if len(numbers) > 100:
            page["next_cursor"] = str(numbers[99])
        return page

    def post(self, path: str, body: object) -> object:
        raise NotImplementedError

    def move_on(self, share: float) -> None:
        """That share of the markets is another afterwards: half changed, a quarter new and gone."""
        rng = random.Random(7)
        some = rng.sample(sorted(self.open), int(len(self.open) * share * 3 / 4))
        gone = some[: len(some) // 3]
        for number in some[len(gone) :]:
            self.open[number] += 1
        for number in gone:
            del self.open[number]
            self.closed.add(number)
        last = max(self.open)
        self.open.update({last + 37 * (n + 1): 0 for n in range(len(gone))})


def measured(
    name: str, sync: SyncMarkets, store: CountingStore, venue: MadeUpGamma
) -> dict[str, Any]:
    """One walk, in as many turns as it takes."""
    gc.collect()
    store.counted, venue.requests = Counted(), 0
    tracemalloc.reset_peak()
    before, started = tracemalloc.get_traced_memory()[0], time.perf_counter()
    turns, seen = 0, -1
    while seen < len(venue.open) and turns < 10:
        seen = sync()
        turns += 1
    seconds = time.perf_counter() - started
    peak = tracemalloc.get_traced_memory()[1] - before
    counted = store.counted
    usd = counted.read_units * USD_PER_READ + counted.write_units * USD_PER_WRITE
    line = {
        "bench": "market_sync",
        "phase": name,
        "markets": len(venue.open),
        "requests": venue.requests,
        "turns": turns,
        "reads": counted.reads,
        "items_read": counted.items_read,
        "read_units": counted.read_units,
        "commits": counted.commits,
        "items_written": counted.items_written,
        "write_units": counted.write_units,
        "usd_per_walk": round(usd, 6),
        "usd_per_month": round(usd * WALKS_PER_MONTH, 3) if name != "first" else None,
        "peak_mb": round(peak / 2**20, 1),
        "seconds_traced": round(seconds, 1),
    }
    print(json.dumps(line), flush=True)
    return line


def main() -> None:
    """All phases on one list."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--markets", type=int, default=30_000)
    markets = parser.parse_args().markets
    venue = MadeUpGamma(markets)
    catalogue = Gamma(venue, venue)
    clock, metrics = SystemClock(), CountingMetrics()
    tracemalloc.start()
    with tempfile.TemporaryDirectory() as folder:
        sqlite = SqliteStore(Path(folder) / "bench.sqlite3")
        store = CountingStore(sqlite)
        sync = SyncMarkets(store, catalogue, clock, metrics)
        lines = [measured("first", sync, store, venue)]
        lines.append(measured("unchanged, same process", sync, store, venue))
        fresh = SyncMarkets(store, catalogue, clock, metrics)
        lines.append(measured("unchanged, new process", fresh, store, venue))
        venue.move_on(0.01)
        lines.append(measured("1 % changed", fresh, store, venue))
        sqlite.close()
    shown = ("phase", "reads", "read_units", "commits", "items_written", "write_units", "peak_mb")
    widths = [
        max(len(str(line[name])) for line in (*lines, {n: n for n in shown})) for name in shown
    ]
    print()
    for row in ({name: name for name in shown}, *lines):
        print("  ".join(str(row[name]).rjust(w) for name, w in zip(shown, widths, strict=True)))


if __name__ == "__main__":
    main()
