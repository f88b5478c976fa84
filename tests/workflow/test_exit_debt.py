"""What a sell could not do is tried again with the marks, until it is sold or cannot be."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain.errors import PapercopyError
from chalicelib.domain.exit_debt import OFTEN_MAX, PACE_MS, SELDOM_MS, is_due, target
from chalicelib.domain.orderbook import Book, Level
from chalicelib.domain.portfolio import Position
from chalicelib.services.market_directory import store_market
from tests.workflow.harness import LEADER, TOKEN, System, book, market
from tests.workflow.many_markets import traded
from tests.workflow.test_copying import assert_books_balance, buys, sells, waiting
from tests.workflow.test_exactly_once import DyingStore

M = 1_000_000
PORTFOLIOS = ("main/global", f"main/leader/{LEADER}")
NO_BIDS = Book(TOKEN, (), (Level(520_000, 1_000 * M),), 0, 0)


def cycle(system: System, ms: int = 60_000) -> int:
    """A mark cycle, and whatever it begins worked off; the exits begun."""
    system.clock.advance(ms)
    system.services.mark_portfolios()
    begun = system.services.tend_portfolios()
    system.run_workflows()
    return begun


def indebted(shares: int = 5_000, store: DyingStore | None = None) -> System:
    """A holding of 98.07 shares whose leader sold of 10,000 while nobody bid."""
    system = System(**({"store": store} if store else {}))
    system.follow()
    system.clock.advance(10_000)
    buys(system)
    system.run_workflows()
    system.venue.books[TOKEN] = NO_BIDS
    sells(system, shares)
    system.run_workflows()
    return system


def test_what_could_not_be_sold_is_sold_once_somebody_bids() -> None:
    system = indebted()
    held = system.position().shares
    assert system.position().exit_debt == held // 2
    system.venue.books[TOKEN] = book()
    assert cycle(system) == len(PORTFOLIOS)
    assert system.position().shares == held - held // 2 // 10_000 * 10_000
    assert system.position().exit_debt < 10_000
    assert system.attempt_sides()[-1] == ("SELL", "FILLED")
    exit_, ids = system.attempts()[-1], [a.attempt_id for a in system.attempts()]
    assert exit_.decision.leader_price == 515_000
    assert len(set(ids)) == len(ids)
    # What is left is dust: nothing more is tried.
    assert cycle(system) == 0
    assert waiting(system) == []
    assert_books_balance(system)


def test_a_leader_who_is_out_leaves_us_nothing_to_keep() -> None:
    system = indebted(10_000)
    system.venue.books[TOKEN] = book()
    cycle(system)
    assert [system.position(name).shares for name in PORTFOLIOS] == [0, 0]
    assert [system.position(name).exit_debt for name in PORTFOLIOS] == [0, 0]


def test_a_debt_of_a_part_becomes_the_whole_once_the_leader_is_out() -> None:
    system = indebted()
    system.services.control.pause("ada")
    sells(system, 5_000, number=3)
    system.run_workflows()
    system.services.control.resume("ada")
    system.venue.books[TOKEN] = book()
    cycle(system)
    assert system.position().shares == 0


def test_it_is_tried_at_most_once_a_minute_and_never_twice_at_once() -> None:
    system = indebted()
    tried = len(system.attempt_sides())
    assert cycle(system, 60_000) == len(PORTFOLIOS)
    assert cycle(system, 30_000) == 0
    assert len(system.attempt_sides()) == tried + 1
    system.clock.advance(60_000)
    assert system.services.tend_portfolios() == len(PORTFOLIOS)
    # The tries begun above still wait for their turn.
    system.clock.advance(60_000)
    assert system.services.tend_portfolios() == 0
    system.services.sweep(0)
    assert waiting(system) == []


@pytest.mark.parametrize("ended", [{"closed": True}, {"accepting_orders": False}])
def test_a_market_that_takes_no_orders_is_left_to_its_settlement(ended: dict[str, bool]) -> None:
    system = indebted()
    system.venue.books[TOKEN] = book()
    system.venue.market = market(**ended)
    store_market(system.store, system.venue.market)
    system.clock.advance(120_000)
    tried = len(system.attempts())
    for _ in range(3):
        assert cycle(system) == 0
    assert len(system.attempts()) == tried


def test_what_is_worth_too_little_is_left_alone() -> None:
    system = indebted()
    # 49 shares at 0.015 are worth less than the venue's minimum.
    system.venue.books[TOKEN] = book(10_000, 20_000)
    assert cycle(system) == 0
    system.venue.books[TOKEN] = book(300_000, 310_000)
    assert cycle(system) == len(PORTFOLIOS)


def test_a_buy_of_ours_in_the_way_is_waited_for() -> None:
    system = indebted()
    system.venue.books[TOKEN] = book()
    system.clock.advance(60_000)
    buys(system, number=7)
    system.clock.advance(2_800)
    for name in PORTFOLIOS:
        system.services.advance(name)
    assert system.head().reserved > 0
    assert system.services.tend_portfolios() == 0
    system.run_workflows()
    assert cycle(system) == len(PORTFOLIOS)
    assert system.attempt_sides()[-2:] == [("BUY", "FILLED"), ("SELL", "FILLED")]
    assert_books_balance(system)


def test_a_buy_decided_while_a_try_waits_for_its_turn_makes_it_idle() -> None:
    system = indebted()
    system.venue.books[TOKEN] = book()
    system.clock.advance(60_000)
    ts = system.clock.now_ms()
    system.services.ingest(traded(system, 7, TOKEN, ts=ts - 2_100))
    assert system.services.tend_portfolios() == len(PORTFOLIOS)
    # The buy is decided before the try, and placed after it.
    system.run_workflows()
    assert system.attempt_sides()[-1] == ("BUY", "FILLED")
    assert cycle(system) == len(PORTFOLIOS)
    assert system.attempt_sides()[-1] == ("SELL", "FILLED")


def test_dying_at_any_commit_sells_once() -> None:
    def run(dies_at: int, after: bool) -> tuple[System, DyingStore]:
        store = DyingStore(dies_at, after)
        system = indebted(store=store)
        system.venue.books[TOKEN] = book()
        system.clock.advance(60_000)
        store.armed = True
        for _ in range(4):
            for action in (system.services.tend_portfolios, lambda: system.services.sweep(0)):
                for _ in range(3):
                    try:
                        action()
                    except PapercopyError:
                        continue
                    break
            system.clock.advance(2_000)
        return system, store

    expected, store = run(0, after=False)
    assert store.commits > 8
    held = expected.position().shares
    for dies_at in range(1, store.commits + 1):
        for after in (False, True):
            system, _ = run(dies_at, after)
            where = f"commit {dies_at}, {'after' if after else 'before'}"
            assert system.position().shares == held, where
            assert len(system.entries("main/global")) == len(expected.entries("main/global")), where
            assert waiting(system) == [], where
            assert_books_balance(system)


positions = st.builds(
    Position,
    portfolio_id=st.just("main/global"),
    epoch=st.just(1),
    token_id=st.just(TOKEN),
    leader=st.just(LEADER),
    shares=st.integers(0, 100),
    reserved=st.integers(0, 100),
    exit_debt=st.integers(0, 100),
    ts_exit=st.integers(0, 10 * SELDOM_MS),
    exits=st.integers(0, 2 * OFTEN_MAX),
)


@given(positions, st.integers(0, 12 * SELDOM_MS), st.booleans())
def test_the_pace_and_the_target_are_bounded(position: Position, ts: int, out: bool) -> None:
    if is_due(position, ts):
        assert ts - position.ts_exit >= PACE_MS
        assert position.exits < OFTEN_MAX or ts - position.ts_exit >= SELDOM_MS
        assert 0 < target(position, leader_is_out=out) <= position.shares - position.reserved
        assert not is_due(replace(position, ts_exit=ts, exits=position.exits + 1), ts + PACE_MS - 1)
