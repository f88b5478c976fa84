"""Ledgers and their folds: the books always balance."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.domain.ledger import Entry, EntryKind, digest
from chalicelib.domain.portfolio import (
    Head,
    Position,
    apply_to_head,
    apply_to_position,
    fold,
    positions_value,
)
from tests.unit.wire import LEADER, NO, NOW_MS, YES

START = 10_000_000_000
HEAD = Head("main/global", "global", "", 1, starting_cash=START, cash=0)


def entry(
    seq: int, shares: int, cash: int, kind: EntryKind = "TRADE_FILL", token: str = YES
) -> Entry:
    return Entry(
        "main/global", 1, seq, kind, f"ref{seq}", token, LEADER, shares, cash, NOW_MS + seq
    )


OPENING = Entry("main/global", 1, 0, "OPENING", "opening", "", "", 0, START, NOW_MS)


def test_average_cost_and_realized_gain() -> None:
    head, positions = fold(
        HEAD,
        [
            OPENING,
            entry(1, 100, -40),
            entry(2, 100, -60),
            entry(3, 0, -2, "FEE"),
            entry(4, -50, 30),
            entry(5, 0, -1, "FEE"),
        ],
    )
    position = positions[YES, LEADER]
    assert (position.shares, position.cost, position.realized) == (150, 75, 5)
    assert (head.cash, head.realized, head.fees, head.entries) == (START - 73, 5, 3, 6)


def test_selling_everything_takes_out_every_micro_of_cost() -> None:
    _, positions = fold(HEAD, [OPENING, entry(1, 3, -10), entry(2, -1, 4), entry(3, -2, 9)])
    position = positions[YES, LEADER]
    assert (position.shares, position.cost, position.realized) == (0, 0, 3)


def test_settlement_realizes_what_was_paid_out() -> None:
    _, positions = fold(HEAD, [OPENING, entry(1, 10, -6), entry(2, -10, 10, "SETTLEMENT")])
    assert positions[YES, LEADER].realized == 4


def test_shares_sold_short_carry_no_cost_until_covered() -> None:
    """A shadow whose leader bought before we looked."""
    _, oversold = fold(HEAD, [entry(1, 10, -5), entry(2, -30, 18)])
    assert (oversold[YES, LEADER].shares, oversold[YES, LEADER].cost) == (-20, 0)
    assert oversold[YES, LEADER].realized == 13
    _, covered = fold(HEAD, [entry(1, 10, -5), entry(2, -30, 18), entry(3, 50, -25)])
    assert (covered[YES, LEADER].shares, covered[YES, LEADER].cost) == (30, 15)
    assert covered[YES, LEADER].realized == 3


def test_a_correction_takes_back_an_untouched_purchase_without_gain() -> None:
    head, positions = fold(HEAD, [OPENING, entry(1, 10, -6), entry(2, -10, 6, "CORRECTION")])
    assert (head.cash, head.realized) == (START, 0)
    assert (positions[YES, LEADER].shares, positions[YES, LEADER].cost) == (0, 0)


def test_marks_of_a_day_change_nothing_but_the_count() -> None:
    before, _ = fold(HEAD, [OPENING, entry(1, 10, -6)])
    after, _ = fold(HEAD, [OPENING, entry(1, 10, -6), entry(2, 0, 0, "MARK")])
    assert replace(after, entries=before.entries) == before


def test_value_is_floored_per_position_and_unmarked_tokens_count_at_cost() -> None:
    held = [
        Position("p", 1, YES, LEADER, shares=3, cost=2),
        Position("p", 1, NO, LEADER, shares=9, cost=5),
        Position("p", 1, YES, "other", shares=-1),
    ]
    assert positions_value(held, {YES: 500_000}) == 1 + 5 - 1


KINDS: tuple[EntryKind, ...] = (
    "TRADE_FILL", "CORRECTION", "SPLIT", "MERGE", "CONVERSION", "REDEEM", "SETTLEMENT",
)  # fmt: skip


@st.composite
def ledgers(draw: st.DrawFn) -> list[Entry]:
    entries = [OPENING]
    for seq in range(1, draw(st.integers(0, 25)) + 1):
        kind = draw(st.sampled_from((*KINDS, "FEE", "MARK")))
        shares = draw(st.integers(-(10**9), 10**9)) if kind in KINDS else 0
        price = draw(st.integers(0, 10**6))
        cash = -shares * price // 10**6 + draw(st.sampled_from((0, 0, 0, -3, 7)))
        if kind == "FEE":
            cash = -draw(st.integers(0, 10**6))
        elif kind == "MARK":
            cash = 0
        token = draw(st.sampled_from((YES, NO)))
        who = draw(st.sampled_from((LEADER, "other")))
        entries.append(replace(entry(seq, shares, cash, kind, token), leader=who))
    return entries


@settings(max_examples=300)
@given(ledgers())
def test_cash_and_cost_equal_start_and_gains_less_fees_at_every_step(entries: list[Entry]) -> None:
    head = HEAD
    positions: dict[tuple[str, str], Position] = {}
    for each in entries:
        key = (each.token_id, each.leader)
        before = positions.get(key, Position("main/global", 1, *key))
        positions[key] = apply_to_position(before, each)
        head = apply_to_head(head, each, before, positions[key])
        cost = sum(position.cost for position in positions.values())
        assert head.cash + cost == START + head.realized - head.fees
        assert head.realized == sum(position.realized for position in positions.values())
        if positions[key].shares <= 0:
            assert positions[key].cost == 0
    folded_head, folded = fold(HEAD, entries)
    assert folded_head == head
    assert folded == {key: position for key, position in positions.items() if key[0]}
    assert fold(HEAD, list(reversed(entries))) == (folded_head, folded), "order is the entries'"
    assert head.cash == sum(each.cash for each in entries)
    assert sum(p.shares for p in folded.values()) == sum(each.shares for each in entries)


# --- digest


def test_the_digest_is_frozen() -> None:
    assert digest([]) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    fill = Entry("p", 1, 2, "TRADE_FILL", "a", "12", LEADER, 5, -3, 1_795_000_000_000)
    assert digest([OPENING, fill]) == (
        "ec2226092a4493900503e1e3eb0b94866e662217aa40408b6ae108faccd8156a"
    )


def test_the_digest_sees_what_entries_did_and_not_what_they_are_called() -> None:
    entries = [OPENING, entry(1, 5, -3), entry(2, -5, 4)]
    same = [
        replace(e, reference="x", portfolio_id="y", epoch=9, order=4, pre_sell=1, version=3)
        for e in reversed(entries)
    ]
    assert digest(same) == digest(entries)
    for change in (
        {"kind": "CORRECTION"}, {"token_id": NO}, {"leader": "z"}, {"shares": 6}, {"cash": -4},
        {"ts_effective": 1}, {"seq": 7},
    ):  # fmt: skip
        assert digest([OPENING, replace(entries[1], **change), entries[2]]) != digest(entries)
