"""Speed and size of books and tapes: `python -m bench.books [--quick]`.

Prints JSON lines and a table. Frames are the market channel's own, one price_change of both tokens
of a market each, in the shape and at the sizes the venue sends. See bench/README.md.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import random
import statistics
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import orjson

from chalicelib.adapters.polymarket.market_ws import parse_frame
from chalicelib.domain.money import MICROS, decimal_text
from chalicelib.domain.tape_text import packed, unpacked
from chalicelib.watcher.book_ring import CHANGES_MAX
from chalicelib.watcher.book_store import CHANGES_TOTAL_MAX, BookStore

T0 = 1_795_000_000_000
TICK = 10_000
LEVELS = 40
BATCH = 500


@dataclass(frozen=True, slots=True)
class Row:
    """One measure: a figure for every run, and the bound it is held against."""

    name: str
    unit: str
    figures: tuple[float, ...]
    target: float | None

    @property
    def median(self) -> float:
        return statistics.median(self.figures)

    @property
    def verdict(self) -> str:
        """PASS by the median, "best only" when the machine was quiet enough just once."""
        if self.target is None:
            return ""
        if self.median <= self.target:
            return "PASS"
        return "best only" if min(self.figures) <= self.target else "FAIL"


def row(name: str, unit: str, figures: Sequence[float], target: float | None = None) -> Row:
    """The row of some figures, printed as a JSON line."""
    made = Row(name, unit, tuple(round(f, 3) for f in figures), target)
    print(
        json.dumps({
            "bench": "books",
            "measure": made.name,
            "unit": unit,
            "figures": made.figures,
            "best": min(made.figures),
            "median": made.median,
            "target": target,
            "verdict": made.verdict,
            "load_1m": round(os.getloadavg()[0], 2),
        }),
        flush=True,
    )  # fmt: skip
    return made


class Market:
    """A market's book that moves at random, and the frames that tell it."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.condition = f"0x{self.rng.getrandbits(256):064x}"
        self.tokens = [str(self.rng.getrandbits(255) | 1 << 254) for _ in range(2)]
        mid = 50 * TICK
        self.bids = {mid - TICK * n: self.size() for n in range(1, LEVELS + 1)}
        self.asks = {mid + TICK * n: self.size() for n in range(1, LEVELS + 1)}

    def size(self) -> int:
        return self.rng.randrange(100, 3_000_000) * 10_000

    def sides(self, which: int) -> tuple[dict[int, int], dict[int, int]]:
        if which == 0:
            return self.bids, self.asks
        return (
            {MICROS - p: s for p, s in self.asks.items()},
            {MICROS - p: s for p, s in self.bids.items()},
        )

    def dump(self, ts: int) -> str:
        frames = []
        for which, token in enumerate(self.tokens):
            bids, asks = self.sides(which)
            frames.append({
                "event_type": "book",
                "market": self.condition,
                "asset_id": token,
                "timestamp": str(ts),
                "hash": f"{self.rng.getrandbits(160):040x}",
                "bids": [
                    {"price": decimal_text(p), "size": decimal_text(s)}
                    for p, s in sorted(bids.items())
                ],
                "asks": [
                    {"price": decimal_text(p), "size": decimal_text(s)}
                    for p, s in sorted(asks.items(), reverse=True)
                ],
            })  # fmt: skip
        return json.dumps(frames)

    def change(self, ts: int) -> str:
        """One level, three times in ten the best one, of which half goes away."""
        is_bid = self.rng.random() < 0.5
        levels = self.bids if is_bid else self.asks
        best = max(levels) if is_bid else min(levels)
        if self.rng.random() < 0.3:
            price = best
        else:
            price = 50 * TICK + self.rng.randrange(1, LEVELS + 1) * (-TICK if is_bid else TICK)
        shares = self.size()
        if self.rng.random() < 0.4 and len(levels) > LEVELS // 2:
            shares = 0
            levels.pop(price, None)
        else:
            levels[price] = shares
        entries = []
        for which, token in enumerate(self.tokens):
            bids, asks = self.sides(which)
            entries.append({
                "asset_id": token,
                "price": decimal_text(price if which == 0 else MICROS - price),
                "size": decimal_text(shares),
                "side": "BUY" if is_bid == (which == 0) else "SELL",
                "hash": f"{self.rng.getrandbits(160):040x}",
                "best_bid": decimal_text(max(bids)),
                "best_ask": decimal_text(min(asks)),
            })  # fmt: skip
        return json.dumps(
            {
                "market": self.condition,
                "price_changes": entries,
                "timestamp": str(ts),
                "event_type": "price_change",
            },
            separators=(",", ":"),
        )


def tracked(markets: Sequence[Market], ts: int = T0) -> BookStore:
    """A store that just received the books of these markets."""
    store = BookStore()
    tokens = [token for market in markets for token in market.tokens]
    store.track({0: tokens})
    store.resumed(tokens, ts)
    for market in markets:
        store.frame(market.dump(ts), 0, ts)
    return store


def stream(markets: Sequence[Market], count: int, per_s: float) -> Iterator[tuple[str, int]]:
    """Frames in turn over the markets at a pace, with the time each is received at."""
    for n in range(count):
        ts = T0 + 1 + int(n * 1_000 / per_s)
        yield markets[n % len(markets)].change(ts), ts + 40


