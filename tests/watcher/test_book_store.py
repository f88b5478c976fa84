"""The book store: golden states, doubts, snapshots, and rings that never lie."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from book_venue import FEED, MARKET, NO, T0, YES, Move, SmallVenue, levels_of
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.adapters.polymarket.book_shape import parse_book
from chalicelib.adapters.polymarket.market_events import MalformedEvent
from chalicelib.domain.money import MICROS
from chalicelib.watcher import book_store
from chalicelib.watcher.book_ring import CHANGES_MAX, REACH_MS, SETTLE_MS
from chalicelib.watcher.book_store import BookStore
from chalicelib.watcher.book_truth import HOLD_MS, RESUME_MS

SAMPLES = Path(__file__).parents[2].parent / "shared" / "venue" / "samples"
needs_samples = pytest.mark.skipif(
    not SAMPLES.is_dir(), reason="the recorded venue payloads are not beside this checkout"
)
BIDS = {480_000: 5_000_000, 470_000: 9_000_000}
ASKS = {500_000: 3_000_000, 510_000: 8_000_000}


def connected(venue: SmallVenue, now: int = T0) -> BookStore:
    store = BookStore()
    store.track({FEED: [YES, NO]})
    store.resumed([YES, NO], now)
    store.frame(venue.dump(), FEED, now)
    return store


def started() -> tuple[SmallVenue, BookStore]:
    """Connected at T0 to a book that rests for a second."""
    venue = SmallVenue(BIDS, ASKS, T0 - 1_000)
    return venue, connected(venue)


def agrees(store: BookStore, venue: SmallVenue, ts: int) -> bool:
    """Whether both tokens have a book at `ts`, and it is the venue's."""
    books = {token: store.book_at(token, ts) for token in (YES, NO)}
    return all(b is not None and levels_of(b) == venue.truth(t, ts) for t, b in books.items())


def test_golden_states_hand_computed() -> None:
    venue, store = started()
    store.frame(venue.move(T0 + 10, [(False, 500_000, 0)]), FEED, T0 + 60)
    store.frame(
        venue.move(T0 + 20, [(True, 490_000, 2_500_000), (True, 470_000, 0)]), FEED, T0 + 70
    )
    first, second, third = (store.book_at(YES, T0 + ms) for ms in (0, 10, 20))
    assert first is not None
    assert second is not None
    assert third is not None
    assert (first.best_bid, first.best_ask, first.ts_venue) == (480_000, 500_000, T0 - 1_000)
    assert (second.best_bid, second.best_ask, second.ts_venue) == (480_000, 510_000, T0 + 10)
    assert [(x.price, x.shares) for x in third.bids] == [(490_000, 2_500_000), (480_000, 5_000_000)]
    assert [(x.price, x.shares) for x in third.asks] == [(510_000, 8_000_000)]
    mirror = store.book_at(NO, T0 + 20)
    assert mirror is not None
    assert [(x.price, x.shares) for x in mirror.asks] == [
        (510_000, 2_500_000),
        (520_000, 5_000_000),
    ]
    assert [(x.price, x.shares) for x in mirror.bids] == [(490_000, 8_000_000)]
    assert store.book_at(YES, T0 - 1_001) is None, "before the first book nothing is known"
    assert store.book_at("9", T0) is None
    assert store.counted() == {}


def test_both_frame_shapes_say_the_same() -> None:
    venue, one = started()
    many = started()[1]
    frames = [venue.move(T0 + ms, [(True, 460_000 + ms, 7_000_000)]) for ms in range(1, 9)]
    for frame in frames:
        one.frame(frame, FEED, T0 + 50)
    many.frame("[" + ",".join(frames) + "]", FEED, T0 + 50)
    assert one.book_at(YES, T0 + 8) == many.book_at(YES, T0 + 8)
    assert agrees(many, venue, T0 + 4)


