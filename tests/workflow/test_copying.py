"""From a leader's fill to our ledger: the acceptance scenarios of the walking skeleton."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chalicelib.domain.errors import Permanent, Retryable
from chalicelib.domain.lane import Work
from chalicelib.domain.orderbook import Book, Level
from chalicelib.domain.portfolio import fold
from chalicelib.domain.reasons import Reason
from chalicelib.domain.registry import SettingsRow
from chalicelib.keyspace import portfolio_pk
from chalicelib.ports import CopyRun, Put
from chalicelib.services.advance_portfolio import GROUP_MARGIN_MS
from chalicelib.services.portfolios import all_portfolios, head_of, opening_head, positions_of
from tests.workflow.harness import (
    LEADER,
    OTHER,
    T0,
    TOKEN,
    System,
    api,
    book,
    chain,
    leg,
    market,
    row,
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


def decide_only(system: System) -> None:
    """Advance to the decision, not yet to the placement."""
    (work, *_) = waiting(system)
    system.clock.advance(work.ts_due + GROUP_MARGIN_MS - system.clock.now_ms())
    system.services.advance("main/global")
    assert system.attempt().status == "SUBMITTED"


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
    decide_only(system)
    system.venue.books[TOKEN] = Book(TOKEN, (Level(400_000, M),), (Level(600_000, M),), 0, 0)
    system.run_workflows()
    attempt = system.attempt()
    assert (attempt.decision.verdict, attempt.status) == ("EXECUTE", "SKIPPED")
    assert attempt.reasons == (Reason.NO_LIQUIDITY_WITHIN_BOUNDS,)
    assert system.head().reserved == 0
    assert system.head().cash == 10_000 * M


def test_what_is_not_offered_at_once_is_killed(system: System) -> None:
    buys(system)
    decide_only(system)
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
    assert system.position().exit_debt == 49_035_000
    system.venue.books[TOKEN] = book()
    sells(system, 2_500, number=3)
    system.run_workflows()
    # Half that was owed, and half of the other half.
    assert abs(system.position().shares - held // 4) < 20_000
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
    # Half a minute later nobody can say what the book would have given: no guess is made.
    assert system.attempt().reasons == (Reason.BOOK_TOO_LATE,)
    assert waiting(system) == []
    assert_books_balance(system)


def test_results_do_not_depend_on_when_the_steps_ran(system: System) -> None:
    late = System()
    late.follow()
    late.clock.advance(10_000)
    for one in (system, late):
        buys(one)
    system.run_workflows()
    late.workflows.runs.clear()
    late.clock.advance(9_000)
    late.services.sweep(overdue_ms=0)
    assert late.attempt().status == "FILLED"
    assert late.digests() == system.digests()
    assert late.attempt().late_by_ms > system.attempt().late_by_ms


def test_an_order_that_is_executed_too_late_does_not_fill_at_a_later_book(
    system: System,
) -> None:
    buys(system)
    decide_only(system)
    system.clock.advance(3_600_000)
    system.venue.books[TOKEN] = book(290_000, 300_000)
    system.services.sweep()
    assert system.attempt().reasons == (Reason.BOOK_TOO_LATE,)
    assert system.head().cash == 10_000 * M


def test_a_leader_who_flips_is_followed_out(system: System) -> None:
    buys(system)
    system.clock.advance(600)
    sells(system, 10_000)
    system.run_workflows()
    assert [a.status for a in system.attempts() if a.portfolio_id == "main/global"] == [
        "FILLED",
        "FILLED",
    ]
    assert system.position().shares == 0
    assert_books_balance(system)


@pytest.mark.parametrize("number", range(6))
def test_what_one_poll_shows_is_decided_in_the_leaders_own_order(number: int) -> None:
    system = System()
    system.follow()
    system.clock.advance(30_000)
    ts = system.clock.now_ms()
    bought = row(10_000 * M, 510_000, ts_block=ts - 12_000)
    sold = row(10_000 * M, 510_000, ts_block=ts - 4_000)
    messages = [
        api([bought], number=10 + number, ts_seen=ts),
        api([sold], number=20 + number, side="SELL", ts_seen=ts),
    ]
    for message in messages:
        system.services.ingest(message)
    system.run_workflows()
    assert system.attempt_sides() == [("BUY", "FILLED"), ("SELL", "FILLED")]
    assert system.position().shares == 0


def test_a_sell_waits_only_for_the_buys_decided_before_it() -> None:
    system = System()
    system.venue.market = market(delay_ms=3_000)
    system.follow()
    system.clock.advance(10_000)
    buys(system)
    system.clock.advance(1_000)
    sells(system, 10_000)
    system.clock.advance(2_500)
    buys(system, number=3)
    system.run_workflows()
    assert system.attempt_sides() == [("BUY", "FILLED"), ("SELL", "FILLED"), ("BUY", "FILLED")]
    assert system.position().shares == 98_070_000
    (sell,) = [a for a in system.attempts() if a.side == "SELL" and a.portfolio_id == "main/global"]
    (first, _) = [
        a for a in system.attempts() if a.side == "BUY" and a.portfolio_id == "main/global"
    ]
    assert sell.order is not None
    assert first.order is not None
    # Decided when our purchase was through, placed as late after that as any other order.
    assert 3_750 <= sell.order.ts_placed - first.order.ts_placed <= 4_001


def test_what_two_sells_in_flight_owe_adds_up() -> None:
    system = System()
    system.venue.market = market(delay_ms=3_000)
    system.follow()
    system.clock.advance(10_000)
    buys(system, 10_000)
    system.run_workflows()
    held = system.position().shares
    sells(system, 5_000, number=2)
    system.clock.advance(2_100)
    sells(system, 2_500, number=3)
    system.venue.books[TOKEN] = Book(TOKEN, (Level(300_000, M),), (Level(520_000, M),), 0, 0)
    system.run_workflows()
    assert system.position().shares == held
    # Half, and half of what the first would have left.
    assert abs(system.position().exit_debt - held * 3 // 4) < 20_000
    assert system.position().reserved == 0


def test_a_token_the_venue_refuses_does_not_stop_the_others(system: System) -> None:
    def refused(token_id: str, not_before: int) -> Book | None:
        raise Permanent("status 403")

    buys(system)
    system.venue.book = refused  # type: ignore[method-assign]
    system.run_workflows()
    assert system.attempt().reasons == (Reason.BOOK_MISSING,)
    assert waiting(system) == []


def test_a_row_that_can_never_be_worked_off_is_buried_with_its_reason(system: System) -> None:
    ref = all_portfolios(system.store)[0]
    broken = Work(ref.portfolio_id, 1, T0, "group", "gone", LEADER, TOKEN, "BUY", 99, T0, T0, 0)
    system.store.commit([Put(broken)])
    buys(system)
    system.run_workflows()
    assert system.attempt().status == "FILLED"
    assert waiting(system) == []
    (kept,) = system.quarantine.kept
    assert kept[0] == "lane"
    assert "gone" in kept[1]


def test_a_market_listed_a_moment_late_is_waited_for() -> None:
    late = System()
    found, late.venue.market = late.venue.market, None
    late.follow()
    late.clock.advance(10_000)
    buys(late)
    runs = list(late.workflows.runs)
    late.clock.advance(3_000)
    run = late.services.copy_step(runs[0])
    assert run.wait_seconds == 1
    late.venue.market = found
    late.workflows.runs = [run]
    late.run_workflows()
    assert late.attempt().status == "FILLED"


def test_an_unusable_setting_stops_copying_and_nothing_else() -> None:
    broken = System()
    broken.follow()
    broken.store.commit([Put(SettingsRow("global", '{"retired_setting": 1}'))])
    broken.clock.advance(10_000)
    buys(broken)
    broken.run_workflows()
    assert broken.attempt().reasons == (Reason.SETTINGS_REFUSED,)
    assert broken.position(f"shadow/{LEADER}").shares == 10_000 * M
    assert [(k[0], "retired_setting" in k[2]) for k in broken.quarantine.kept] == [
        ("settings", True)
    ]


def test_an_outage_of_the_workflow_service_does_not_stop_detection(system: System) -> None:
    def down(run: CopyRun) -> None:
        raise Retryable("the workflow service does not answer")

    system.workflows.start = down  # type: ignore[method-assign]
    buys(system)
    assert len(waiting(system)) == 2
    assert system.metrics.snapshot()["workflow_starts_failed"] == 1


def test_a_message_delivered_hours_late_opens_its_own_group(system: System) -> None:
    system.clock.advance(7_200_000)
    buys(system)
    old = leg(20_000 * M, 510_000, ts_block=T0 + 12_000)
    system.services.ingest(chain([old], number=8, ts_seen=T0 + 14_000))
    system.run_workflows()
    by_size = {
        a.decision.leader_shares // M: a.reasons
        for a in system.attempts()
        if a.portfolio_id == "main/global"
    }
    assert by_size == {10_000: (), 20_000: (Reason.BOOK_TOO_LATE,)}


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


def test_a_closed_market_is_not_bought() -> None:
    closed = System()
    closed.venue.market = market(closed=True, accepting_orders=False)
    closed.follow()
    closed.clock.advance(10_000)
    buys(closed)
    closed.run_workflows()
    assert closed.attempt().reasons == (Reason.MARKET_CLOSED,)
    assert closed.venue.book_calls == 0
