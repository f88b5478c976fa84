"""From a wish to stored segments and back: cutting, upkeep, writing and reading."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise

import pytest
from book_venue import FEED, NO, T0, YES, SmallVenue, levels_of
from feed_fakes import Recorder
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.adapters.embedded.memory_store import MemoryStore
from chalicelib.domain.errors import InvalidInput
from chalicelib.domain.evidence import ApiEvidence, ChainEvidence, FillMessage
from chalicelib.domain.orderbook import Level
from chalicelib.domain.registry import TapeRequest
from chalicelib.domain.tape import BookChange, Segment, tape_of
from chalicelib.keyspace import place_of
from chalicelib.ports import Put
from chalicelib.services.tapes import (
    REQUEST_LATE_MS,
    REQUEST_MS_MAX,
    SEGMENT_MS_MAX,
    read_tape,
    request_tape,
    tape_requests,
    tape_rows,
    write_segments,
)
from chalicelib.watcher import book_cutter
from chalicelib.watcher.book_cutter import BEFORE_MS, TapeCutter
from chalicelib.watcher.book_keeper import PLACED_WITHIN_MS, UNWRITTEN_MAX, BookKeeper
from chalicelib.watcher.book_ring import REACH_MS, SETTLE_MS
from chalicelib.watcher.book_store import BookStore
from chalicelib.watcher.book_truth import RESUME_MS
from chalicelib.watcher.book_upkeep import (
    AGAIN_MS,
    ROUND_MS,
    WANTED_PROOF_MS,
    WANTED_VERIFY_MS,
    Upkeep,
)
from chalicelib.watcher.fills_told import FillsTold
from chalicelib.watcher.market_session import MarketSession
from chalicelib.watcher.outputs import Send

BIDS, ASKS = {480_000: 5_000_000}, {500_000: 3_000_000}


def busy(until_ms: int = 60_000, step_ms: int = 100) -> tuple[SmallVenue, BookStore]:
    """A store that heard a change every step."""
    venue = SmallVenue(BIDS, ASKS, T0 - 1_000)
    store = BookStore()
    store.track({FEED: [YES, NO]})
    store.resumed([YES, NO], T0 - 900)
    store.frame(venue.dump(), FEED, T0 - 900)
    for ms in range(0, until_ms, step_ms):
        frame = venue.move(T0 + ms, [(True, 450_000, 1_000_000 + ms)])
        store.frame(frame, FEED, T0 + ms + 30)
    return venue, store


def spans(segments: list[Segment]) -> list[tuple[int, int]]:
    return [(s.ts_start - T0, s.ts_end - T0) for s in segments]


def test_a_segment_ends_when_the_last_copy_of_its_fill_is_placed() -> None:
    _venue, store = busy()
    cutter = TapeCutter(store, "w")
    cutter.want(YES, T0 + 1_000, T0 + 4_250, T0 + 2_000)
    assert cutter.wanted() == {YES}
    assert cutter.cut(T0 + 4_250 + SETTLE_MS - 1) == []
    assert spans(cutter.cut(T0 + 4_250 + SETTLE_MS)) == [(1_000, 4_250)]
    assert cutter.wanted() == frozenset()
    assert cutter.remembered() == {YES}
    cutter.cut(T0 + 4_250 + REACH_MS + 1)
    assert cutter.remembered() == frozenset()


def test_a_wish_soon_after_the_last_one_goes_on_where_that_ended() -> None:
    _, store = busy()
    cutter = TapeCutter(store, "w")
    cutter.want(YES, T0 + 1_000, T0 + 4_000, T0 + 1_100)
    assert spans(cutter.cut(T0 + 5_000)) == [(1_000, 4_000)]
    cutter.want(YES, T0 + 4_010, T0 + 8_000, T0 + 5_000)
    assert spans(cutter.cut(T0 + 9_000)) == [(4_000, 8_000)]
    # Much later there is nothing to go on with.
    cutter.want(YES, T0 + 30_000, T0 + 33_000, T0 + 30_100)
    assert spans(cutter.cut(T0 + 34_000)) == [(30_000, 33_000)]


def test_a_long_wish_is_cut_every_ten_seconds_and_at_its_end() -> None:
    _venue, store = busy()
    cutter = TapeCutter(store, "w")
    cutter.want(YES, T0, T0 + 3_000, T0)
    cutter.want(YES, T0 + 2_000, T0 + 33_000, T0 + 2_500)
    cut = [s for ms in range(0, 40_000, 250) for s in cutter.cut(T0 + ms)]
    found = spans(cut)
    assert found[0] == (0, 3_000)
    assert found[-1][1] == 33_000
    assert all(b - a <= SEGMENT_MS_MAX for a, b in found)
    assert [a for a, _ in found[1:]] == [b for _, b in found[:-1]], "without a hole"
    assert tape_of(YES, cut).covers(T0, T0 + 33_000)


def test_a_wish_that_comes_late_is_served_as_far_as_the_ring_reaches() -> None:
    _venue, store = busy()
    now = T0 + 59_000
    cutter = TapeCutter(store, "w")
    cutter.want(YES, T0 - 50_000, T0 + 40_000, now)
    found = spans(cutter.cut(now))
    assert found[0][0] == -1_000, "the ring knows nothing earlier"
    assert found[-1][1] == 40_000
    cutter.want(YES, T0 + 55_000, T0 + 58_000, now)
    assert spans(cutter.cut(now)) == [(55_000, 58_000)]


def test_an_earlier_beginning_adds_what_is_missing_before() -> None:
    _venue, store = busy()
    cutter = TapeCutter(store, "w")
    cutter.want(YES, T0 + 20_000, T0 + 23_000, T0 + 21_000)
    first = cutter.cut(T0 + 24_000)
    cutter.want(YES, T0 + 15_000, T0 + 22_000, T0 + 24_000)
    second = cutter.cut(T0 + 24_000)
    assert spans(first) + spans(second) == [(20_000, 23_000), (15_000, 20_000)]
    cutter.want(YES, T0 + 15_000, T0 + 22_000, T0 + 24_100)
    assert cutter.cut(T0 + 24_100) == [], "the same wish again changes nothing"


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 40_000), st.integers(0, 12_000), st.integers(0, 3_000)),
        min_size=1,
        max_size=8,
    )
)
def test_whatever_is_wanted_in_time_is_written_once(wishes: list[tuple[int, int, int]]) -> None:
    _venue, store = busy(step_ms=900)
    cutter, written = TapeCutter(store, "w"), list[Segment]()
    left = sorted((start + late, start, start + length) for start, length, late in wishes)
    for ms in range(0, 60_000, 250):
        while left and left[0][0] <= ms:
            _, start, end = left.pop(0)
            cutter.want(YES, T0 + start, T0 + end, T0 + ms)
        written += cutter.cut(T0 + ms)
    tape = tape_of(YES, written)
    for start, length, _late in wishes:
        assert length == 0 or tape.covers(T0 + start, T0 + start + length)
    names = [s.name for s in written]
    assert len(names) == len(set(names))


def test_a_change_that_comes_too_late_for_its_segment_is_counted() -> None:
    venue, store = busy(2_000)
    cutter = TapeCutter(store, "w")
    cutter.want(YES, T0 + 1_000, T0 + 5_000, T0 + 2_000)
    assert len(cutter.cut(T0 + 5_600)) == 1
    store.frame(venue.move(T0 + 5_100, [(True, 440_000, 1)]), FEED, T0 + 5_700)
    cutter.cut(T0 + 5_800)
    assert store.counted() == {}
    store = busy(2_000)[1]
    cutter = TapeCutter(store, "w")
    cutter.want(YES, T0 + 1_000, T0 + 5_000, T0 + 2_000)
    cutter.cut(T0 + 5_600)
    store.frame(venue.frame(T0 + 4_900, [(True, 440_000, 1)]), FEED, T0 + 5_700)
    cutter.cut(T0 + 5_800)
    cutter.cut(T0 + 5_900)
    assert store.counted() == {"tape_late_changes": 1}


def test_wishes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(book_cutter, "WANTS_MAX", 3)
    monkeypatch.setattr(book_cutter, "STOPS_MAX", 4)
    cutter = TapeCutter(BookStore(), "w")
    for n in range(1, 10):
        cutter.want(str(n), T0, T0 + 10, T0)
        cutter.want("1", T0, T0 + n * 10, T0)
    assert len(cutter.remembered()) == 3
    cutter.want("1", T0, T0 + 10**12, T0)
    cutter.cut(T0 + 2_000)
    assert cutter.wanted() == frozenset()


def test_upkeep_asks_for_what_is_in_doubt_first_and_for_everything_in_turn() -> None:
    _venue, store = busy(1_000)
    upkeep = Upkeep(store, jitter=lambda: 0.5)
    now = T0 + 1_000
    assert set(upkeep.due([], now)) == {YES, NO}, "nothing was compared yet"
    assert upkeep.due([], now + ROUND_MS) == []
    assert set(upkeep.due([], now + ROUND_MS + ROUND_MS // 2)) == {YES, NO}
    later = now + ROUND_MS * 2
    store.get(NO).doubt(T0)  # type: ignore[union-attr]
    assert upkeep.due([YES], later) == [NO, YES]
    assert upkeep.due([YES], later + AGAIN_MS - 1) == [], "not too often"
    assert upkeep.due([YES], later + AGAIN_MS) == [NO, YES]


def test_a_wanted_book_is_proven_before_its_proof_is_stale() -> None:
    venue, store = busy(1_000)
    upkeep = Upkeep(store, jitter=lambda: 0.5)
    now = T0 + 1_000
    for token in upkeep.due([], now):
        store.snapshot(venue.rest(token, now), now + 20)
    heard = store.get(YES).ts_proven  # type: ignore[union-attr]
    assert upkeep.due([YES], heard + WANTED_PROOF_MS) == []
    assert upkeep.due([YES], heard + WANTED_PROOF_MS + 1) == [YES]
    store.alive(FEED, now + WANTED_VERIFY_MS)
    store.get(YES).heard(now + WANTED_VERIFY_MS)  # type: ignore[union-attr]
    assert upkeep.due([YES], now + WANTED_VERIFY_MS + 1) == [YES], "it is compared all the same"


def test_a_book_that_the_venue_does_not_have_is_asked_for_less_and_less() -> None:
    store = BookStore()
    store.track({FEED: [YES]})
    store.resumed([YES], T0)
    upkeep = Upkeep(store)
    assert upkeep.due([YES], T0 + RESUME_MS - 1) == [], "its connection may still bring it"
    asked = []
    for ms in range(RESUME_MS, 300_000, 500):
        if upkeep.due([YES], T0 + ms):
            asked.append(ms)
            store.refused(YES)
    gaps = [b - a for a, b in pairwise(asked)]
    assert gaps == sorted(gaps)
    assert gaps[-1] >= 60_000
    assert len(asked) < 12


def test_the_keeper_serves_fills_and_keeps_what_could_not_be_written() -> None:
    _venue, store = busy(6_000)
    keeper = BookKeeper("w", "ws+snapshot")
    keeper.store = keeper._cutter._store = store
    keeper.fill_seen(YES, T0 + 2_000, "ada")
    assert keeper.has_fills
    fills = [(token, ts, PLACED_WITHIN_MS) for token, ts, _leader in keeper.new_fills()]
    assert not keeper.has_fills
    keeper.want_fills(fills, T0 + 2_100)
    end = T0 + 2_000 + PLACED_WITHIN_MS
    keeper.tick(end + SETTLE_MS)
    (segment,) = taken = keeper.take_segments()
    assert (segment.ts_start, segment.ts_end) == (T0 + 2_000 - BEFORE_MS, end)
    keeper.give_back(taken)
    assert keeper.take_segments() == taken
    keeper.give_back([segment] * (UNWRITTEN_MAX + 3))
    assert len(keeper.take_segments()) == UNWRITTEN_MAX
    assert store.counted()["tape_segments_dropped"] == 3


def test_in_mode_rest_nothing_is_kept_and_in_mode_ws_nothing_requested_often() -> None:
    keeper = BookKeeper("w", "rest")
    keeper.track({FEED: [YES]})
    keeper.want(YES, T0, T0 + 1_000, T0)
    assert not list(keeper.store.tokens)
    assert keeper.remembered() == frozenset()
    keeper.mode = "ws"
    keeper.track({FEED: [YES]})
    keeper.store.resumed([YES], T0)
    assert keeper.due(T0 + RESUME_MS) == [YES]
    assert keeper.due(T0 + RESUME_MS + AGAIN_MS) == []


def test_segments_are_stored_once_and_read_back() -> None:
    venue, store = busy()
    database, counts = MemoryStore(), Recorder()
    segments = [
        *store.segments(YES, T0 + 1_000, T0 + 6_000, "w"),
        *store.segments(YES, T0 + 6_000, T0 + 12_000, "w"),
    ]
    write_segments(database, segments, counts)
    write_segments(database, segments, counts)
    assert counts.counts == {"tape_segments": 2, "tape_written_before": 2}
    tape = read_tape(database, YES, T0 + 2_000, T0 + 11_000)
    assert tape.segments == tuple(segments)
    for ms in (1_000, 5_999, 6_000, 11_999):
        book = tape.book_at(T0 + ms)
        assert book is not None
        assert levels_of(book) == venue.truth(YES, T0 + ms)
        assert book.ts_received <= T0 + ms
    assert read_tape(database, YES, T0 + 7_000, T0 + 8_000).segments == (segments[1],)
    assert read_tape(database, YES, T0 + 13_000, T0 + 14_000).segments == ()
    assert read_tape(database, NO, T0, T0 + 14_000).segments == ()
    row = tape_rows(database, YES, T0 + 1_000, T0 + 1_000)[0]
    assert place_of(row).ttl == (T0 + 1_000) // 1_000 + 90 * 86_400


def test_a_row_that_was_changed_is_left_out() -> None:
    _venue, store = busy(5_000)
    database = MemoryStore()
    write_segments(database, store.segments(YES, T0, T0 + 3_000, "w"), Recorder())
    (row,) = tape_rows(database, YES, T0, T0 + 3_000)
    database.commit([Put(replace(row, digest="0" * 64))])
    assert read_tape(database, YES, T0, T0 + 3_000).segments == ()


def test_a_moment_too_large_to_store_is_counted() -> None:
    changes = tuple(BookChange(T0 + 1, T0 + 1, "BUY", 500_000, n * 7_919) for n in range(90_000))
    segment = Segment(YES, "w", T0, T0 + 5, T0, (Level(490_000, 1),), (), changes)
    database, counts = MemoryStore(), Recorder()
    write_segments(database, [segment], counts)
    assert counts.counts == {"tape_too_large": 1}


def test_requests_are_read_while_they_matter() -> None:
    database = MemoryStore()
    request_tape(database, YES, T0, T0 + 4_000)
    request_tape(database, YES, T0, T0 + 4_000)
    request_tape(database, NO, T0, T0 + 10**9)
    first, second = tape_requests(database, T0)
    assert first == TapeRequest(YES, T0, T0 + 4_000, 1)
    assert second.ts_until == T0 + REQUEST_MS_MAX
    assert tape_requests(database, T0 + 4_001 + REQUEST_LATE_MS) == [second]


def test_fills_are_told_as_they_are_sent() -> None:
    queue, told = Recorder(), list[tuple[str, int, str]]()
    telling = FillsTold(queue, lambda *seen: told.append(seen))  # type: ignore[arg-type]
    chain = ChainEvidence("0x1", "7", "BUY", None)  # type: ignore[arg-type]
    api = ApiEvidence("0x1", "8", "BUY", ())
    live = FillMessage("l", "w", T0, chain=(chain, chain), api=(api,))
    telling.send([live, replace(live, backfill=True)])
    assert sorted(told) == [("7", T0, "l"), ("8", T0, "l")]
    assert len(queue.messages) == 2


def test_a_session_feeds_the_books_and_subscribes_anew() -> None:
    venue = SmallVenue(BIDS, ASKS, T0 - 1_000)
    store = BookStore()
    session = MarketSession(FEED, store)
    store.track({FEED: [YES, NO]})
    session.set_tokens([YES, NO])
    session.connected(T0)
    store.resumed(session.tokens, T0)
    assert len(session.receive(venue.dump(), T0 + 10)) == 2
    assert session.receive(venue.move(T0 + 20, [(True, 490_000, 1)]), T0 + 30) == ()
    assert session.receive(venue.move(T0 + 21, [(True, 490_000, 2)]), T0 + 31) == ()
    assert store.book_at(YES, T0 + 21).bids[0].shares == 2  # type: ignore[union-attr]
    assert session.receive("PONG", T0 + 5_000) == ()
    assert store.ts_last_frame == T0 + 5_000
    frames = [json.loads(o.text) for o in session.resubscribe([YES, "9"]) if isinstance(o, Send)]
    assert [(f["operation"], f["assets_ids"]) for f in frames] == [
        ("unsubscribe", [YES]),
        ("subscribe", [YES]),
    ]
    session.disconnected()
    assert session.resubscribe([YES]) == []


def test_only_tokens_are_tracked() -> None:
    with pytest.raises(InvalidInput):
        BookStore().track({FEED: ["not a token"]})