def test_a_wrong_best_price_puts_the_book_in_doubt_until_a_snapshot() -> None:
    venue, store = started()
    venue.move(T0 + 10, [(True, 490_000, 1_000_000)])
    store.frame(venue.move(T0 + 20, [(True, 460_000, 2_000_000)]), FEED, T0 + 30)
    book = store.get(YES)
    assert book is not None
    assert book.broken_from == T0 - SETTLE_MS
    assert store.book_at(YES, T0 + 20) is None
    assert store.book_at(YES, T0 - SETTLE_MS) is not None, "what was verified stays"
    for token in (YES, NO):
        store.snapshot(venue.rest(token, T0 + 40), T0 + 60)
    assert agrees(store, venue, T0 + 20)
    assert store.book_at(YES, T0 + 15) is None, "what was missed stays unknown"
    assert store.counted() == {"book_doubt_best": 2, "book_gaps": 2}
    assert [s.complete for s in store.segments(YES, T0, T0 + 100, "w")] == [False, True]


@pytest.mark.parametrize("is_crossed", [True, False])
def test_a_crossed_book_is_in_doubt_and_a_side_that_is_not_stated_is_not(is_crossed: bool) -> None:
    venue, store = started()
    store.frame(venue.move(T0 + 5, [(True, 490_000, 1_000_000)]), FEED, T0 + 9)
    frame = json.loads(venue.frame(T0 + 10, [(False, 490_000 if is_crossed else 520_000, 5)]))
    for change in frame["price_changes"]:
        change["best_bid"], change["best_ask"] = "", None
    store.frame(json.dumps(frame), FEED, T0 + 30)
    assert (store.book_at(YES, T0 + 10) is None) == is_crossed
    assert store.counted() == ({"book_doubt_best": 2} if is_crossed else {})


def test_a_false_alarm_leaves_no_gap() -> None:
    venue, store = started()
    frame = json.loads(venue.move(T0 + 10, [(True, 490_000, 1_000_000)]))
    for change in frame["price_changes"]:
        change["best_bid"] = "0.45"
    store.frame(json.dumps(frame), FEED, T0 + 30)
    assert store.book_at(YES, T0 + 10) is None
    for token in (YES, NO):
        store.snapshot(venue.rest(token, T0 + 40), T0 + 60)
    assert agrees(store, venue, T0 + 5)
    assert agrees(store, venue, T0 + 10)
    assert "book_gaps" not in store.counted()


def test_only_the_last_change_of_a_frame_states_the_best_prices() -> None:
    venue, store = started()
    moves: list[Move] = [(False, 500_000, 0), (False, 510_000, 0), (False, 505_000, 4_000_000)]
    store.frame(venue.move(T0 + 10, moves), FEED, T0 + 30)
    assert agrees(store, venue, T0 + 10)


def test_a_snapshot_ahead_of_the_channel_waits_for_it() -> None:
    venue, store = started()
    late = venue.move(T0 + 10, [(True, 490_000, 1_000_000)])
    store.snapshot(venue.rest(YES, T0 + 12), T0 + 40)
    store.snapshot(venue.rest(NO, T0 + 12), T0 + 40)
    assert store.tick(T0 + 50) == []
    store.frame(late, FEED, T0 + 60)
    assert store.tick(T0 + 70) == []
    assert agrees(store, venue, T0 + 10)
    assert agrees(store, venue, T0 + 9)
    assert store.counted() == {}


def test_a_silent_asset_is_noticed_and_named() -> None:
    venue, store = started()
    venue.move(T0 + 10, [(True, 490_000, 1_000_000)])
    store.snapshot(venue.rest(YES, T0 + 12), T0 + 40)
    assert store.tick(T0 + 40 + HOLD_MS - 1) == []
    assert store.tick(T0 + 40 + HOLD_MS) == [YES]
    book = store.book_at(YES, T0 + 10)
    assert book is not None
    assert levels_of(book) == venue.truth(YES, T0 + 10)
    assert store.book_at(YES, T0 + 5) is None
    assert store.counted() == {"book_doubt_stalled_asset": 1, "book_gaps": 1}


def test_a_contradiction_is_asked_for_once_more_and_then_believed() -> None:
    venue, store = started()
    venue.bids = {450_000: 1_000_000}
    store.snapshot(venue.rest(YES, T0 + 12), T0 + 40)
    assert store.book_at(YES, T0 + 1) is None
    assert store.get(YES).bids == BIDS  # type: ignore[union-attr]
    store.snapshot(venue.rest(YES, T0 + 50), T0 + 60)
    book = store.book_at(YES, T0 + 1)
    assert book is not None
    assert book.best_bid == 450_000


