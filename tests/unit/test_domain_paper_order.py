"""Orders against a snapshot: bounded by size, limit and reservation."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.domain.exchange_log import Side
from chalicelib.domain.fee import FeeSchedule, taker_fee
from chalicelib.domain.orderbook import Book, Level
from chalicelib.domain.paper_order import Order, fee_bound, fill_and_kill, reservation
from chalicelib.domain.reasons import Reason
from tests.unit.wire import NOW_MS, YES, book

SCHEDULE = FeeSchedule(rate=50_000)


def order(side: Side = "BUY", shares: int = 10_000_000, limit: int = 510_000) -> Order:
    return Order(YES, side, shares, limit, NOW_MS, NOW_MS + 10_000)


def test_filled_whole() -> None:
    outcome = fill_and_kill(order(), book([], [(50, 6), (51, 6)]), SCHEDULE, NOW_MS + 1)
    assert (outcome.status, outcome.reasons) == ("FILLED", ())
    assert (outcome.shares, outcome.cash) == (10_000_000, 5_040_000)
    assert outcome.fee == taker_fee(SCHEDULE, 10_000_000, 5_040_000), "on the average price"
    assert outcome.slices[0].levels == (Level(500_000, 6_000_000), Level(510_000, 4_000_000))
    assert (outcome.book_source, outcome.book_hash, outcome.ts_done) == ("rest", "h", NOW_MS + 1)


def test_the_rest_is_killed() -> None:
    outcome = fill_and_kill(order(), book([], [(50, 6), (52, 6)]), SCHEDULE, NOW_MS)
    assert (outcome.status, outcome.reasons) == ("CANCELLED", (Reason.REMAINDER_KILLED,))
    assert outcome.shares == 6_000_000


def test_nothing_inside_the_limit_is_a_skip() -> None:
    late = book([(49, 9)], [(50, 9)], NOW_MS + 10_001)
    cases = (
        (None, Reason.BOOK_MISSING),
        (late, Reason.BOOK_TOO_LATE),
        (book([], []), Reason.NO_LIQUIDITY_WITHIN_BOUNDS),
        (book([(49, 9)], [(52, 9)]), Reason.NO_LIQUIDITY_WITHIN_BOUNDS),
    )
    for of, reason in cases:
        outcome = fill_and_kill(order(), of, SCHEDULE, NOW_MS)
        assert (outcome.status, outcome.reasons) == ("SKIPPED", (reason,))
        assert (outcome.shares, outcome.cash, outcome.fee) == (0, 0, 0)


def test_a_sell_takes_bids_and_reserves_nothing() -> None:
    sell = order("SELL", limit=480_000)
    outcome = fill_and_kill(sell, book([(49, 6), (48, 6), (47, 6)], []), SCHEDULE, NOW_MS)
    assert (outcome.status, outcome.cash) == ("FILLED", 4_860_000)
    assert reservation(sell, SCHEDULE) == 0


SCHEDULES = st.builds(FeeSchedule, st.integers(0, 10**6), st.integers(1, 2))


@settings(max_examples=400)
@given(
    st.integers(1, 10**12),
    st.integers(1, 999_999),
    SCHEDULES,
    st.dictionaries(st.integers(1, 999_999), st.integers(1, 10**12), min_size=1, max_size=6),
)
def test_the_reservation_covers_whatever_is_filled(
    shares: int, limit: int, schedule: FeeSchedule, asks: dict[int, int]
) -> None:
    levels = tuple(Level(price, asks[price]) for price in sorted(asks))
    outcome = fill_and_kill(
        order("BUY", shares, limit), Book(YES, (), levels, 1, 1), schedule, NOW_MS
    )
    assert outcome.shares <= shares
    assert outcome.cash + outcome.fee <= reservation(order("BUY", shares, limit), schedule)


@given(st.integers(1, 10**12), st.integers(1, 999_999), SCHEDULES, st.data())
def test_no_fill_of_an_order_is_charged_more_than_the_bound(
    shares: int, limit: int, schedule: FeeSchedule, data: st.DataObject
) -> None:
    side: Side = data.draw(st.sampled_from(("BUY", "SELL")))
    prices = st.integers(1, limit) if side == "BUY" else st.integers(limit, 999_999)
    price, taken = data.draw(prices), data.draw(st.integers(1, shares))
    charged = taker_fee(schedule, taken, taken * price // 10**6)
    assert charged <= fee_bound(schedule, side, shares, limit)


def test_the_bound_is_taken_at_the_allowed_price_with_the_highest_fee() -> None:
    at_half = taker_fee(SCHEDULE, 100_000_000, 50_000_000)
    assert fee_bound(SCHEDULE, "BUY", 100_000_000, 900_000) >= at_half
    assert fee_bound(SCHEDULE, "SELL", 100_000_000, 100_000) >= at_half
    assert fee_bound(SCHEDULE, "BUY", 100_000_000, 100_000) < at_half
    assert fee_bound(SCHEDULE, "SELL", 100_000_000, 900_000) < at_half
