"""The books of the market watch against the simulated venue, with its faults."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from feed_fakes import Recorder

from chalicelib.adapters.embedded.memory_store import MemoryStore
from chalicelib.adapters.polymarket.clob import Clob
from chalicelib.adapters.polymarket.http import HttpClient, HttpPolicy
from chalicelib.domain.orderbook import Book
from chalicelib.domain.rules import BookMode
from chalicelib.services.tapes import read_tape, request_tape, tape_requests, write_segments
from chalicelib.watcher.book_keeper import BookSurroundings
from chalicelib.watcher.market_watch import MarketSurroundings, MarketWatch
from chalicelib.watcher.surroundings import RunnerLimits

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("aiohttp") is None or not (ROOT / "simulator").is_dir(),
    reason="the simulated venue cannot run here",
)
WAIT_S_MAX = 90
FAULTS_OVER = {
    "clob_ws_stall": False,
    "clob_ws_stall_assets": 0,
    "http_error_rate": 0,
    "http_429_rate": 0,
    "slow_ms": 0,
}


@dataclass
class Venue:
    """The simulator's addresses, and a client of each."""

    said: dict[str, object]
    recorder: Recorder = field(default_factory=Recorder)

    def http(self, which: str) -> HttpClient:
        policy = HttpPolicy(attempts_max=8, backoff_ms=10)
        return HttpClient(str(self.said[which]), self.recorder, name=which, policy=policy)

    def clob(self) -> Clob:
        return Clob(self.http("clob_api"), self.recorder, self.recorder)

    def fault(self, **switches: object) -> None:
        self.http("control").post("/faults", switches)

    def tokens(self, count: int) -> list[str]:
        """Both tokens of the first markets with a book."""
        listed = self.http("gamma_api").get("/markets/keyset", [("limit", "50")])
        assert isinstance(listed, dict)
        found: list[str] = []
        for market in listed["markets"]:
            found += json.loads(market.get("clobTokenIds") or "[]")
        known = self.clob().books(found[: count * 2])
        return sorted(known)[:count]