def test_a_snapshot_with_the_channels_own_hash_is_believed_at_once() -> None:
    venue, store = started()
    wrong = json.loads(venue.dump([YES]))
    wrong[0]["bids"] = [{"price": "0.48", "size": "4"}]
    store.frame(json.dumps(wrong), FEED, T0 + 1)
    book = venue.rest(YES, T0 + 12)
    hashed = replace(book, venue_hash=f"{book.ts_venue}-7")
    store.snapshot(hashed, T0 + 40)
    assert store.get(YES).bids == BIDS  # type: ignore[union-attr]


def test_a_change_older_than_the_book_is_not_applied() -> None:
    venue, store = started()
    older = venue.move(T0 + 10, [(True, 460_000, 1_000_000)])
    newer = venue.move(T0 + 20, [(True, 460_000, 2_000_000)])
    store.frame(newer, FEED, T0 + 30)
    store.frame(older, FEED, T0 + 31)
    assert store.get(YES).bids[460_000] == 2_000_000  # type: ignore[union-attr]
    assert store.counted() == {"book_doubt_late_change": 2}


def test_a_malformed_change_puts_its_connection_in_doubt() -> None:
    venue, store = started()
    frame = json.loads(venue.move(T0 + 10, [(True, 460_000, 1_000_000)]))
    frame["price_changes"][0]["size"] = 5
    events = store.frame(json.dumps(frame), FEED, T0 + 30)
    assert len(events) == 1
    assert store.book_at(YES, T0 + 10) is None
    assert store.counted() == {"book_doubt_malformed": 2}


def test_the_quotes_of_the_channel_are_compared_when_their_change_had_time_to_come() -> None:
    venue, store = started()
    best = {"event_type": "best_bid_ask", "market": MARKET, "asset_id": YES, "spread": "0.01"}
    text = json.dumps(best | {"timestamp": str(T0 + 10), "best_bid": "0.49", "best_ask": "0.5"})
    store.frame(text, FEED, T0 + 15)
    store.frame(venue.move(T0 + 10, [(True, 490_000, 1_000_000)]), FEED, T0 + 20)
    store.tick(T0 + 15 + SETTLE_MS)
    assert store.counted() == {}
    wrong = json.dumps(best | {"timestamp": str(T0 + 30), "best_bid": "0.4", "best_ask": "0.5"})
    store.frame(wrong, FEED, T0 + 35)
    store.tick(T0 + 35 + SETTLE_MS)
    assert store.counted() == {"book_doubt_quote": 1}


def test_a_lost_connection_hides_what_it_may_have_missed_and_no_more() -> None:
    venue, store = started()
    store.alive(FEED, T0 + 2_000)
    store.disconnected(FEED)
    assert agrees(store, venue, T0 + 2_000 - SETTLE_MS)
    assert store.book_at(YES, T0 + 2_001 - SETTLE_MS) is None
    store.resumed([YES, NO], T0 + 4_000)
    store.frame(venue.dump(), FEED, T0 + 4_050)
    assert agrees(store, venue, T0 + 3_000), "the book did not move, so nothing was missed"
    store.alive(FEED, T0 + 6_000)
    store.disconnected(FEED)
    venue.move(T0 + 7_000, [(True, 490_000, 1_000_000)])
    store.resumed([YES, NO], T0 + 8_000)
    store.frame(venue.dump(), FEED, T0 + 8_050)
    assert store.book_at(YES, T0 + 6_500) is None
    assert agrees(store, venue, T0 + 5_000)
    assert agrees(store, venue, T0 + 7_000)


def test_a_snapshot_from_before_the_channel_delivers_again_is_not_believed() -> None:
    venue, store = started()
    store.disconnected(FEED)
    store.snapshot(venue.rest(YES, T0 + 100), T0 + 120)
    assert store.book_at(YES, T0 + 100) is None
    store.resumed([YES, NO], T0 + 200)
    store.snapshot(venue.rest(YES, T0 + 199 + RESUME_MS), T0 + 3_000)
    assert store.book_at(YES, T0 + 100) is None
    store.snapshot(venue.rest(YES, T0 + 200 + RESUME_MS), T0 + 3_000)
    assert store.book_at(YES, T0 + 100) is not None


