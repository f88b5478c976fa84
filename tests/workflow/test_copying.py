"""From a leader's fill to our ledger: the acceptance scenarios of the walking skeleton."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chalicelib.domain.lane import Work
from chalicelib.domain.orderbook import Book, Level
from chalicelib.domain.portfolio import fold
from chalicelib.domain.reasons import Reason
from chalicelib.keyspace import portfolio_pk
from chalicelib.services.portfolios import all_portfolios, head_of, opening_head, positions_of
from tests.workflow.harness import (
    LEADER,
    OTHER,
    T0,
    TOKEN,
    System,
    book,
    chain,
    leg,
    market,
)

M = 1_000_000


def buys(system: System, shares: int = 10_000, price: int = 510_000, number: int = 1) -> None:
    ts = system.clock.now_ms()
    part = leg(shares * M, price, ts_block=ts - 2_000, index=number)
    system.services.ingest(chain([part], number=number, ts_seen=ts))


def sells(system: System, shares: int, price: int = 510_000, number: int = 2) -> None:
    ts = system.clock.now_ms()
    part = leg(shares * M, price, ts_block=ts - 2_000, index=number)
    system.services.ingest(chain([part], number=number, side="SELL", ts_seen=ts))


def waiting(system: System) -> list[Work]:
    return [
        work
        for ref in all_portfolios(system.store)
        for work in system.store.query(
            Work,
            "portfolio",
            portfolio_pk(ref.portfolio_id, ref.epoch),
            start="work#",
            end="work$",
        )
    ]


def assert_books_balance(system: System) -> None:
    for ref in all_portfolios(system.store):
        head = head_of(system.store, ref)
        opened = opening_head(ref.portfolio_id, ref.kind, ref.leader, head.starting_cash)
        folded, positions = fold(opened, system.entries(ref.portfolio_id))
        assert (folded.cash, folded.realized, folded.fees) == (
            head.cash,
            head.realized,
            head.fees,
        )
        for position in positions_of(system.store, ref.portfolio_id, ref.epoch):
            assert positions[(position.token_id, position.leader)].shares == position.shares
        assert head.reserved == 0


@pytest.fixture
def system() -> System:
    made = System()
    made.follow()
    made.clock.advance(10_000)
    return made


def test_a_buy_is_copied_into_both_portfolios_at_the_books_price_with_the_exact_fee(
    system: System,
) -> None:
    buys(system)
    system.run_workflows()
    for portfolio in ("main/global", f"main/leader/{LEADER}"):
        attempt = system.attempt(portfolio)
        # 1 % of 5,100 is 51; the limit is min(0.51 + 0.01, 0.515 + 0.015) = 0.52.
        assert (attempt.status, attempt.decision.limit) == ("FILLED", 520_000)
        assert attempt.decision.target_shares == 98_070_000
        position = system.position(portfolio)
        assert (position.shares, position.cost) == (98_070_000, 50_996_400)
        # 0.05 × 98.07 × 0.52 × 0.48 = 1.2239136, down to five decimals.
        assert system.head(portfolio).fees == 1_223_910
        assert system.head(portfolio).cash == 10_000 * M - 50_996_400 - 1_223_910
    assert_books_balance(system)
    assert waiting(system) == []


def test_we_sell_the_fraction_the_leader_sells(system: System) -> None:
    buys(system, 10_000)
    system.run_workflows()
    before = system.position().shares
    sells(system, 5_000)
    system.run_workflows()
    assert system.position().shares == before - before // 2 // 10_000 * 10_000
    sells(system, 5_000, number=3)
    system.run_workflows()
    assert system.position().shares == 0
    assert_books_balance(system)


def test_two_leaders_parts_of_one_token_are_sold_apart(system: System) -> None:
    system.follow(OTHER, "bob")
    buys(system)
    ts = system.clock.now_ms()
    system.services.ingest(
        chain([leg(5_000 * M, 510_000, ts_block=ts)], number=9, ts_seen=ts, leader=OTHER)
    )
    system.run_workflows()
    theirs = system.position(leader=OTHER).shares
    sells(system, 10_000)
    system.run_workflows()
    assert system.position().shares == 0
    assert system.position(leader=OTHER).shares == theirs > 0


def test_fills_inside_the_window_are_one_group_and_one_attempt(system: System) -> None:
    buys(system, 3_000, number=1)
    system.clock.advance(1_500)
    buys(system, 4_000, 520_000, number=2)
    system.clock.advance(1_000)
    buys(system, 5_000, number=3)
    system.run_workflows()
    sizes = [
        a.decision.leader_shares // M for a in system.attempts() if a.portfolio_id == "main/global"
    ]
    assert sizes == [7_000, 5_000]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"books": {TOKEN: book(480_000, 520_000)}}, Reason.SPREAD_TOO_WIDE),
        ({"books": {TOKEN: book(530_000, 540_000)}}, Reason.WORSE_THAN_LEADER),
        ({"books": {TOKEN: book(shares=50 * M)}}, Reason.DEPTH_TOO_THIN),
        ({"books": {}}, Reason.BOOK_MISSING),
        ({"market": None}, Reason.UNKNOWN_TOKEN),
    ],
)
def test_each_guard_skips_with_its_reason(change: dict[str, object], reason: Reason) -> None:
    system = System()
    for name, value in change.items():
        setattr(system.venue, name, value)
    system.follow()
    system.clock.advance(10_000)
    buys(system)
    system.run_workflows()
    attempt = system.attempt()
    assert attempt.status == "SKIPPED"
    assert reason in attempt.reasons
    assert system.head().skipped == 1
    assert system.position().shares == 0


def test_a_book_that_empties_before_placement_fills_nothing_and_says_so(system: System) -> None:
    buys(system)
    (work, *_) = waiting(system)
    system.clock.advance(work.ts_due - system.clock.now_ms())
    system.services.advance("main/global")
    system.venue.books[TOKEN] = Book(TOKEN, (Level(400_000, M),), (Level(600_000, M),), 0, 0)
    system.run_workflows()
    attempt = system.attempt()
    assert (attempt.decision.verdict, attempt.status) == ("EXECUTE", "SKIPPED")
    assert attempt.reasons == (Reason.NO_LIQUIDITY_WITHIN_BOUNDS,)
    assert system.head().reserved == 0
    assert system.head().cash == 10_000 * M


def test_what_is_not_offered_at_once_is_killed(system: System) -> None:
    buys(system)
    (work, *_) = waiting(system)
    system.clock.advance(work.ts_due - system.clock.now_ms())
    system.services.advance("main/global")
    system.venue.books[TOKEN] = book(shares=40 * M)
    system.run_workflows()
    attempt = system.attempt()
    assert attempt.status == "CANCELLED"
    assert attempt.reasons == (Reason.REMAINDER_KILLED,)
    assert system.position().shares == 40 * M


def test_a_sell_that_found_no_buyers_is_owed_and_joins_the_next(system: System) -> None:
    buys(system, 10_000)
    system.run_workflows()
    held = system.position().shares
    system.venue.books[TOKEN] = Book(TOKEN, (Level(10_000, M),), (Level(520_000, M),), 0, 0)
    sells(system, 5_000)
    system.run_workflows()
    assert system.position().shares == held
    assert system.position().exit_debt == 49_030_000
    system.venue.books[TOKEN] = book()
    sells(system, 2_500, number=3)
    system.run_workflows()
    # Half of the holding again, plus the half that was owed, is all of it.
    assert system.position().shares < held // 100
    assert_books_balance(system)


def test_two_sells_decided_before_the_first_is_placed_never_sell_more_than_we_hold(
    system: System,
) -> None:
    buys(system, 10_000)
    system.run_workflows()
    sells(system, 10_000, number=2)
    system.clock.advance(2_100)
    sells(system, 1, number=3)
    system.run_workflows()
    assert system.position().shares == 0
    assert system.position().reserved == 0
    assert_books_balance(system)


def test_history_never_trades(system: System) -> None:
    old = leg(10_000 * M, 510_000, ts_block=T0 - 60_000)
    system.services.ingest(chain([old], ts_seen=system.clock.now_ms()))
    late = leg(10_000 * M, 510_000, ts_block=T0 + 5_000)
    system.services.ingest(chain([late], number=2, ts_seen=T0 + 7_000, backfill=True))
    system.run_workflows()
    assert system.attempts() == []
    assert waiting(system) == []
    assert system.position(f"shadow/{LEADER}").shares == 20_000 * M


def test_a_workflow_started_twice_under_different_names_changes_nothing(system: System) -> None:
    buys(system)
    runs = list(system.workflows.runs)
    system.run_workflows()
    once = system.digests()
    system.workflows.runs = [replace(run, rounds=0) for run in runs * 3]
    system.run_workflows()
    assert system.digests() == once


def test_a_workflow_that_never_started_is_finished_by_the_sweeper(system: System) -> None:
    buys(system)
    system.workflows.runs.clear()
    system.clock.advance(20_000)
    assert system.services.sweep() == 0, "not overdue yet"
    system.clock.advance(20_000)
    system.services.sweep()
    system.clock.advance(40_000)
    system.services.sweep()
    assert system.attempt().status == "FILLED"
    assert waiting(system) == []


def test_results_do_not_depend_on_when_the_steps_ran(system: System) -> None:
    late = System()
    late.follow()
    late.clock.advance(10_000)
    for one in (system, late):
        buys(one)
    system.run_workflows()
    late.workflows.runs.clear()
    late.clock.advance(31_000)
    late.services.sweep(overdue_ms=0)
    late.services.sweep(overdue_ms=0)
    assert late.digests() == system.digests()
    assert late.attempt().late_by_ms > system.attempt().late_by_ms


def test_a_venue_that_does_not_answer_holds_the_line_for_five_seconds_at_most(
    system: System,
) -> None:
    buys(system)
    system.venue.down = True
    system.workflows.runs.clear()
    system.clock.advance(60_000)
    system.services.sweep()
    attempt = system.attempt()
    assert attempt.reasons in ((Reason.BOOK_MISSING,), (Reason.UNKNOWN_TOKEN,))
    assert waiting(system) == []


def test_a_closed_market_is_not_bought(system: System) -> None:
    closed = System()
    closed.venue.market = market(closed=True, accepting_orders=False)
    closed.follow()
    closed.clock.advance(10_000)
    buys(closed)
    closed.run_workflows()
    assert closed.attempt().reasons == (Reason.MARKET_CLOSED,)
    assert closed.venue.book_calls == 0
