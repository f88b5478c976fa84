"""Groups: who joins, and which part of his holding a leader sold."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain import group as g
from chalicelib.domain.exchange_log import Role, Side
from chalicelib.domain.identifiers import fill_id, group_id
from chalicelib.domain.trade import Increment, Trade, new_trade
from tests.unit.wire import LEADER, NOW_MS, YES, hash_of


def trade(side: Side = "BUY") -> Trade:
    return new_trade(
        LEADER, LEADER, hash_of("tx"), YES, side, source="chain", backfill=False, ts_listed=NOW_MS
    )


def fill(shares: int, cash: int, seq: int = 0, role: Role | None = "maker") -> Increment:
    return Increment(
        seq, "TRADE_FILL", shares, cash, 0, shares, cash, NOW_MS - 2_000, 7, NOW_MS, role
    )


def test_a_group_opens_around_its_first_fill() -> None:
    opened = g.open_group(trade(), fill(10, 4, seq=3), None, number=2, window_ms=2_000)
    assert opened.group_id == group_id(fill_id(trade().trade_id, 3))
    assert (opened.opened, opened.ts_block, opened.ts_decided) == (
        NOW_MS, NOW_MS - 2_000, NOW_MS + 2_000,
    )  # fmt: skip
    assert (opened.number, opened.fills, opened.shares, opened.cash) == (2, 1, 10, 4)
    assert (opened.leader_price, opened.reduction, opened.role) == (400_000, 0, "maker")


def test_joining_adds_up_and_keeps_the_first_fills_times() -> None:
    opened = g.open_group(trade(), fill(10, 4), None, 1, 2_000)
    later = replace(fill(30, 6, 1), ts_seen=NOW_MS + 900, ts_block=NOW_MS)
    joined = g.join(opened, later, None)
    assert (joined.shares, joined.cash, joined.fills) == (40, 10, 2)
    assert (joined.opened, joined.ts_block, joined.group_id) == (
        opened.opened, opened.ts_block, opened.group_id,
    )  # fmt: skip
    assert joined.role == "maker"
    assert g.join(joined, fill(1, 1, 2, role="taker"), None).role is None


def test_the_window_includes_its_last_millisecond() -> None:
    opened = g.open_group(trade(), fill(10, 4), None, 1, 2_000)
    assert g.accepts(opened, NOW_MS)
    assert g.accepts(opened, NOW_MS + 2_000)
    assert not g.accepts(opened, NOW_MS + 2_001)
    assert not g.accepts(replace(opened, closed=True), NOW_MS)


def test_without_a_window_every_increment_stands_alone() -> None:
    opened = g.open_group(trade(), fill(10, 4), None, 1, 0)
    assert not g.accepts(opened, NOW_MS)
    assert not g.accepts(opened, NOW_MS - 1)


def test_selling_half_twice_keeps_a_quarter() -> None:
    opened = g.open_group(trade("SELL"), fill(50, 20), 100, 1, 2_000)
    assert opened.reduction == g.KEPT_SCALE // 2
    joined = g.join(opened, fill(25, 10, 1), 50)
    assert joined.reduction == g.KEPT_SCALE * 3 // 4
    assert g.join(joined, fill(25, 10, 2), 25).kept == 0


def test_unknown_or_oversold_holdings_count_as_sold_out() -> None:
    for pre_sell in (None, 0, -5, 49, 50):
        assert g.open_group(trade("SELL"), fill(50, 20), pre_sell, 1, 2_000).kept == 0


def test_nothing_of_nothing_keeps_nothing() -> None:
    assert g.kept_after(g.KEPT_SCALE, 0, 0) == 0


@given(st.integers(1, 10**15), st.lists(st.integers(1, 10**12), min_size=1, max_size=20))
def test_kept_is_the_product_of_what_each_sale_left(held: int, sales: list[int]) -> None:
    kept, exact = g.KEPT_SCALE, Fraction(1)
    for sold in sales:
        kept = g.kept_after(kept, sold, held)
        exact *= Fraction(max(0, held - sold), held)
        held = max(1, held - sold)
        assert exact - Fraction(len(sales), g.KEPT_SCALE) <= Fraction(kept, g.KEPT_SCALE) <= exact