def test_changes_of_another_connection_do_not_count() -> None:
    venue, store = started()
    store.frame(venue.move(T0 + 10, [(True, 490_000, 1_000_000)]), FEED + 1, T0 + 20)
    assert store.get(YES).bids == BIDS  # type: ignore[union-attr]
    assert store.counted() == {}


def test_ticks_prints_and_settlement() -> None:
    _venue, store = started()
    base = {"market": MARKET, "timestamp": str(T0 + 5)}
    tick = base | {"event_type": "tick_size_change", "asset_id": YES}
    store.frame(
        json.dumps(tick | {"old_tick_size": "0.01", "new_tick_size": "0.001"}), FEED, T0 + 9
    )
    assert (store.tick_of(YES), store.tick_of(NO), store.tick_of("9")) == (1_000, 10_000, None)
    trade = base | {"event_type": "last_trade_price", "asset_id": YES, "price": "0.5"}
    more = {"size": "3", "side": "BUY", "transaction_hash": ""}
    assert len(store.frame(json.dumps(trade | more), FEED, T0 + 300)) == 1
    assert store.get(YES).ts_proven == T0 + 300  # type: ignore[union-attr]
    (segment,) = store.segments(YES, T0, T0 + 400, "w")
    assert [(p.price, p.side, p.ts_received) for p in segment.prints] == [
        (500_000, "BUY", T0 + 300)
    ]
    settled = base | {"event_type": "market_resolved", "assets_ids": [YES, NO]}
    store.frame(json.dumps(settled), FEED, T0 + 400)
    assert store.get(NO).settled  # type: ignore[union-attr]


def test_the_ring_is_bounded_in_count_and_age() -> None:
    venue, store = started()
    for n in range(CHANGES_MAX + 1_000):
        store.frame(venue.move(T0 + 10 + n, [(True, 460_000, 1_000_000 + n)]), FEED, T0 + 10 + n)
    now = T0 + 10 + CHANGES_MAX + 1_000
    assert store.trim(now) <= 2 * CHANGES_MAX
    assert store.book_at(YES, T0 + 10) is None
    assert agrees(store, venue, now - CHANGES_MAX + 10)
    store.trim(now + 2 * REACH_MS)
    assert store.trim(now + 2 * REACH_MS) == 0
    assert agrees(store, venue, now + 2 * REACH_MS)


def test_all_rings_together_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(book_store, "CHANGES_TOTAL_MAX", 1_000)
    venue, store = started()
    for n in range(1, 3_001):
        store.frame(venue.move(T0 + n, [(True, 460_000, n)]), FEED, T0 + n)
    assert store.trim(T0 + 3_000) <= 1_000
    assert agrees(store, venue, T0 + 3_000)
    assert store.book_at(YES, T0 + 1) is None


def test_what_nobody_wants_is_forgotten() -> None:
    _venue, store = started()
    store.track({FEED: [YES]})
    assert set(store.tokens) == {YES}
    store.track({1: [YES]})
    assert store.book_at(YES, T0 + 10_000) is None, "its connection changed"


def test_a_token_whose_complement_is_not_wanted() -> None:
    venue = SmallVenue(BIDS, ASKS, T0 - 1_000)
    store = BookStore()
    store.track({FEED: [NO]})
    store.resumed([NO], T0)
    store.frame(venue.dump(), FEED, T0)
    for n in range(1, 4):
        assert store.frame(venue.move(T0 + n, [(True, 490_000, n)]), FEED, T0 + n) == ()
    assert set(store.tokens) == {NO}
    book = store.book_at(NO, T0 + 3)
    assert book is not None
    assert levels_of(book) == venue.truth(NO, T0 + 3)


def test_a_venue_without_a_book_and_a_moment_without_one() -> None:
    store = BookStore()
    store.track({FEED: [YES]})
    store.refused(YES)
    store.refused("9")
    assert store.get(YES).refusals == 1  # type: ignore[union-attr]
    assert store.segments(YES, T0, T0 + 1_000, "w") == []
    assert store.segments("9", T0, T0 + 1_000, "w") == []
    assert store.get(YES).book_at(T0) is None  # type: ignore[union-attr]


