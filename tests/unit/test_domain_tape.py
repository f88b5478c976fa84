"""Tapes: the book of any moment, exact round trips, bounded size, honest about what is missing."""

from __future__ import annotations

import random
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.domain.errors import InvalidInput
from chalicelib.domain.orderbook import Level
from chalicelib.domain.tape import BookChange, Segment, TradePrint, set_level, tape_of
from chalicelib.domain.tape_text import (
    DATA_CHARS_MAX,
    NEAR,
    near_touch,
    packed,
    rows_of,
    segment_digest,
    split_at,
    unpacked,
)
from tests.unit.wire import YES

T0 = 1_795_000_000_000
SIDES = st.sampled_from(("BUY", "SELL"))


def golden() -> Segment:
    return Segment(
        YES,
        "w1",
        T0,
        T0 + 1_000,
        T0 - 7_000,
        bids=(Level(480_000, 5_000_000), Level(470_000, 9_000_000)),
        asks=(Level(500_000, 3_000_000), Level(510_000, 8_000_000)),
        changes=(
            BookChange(T0 + 100, T0 + 150, "SELL", 500_000, 0),
            BookChange(T0 + 200, T0 + 260, "BUY", 490_000, 2_500_000),
            BookChange(T0 + 200, T0 + 260, "BUY", 470_000, 0),
        ),
        prints=(TradePrint(T0 + 90, T0 + 140, "BUY", 500_000, 3_000_000),),
        proofs=(T0 - 400, T0 + 700),
    )


def test_the_book_of_each_moment() -> None:
    segment = golden()
    start, taken, end = (segment.book_at(T0 + ms) for ms in (99, 100, 1_000))
    assert start is not None
    assert taken is not None
    assert end is not None
    assert (start.best_bid, start.best_ask, start.ts_venue) == (480_000, 500_000, T0 - 7_000)
    assert (taken.best_bid, taken.best_ask, taken.ts_venue) == (480_000, 510_000, T0 + 100)
    assert end.bids == (Level(490_000, 2_500_000), Level(480_000, 5_000_000))
    assert end.asks == (Level(510_000, 8_000_000),)
    assert segment.book_at(T0 - 1) is None
    assert segment.book_at(T0 + 1_001) is None


def test_staleness_counts_from_what_was_received() -> None:
    segment = golden()
    times = [T0 - 401, T0, T0 + 149, T0 + 150, T0 + 699, T0 + 700]
    expected = [None, T0 - 400, T0 - 400, T0 + 150, T0 + 260, T0 + 700]
    assert [segment.proven_at(ts) for ts in times] == expected
    book = segment.book_at(T0 + 100)
    assert book is not None
    assert book.ts_received == T0 - 400, "the change was known only later"


def test_a_tape_answers_only_where_nothing_is_missing() -> None:
    whole = golden()
    first, second = split_at(whole, T0 + 150)
    tape = tape_of(YES, [second, first, replace(whole, token_id="7")])
    assert [s.ts_start for s in tape.segments] == [T0, T0 + 150]
    assert tape.covers(T0, T0 + 1_000)
    assert not tape.covers(T0 - 1, T0 + 1_000)
    assert not tape.covers(T0, T0 + 1_001)
    assert tape.changes_between(T0, T0 + 1_000) == whole.changes
    assert tape.changes_between(T0 + 100, T0 + 200) == whole.changes[1:]
    assert tape.prints_between(T0, T0 + 1_000) == whole.prints
    assert tape.stretch(T0 + 10, T0 + 20) == (first,)
    broken = tape_of(YES, [replace(first, complete=False), second])
    assert broken.book_at(T0 + 100) is None
    assert broken.book_at(T0 + 150) == whole.book_at(T0 + 150)
    assert not broken.covers(T0, T0 + 1_000)
    with pytest.raises(InvalidInput):
        broken.changes_between(T0, T0 + 1_000)
    assert tape_of(YES, []).book_at(T0) is None
    assert not tape_of(YES, []).covers(T0, T0)


def test_two_watchers_fill_each_others_holes() -> None:
    whole = golden()
    first, second = split_at(whole, T0 + 500)
    other = replace(whole, watcher="w2", ts_end=T0 + 600)
    tape = tape_of(YES, [replace(first, complete=False), second, other])
    assert tape.covers(T0, T0 + 1_000)
    assert [s.watcher for s in tape.stretch(T0, T0 + 1_000)] == ["w2", "w1"]
    assert tape.changes_between(T0, T0 + 1_000) == whole.changes


@st.composite
def segments(draw: st.DrawFn) -> Segment:
    prices = st.integers(1, 999_999)
    sizes = st.integers(1, 10**15)
    bids = draw(st.dictionaries(prices, sizes, max_size=6))
    asks = draw(st.dictionaries(prices, sizes, max_size=6))
    length = draw(st.integers(0, 2_000))
    times = sorted(draw(st.lists(st.integers(1, length or 1), max_size=12))) if length else []
    changes = tuple(
        BookChange(
            T0 + ms,
            T0 + ms + draw(st.integers(-50, 900)),
            draw(SIDES),
            draw(prices | st.sampled_from(sorted({*bids, *asks}) or [1])),
            draw(st.just(0) | sizes),
        )
        for ms in times
    )
    prints = tuple(
        TradePrint(T0 + ms, T0 + ms + 3, draw(SIDES), draw(prices), draw(sizes)) for ms in times[:3]
    )
    proofs = tuple(sorted(draw(st.sets(st.integers(T0 - 9_000, T0 + 3_000), max_size=5))))
    return Segment(
        YES,
        draw(st.text("abc", min_size=1, max_size=4)),
        T0,
        T0 + length,
        T0 - draw(st.integers(0, 10**9)),
        tuple(Level(p, bids[p]) for p in sorted(bids, reverse=True)),
        tuple(Level(p, asks[p]) for p in sorted(asks)),
        changes,
        prints,
        proofs,
        draw(st.booleans()),
        draw(st.booleans()),
    )


