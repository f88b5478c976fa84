"""Whatever arrives when: a shadow's cost and gains are those of the chain's own order."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.domain.portfolio import Position, fold
from chalicelib.services import fold_shadow
from chalicelib.services.check_ledger import CheckLedgers
from chalicelib.services.portfolios import opening_head, portfolio_ref, positions_of
from tests.workflow.harness import LEADER, OPPOSITE, T0, TOKEN, System, chain, leg
from tests.workflow.holdings_world import SHADOW, M, Truth, assert_folds, event, told

COUNTS = ("cash", "brought", "realized", "fees", "entries", "closings", "wins")


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[object], list[int]]:
    """Trades and set changes of one leader in chain order, and the order in which they arrive."""
    made: list[object] = []
    ts = T0
    for number in range(1, draw(st.integers(2, 9)) + 1):
        ts += draw(st.sampled_from((0, 1_000, 1_000, 60_000)))
        shares = draw(st.integers(1, 50)) * M
        kind = draw(st.sampled_from(("BUY", "BUY", "SELL", "SELL", "SPLIT", "MERGE")))
        if kind in ("SPLIT", "MERGE"):
            made.append(told(event(kind, shares, number=500 + number, ts_block=ts)))
            continue
        price = draw(st.integers(1, 99)) * 10_000
        part = leg(shares, price, index=number, ts_block=ts, fee=draw(st.sampled_from((0, 12_345))))
        token = draw(st.sampled_from((TOKEN, TOKEN, OPPOSITE)))
        made.append(chain([part], number=number, side=kind, token=token, ts_seen=ts + 1_000))  # type: ignore[arg-type]
    order = draw(st.permutations(range(len(made))))
    return made, list(order)


def told_in(messages: list[object], order: list[int]) -> System:
    system = System()
    system.follow()
    system.clock.advance(600_000)
    for place in order:
        system.services.ingest(messages[place])  # type: ignore[arg-type]
    return system


def held(system: System) -> dict[str, tuple[int, int, int, int, int]]:
    return {
        p.token_id: (p.shares, p.cost, p.realized, p.ts_last, p.order_last)
        for p in positions_of(system.store, SHADOW, 1)
    }


@settings(max_examples=150, deadline=None)
@given(histories())
def test_any_order_of_arrival_gives_the_same_position_and_head(
    history: tuple[list[object], list[int]],
) -> None:
    messages, order = history
    expected, system = told_in(messages, list(range(len(messages)))), told_in(messages, order)
    assert held(system) == held(expected)
    for name in COUNTS:
        assert getattr(system.head(SHADOW), name) == getattr(expected.head(SHADOW), name), name
    assert_folds(system)
    ref = portfolio_ref(system.store, SHADOW)
    assert ref
    check = CheckLedgers(system.store, system.clock, system.metrics)
    assert check.check(ref).wrong == ()


def late_sale() -> System:
    """A sale at 0.90 that arrives after the purchase behind it."""
    first = chain([leg(10 * M, 400_000, index=1, ts_block=T0)], number=1)
    sale = chain([leg(10 * M, 900_000, index=2, ts_block=T0 + 1_000)], number=2, side="SELL")
    again = chain([leg(10 * M, 600_000, index=3, ts_block=T0 + 2_000)], number=3)
    return told_in([first, again, sale], [0, 1, 2])


def test_a_late_sale_takes_the_cost_of_its_own_time() -> None:
    system = late_sale()
    (position,) = positions_of(system.store, SHADOW, 1)
    assert (position.cost, position.realized) == (6 * M, 5 * M)
    by_arrival = fold(opening_head("x", "global", LEADER, 0), system.entries(SHADOW))[1]
    assert by_arrival[TOKEN, LEADER].realized == 4 * M, "the order of arrival says otherwise"
    assert (system.head(SHADOW).closings, system.head(SHADOW).wins) == (1, 1)


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_a_redemption_takes_what_is_known_of_only_later(order: tuple[int, ...]) -> None:
    """10 bought at 0.40, 4 sold at 0.90, the other 6 redeemed at one each."""
    system = System()
    Truth([]).serve(system)
    system.follow()
    system.services.tend_leaders()
    ts = system.clock.now_ms() // 1_000 * 1_000 + 60_000
    system.clock.advance(600_000)
    buy = leg(10 * M, 400_000, index=1, ts_block=ts, fee=10_000)
    sale = leg(4 * M, 900_000, index=2, ts_block=ts + 1_000)
    messages = [
        chain([buy], number=1, ts_seen=ts + 2_000),
        chain([sale], number=2, side="SELL", ts_seen=ts + 3_000),
        told(event("REDEEM", 6 * M, number=9, ts_block=ts + 60_000, outcome=0)),
    ]
    for _ in range(2):
        for place in order:
            system.services.ingest(messages[place])
    (row,) = [p for p in positions_of(system.store, SHADOW, 1) if p.token_id == TOKEN]
    assert (row.shares, row.cost) == (0, 0)
    head = system.head(SHADOW)
    assert (head.cash, head.realized, head.brought) == (5_590_000, 5_600_000, 0)
    assert_folds(system)
    ref = portfolio_ref(system.store, SHADOW)
    assert ref
    assert CheckLedgers(system.store, system.clock, system.metrics).check(ref).wrong == ()


def test_too_late_counts_by_arrival_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fold_shadow, "REFOLD_ENTRIES_MAX", 1)
    system = late_sale()
    (position,) = positions_of(system.store, SHADOW, 1)
    assert (position.unordered, position.shares, position.realized) == (True, 10 * M, 4 * M)
    ref = portfolio_ref(system.store, SHADOW)
    assert ref
    check = CheckLedgers(system.store, system.clock, system.metrics)
    verdict = check.check(ref)
    assert (verdict.wrong, verdict.unordered) == ((), 1), "what is known is proven all the same"
    monkeypatch.undo()
    middle = chain([leg(M, 500_000, index=4, ts_block=T0 + 1_500)], number=4)
    system.services.ingest(middle)
    (position,) = positions_of(system.store, SHADOW, 1)
    assert position.unordered, "a part of its history stays by arrival"
    verdict = check.check(ref)
    assert (verdict.wrong, verdict.unordered) == ((), 1)


def test_a_position_keeps_what_is_no_part_of_its_fold() -> None:
    system = late_sale()
    (position,) = positions_of(system.store, SHADOW, 1)
    blank = Position(SHADOW, 1, TOKEN, LEADER)
    assert replace(position, version=0) != blank
    assert (position.ts_first, position.ts_last, position.last_seq) == (T0, T0 + 2_000, 3)