@needs_samples
def test_recorded_books_mirror_each_other() -> None:
    raws = json.loads((SAMPLES / "clob/books_3_pairs_fed_2026-05.json").read_text())
    listed = raws if isinstance(raws, list) else list(raws.values())
    books = [parse_book(raw, T0 + RESUME_MS) for raw in listed]
    store = BookStore()
    store.track({FEED: [book.token_id for book in books]})
    store.resumed([book.token_id for book in books], T0)
    for book in books:
        store.snapshot(book, T0 + RESUME_MS)
    held = [store.book_at(book.token_id, book.ts_venue) for book in books]
    sides = {
        (tuple((x.price, x.shares) for x in b.bids), tuple((x.price, x.shares) for x in b.asks))
        for b in held
        if b is not None
    }
    assert len(sides) == len(books)
    for bids, asks in sides:
        mirrored = tuple((MICROS - p, s) for p, s in asks), tuple((MICROS - p, s) for p, s in bids)
        assert mirrored in sides


@needs_samples
@pytest.mark.parametrize("name", ["market_capture_2026-09-30", "book_full_depth_2024-10"])
def test_recorded_frames_are_understood(name: str) -> None:
    recorded = json.loads((SAMPLES / f"ws/{name}.json").read_text())
    frames = recorded.get("samples", [recorded])
    tokens = {raw["asset_id"] for raw in frames if "asset_id" in raw}
    store = BookStore()
    store.track({FEED: tokens})
    store.resumed(tokens, 0)
    for raw in frames:
        events = store.frame(json.dumps(raw, default=str), FEED, T0)
        assert not any(isinstance(event, MalformedEvent) for event in events)
    assert all(store.get(token).live for token in tokens)  # type: ignore[union-attr]


# The properties: a venue with random moves, delays and faults.

PRICES = st.integers(1, 40).map(lambda n: n * 10_000)
MOVES = st.lists(
    st.tuples(st.booleans(), PRICES, st.sampled_from([0, 0, 1_000_000, 2_500_000, 7_010_000])),
    min_size=1,
    max_size=3,
).map(lambda moves: [(b, p if b else p + 500_000, s) for b, p, s in moves])


@dataclass
class World:
    """Venue, client and what is under way between them."""

    venue: SmallVenue
    store: BookStore
    now: int = T0
    wire: list[tuple[int, str]] = field(default_factory=list)
    answers: list[tuple[int, object]] = field(default_factory=list)
    is_open: bool = True
    lossy: bool = False

    def pass_time(self, ms: int) -> None:
        until = self.now + ms
        due = [(at, 0, text) for at, text in self.wire if at <= until]
        due += [(at, 1, book) for at, book in self.answers if at <= until]  # type: ignore[misc]
        self.wire = [entry for entry in self.wire if entry[0] > until]
        self.answers = [entry for entry in self.answers if entry[0] > until]
        for at, kind, what in sorted(due, key=lambda entry: entry[:2]):
            self.now = at
            if kind == 0:
                self.store.frame(what, FEED, at)
            else:
                self.store.snapshot(what, at)  # type: ignore[arg-type]
        self.now = until
        if self.is_open and ms:
            self.store.alive(FEED, self.now)
        self.resubscribe(self.store.tick(self.now))

    def resubscribe(self, tokens: list[str]) -> None:
        if tokens and self.is_open:
            self.store.unheard(tokens)
            self.store.resumed(tokens, self.now)
            self.send(self.venue.dump(tokens), 20)

    def send(self, text: str, delay: int) -> None:
        at = max([self.now + delay, *(t for t, _ in self.wire)])
        if self.is_open:
            self.wire.append((at, text))

    def act(self, kind: str, moves: list[Move], delay: int) -> None:
        if kind == "move":
            self.send(self.venue.move(self.now, moves), delay)
        elif kind == "twice":
            text = self.venue.move(self.now, moves)
            self.send(text, delay)
            self.send(text, delay)
        elif kind == "lose":
            self.venue.move(self.now, moves)
        elif kind == "swap" and len(self.wire) > 1:
            (a, x), (b, y) = self.wire[-2:]
            self.wire[-2:] = [(a, y), (b, x)]
        elif kind == "ask":
            for token in (YES, NO):
                self.answers.append((self.now + delay, self.venue.rest(token, self.now)))
        elif kind == "drop" and self.is_open:
            self.is_open, self.wire = False, []
            self.store.disconnected(FEED)
        elif kind == "open" and not self.is_open:
            self.is_open = True
            self.store.resumed([YES, NO], self.now)
            self.send(self.venue.dump(), delay)

    def finish(self) -> None:
        """Enough time and snapshots for everything to be settled."""
        self.act("open", [], 20)
        for _ in range(4):
            self.pass_time(HOLD_MS + RESUME_MS)
            self.act("ask", [], 10)
            self.pass_time(HOLD_MS)


