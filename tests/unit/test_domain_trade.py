"""One trade, two sources, any order: the same totals, and nothing handed on twice."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.domain import trade as t
from chalicelib.domain.errors import InvalidInput
from tests.unit.wire import LEADER, NOW_MS, YES, hash_of, leg

BLANK = t.new_trade(
    LEADER, LEADER, hash_of("tx"), YES, "BUY", source="chain", backfill=False, ts_listed=NOW_MS
)


def api_row(shares: int, cash: int, count: int = 1, fee: int | None = 0) -> t.ApiRow:
    return t.ApiRow(
        shares=shares,
        price_e10=cash * 10**10 // shares,
        cash=cash,
        fee=fee,
        role=None,
        ts_block=NOW_MS,
        count=count,
    )


@dataclass(frozen=True)
class Delivery:
    """One message: a leg, or all rows of one poll."""

    leg: t.ChainLeg | None = None
    rows: tuple[t.ApiRow, ...] = ()


@dataclass(frozen=True)
class History:
    """What really happened, and the messages about it in the order they arrived."""

    truth: t.Totals
    deliveries: tuple[Delivery, ...]
    retracted: bool


def counted(fills: list[tuple[int, int]]) -> tuple[t.ApiRow, ...]:
    """Rows as a producer counts them: per distinct shares and price."""
    return tuple(
        api_row(*fill, count=fills.count(fill), fee=fee_of(fill)) for fill in dict.fromkeys(fills)
    )


def fee_of(fill: tuple[int, int]) -> int:
    return fill[1] // 100


@st.composite
def histories(draw: st.DrawFn) -> History:
    # Few distinct values, so that twins are common.
    fills = draw(
        st.lists(
            st.sampled_from(((10, 4), (10, 6), (25, 10), (1, 1), (300, 297))),
            min_size=1,
            max_size=5,
        )
    )
    fills = [(shares * 10**6, cash * 10**6) for shares, cash in fills]
    reorg = draw(st.booleans())
    remined = draw(st.booleans()) if reorg else False
    by_chain = draw(st.booleans()) or reorg
    by_api = (not reorg or remined) and (draw(st.booleans()) or not by_chain)
    deliveries: list[Delivery] = []
    if by_chain:
        first = [leg(5 + 3 * i, *fill, fee=fee_of(fill)) for i, fill in enumerate(fills)]
        deliveries += [Delivery(leg=each) for each in first]
        if reorg:
            deliveries += [Delivery(leg=replace(each, removed=True)) for each in first]
        if remined:
            moved = {"block_hash": hash_of("B"), "block_number": 97_000_001, "ts_block": NOW_MS + 2}
            deliveries += [
                Delivery(leg=leg(2 + 4 * i, *fill, fee=fee_of(fill), **moved))
                for i, fill in enumerate(fills)
            ]
    if by_api:
        deliveries.append(Delivery(rows=counted(fills)))
        for _ in range(draw(st.integers(0, 3))):
            seen = draw(st.lists(st.sampled_from(range(len(fills))), unique=True))
            deliveries.append(Delivery(rows=counted([fills[i] for i in seen])))
    deliveries += draw(st.lists(st.sampled_from(deliveries), max_size=6))
    gone = reorg and not remined
    return History(
        t.Totals()
        if gone
        else t.Totals(
            sum(shares for shares, _ in fills),
            sum(cash for _, cash in fills),
            sum(map(fee_of, fills)),
        ),
        tuple(draw(st.permutations(deliveries))),
        gone,
    )


def deliver(trade: t.Trade, delivery: Delivery, ts_seen: int) -> t.Trade:
    if delivery.leg is not None:
        return t.fold_leg(trade, delivery.leg, ts_seen)
    return t.fold_rows(trade, delivery.rows, ts_seen)


@settings(max_examples=600, deadline=None)
@given(histories(), st.data())
def test_any_interleaving_ends_the_same(history: History, data: st.DataObject) -> None:
    trade = BLANK
    handed: list[t.Increment] = []
    for i, delivery in enumerate(history.deliveries):
        before = trade.emitted
        trade = t.settle(deliver(trade, delivery, NOW_MS + i), NOW_MS + i)
        assert trade.emitted.shares >= before.shares
        assert trade.emitted.cash >= before.cash
        if data.draw(st.booleans(), label="handed on"):
            handed += trade.pending
            trade = t.handed_on(trade)
    handed += trade.pending
    assert t.effective(trade) == history.truth
    assert trade.posted == history.truth
    if not history.retracted:
        assert (trade.emitted.shares, trade.emitted.cash) == (
            history.truth.shares, history.truth.cash,
        )  # fmt: skip
    assert [increment.seq for increment in handed] == list(range(trade.next_seq))
    assert sum(i.fill_shares for i in handed) == trade.emitted.shares
    assert sum(i.fill_cash for i in handed) == trade.emitted.cash
    assert (
        t.Totals(
            sum(i.shares for i in handed), sum(i.cash for i in handed), sum(i.fee for i in handed)
        )
        == trade.posted
    )
    for increment in handed:
        assert increment.fill_shares >= 0
        assert (increment.kind == "TRADE_FILL") == (increment.fill_shares > 0)
        if increment.kind == "CORRECTION":
            assert increment.fill_cash == 0
    again = trade
    for delivery in history.deliveries:
        again = t.settle(deliver(again, delivery, NOW_MS + 99), NOW_MS + 99)
    assert again == trade, "a whole redelivery changes nothing"


def test_equal_legs_of_different_index_both_count() -> None:
    trade = t.fold_leg(t.fold_leg(BLANK, leg(1, 5, 2), 1), leg(2, 5, 2), 1)
    assert t.effective(trade) == t.Totals(10, 4, 0)
    assert t.fold_leg(trade, leg(2, 5, 2), 1) == trade


def test_equal_rows_of_one_poll_both_count_and_later_polls_add_nothing() -> None:
    trade = t.fold_rows(BLANK, [api_row(5, 2, count=2)], 1)
    assert t.effective(trade).shares == 10
    assert t.effective(t.fold_rows(trade, [api_row(5, 2, count=1)], 2)).shares == 10
    assert t.effective(t.fold_rows(trade, [api_row(5, 2, count=3)], 2)).shares == 15


def test_totals_are_joined_never_added() -> None:
    trade = t.fold_rows(t.fold_leg(BLANK, leg(1, 5, 2), 1), [api_row(5, 2)], 2)
    assert t.effective(trade).shares == 5
    assert t.state_of(trade) == "confirmed"


def test_sources_that_each_know_another_leg_never_lower_what_was_handed_on() -> None:
    trade = t.settle(t.fold_rows(BLANK, [api_row(10, 9)], 1), 1)
    trade = t.settle(t.fold_leg(trade, leg(1, 11, 1), 2), 2)
    assert trade.emitted == t.Totals(11, 9, 0)
    trade = t.settle(t.fold_leg(trade, leg(2, 10, 9), 3), 3)
    assert trade.emitted == t.effective(trade) == t.Totals(21, 10, 0)
    assert sum(i.fill_cash for i in trade.pending) == 10


def test_the_chain_total_is_never_a_sum_over_blocks() -> None:
    moved = leg(4, 5, 2, block_hash=hash_of("B"))
    trade = t.fold_leg(t.fold_leg(BLANK, leg(1, 5, 2), 1), moved, 2)
    assert t.chain_totals(trade).shares == 5
    trade = t.fold_leg(trade, leg(1, 5, 2, removed=True), 3)
    assert t.chain_totals(trade).shares == 5
    trade = t.fold_leg(trade, replace(moved, removed=True), 4)
    assert t.chain_totals(trade) == t.Totals()
    assert t.state_of(trade) == "retracted"


def test_a_removed_fill_corrects_the_shadow_and_its_return_is_no_new_fill() -> None:
    trade = t.settle(t.fold_leg(BLANK, leg(1, 5, 2), 1), 1)
    trade = t.settle(t.fold_leg(trade, leg(1, 5, 2, removed=True), 2), 2)
    trade = t.settle(t.fold_leg(trade, leg(9, 5, 2, block_hash=hash_of("B")), 3), 3)
    assert [(i.kind, i.shares, i.cash, i.fill_shares) for i in trade.pending] == [
        ("TRADE_FILL", 5, 2, 5),
        ("CORRECTION", -5, -2, 0),
        ("CORRECTION", 5, 2, 0),
    ]
    assert trade.emitted.shares == 5


def test_growth_after_a_retraction_is_the_part_never_handed_on() -> None:
    trade = t.settle(t.fold_leg(BLANK, leg(1, 5, 2), 1), 1)
    trade = t.settle(t.fold_leg(trade, leg(1, 5, 2, removed=True), 2), 2)
    trade = t.settle(t.fold_leg(trade, leg(9, 8, 4, block_hash=hash_of("B")), 3), 3)
    last = trade.pending[-1]
    assert (last.kind, last.shares, last.fill_shares, last.fill_cash) == ("TRADE_FILL", 8, 3, 2)


def test_fees_in_tokens_reduce_shares_and_fees_in_collateral_do_not() -> None:
    assert t.chain_totals(t.fold_leg(BLANK, leg(1, 50, 20, fee=5, fee_asset="token"), 1)) == (
        t.Totals(45, 20, 0)
    )
    assert t.chain_totals(t.fold_leg(BLANK, leg(1, 50, 20, fee=5), 1)) == t.Totals(50, 20, 5)


def test_cash_and_fee_come_from_the_chain_where_it_knows_as_many_shares() -> None:
    trade = t.fold_rows(BLANK, [api_row(50, 21, fee=None)], 1)
    assert t.effective(trade) == t.Totals(50, 21, 0)
    trade = t.fold_leg(trade, leg(1, 50, 20, fee=3), 2)
    assert t.effective(trade) == t.Totals(50, 20, 3)


def test_states_and_roles() -> None:
    chain = t.fold_leg(BLANK, leg(1, 5, 2, role="taker"), 1)
    assert (t.state_of(chain), t.role_of(chain)) == ("chain_only", "taker")
    api = t.fold_rows(BLANK, [api_row(5, 2)], 1)
    assert (t.state_of(api), t.role_of(api)) == ("api_only", None)
    assert t.state_of(t.fold_rows(chain, [api_row(6, 2)], 1)) == "disagreeing"
    both = t.fold_leg(chain, leg(2, 5, 2, role="maker"), 1)
    assert t.role_of(both) is None
    gone = t.fold_leg(t.fold_rows(chain, [api_row(5, 2)], 1), leg(1, 5, 2, removed=True), 2)
    assert t.state_of(gone) == "disagreeing"


def test_first_seen_times_are_the_earliest_of_each_source() -> None:
    trade = t.fold_leg(t.fold_leg(BLANK, leg(1, 5, 2), 20), leg(1, 5, 2), 10)
    trade = t.fold_rows(trade, [api_row(5, 2)], 30)
    assert (trade.ts_seen_chain, trade.ts_seen_api) == (10, 30)


def test_increments_carry_their_place_in_the_chain() -> None:
    trade = t.settle(t.fold_leg(t.fold_leg(BLANK, leg(8, 5, 2), 1), leg(3, 5, 2), 1), 1)
    assert (trade.pending[0].order, trade.pending[0].ts_block) == (8, NOW_MS)
    trade = t.settle(t.fold_rows(BLANK, [api_row(5, 2)], 1), 1)
    assert trade.pending[0].order == t.API_ORDER


def test_evidence_is_bounded() -> None:
    trade = replace(BLANK, legs=tuple(leg(i, 1, 1) for i in range(t.LEGS_MAX)))
    assert t.fold_leg(trade, leg(0, 1, 1), 1).legs == trade.legs
    with pytest.raises(InvalidInput, match="logIndex"):
        t.fold_leg(trade, leg(t.LEGS_MAX, 1, 1), 1)
    rows = [api_row(10**6 + i, 1) for i in range(t.API_ROWS_MAX + 1)]
    with pytest.raises(InvalidInput, match="size"):
        t.fold_rows(BLANK, rows, 1)
    assert len(t.fold_rows(BLANK, rows[:-1], 1).rows) == t.API_ROWS_MAX
