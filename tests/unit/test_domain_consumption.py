"""What our own orders took, remembered within bounds."""

from __future__ import annotations

from dataclasses import replace

from chalicelib.domain.consumption import TAKEN_MAX, TAKEN_MS_MAX, Taken, remembered, still_taken
from chalicelib.domain.tape import Tape
from tests.unit.wire import NOW_MS, YES, book

ONE = Taken("BUY", 500_000, 5_000_000, 10_000_000, NOW_MS)
NO_TAPE = Tape(YES, ())


def test_without_a_tape_another_total_tells_that_a_level_was_set() -> None:
    same, other = book([], [(50, 10)]), book([], [(50, 11)])
    assert still_taken([ONE], same, "BUY", NOW_MS + 1, NO_TAPE) == [ONE]
    assert still_taken([ONE], other, "BUY", NOW_MS + 1, NO_TAPE) == []
    assert still_taken([ONE], same, "SELL", NOW_MS + 1, NO_TAPE) == []


def test_what_was_taken_expires() -> None:
    same = book([], [(50, 10)])
    assert still_taken([ONE], same, "BUY", NOW_MS + TAKEN_MS_MAX, NO_TAPE) == [ONE]
    assert still_taken([ONE], same, "BUY", NOW_MS + TAKEN_MS_MAX + 1, NO_TAPE) == []


def test_the_later_word_on_a_level_counts_and_memory_is_bounded() -> None:
    later = replace(ONE, ts=NOW_MS + 5, shares=7_000_000)
    sold = replace(ONE, side="SELL")
    assert remembered([ONE], [later, sold]) == (later, sold)
    assert remembered([later], [ONE]) == (later,)
    assert remembered([ONE], [replace(later, price=1, ts=NOW_MS + TAKEN_MS_MAX + 1)]) == (
        replace(later, price=1, ts=NOW_MS + TAKEN_MS_MAX + 1),
    )
    many = [replace(ONE, price=i, ts=NOW_MS + i) for i in range(200)]
    kept = remembered(many, ())
    assert len(kept) == TAKEN_MAX
    assert kept[0].price == 199
    assert remembered(reversed(many), ()) == kept