def acts(*kinds: str) -> st.SearchStrategy[list[tuple[str, list[Move], int, int]]]:
    one = st.tuples(
        st.sampled_from(kinds),
        MOVES,
        st.integers(1, SETTLE_MS - 100),
        st.sampled_from([0, 0, 1, 3, 50, 700]),
    )
    return st.lists(one, max_size=40)


def world() -> World:
    venue = SmallVenue(BIDS, ASKS)
    return World(venue, connected(venue))


def lies(at: World, until: int) -> list[int]:
    """Moments at which the store tells a book that the venue did not have."""
    moments = {entry[0] for entry in at.venue.past}
    moments |= {ts + d for ts in moments for d in (-1, 1)} | {until}
    found = []
    for ts in sorted(m for m in moments if T0 <= m <= until):
        for token in (YES, NO):
            book = at.store.book_at(token, ts)
            if book is not None and levels_of(book) != at.venue.truth(token, ts):
                found.append(ts - T0)
    return found


@settings(max_examples=300, deadline=None)
@given(acts("move", "move", "move", "twice", "ask", "drop", "open"))
def test_a_ring_never_lies_over_disconnects_duplicates_and_snapshots(
    steps: list[tuple[str, list[Move], int, int]],
) -> None:
    at = world()
    for kind, moves, delay, gap in steps:
        at.act(kind, moves, delay)
        at.pass_time(gap)
        assert lies(at, at.now - SETTLE_MS) == []
    at.finish()
    assert lies(at, at.now) == []
    assert agrees(at.store, at.venue, at.now)


@settings(max_examples=300, deadline=None)
@given(acts("move", "move", "move", "lose", "swap", "ask", "drop", "open"))
def test_whatever_was_lost_the_store_ends_with_the_venues_book(
    steps: list[tuple[str, list[Move], int, int]],
) -> None:
    at = world()
    for kind, moves, delay, gap in steps:
        at.act(kind, moves, delay)
        at.pass_time(gap)
    at.finish()
    assert agrees(at.store, at.venue, at.now)


@settings(max_examples=100, deadline=None)
@given(acts("move", "move", "twice", "ask", "drop", "open"), st.integers(0, 3_000))
def test_segments_say_what_the_ring_says(
    steps: list[tuple[str, list[Move], int, int]], length: int
) -> None:
    at = world()
    for kind, moves, delay, gap in steps:
        at.act(kind, moves, delay)
        at.pass_time(gap)
    at.finish()
    end = min(T0 + length, at.now)
    segments = at.store.segments(YES, T0, end, "w")
    assert [s.ts_start for s in segments[1:]] == [s.ts_end for s in segments[:-1]]
    for segment in segments:
        for ts in {segment.ts_start, segment.ts_end, *(c.ts_venue for c in segment.changes)}:
            book = segment.book_at(ts)
            assert book is not None
            if segment.complete:
                assert levels_of(book) == at.venue.truth(YES, ts)


@pytest.mark.parametrize("token", [YES, NO])
def test_yes_and_no_mirror_each_other(token: str) -> None:
    venue, store = started()
    for n in range(1, 30):
        moves: list[Move] = [(n % 2 == 0, 100_000 * (n % 4 + 1) + (n % 2) * 450_000, n * 10_000)]
        store.frame(venue.move(T0 + n, moves), FEED, T0 + n)
    for ts in range(T0, T0 + 30):
        mine, other = (store.book_at(t, ts) for t in (token, YES if token == NO else NO))
        assert mine is not None
        assert other is not None
        assert [(x.price, x.shares) for x in mine.bids] == [
            (MICROS - x.price, x.shares) for x in other.asks
        ]
