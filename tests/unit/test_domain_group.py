"""Groups: who joins, and which part of his holding a leader sold."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain import group as g
from chalicelib.domain.exchange_log import Role, Side
from chalicelib.domain.identifiers import fill_id, group_id
from chalicelib.domain.trade import (
    ApiRow,
    ChainLeg,
    Increment,
    Trade,
    fold_leg,
    fold_rows,
    new_trade,
)
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


# --- confirmation


def named(number: int, *, chain: int = 10, api: int = 0) -> Trade:
    """A trade of which the chain and the Data API have shown so many shares."""
    made = new_trade(
        LEADER, LEADER, hash_of(f"tx{number}"), YES, "BUY",
        source="chain", backfill=False, ts_listed=NOW_MS,
    )  # fmt: skip
    if chain:
        leg = ChainLeg(
            hash_of("block"), 1, number, NOW_MS, chain, 4, 0, "collateral", "maker", hash_of("o")
        )
        made = fold_leg(made, leg, NOW_MS)
    if api:
        made = fold_rows(made, [ApiRow(api, 4 * 10**9, 4, None, None, NOW_MS)], NOW_MS)
    return made


def waiting(*trades: Trade, confirm_ms: int = 3_000) -> g.Group:
    made = g.open_group(trades[0], fill(10, 4), None, 1, 2_000, confirm_ms)
    for number, joined in enumerate(trades[1:], 1):
        made = g.join(made, fill(10, 4, number), None, joined)
    return made


@pytest.mark.parametrize(
    ("chain", "api", "awaits"),
    [(10, 0, True), (10, 9, True), (10, 10, False), (0, 10, False), (10, 12, False)],
)
def test_a_trade_is_awaited_until_the_api_showed_all_of_it(
    chain: int, api: int, awaits: bool
) -> None:
    assert g.awaits_api(named(1, chain=chain, api=api)) is awaits


def test_a_group_waits_for_all_its_unconfirmed_trades() -> None:
    first, shown, second = named(1), named(2, api=10), named(3)
    group = waiting(first, shown, second, first)
    assert group.awaits == (first.trade_id, second.trade_id)
    assert group.ts_decided == NOW_MS + 5_000
    assert not group.confirmed


def test_without_a_wait_nothing_is_awaited() -> None:
    group = waiting(named(1), named(2), confirm_ms=0)
    assert (group.awaits, group.ts_decided, group.confirmed) == ((), NOW_MS + 2_000, False)


@pytest.mark.parametrize(
    ("ts_seen", "ts_decided"),
    [(500, 2_000), (2_000, 2_000), (2_001, 2_001), (4_999, 4_999), (5_001, 5_000), (99_000, 5_000)],
)
def test_the_last_confirmation_decides_when(ts_seen: int, ts_decided: int) -> None:
    first, second = named(1), named(2)
    group = waiting(first, second)
    earlier = g.confirm(group, first.trade_id, NOW_MS + 400)
    assert earlier.ts_decided == NOW_MS + 5_000
    both = g.confirm(earlier, second.trade_id, NOW_MS + ts_seen)
    assert both.ts_decided == NOW_MS + ts_decided
    assert both.confirmed


def test_a_confirmation_counts_once_and_never_after_the_decision() -> None:
    first = named(1)
    once = g.confirm(waiting(first), first.trade_id, NOW_MS + 2_500)
    assert g.confirm(once, first.trade_id, NOW_MS + 4_000) is once
    decided = replace(waiting(first), closed=True)
    assert g.confirm(decided, first.trade_id, NOW_MS + 2_500) is decided


def test_a_fill_that_joins_after_the_confirmation_is_waited_for() -> None:
    first, second = named(1), named(2)
    once = g.confirm(waiting(first), first.trade_id, NOW_MS + 500)
    joined = g.join(once, fill(10, 4, 1), None, second)
    assert joined.awaits == (second.trade_id,)
    assert joined.ts_decided == NOW_MS + 5_000


def test_too_many_trades_wait_the_whole_time() -> None:
    trades = [named(number) for number in range(g.AWAITS_MAX + 5)]
    group = waiting(*trades)
    assert len(group.awaits) == g.AWAITS_MAX + 1
    for trade_ in trades:
        group = g.confirm(group, trade_.trade_id, NOW_MS + 2_500)
    assert group.awaits == (g.UNNAMED,)
    assert group.ts_decided == NOW_MS + 5_000


@given(st.permutations(range(4)), st.lists(st.integers(0, 9_000), min_size=4, max_size=4))
def test_the_order_of_confirmations_decides_nothing(order: list[int], seen: list[int]) -> None:
    trades = [named(number) for number in range(4)]
    group = waiting(*trades)
    for number in order:
        group = g.confirm(group, trades[number].trade_id, NOW_MS + seen[number])
    assert group.confirmed
    assert group.ts_decided == NOW_MS + max(2_000, min(5_000, max(seen)))


# --- what the chain takes back

CENT = 10_000


def sold(*sales: tuple[int, int]) -> g.Group:
    (shares, held), *more = sales
    made = g.open_group(trade("SELL"), fill(shares, shares // 2), held, 1, 2_000)
    for number, (shares, held) in enumerate(more, 1):
        made = g.join(made, fill(shares, shares // 2, number), held)
    return made


def test_what_is_taken_back_leaves_the_rest() -> None:
    group = g.open_group(trade(), fill(100 * CENT, 40 * CENT), None, 1, 2_000)
    less = g.retract(group, 60 * CENT, 30 * CENT)
    assert (less.net_shares, less.net_cash, less.leader_price) == (40 * CENT, 10 * CENT, 250_000)
    assert not less.retracted
    assert (less.shares, less.cash) == (group.shares, group.cash)


@pytest.mark.parametrize(
    ("shares", "cash", "retracted"),
    [
        (0, 0, False),
        (99 * CENT, 39 * CENT, False),
        (99 * CENT + 1, 39 * CENT, True),
        (50 * CENT, 40 * CENT, True),
        (900 * CENT, 900 * CENT, True),
    ],
)
def test_less_than_a_hundredth_of_a_share_is_nothing(
    shares: int, cash: int, retracted: bool
) -> None:
    group = g.open_group(trade(), fill(100 * CENT, 40 * CENT), None, 1, 2_000)
    less = g.retract(group, shares, cash)
    assert less.retracted is retracted
    assert less.net_shares >= 0
    assert less.net_cash >= 0
    assert less.leader_price >= 0


def test_worthless_shares_were_not_taken_back() -> None:
    assert not g.open_group(trade("SELL"), fill(100 * CENT, 0), None, 1, 2_000).retracted


def test_a_sale_taken_back_reduces_what_the_leader_sold() -> None:
    half = g.retract(sold((50 * CENT, 100 * CENT)), 25 * CENT, 12 * CENT)
    assert half.reduction == g.KEPT_SCALE // 4
    out = sold((60 * CENT, 100 * CENT), (40 * CENT, 40 * CENT))
    assert out.is_out
    less = g.retract(out, 40 * CENT, 20 * CENT)
    assert (less.reduction, less.is_out) == (g.KEPT_SCALE * 3 // 5, False)


@given(
    st.lists(st.integers(1, 10**9), min_size=1, max_size=8),
    st.lists(st.tuples(st.integers(0, 7), st.booleans()), max_size=6),
)
def test_following_sales_taken_back_are_as_if_they_never_were(
    sales: list[int], taken: list[tuple[int, bool]]
) -> None:
    held = 2 * sum(sales)
    left, pairs = held, []
    for shares in sales:
        pairs.append((shares, left))
        left -= shares
    group = sold(*pairs)
    gone = {number % len(sales) for number, _ in taken}
    for number in gone:
        group = g.retract(group, sales[number], sales[number] // 2)
    exact = Fraction(sum(s for i, s in enumerate(sales) if i not in gone), held)
    assert abs(Fraction(group.reduction, g.KEPT_SCALE) - exact) < Fraction(10, g.KEPT_SCALE)


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_what_comes_again_is_as_before(shares: int, cash: int) -> None:
    group = sold((10**6, 3 * 10**6))
    cash = min(cash, group.cash)
    assert g.restore(g.retract(group, shares, cash), shares, cash) == group
