"""A segment read by columns answers as the segment it was made of, whatever is asked."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain.errors import InvalidInput
from chalicelib.domain.orderbook import Level
from chalicelib.domain.tape import BookChange, Segment, TradePrint, best_first, tape_of
from chalicelib.domain.tape_columns import columns_of
from chalicelib.domain.tape_text import packed, unpacked
from tests.unit.wire import NOW_MS, YES

LENGTH = 40
SIDES = st.sampled_from(["BUY", "SELL"])
PRICES = st.integers(1, 6).map(lambda n: n * 10_000)


def _levels(pairs: dict[int, int], side: str) -> tuple[Level, ...]:
    return best_first(pairs, side)  # type: ignore[arg-type]


EVENTS = st.lists(
    st.tuples(st.integers(1, LENGTH), st.integers(-5, 9), SIDES, PRICES, st.integers(0, 3)),
    max_size=25,
)
BOOKS = st.dictionaries(PRICES, st.integers(1, 9), max_size=5)


@st.composite
def segments(draw: st.DrawFn) -> Segment:
    def events() -> list[tuple[int, int, str, int, int]]:
        return [
            (NOW_MS + ms, NOW_MS + ms + lag, side, price, shares)
            for ms, lag, side, price, shares in sorted(draw(EVENTS))
        ]

    proofs = sorted(NOW_MS + ms for ms in draw(st.lists(st.integers(-9, LENGTH), max_size=5)))
    return Segment(
        YES,
        "w",
        NOW_MS,
        NOW_MS + LENGTH,
        NOW_MS - 3,
        _levels(draw(BOOKS), "BUY"),
        _levels(draw(BOOKS), "SELL"),
        tuple(BookChange(*event) for event in events()),  # type: ignore[arg-type]
        tuple(TradePrint(*event) for event in events()),  # type: ignore[arg-type]
        tuple(proofs),
        draw(st.booleans()),
        draw(st.booleans()),
    )


@given(segments(), st.lists(st.integers(-2, LENGTH + 2), min_size=1, max_size=8))
def test_every_answer_is_the_same(whole: Segment, moments: list[int]) -> None:
    columns = columns_of(packed(whole))
    assert (columns.name, columns.complete, columns.truncated) == (
        whole.name,
        whole.complete,
        whole.truncated,
    )
    one, other = tape_of(YES, [whole]), tape_of(YES, [columns])
    for ms in [*moments, *moments[:1]]:
        ts = NOW_MS + ms
        assert columns.contains(ts) == whole.contains(ts)
        assert columns.book_at(ts) == whole.book_at(ts)
        assert columns.proven_at(ts) == whole.proven_at(ts)
        assert columns.changes_between(NOW_MS, ts) == whole.changes_between(NOW_MS, ts)
        assert other.book_at(ts) == one.book_at(ts)
        if one.covers(NOW_MS, ts):
            assert other.prints_between(NOW_MS, ts) == one.prints_between(NOW_MS, ts)
            assert other.changes_between(NOW_MS, ts) == one.changes_between(NOW_MS, ts)
            changed = {(c.side, c.price) for c in one.changes_between(NOW_MS, ts)}
            for side, price in changed | {("BUY", 10_000), ("SELL", 30_000)}:
                was_set = (side, price) in changed
                assert other.was_set(side, price, NOW_MS, ts) == was_set
                assert one.was_set(side, price, NOW_MS, ts) == was_set
        else:
            assert not one.was_set("BUY", 10_000, NOW_MS, ts)
            assert not other.was_set("BUY", 10_000, NOW_MS, ts)


@given(segments())
def test_what_is_damaged_is_refused_by_both(whole: Segment) -> None:
    row = packed(whole)
    for damaged in (
        replace(row, digest="0" * 64),
        replace(row, data=row.data[:-8]),
        replace(row, data="%"),
    ):
        for read in (unpacked, columns_of):
            with pytest.raises(InvalidInput):
                read(damaged)
