"""Walks through a book: never beyond limit, size or depth, and nothing gets lost."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain.exchange_log import Side
from chalicelib.domain.orderbook import Book, Level, Walk, depth, walk_cash, walk_shares, within
from tests.unit.wire import YES, book

SIDES: st.SearchStrategy[Side] = st.sampled_from(("BUY", "SELL"))
LIMITS = st.none() | st.integers(1, 999_999)


@st.composite
def books(draw: st.DrawFn) -> Book:
    prices = sorted(draw(st.sets(st.integers(1, 999_999), max_size=8)))
    split = draw(st.integers(0, len(prices)))
    sizes = st.integers(0, 50) | st.integers(10_000, 10**12)
    levels = [Level(price, draw(sizes)) for price in prices]
    return Book(YES, tuple(reversed(levels[:split])), tuple(levels[split:]), 1, 1)


def check_fills(found: Walk, of: Book, side: Side, limit: int | None) -> None:
    levels = of.takes(side)
    offered = {level.price: level.shares for level in levels}
    prices = [fill.price for fill in found.fills]
    assert prices == sorted(prices, reverse=side == "SELL"), "best first"
    for fill in found.fills:
        assert 0 < fill.shares <= offered[fill.price]
        assert within(fill, side, limit)
    for fill in found.fills[:-1]:
        assert fill.shares == offered[fill.price], "a better level is used up first"
    assert found.shares == sum(fill.shares for fill in found.fills)
    assert found.cash == sum(
        (Fraction(fill.shares * fill.price, 10**6)).__floor__() for fill in found.fills
    )
    if found.fills and found.shares > 10**6:
        assert found.vwap is not None
        slack = 1 + len(found.fills)
        assert min(prices) - slack <= found.vwap <= max(prices) + slack


@given(books(), SIDES, st.integers(1, 10**13), LIMITS)
def test_walk_by_shares(of: Book, side: Side, shares: int, limit: int | None) -> None:
    found = walk_shares(of, side, shares, limit)
    check_fills(found, of, side, limit)
    assert found.shares + found.unfilled == shares
    everything = sum(level.shares for level in of.takes(side) if within(level, side, limit))
    assert found.shares == min(shares, everything)
    if limit is not None:
        assert depth(of, side, limit) == everything


@given(books(), SIDES, st.integers(1, 10**13), LIMITS)
def test_walk_by_cash(of: Book, side: Side, cash: int, limit: int | None) -> None:
    found = walk_cash(of, side, cash, limit)
    check_fills(found, of, side, limit)
    assert found.cash + found.unfilled == cash
    assert found.unfilled >= 0
    everything = walk_shares(of, side, 10**20, limit)
    assert found.cash <= everything.cash
    if found.unfilled > 1:
        assert found.shares == everything.shares, "only an exhausted book leaves cash over"


@given(books(), SIDES, st.integers(1, 10**13), st.integers(0, 10**13), LIMITS)
def test_asking_for_more_never_gives_less(
    of: Book, side: Side, less: int, more: int, limit: int | None
) -> None:
    small, large = (walk_shares(of, side, n, limit) for n in (less, less + more))
    assert small.shares <= large.shares
    assert small.cash <= large.cash
    small, large = (walk_cash(of, side, n, limit) for n in (less, less + more))
    assert small.shares <= large.shares


def test_a_level_that_is_not_used_up_ends_a_walk_by_cash() -> None:
    found = walk_cash(book([], [(30, 1000), (31, 1000), (32, 1000)]), "BUY", 10_000_000)
    assert found.fills == (Level(300_000, 33_333_333),)
    assert (found.cash, found.unfilled) == (9_999_999, 1)


def test_empty_levels_do_not_end_a_walk() -> None:
    of = book([(50, 0), (40, 5)], [(60, 0), (70, 5)])
    assert walk_cash(of, "BUY", 7_000_000).shares == 10_000_000 // 2 * 1
    assert walk_cash(of, "SELL", 1_000_000).shares == 2_500_000
    assert walk_shares(of, "BUY", 1_000_000).fills == (Level(700_000, 1_000_000),)


def test_mid_and_spread_need_both_sides() -> None:
    full, bids, asks = book([(40, 1)], [(43, 1)]), book([(40, 1)], []), book([], [(43, 1)])
    assert (full.mid, full.spread, full.best_bid, full.best_ask) == (
        415_000,
        30_000,
        400_000,
        430_000,
    )
    assert (bids.mid, bids.spread, bids.best_ask) == (None, None, None)
    assert (asks.mid, asks.spread, asks.best_bid) == (None, None, None)
    assert walk_shares(bids, "BUY", 5).vwap is None