@pytest.fixture(scope="module")
def venue() -> Iterator[Venue]:
    command = [sys.executable, "-m", "simulator", "--port", "0", "--fills-per-minute", "400"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield Venue(json.loads(process.stdout.readline()))
        finally:
            process.terminate()


@contextmanager
def healed(venue: Venue) -> Iterator[None]:
    try:
        yield
    finally:
        venue.fault(**FAULTS_OVER)


@dataclass
class Watched:
    """A running watch and what surrounds it."""

    venue: Venue
    tokens: list[str]
    watch: MarketWatch
    store: MemoryStore
    recorder: Recorder

    def ours(self, token: str) -> Book | None:
        return self.watch.books.store.book_at(token, self.recorder.now_ms())

    async def equal(self) -> None:
        """Wait until every book is trusted and equals the venue's of the same moment."""
        left = set(self.tokens)
        deadline = time.monotonic() + WAIT_S_MAX
        while left:
            assert time.monotonic() < deadline, f"not equal within {WAIT_S_MAX} s: {left}"
            found = await asyncio.to_thread(self.venue.clob().books, sorted(left))
            for token, theirs in found.items():
                ours = self.watch.books.store.book_at(token, theirs.ts_venue)
                if ours and (ours.bids, ours.asks) == (theirs.bids, theirs.asks):
                    left.discard(token)
            await asyncio.sleep(0.05)

    def fresh(self) -> bool:
        """Whether every token's book is trusted."""
        books = [self.watch.books.store.get(token) for token in self.tokens]
        return all(b is not None and b.broken_from is None for b in books)


async def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + WAIT_S_MAX
    while not condition():
        assert time.monotonic() < deadline, f"no {what} within {WAIT_S_MAX} s"
        await asyncio.sleep(0.05)


@contextmanager
def recording(venue: Venue, mode: BookMode, count: int = 12, **more: Any) -> Iterator[Watched]:
    recorder, store = Recorder(), MemoryStore()
    tokens = venue.tokens(count)
    books = BookSurroundings(
        venue.clob().books,
        lambda: mode,
        lambda segments: write_segments(store, segments, recorder),
        lambda: tape_requests(store, recorder.now_ms()),
        **more,
    )
    around = MarketSurroundings(
        recorder,
        recorder,
        lambda: {token: frozenset({"ada"}) for token in tokens},
        lambda leaders: None,
        lambda tx: True,
        books,
    )
    limits = RunnerLimits(backoff_s=0.05, backoff_s_max=0.2, tick_s=0.05)
    watch = MarketWatch(
        str(venue.said["clob_ws"]), around, limits=limits, interest_s=0.2, watcher="w1"
    )
    yield Watched(venue, tokens, watch, store, recorder)


def run(at: Watched, *steps: Callable[[Watched], object]) -> None:
    """Run the watch while the steps do their part, one after the other."""

    async def scenario() -> None:
        stop = asyncio.Event()
        task = asyncio.create_task(at.watch.run(stop))
        try:
            await until(at.fresh, "first books")
            for step in steps:
                await step(at)  # type: ignore[misc]
        finally:
            stop.set()
            await task

    asyncio.run(scenario())


async def moved(at: Watched) -> None:
    """Wait until the channel brought changes of every token anew."""
    ring = at.watch.books.store
    start = {token: ring.get(token).ts_venue for token in at.tokens}  # type: ignore[union-attr]
    await until(
        lambda: all(ring.get(t).ts_venue > ts for t, ts in start.items()),  # type: ignore[union-attr]
        "changes of every token",
    )


async def equal(at: Watched) -> None:
    await at.equal()


def fault(**switches: object) -> Callable[[Watched], object]:
    async def step(at: Watched) -> None:
        await asyncio.to_thread(at.venue.fault, **switches)

    return step


@pytest.mark.parametrize("mode", ["ws", "ws+snapshot"])
def test_books_equal_the_venues(venue: Venue, mode: BookMode) -> None:
    with recording(venue, mode) as at:
        run(at, equal, moved, equal)
        assert at.recorder.counts.get("book_doubt_best", 0) == 0
        assert at.recorder.counts.get("book_doubt_late_change", 0) == 0


@pytest.mark.parametrize("mode", ["ws", "ws+snapshot"])
def test_a_cut_connection_heals(venue: Venue, mode: BookMode) -> None:
    async def reconnected(at: Watched) -> None:
        await until(lambda: at.recorder.counts.get("market_reconnects", 0) > 0, "new connection")
        await until(at.fresh, "books anew")

    with healed(venue), recording(venue, mode) as at:
        run(at, equal, fault(clob_disconnect=True), reconnected, equal, moved, equal)


def test_a_silent_channel_is_found_out_by_snapshots(venue: Venue) -> None:
    async def wanted(at: Watched) -> None:
        now = at.recorder.now_ms()
        for token in at.tokens:
            at.watch.books.want(token, now, now + 60_000, now)

    async def noticed(at: Watched) -> None:
        counts = at.recorder.counts
        await until(lambda: counts.get("book_doubt_stalled_asset", 0) > 0, "doubt")

    with healed(venue), recording(venue, "ws+snapshot") as at:
        run(
            at,
            wanted,
            fault(clob_ws_stall=True),
            noticed,
            fault(clob_ws_stall=False),
            equal,
            moved,
            equal,
        )


def test_silent_assets_are_subscribed_to_anew(venue: Venue) -> None:
    async def wanted(at: Watched) -> None:
        now = at.recorder.now_ms()
        for token in at.tokens:
            at.watch.books.want(token, now, now + 60_000, now)

    async def resubscribed(at: Watched) -> None:
        counts = at.recorder.counts
        await until(lambda: counts.get("market_resubscribed", 0) > 0, "new subscription")

    with healed(venue), recording(venue, "ws+snapshot") as at:
        run(at, wanted, fault(clob_ws_stall_assets=0.5), resubscribed, moved, equal)


def test_failing_requests_do_not_spoil_the_books(venue: Venue) -> None:
    with healed(venue), recording(venue, "ws+snapshot") as at:
        faults = fault(http_error_rate=0.4, http_429_rate=0.2, http_scope="clob")
        over = fault(http_error_rate=0, http_429_rate=0, http_scope="")
        run(at, faults, moved, fault(clob_disconnect=True), over, moved, equal)


def test_a_finer_tick_is_known(venue: Venue) -> None:
    async def finer(at: Watched) -> None:
        control = at.venue.http("control")
        body = {"token_id": at.tokens[0], "tick_size": "0.0001"}
        await asyncio.to_thread(control.post, "/tick_size", body)
        store = at.watch.books.store
        await until(lambda: store.tick_of(at.tokens[0]) == 100, "finer tick")

    with recording(venue, "ws+snapshot") as at:
        run(at, finer, moved, equal)


def test_a_tape_goes_on_for_as_long_as_the_leaders_own_settings_take(venue: Venue) -> None:
    seen: dict[str, int] = {}
    slow = {"ada": 500, "bob": 6_000}

    async def fill(at: Watched) -> None:
        seen["now"] = at.recorder.now_ms()
        at.watch.fill_seen(at.tokens[0], seen["now"], "ada")
        at.watch.fill_seen(at.tokens[1], seen["now"], "bob")

    async def written(at: Watched) -> None:
        span = (seen["now"], seen["now"] + slow["bob"])
        await until(lambda: read_tape(at.store, at.tokens[1], *span).covers(*span), "long tape")

    with recording(venue, "ws+snapshot", placed_within_ms=lambda _, who: slow[who]) as at:
        run(at, equal, fill, written)
        span = (seen["now"], seen["now"] + slow["bob"])
        short = read_tape(at.store, at.tokens[0], *span)
        assert short.covers(span[0], span[0] + slow["ada"])
        assert not short.covers(*span)


def test_liquid_tokens_are_followed_after_everything_else(venue: Venue) -> None:
    liquid = venue.tokens(10)[6:]

    async def followed(at: Watched) -> None:
        await until(lambda: set(at.watch.books.store.tokens) == {*at.tokens, *liquid}, "liquid")
        at.tokens = [*at.tokens, *liquid]

    with recording(venue, "ws+snapshot", 4, liquid=lambda: liquid) as at:
        run(at, followed, equal)


def test_a_fill_is_served_with_a_tape(venue: Venue) -> None:
    seen: dict[str, int] = {}
    asked: dict[str, Sequence[int]] = {}

    async def fill(at: Watched) -> None:
        token = at.tokens[0]
        seen["now"] = at.recorder.now_ms()
        at.watch.fill_seen(token, seen["now"])
        asked["span"] = (seen["now"] - 500, seen["now"] + 6_000)
        request_tape(at.store, at.tokens[1], *asked["span"])

    async def written(at: Watched) -> None:
        span = (seen["now"], seen["now"] + 3_250)
        await until(
            lambda: read_tape(at.store, at.tokens[0], *span).covers(*span), "tape of a fill"
        )
        await until(
            lambda: read_tape(at.store, at.tokens[1], *asked["span"]).covers(*asked["span"]),
            "tape of a request",
        )

    with recording(venue, "ws+snapshot") as at:
        run(at, equal, moved, fill, written)
        for token in at.tokens[:2]:
            tape = read_tape(at.store, token, seen["now"], seen["now"] + 3_250)
            for segment in tape.segments:
                for change in segment.changes:
                    told, ring = (
                        tape.book_at(change.ts_venue),
                        at.watch.books.store.book_at(token, change.ts_venue),
                    )
                    assert told is not None
                    assert ring is None or (told.bids, told.asks) == (ring.bids, ring.asks)
            proven = tape.proven_at(seen["now"] + 3_000)
            assert proven is not None
            assert proven > seen["now"] + 3_000 - 2_500, "a wanted book is proven again and again"


def test_an_unknown_token_is_watched_from_its_first_fill_on(venue: Venue) -> None:
    with recording(venue, "ws+snapshot") as at:
        other = next(t for t in venue.tokens(14) if t not in at.tokens)

        async def fill(at: Watched) -> None:
            at.watch.fill_seen(other, at.recorder.now_ms())
            await until(lambda: at.ours(other) is not None, "book of a new token")

        run(at, fill)


def test_in_mode_rest_no_books_are_kept(venue: Venue) -> None:
    recorder = Recorder()
    with recording(venue, "rest") as at:

        async def scenario() -> None:
            stop = asyncio.Event()
            task = asyncio.create_task(at.watch.run(stop))
            await until(lambda: at.watch.books.mode == "rest", "mode")
            await until(lambda: not at.watch.books.store.tokens, "forgotten books")
            at.watch.fill_seen(at.tokens[0], recorder.now_ms())
            await until(lambda: not at.watch.books.has_fills, "the fill to be taken")
            assert not at.watch.books.remembered()
            stop.set()
            await task

        asyncio.run(scenario())
