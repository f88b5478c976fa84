"""Orders on a tape: golden books walked by hand, and what holds for every book."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.adapters import codec
from chalicelib.domain.consumption import Taken
from chalicelib.domain.exchange_log import Side
from chalicelib.domain.fee import FeeSchedule, taker_fee
from chalicelib.domain.orderbook import Level, depth
from chalicelib.domain.paper_order import (
    SLICES_MAX,
    Order,
    Outcome,
    placed,
    reservation,
    resting_reservation,
)
from chalicelib.domain.reasons import Reason
from chalicelib.domain.resting_order import cancelled, followed, reach
from chalicelib.domain.tape import Tape
from tests.unit.tapes import Event, M, segment, tape
from tests.unit.wire import NOW_MS, YES

SCHEDULE = FeeSchedule(rate=50_000)
PLACED = NOW_MS + 1_000


def order(side: Side = "BUY", shares: int = 100, limit: float = 52, **changes: object) -> Order:
    made = Order(YES, side, shares * M, round(limit * 10_000), PLACED, PLACED + 10_000, 30_000)
    return replace(made, **changes)  # type: ignore[arg-type]


def place(of: Order, on: Tape, taken: tuple[Taken, ...] = ()) -> Outcome:
    found = placed(of, on, SCHEDULE, taken)
    assert found is not None
    return found


def end(of: Order, on: Tape) -> Outcome:
    return followed(of, place(of, on), on, of.ts_expiry)


def fills(outcome: Outcome) -> list[tuple[int, int, int]]:
    """(milliseconds after placement, shares, cash) of each slice, in whole units where they are."""
    return [(s.ts - PLACED, s.shares // M, s.cash) for s in outcome.slices]


def test_the_book_of_the_placement_counts_not_the_one_before() -> None:
    # Decided on 100 @ 0.51; a moment before placement only 30 are left, and 50 @ 0.52 behind them.
    moved = tape(segment([(50, 500)], [(51, 100), (52, 50)], [(990, "ask", 51, 30)]))
    found = place(order(), moved)
    assert found.status == "PARTIAL"
    assert found.slices[0].levels == (Level(510_000, 30 * M), Level(520_000, 50 * M))
    # 30 × 0.51 + 50 × 0.52 = 41.30; 0.05 × 80 × 0.51625 × 0.48375 = 0.998943… → 0.99894.
    assert (found.shares, found.cash, found.fee) == (80 * M, 41_300_000, 998_940)
    assert (found.best, found.mid, found.book_source) == (510_000, 505_000, "tape")
    assert found.segments == (f"{NOW_MS:013d}#w",)
    assert (found.rests, found.reasons, found.ts_done) == (True, (), PLACED)


def test_a_whole_fill_is_over_at_once() -> None:
    found = place(order(), tape(segment([(50, 9)], [(52, 100)])))
    assert (found.status, found.reasons, found.rests) == ("FILLED", (), False)


def test_later_offers_fill_what_rests_at_our_limit_without_a_fee() -> None:
    on = tape(
        segment(
            [(50, 500)],
            [(52, 40)],
            [(3_000, "ask", 51, 25), (7_000, "ask", 53, 500), (9_000, "ask", 52, 60)],
        )
    )
    found = end(order(), on)
    assert (found.status, found.reasons) == ("FILLED", ())
    # 40 taken at 0.52; then 25 and 35 met us at our own 0.52.
    assert fills(found) == [(0, 40, 20_800_000), (2_000, 25, 13_000_000), (8_000, 35, 18_200_000)]
    assert [s.fee for s in found.slices] == [taker_fee(SCHEDULE, 40 * M, 20_800_000), 0, 0]
    assert found.slices[2].levels == (Level(520_000, 35 * M),)
    assert found.ts_done == PLACED + 8_000


def test_what_is_left_at_expiry_is_cancelled_and_says_so() -> None:
    on = tape(segment([(50, 500)], [(52, 40)], [(31_000, "ask", 51, 5), (31_001, "ask", 51, 90)]))
    found = end(order(), on)
    assert (found.status, found.reasons) == ("CANCELLED", (Reason.REMAINDER_CANCELLED,))
    assert fills(found) == [(0, 40, 20_800_000), (30_000, 5, 2_600_000)], "expiry included"
    assert found.ts_done == PLACED + 30_000


def test_an_order_that_met_nothing_at_all_is_a_skip() -> None:
    on = tape(segment([(50, 500)], [(60, 40)]))
    first = place(order(), on)
    assert (first.status, first.rests, first.slices) == ("SUBMITTED", True, ())
    found = end(order(), on)
    assert (found.status, found.reasons) == ("SKIPPED", (Reason.NO_LIQUIDITY_WITHIN_BOUNDS,))


def test_an_order_without_time_to_rest_is_killed() -> None:
    found = place(order(ttl_ms=0), tape(segment([(50, 500)], [(52, 40)])))
    assert (found.status, found.reasons) == ("CANCELLED", (Reason.REMAINDER_KILLED,))


def test_a_sell_mirrors_a_buy() -> None:
    on = tape(segment([(48, 40)], [(52, 9)], [(3_000, "bid", 49, 25), (4_000, "buy", 49, 10)]))
    found = end(order("SELL", limit=48), on)
    assert fills(found) == [(0, 40, 19_200_000), (2_000, 25, 12_000_000), (3_000, 10, 4_800_000)]


@pytest.mark.parametrize(
    ("mode", "events", "expected"),
    [
        ("trade_through", [(2_000, "sell", 51, 30)], 30),
        ("trade_through", [(2_000, "sell", 52, 30)], 0),
        ("trade_through", [(2_000, "buy", 51, 30)], 0),
        ("touch", [(2_000, "sell", 52, 70)], 0),
        ("touch", [(2_000, "sell", 52, 70), (3_000, "sell", 52, 30)], 20),
        ("touch", [(2_000, "sell", 51, 30)], 30),
        ("touch", [(2_000, "sell", 51, 30), (3_000, "sell", 52, 30)], 60),
    ],
)
def test_what_a_print_fills(mode: str, events: list[Event], expected: int) -> None:
    # 80 shares bid 0.52 before us, offered at 0.53.
    on = tape(segment([(52, 80)], [(53, 9)], events))
    found = end(order(resting_fill=mode), on)
    assert found.shares == expected * M


def test_of_one_moment_only_the_last_total_of_a_price_counts() -> None:
    on = tape(segment([(50, 9)], [(60, 9)], [(2_000, "ask", 52, 90), (2_000, "ask", 52, 10)]))
    assert end(order(), on).shares == 10 * M


def test_our_own_levels_stay_taken_until_the_venue_sets_them_again() -> None:
    earlier = Taken("BUY", 520_000, 40 * M, 40 * M, NOW_MS + 500)
    quiet = tape(segment([(50, 500)], [(52, 40), (53, 9)]))
    set_again = tape(segment([(50, 500)], [(52, 40)], [(700, "ask", 52, 40)]))
    grown = tape(segment([(50, 500)], [(52, 70)]))
    assert place(order(), quiet, (earlier,)).shares == 0
    assert place(order(limit=53), quiet, (earlier,)).shares == 9 * M
    assert place(order(), set_again, (earlier,)).shares == 40 * M
    assert place(order(), grown, (earlier,)).shares == 70 * M
    half = replace(earlier, shares=15 * M)
    found = place(order(), quiet, (half,))
    assert found.shares == 25 * M
    assert found.taken == (Taken("BUY", 520_000, 40 * M, 40 * M, PLACED),), "together"
    assert place(order("SELL", limit=48), quiet, (earlier,)).shares == 100 * M, "the other side"


def test_what_another_resting_order_took_of_a_new_offer_is_gone() -> None:
    on = tape(segment([(50, 500)], [(60, 1)], [(3_000, "ask", 52, 30)]))
    theirs = Taken("BUY", 520_000, 20 * M, 30 * M, NOW_MS + 3_000)
    of = order()
    found = followed(of, place(of, on), on, of.ts_expiry, (theirs,))
    assert found.shares == 10 * M
    assert found.taken == (Taken("BUY", 520_000, 30 * M, 30 * M, NOW_MS + 3_000),)


def test_a_gap_ends_the_order_with_what_was_proven() -> None:
    on = tape(
        segment([(50, 9)], [(52, 40)], [(3_000, "ask", 52, 25)], length=9_000),
        segment([(50, 9)], [(52, 99)], start=NOW_MS + 10_000),
    )
    found = end(order(), on)
    assert found.reasons == (Reason.REMAINDER_CANCELLED, Reason.TAPE_INCOMPLETE)
    assert (found.status, found.shares, found.ts_done) == ("CANCELLED", 65 * M, NOW_MS + 9_000)
    broken = tape(segment([(50, 9)], [(52, 40)], complete=False))
    assert placed(order(), broken, SCHEDULE) is None


def test_segments_join_and_are_named() -> None:
    on = tape(
        segment([(50, 9)], [(60, 40)], [(3_000, "ask", 52, 25)], length=9_000),
        segment([(50, 9)], [(52, 25)], [(1_000, "ask", 52, 10)], start=NOW_MS + 9_000),
    )
    found = end(order(), on)
    assert fills(found) == [(2_000, 25, 13_000_000), (9_000, 10, 5_200_000)]
    assert found.segments == (f"{NOW_MS:013d}#w", f"{NOW_MS + 9_000:013d}#w")
    assert reach(on, NOW_MS, NOW_MS + 99_000) == NOW_MS + 69_000


def test_a_cancel_stops_the_order_at_its_moment() -> None:
    on = tape(segment([(50, 9)], [(52, 40)], [(3_000, "ask", 52, 5), (4_000, "ask", 52, 25)]))
    of = order()
    found = cancelled(of, place(of, on), on, NOW_MS + 3_500)
    assert (found.status, found.shares, found.ts_done) == ("CANCELLED", 45 * M, NOW_MS + 3_500)


def test_fills_of_one_order_are_bounded() -> None:
    events: list[Event] = [(2_000 + i, "ask", 52, 1) for i in range(60)]
    found = end(order(), tape(segment([(50, 9)], [(60, 9)], events)))
    assert len(found.slices) == SLICES_MAX
    assert (found.status, found.reasons) == ("CANCELLED", (Reason.REMAINDER_CANCELLED,))
    assert found.ts_done == NOW_MS + 2_000 + SLICES_MAX - 1


CENTS = st.integers(40, 60)
SHARES = st.integers(1, 80)


@st.composite
def tapes(draw: st.DrawFn) -> Tape:
    middle = draw(CENTS)
    bids = draw(st.dictionaries(st.integers(35, middle - 1), SHARES, max_size=4))
    asks = draw(st.dictionaries(st.integers(middle, 65), SHARES, max_size=4))
    kinds = st.sampled_from(("bid", "ask", "buy", "sell"))
    events = draw(
        st.lists(st.tuples(st.integers(1, 40_000), kinds, CENTS, st.integers(0, 80)), max_size=14)
    )
    made = [e for e in sorted(events) if e[3] or e[1] in ("bid", "ask")]
    return tape(segment(sorted(bids.items(), reverse=True), sorted(asks.items()), made))


ORDERS = st.builds(
    order,
    st.sampled_from(("BUY", "SELL")),
    st.integers(1, 200),
    CENTS,
    resting_fill=st.sampled_from(("trade_through", "touch")),
    ttl_ms=st.sampled_from((0, 5_000, 30_000)),
)


def offered(of: Order, on: Tape) -> int:
    """Everything that was ever available to an order inside its limit until its expiry."""
    book = on.book_at(of.ts_placed)
    assert book is not None
    total = depth(book, of.side, of.limit)
    inside = (lambda p: p <= of.limit) if of.side == "BUY" else (lambda p: p >= of.limit)
    for change in on.changes_between(of.ts_placed, of.ts_expiry):
        total += change.shares if change.side != of.side and inside(change.price) else 0
    for trade in on.prints_between(of.ts_placed, of.ts_expiry):
        total += trade.shares if trade.side != of.side and inside(trade.price) else 0
    return total


@settings(max_examples=300)
@given(ORDERS, tapes())
def test_never_beyond_size_limit_or_depth_and_nothing_gets_lost(of: Order, on: Tape) -> None:
    found = end(of, on)
    assert not found.rests
    assert 0 <= found.shares <= min(of.shares, offered(of, on))
    assert (found.status == "FILLED") == (found.shares == of.shares)
    assert (found.status == "SKIPPED") == (found.shares == 0)
    assert bool(found.reasons) == (found.status != "FILLED")
    for number, part in enumerate(found.slices):
        assert part.shares == sum(level.shares for level in part.levels) > 0
        assert part.cash == sum(lv.shares * lv.price // M for lv in part.levels)
        assert number == 0 or part.fee == 0 or part.ts == PLACED
        for level in part.levels:
            within = level.price <= of.limit if of.side == "BUY" else level.price >= of.limit
            assert within
    assert [s.ts for s in found.slices] == sorted({s.ts for s in found.slices})
    if of.side == "BUY":
        assert found.cash + found.fee <= reservation(of, SCHEDULE)


@settings(max_examples=200)
@given(ORDERS, tapes(), st.lists(st.integers(0, 31_000), max_size=4))
def test_looking_more_often_changes_nothing(of: Order, on: Tape, looks: list[int]) -> None:
    outcome = place(of, on)
    for ms in sorted(looks):
        outcome = followed(of, outcome, on, PLACED + ms, outcome.taken)
        if of.side == "BUY" and outcome.rests:
            spent = outcome.cash + outcome.fee
            held = resting_reservation(of, outcome.shares)
            assert spent + held <= reservation(of, SCHEDULE)
    whole = end(of, on)
    assert followed(of, outcome, on, of.ts_expiry, outcome.taken) == whole
    assert codec.to_text(end(of, on)) == codec.to_text(whole), "to the byte"


@settings(max_examples=200)
@given(ORDERS, tapes(), st.integers(0, 5), st.integers(1, 5))
def test_more_room_or_more_depth_never_fills_less(
    of: Order, on: Tape, cents: int, times: int
) -> None:
    step = cents * 10_000 * (1 if of.side == "BUY" else -1)
    wider = replace(of, limit=of.limit + step, ttl_ms=0)
    assert place(wider, on).shares >= place(replace(of, ttl_ms=0), on).shares
    (only,) = on.segments
    deeper = Tape(
        on.token_id,
        (
            replace(
                only,
                bids=tuple(Level(v.price, v.shares * times) for v in only.bids),
                asks=tuple(Level(v.price, v.shares * times) for v in only.asks),
                changes=tuple(replace(c, shares=c.shares * times) for c in only.changes),
                prints=tuple(replace(p, shares=p.shares * times) for p in only.prints),
            ),
        ),
    )
    through = replace(of, resting_fill="trade_through")
    assert end(through, deeper).shares >= end(through, on).shares