@given(segments())
def test_round_trips_are_exact(segment: Segment) -> None:
    row = packed(segment)
    assert unpacked(row) == segment
    assert row.digest == segment_digest(unpacked(row))
    assert (row.complete, row.truncated) == (segment.complete, segment.truncated)


@given(segments(), st.integers(0, 2_100))
def test_the_book_is_the_fold_of_what_came_before(segment: Segment, ms: int) -> None:
    ts = T0 + ms
    sides = {
        "BUY": {level.price: level.shares for level in segment.bids},
        "SELL": {level.price: level.shares for level in segment.asks},
    }
    for change in segment.changes:
        if change.ts_venue <= ts:
            set_level(sides[change.side], change.price, change.shares)
    book = segment.book_at(ts)
    if ts > segment.ts_end:
        assert book is None
        return
    assert book is not None
    assert {level.price: level.shares for level in book.bids} == sides["BUY"]
    assert {level.price: level.shares for level in book.asks} == sides["SELL"]
    assert [level.price for level in book.bids] == sorted(sides["BUY"], reverse=True)
    assert [level.price for level in book.asks] == sorted(sides["SELL"])


@given(segments(), st.integers(1, 1_999))
def test_a_divided_segment_says_the_same(segment: Segment, ms: int) -> None:
    ts = T0 + ms
    segment = replace(segment, complete=True)
    if not segment.ts_start < ts < segment.ts_end:
        return
    tape = tape_of(YES, split_at(segment, ts))
    for moment in range(segment.ts_start, segment.ts_end + 1, max(1, ms // 7)):
        assert tape.book_at(moment) == segment.book_at(moment)
    assert tape.changes_between(T0, segment.ts_end) == segment.changes
    assert tape.prints_between(T0, segment.ts_end) == segment.prints


def storm(changes: int, *, near: bool) -> Segment:
    rng = random.Random(5)
    low, high = (450_000, 550_000) if near else (1_000, 999_000)
    times = sorted(rng.randrange(1, 10_001) for _ in range(changes))
    listed = []
    for ms in times:
        price = rng.randrange(low, high) // 100 * 100
        side = "BUY" if price < 500_000 else "SELL"
        size = rng.randrange(10**12)
        listed.append(BookChange(T0 + ms, T0 + ms + rng.randrange(80), side, price, size))
    return Segment(
        YES, "w1", T0, T0 + 10_000, T0, (Level(499_000, 1),), (Level(501_000, 1),), tuple(listed)
    )


def test_a_large_segment_loses_what_is_far_from_the_touch_and_says_so() -> None:
    large = storm(15_000, near=False)
    assert len(packed(large).data) > DATA_CHARS_MAX
    rows = rows_of(large)
    assert all(len(row.data) <= DATA_CHARS_MAX and row.truncated for row in rows)
    tape = tape_of(YES, [unpacked(row) for row in rows])
    assert tape.covers(large.ts_start, large.ts_end)
    trimmed = near_touch(large)
    for ms in (1, 3_000, 10_000):
        whole, kept = large.book_at(T0 + ms), tape.book_at(T0 + ms)
        assert whole is not None
        assert kept is not None
        assert whole.mid is not None
        low, high = whole.mid - NEAR, whole.mid + NEAR
        assert [x for x in kept.bids if x.price >= low] == [x for x in whole.bids if x.price >= low]
        assert [x for x in kept.asks if x.price <= high] == [
            x for x in whole.asks if x.price <= high
        ]
        assert kept.ts_received == whole.ts_received
    assert len(trimmed.changes) < len(large.changes)


def test_what_is_still_too_large_is_divided_in_time() -> None:
    large = storm(30_000, near=True)
    rows = rows_of(large)
    assert len(rows) > 1
    assert all(len(row.data) <= DATA_CHARS_MAX for row in rows)
    tape = tape_of(YES, [unpacked(row) for row in rows])
    assert tape.changes_between(T0, T0 + 10_000) == large.changes


def test_one_moment_that_is_too_large_is_refused() -> None:
    large = storm(30_000, near=True)
    at_once = tuple(replace(c, ts_venue=T0 + 5) for c in large.changes)
    with pytest.raises(InvalidInput):
        rows_of(replace(large, changes=at_once))


@settings(max_examples=30)
@given(segments(), st.integers(0, 10**6), st.integers(1, 255))
def test_a_damaged_row_is_refused(segment: Segment, place: int, flip: int) -> None:
    row = packed(segment)
    spot = place % len(row.data)
    damaged = row.data[:spot] + chr(ord(row.data[spot]) ^ (flip & 0x3F or 1)) + row.data[spot + 1 :]
    with suppress(InvalidInput):
        assert unpacked(replace(row, data=damaged)) == segment, "only what means the same passes"
    with pytest.raises(InvalidInput):
        unpacked(replace(row, digest="0" * 64))