def speed(runs: int, frames: int) -> list[Row]:
    """Time per frame from its text, and per level change from the venue's strings.

    Frames are timed in batches and a run's figure is the median of its batches, so that a moment
    in which the machine was busy with something else does not count.
    """
    per_frame, per_change, decoding, careful = [], [], [], []
    for run in range(runs):
        taken: dict[str, list[float]] = {}
        markets = [Market(run * 100 + n) for n in range(20)]
        by_text, by_parts = tracked(markets), tracked(markets)
        sent = list(stream(markets, frames, 300))
        batches = [sent[i : i + BATCH] for i in range(0, frames, BATCH)]
        for batch in batches:
            with stopwatch(taken, "frame", len(batch)):
                for text, now in batch:
                    by_text.frame(text, 0, now)
        by_parts.names = by_text.names
        for batch in batches:
            parsed = [(orjson.loads(text), now) for text, now in batch]
            with stopwatch(taken, "change", len(batch) * 2):
                for event, now in parsed:
                    by_parts.price_change(event, 0, now)
        for batch in batches:
            with stopwatch(taken, "json", len(batch)):
                for text, _ in batch:
                    orjson.loads(text)
        for batch in batches[:4]:
            with stopwatch(taken, "careful", len(batch)):
                for text, now in batch:
                    parse_frame(text, now)
        quick = [store.counted() for store in (by_text, by_parts)]
        assert quick == [{}, {}], "a copy went wrong"
        for token, book in by_text.books.items():
            assert book.bids == by_parts.books[token].bids, "the two ways differ"
        for figures, name in (
            (per_frame, "frame"),
            (per_change, "change"),
            (decoding, "json"),
            (careful, "careful"),
        ):
            figures.append(statistics.median(taken[name]))
    return [
        row("one level change from the venue's strings, ring included", "us", per_change, 1.5),
        row("one frame of two tokens from its text", "us", per_frame, 5.0),
        row("of which the JSON", "us", decoding),
        row("the same frame by the careful parser, not applied", "us", careful),
    ]


@contextmanager
def stopwatch(taken: dict[str, list[float]], name: str, count: int) -> Iterator[None]:
    """Note the microseconds a stretch took for each of `count`."""
    start = time.perf_counter_ns()
    yield
    taken.setdefault(name, []).append((time.perf_counter_ns() - start) / count / 1_000)


def memory() -> list[Row]:
    """Bytes per tracked token: with a quiet ring, a busy one, and a full one."""
    found = []
    for name, changes in (("quiet", 0), ("900 changes a minute", 900), ("full ring", CHANGES_MAX)):
        markets = [Market(n) for n in range(10)]
        frames = list(stream(markets, changes * len(markets), 1_000))
        dumps = [market.dump(T0) for market in [Market(n) for n in range(10)]]
        gc.collect()
        tracemalloc.start()
        store = BookStore()
        tokens = [token for market in markets for token in market.tokens]
        store.track({0: tokens})
        for dump in dumps:
            store.frame(dump, 0, T0)
        before = tracemalloc.get_traced_memory()[0] if not frames else 0
        for text, now in frames:
            store.frame(text, 0, now)
        used = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        assert used >= before
        found.append(row(f"memory per tracked token, {name}", "KB", [used / 20 / 1_024]))
    bound = CHANGES_TOTAL_MAX * 180 / 1_048_576
    found.append(row("all rings together at most, at 180 bytes a change", "MB", [bound]))
    return found


def tapes(runs: int) -> list[Row]:
    """Size and time of segments: what a fill usually takes, ten busy seconds, a storm."""
    found = []
    for name, per_s, seconds in (
        ("4 s at 15 changes/s", 15, 4),
        ("10 s at 15 changes/s", 15, 10),
        ("10 s at 100 changes/s", 100, 10),
        ("10 s at 400 changes/s, the full ring", 400, 10),
    ):
        sizes, packing, cutting, reading = [], [], [], []
        for run in range(runs):
            markets = [Market(run)]
            store = tracked(markets)
            for text, now in stream(markets, per_s * seconds, per_s):
                store.frame(text, 0, now)
            token = markets[0].tokens[0]
            cutting.append(
                timed(lambda s=store, t=token, d=seconds: s.segments(t, T0, T0 + d * 1_000, "w"))
            )  # type: ignore[misc]
            (segment,) = store.segments(token, T0, T0 + seconds * 1_000, "w")
            packing.append(timed(lambda s=segment: packed(s)))  # type: ignore[misc]
            made = packed(segment)
            reading.append(timed(lambda r=made: unpacked(r).book_at(T0 + 3_000)))  # type: ignore[misc]
            sizes.append(len(made.data) / 1_000)
        found.append(row(f"segment of {name}", "KB", sizes, 100.0))
        found.append(row(f"cut, {name}", "ms", cutting))
        found.append(row(f"packed, {name}", "ms", packing))
        found.append(row(f"read and folded, {name}", "ms", reading))
    return found


def timed(work: Callable[[], object]) -> float:
    """Milliseconds of one call, the best of three."""
    best = float("inf")
    for _ in range(3):
        start = time.perf_counter_ns()
        work()
        best = min(best, (time.perf_counter_ns() - start) / 1e6)
    return best


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter runs")
    quick = parser.parse_args().quick
    machine = {"python": platform.python_version(), "cpus": os.cpu_count()}
    print(json.dumps({"bench": "books", "machine": platform.machine(), **machine}), flush=True)
    rows = speed(3 if quick else 7, 10_000 if quick else 40_000)
    rows += memory()
    rows += tapes(2 if quick else 5)
    width = max(len(r.name) for r in rows)
    print(f"\n{'measure':{width}}  {'best':>9} {'median':>9} {'bound':>7}  unit")
    for r in rows:
        bound = "" if r.target is None else f"{r.target:g}"
        print(
            f"{r.name:{width}}  {min(r.figures):9.2f} {r.median:9.2f} {bound:>7}  {r.unit}"
            f"  {r.verdict}"
        )


if __name__ == "__main__":
    main()
