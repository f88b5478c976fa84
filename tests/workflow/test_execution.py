"""Orders as live ones would have fared: placed on the recorded book, resting, cancelled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.adapters.embedded.memory_store import MemoryStore
from chalicelib.adapters.embedded.sqlite_store import SqliteStore
from chalicelib.adapters.stored_rules import store_settings
from chalicelib.domain.consumption import Consumed
from chalicelib.domain.errors import InvalidInput, PapercopyError, Permanent
from chalicelib.domain.lane import Attempt, Work
from chalicelib.domain.market_lists import MarketLists, list_entry
from chalicelib.domain.orderbook import Level
from chalicelib.domain.reasons import Reason
from chalicelib.domain.registry import TapeRequest
from chalicelib.domain.tape_text import TapeSegment
from chalicelib.keyspace import Table, consumed_key
from chalicelib.ports import STEPS_MAX, Put, R, Store
from chalicelib.services.group_fill import WAIT_SECONDS_MAX
from chalicelib.services.market_directory import store_market
from chalicelib.services.tapes import tape_requests
from chalicelib.settings import evaluate
from tests.workflow.harness import CONDITION, OTHER, TOKEN, book, market
from tests.workflow.taped import DECIDED, START, TapedSystem
from tests.workflow.test_copying import assert_books_balance, waiting
from tests.workflow.test_exactly_once import DyingStore

M = 1_000_000
WANTED = 98_070_000
"""1 % of 5,100 at the limit of 0.52."""


def shares_of(attempt: Attempt) -> list[int]:
    assert attempt.outcome
    return [part.shares // M for part in attempt.outcome.slices]


def test_a_book_that_moves_between_detection_and_placement_shows_in_the_result() -> None:
    system = TapedSystem()
    # Seen and decided at 0.51; half a second before placement somebody else takes most of it.
    system.record([(50, 900)], [(51, 900), (52, 900)], [(DECIDED + 200, "ask", 51, 30)])
    system.buys()
    system.run_workflows()
    attempt = system.attempt()
    assert (attempt.decision.best, attempt.decision.limit) == (510_000, 520_000)
    assert attempt.outcome
    assert attempt.order
    assert attempt.status == "FILLED"
    assert attempt.outcome.slices[0].levels == (
        Level(510_000, 30 * M),
        Level(520_000, WANTED - 30 * M),
    )
    # 30 × 0.51 + 68.07 × 0.52
    assert attempt.outcome.cash == 50_696_400
    assert attempt.vwap == 516_941
    assert attempt.slippage
    # Against the leader's 0.51, the midpoint 0.505 and the 0.51 met on arrival.
    assert (attempt.slippage.leader, attempt.slippage.mid) == (6_941, 11_941)
    assert attempt.slippage.arrival == 6_941
    assert attempt.outcome.book_source == "tape"
    assert attempt.outcome.segments
    assert attempt.decision.segment
    assert system.venue.book_calls == 0, "the tape answers"
    assert_books_balance(system)


def test_a_remainder_rests_and_is_cancelled_at_its_expiry() -> None:
    system = TapedSystem()
    system.record([(50, 900)], [(51, 40), (52, 100)], [(DECIDED + 1, "ask", 52, 0)])
    system.buys()
    system.at(4_000)
    resting = system.attempt()
    assert (resting.status, shares_of(resting)) == ("PARTIAL", [40])
    # 58.07 at 0.52 may still be bought, without a fee.
    assert system.head().reserved == resting.reserved == 30_196_400
    assert system.head().resting == 1
    assert resting.order
    row = next(w for w in waiting(system) if w.portfolio_id == "main/global")
    assert (row.kind, row.ts_due) == ("resting", resting.order.ts_expiry)
    requests = tape_requests(system.store, system.clock.now_ms())
    expected = TapeRequest(TOKEN, resting.order.ts_placed, resting.order.ts_expiry + 500, 1)
    assert expected in requests
    system.at(40_000)
    done = system.attempt()
    assert (done.status, done.reasons) == ("CANCELLED", (Reason.REMAINDER_CANCELLED,))
    assert done.outcome
    assert done.outcome.ts_done == resting.order.ts_expiry
    assert (done.outcome.slices, done.reserved) == (resting.outcome and resting.outcome.slices, 0)
    assert system.position().shares == 40 * M
    assert (system.head().partial, system.head().resting) == (1, 0)
    assert waiting(system) == []
    assert_books_balance(system)


def test_what_rests_fills_as_later_books_cross_it_an_entry_each() -> None:
    system = TapedSystem()
    events = [(DECIDED + 1, "ask", 52, 0), (9_000, "ask", 52, 10), (20_000, "ask", 51, 900)]
    system.record([(50, 900)], [(51, 40), (52, 100)], events)
    system.buys()
    system.run_workflows()
    attempt = system.attempt()
    assert (attempt.status, shares_of(attempt)) == ("FILLED", [40, 10, 48])
    entries = [e for e in system.entries("main/global") if e.kind == "TRADE_FILL"]
    assert [(e.ts_effective - START, e.cash) for e in entries[1:]] == [
        (9_000, -5_200_000),
        (20_000, -24_996_400),
    ]
    assert [e.kind for e in system.entries("main/global")].count("FEE") == 1
    assert_books_balance(system)


def test_an_opposite_decision_cancels_what_rests_at_its_moment() -> None:
    system = TapedSystem()
    events = [(DECIDED + 1, "ask", 52, 0), (7_500, "ask", 52, 7), (8_001, "ask", 52, 900)]
    system.record([(50, 900)], [(51, 40), (52, 100)], events)
    system.buys()
    system.at(6_000)
    system.sells(10_000)
    system.run_workflows()
    bought, sold = (a for a in system.attempts() if a.portfolio_id == "main/global")
    assert bought.outcome
    assert (bought.status, shares_of(bought)) == ("CANCELLED", [40, 7])
    assert bought.outcome.ts_done == sold.decision.ts_decided == START + 8_000
    assert (sold.status, sold.decision.held) == ("FILLED", 47 * M)
    assert system.position().shares == 0
    assert waiting(system) == []
    assert_books_balance(system)


def test_an_opposite_decision_cancels_what_rests_behind_a_crowd() -> None:
    system = TapedSystem()
    system.record([(50, 900)], [(51, 40), (52, 100)], [(DECIDED + 1, "ask", 52, 0)])
    system.buys()
    system.at(6_000)
    # More groups than anybody expects, all due before the remainder expires.
    for number in range(300):
        ts = START + 20_000
        row = Work("main/global", 1, ts, "group", f"g{number}", OTHER, "7", "BUY", 0, ts, 0, number)
        system.store.commit([Put(row)])
    system.sells(10_000)
    system.at(12_000)
    bought, sold = (a for a in system.attempts() if a.portfolio_id == "main/global")
    assert bought.outcome
    assert (bought.status, shares_of(bought)) == ("CANCELLED", [40])
    assert bought.outcome.ts_done == sold.decision.ts_decided == START + 8_000
    assert system.position().shares == system.head().resting == 0


def test_a_buy_cancels_a_resting_sell_and_the_rest_stays_owed() -> None:
    system = TapedSystem()
    events = [(14_000, "bid", 50, 20), (14_000, "bid", 49, 0)]
    system.record([(50, 900), (49, 900)], [(51, 900)], events)
    system.buys()
    system.run_workflows()
    held = system.position().shares
    system.at(12_500)
    system.sells(10_000)
    system.at(17_000)
    resting = next(a for a in system.attempts() if a.side == "SELL")
    assert (resting.status, shares_of(resting), resting.reserved) == ("PARTIAL", [20], 0)
    assert system.position().shares == held - 20 * M
    assert system.position().reserved == held - 20 * M
    system.at(18_000)
    system.buys(number=3)
    system.run_workflows()
    done = next(a for a in system.attempts() if a.side == "SELL")
    assert (done.status, done.reasons) == ("CANCELLED", (Reason.REMAINDER_CANCELLED,))
    assert done.outcome
    assert done.outcome.ts_done == START + 20_000
    assert (system.position().reserved, system.position().exit_debt) == (0, held - 20 * M)
    assert_books_balance(system)


NARROW = {"buy_leader_guard": 0, "buy_depth_multiple": 0}


def test_a_second_buy_first_learns_what_the_first_got_meanwhile() -> None:
    system = TapedSystem()
    system.record([(50, 900)], [(51, 40), (52, 300)], [(6_000, "ask", 52, 301)])
    system.venue.books = {}
    store_settings(system.store, system.clock, "global", NARROW)
    system.buys(shares=4_500)
    system.at(4_000)
    assert shares_of(system.attempt()) == [40]
    system.at(9_000)
    store_settings(system.store, system.clock, "global", {})
    system.clock.advance(6_000)
    system.buys(number=2)
    system.at(18_000)
    first, second = (a for a in system.attempts() if a.portfolio_id == "main/global")
    assert first.outcome
    assert second.order
    assert (first.status, first.outcome.ts_done) == ("PARTIAL", second.order.ts_placed)
    # The 40 at 0.51 are ours already, whatever the venue still shows.
    assert second.outcome
    assert second.outcome.slices[0].levels == (Level(520_000, WANTED),)
    taken = system.store.get(Consumed, consumed_key("main/global", 1, TOKEN))
    assert taken
    assert {(t.price, t.shares // M) for t in taken.taken} == {(510_000, 40), (520_000, 98)}


def test_a_buy_decided_before_a_sell_was_placed_cancels_its_remainder() -> None:
    system = TapedSystem()
    # Sold at 16.75 to 17 s; the leader is back at 14.7 s and our new purchase is placed at 17.45 s
    # at the earliest.
    events = [(15_500, "bid", 50, 20), (17_200, "bid", 50, 1), (25_000, "bid", 50, 900)]
    system.record([(50, 900)], [(51, 900)], events)
    system.buys()
    system.run_workflows()
    system.at(14_000)
    system.sells(10_000)
    system.clock.advance(700)
    system.buys(number=3)
    system.run_workflows()
    _, sold, bought = (a for a in system.attempts() if a.portfolio_id == "main/global")
    assert sold.outcome
    assert bought.order
    assert (sold.status, bought.status) == ("CANCELLED", "FILLED")
    assert sold.outcome.ts_done == bought.order.ts_placed
    assert system.head().resting == 0
    assert_books_balance(system)


class TornStore(MemoryStore):
    """Its tapes can no longer be read once it is torn."""

    torn = False

    def query(self, kind: type[R], table: Table, pk: str, **bounds: object) -> list[R]:  # type: ignore[override]
        if self.torn and kind is TapeSegment:
            raise Permanent("a stored segment is broken")
        return super().query(kind, table, pk, **bounds)  # type: ignore[arg-type]


@pytest.mark.parametrize("side", ["BUY", "SELL"])
def test_an_order_that_cannot_be_followed_fails_and_gives_back_what_it_held(side: str) -> None:
    store = TornStore()
    system = TapedSystem(store)
    events = [(DECIDED + 1, "ask", 52, 0), (15_500, "bid", 50, 20)]
    asks = [(51, 40), (52, 100)] if side == "BUY" else [(51, 900)]
    system.record([(50, 900)], asks, events)
    system.buys()
    if side == "SELL":
        system.run_workflows()
        system.at(14_000)
        system.sells(10_000)
    system.at(18_000 if side == "SELL" else 4_000)
    held = system.position().shares
    assert system.attempts()[-1].status == "PARTIAL"
    store.torn = True
    system.at(60_000)
    failed = system.attempts()[-1]
    assert (failed.status, failed.reserved) == ("FAILED", 0)
    assert (system.head().reserved, system.head().resting) == (0, 0)
    position = system.position()
    assert (position.shares, position.reserved) == (held, 0)
    assert position.exit_debt == (held if side == "SELL" else 0)
    assert waiting(system) == []


def test_the_recording_is_asked_to_go_on_when_the_venue_holds_orders_back() -> None:
    system = TapedSystem()
    system.venue.market = replace(market(), delay_ms=3_000)
    store_market(system.store, system.venue.market)
    system.record([(50, 900)], [(51, 900)], until=3_500)
    system.expect_tape(until=3_500)
    system.buys()
    system.at(4_000)
    attempt = system.attempt()
    assert attempt.order
    requests = tape_requests(system.store, system.clock.now_ms())
    until = attempt.order.ts_placed + 500
    assert TapeRequest(TOKEN, attempt.decision.ts_decided, until, 1) in requests
    system.at(7_000)
    assert system.attempt().status == "SUBMITTED", "waits for its recording"


def test_a_gap_in_the_tape_cancels_what_rests_with_what_was_proven() -> None:
    system = TapedSystem()
    events = [(DECIDED + 1, "ask", 52, 0), (9_000, "ask", 52, 10)]
    system.record([(50, 900)], [(51, 40), (52, 100)], events, until=15_000)
    system.buys()
    system.run_workflows()
    attempt = system.attempt()
    assert (attempt.status, shares_of(attempt)) == ("CANCELLED", [40, 10])
    assert attempt.reasons == (Reason.REMAINDER_CANCELLED, Reason.TAPE_INCOMPLETE)
    assert attempt.outcome
    assert attempt.outcome.ts_done == START + 15_000
    assert_books_balance(system)


def test_a_tape_that_is_on_its_way_is_waited_for() -> None:
    system = TapedSystem()
    system.expect_tape()
    system.buys()
    system.at(4_500)
    assert [w.kind for w in waiting(system)] == ["group", "group"]
    assert system.venue.book_calls == 0
    system.record([(50, 900)], [(51, 900)])
    system.at(5_000)
    assert system.attempt().status == "FILLED"
    assert system.attempt().outcome and system.attempt().outcome.book_source == "tape"  # type: ignore[union-attr]


def test_a_tape_that_never_comes_is_waited_for_five_seconds() -> None:
    system = TapedSystem()
    system.expect_tape()
    system.buys()
    system.at(DECIDED + 5_000)
    assert system.attempts() == []
    system.at(DECIDED + 5_001)
    assert system.attempt().status == "SUBMITTED"
    system.at(DECIDED + 7_000)
    attempt = system.attempt()
    assert attempt.status == "FILLED"
    assert attempt.outcome
    assert (attempt.outcome.book_source, attempt.outcome.segments) == ("rest", ())


@pytest.mark.parametrize(
    ("proof", "down", "calls", "reasons"),
    [
        (DECIDED - 2_000, False, 0, ()),
        (DECIDED - 2_001, False, 1, ()),
        (DECIDED - 5_000, True, 1, ()),
        (DECIDED - 5_001, True, 1, (Reason.BOOK_STALE,)),
        (DECIDED - 5_001, False, 1, ()),
    ],
)
def test_an_old_proof_is_renewed_before_a_decision(
    proof: int, down: bool, calls: int, reasons: tuple[Reason, ...]
) -> None:
    system = TapedSystem()
    system.record([(50, 900)], [(51, 900)], proofs=[proof])
    if down:
        system.venue.books = {}
    system.buys()
    system.at(6_000)
    assert system.attempt().decision.reasons == reasons
    assert system.venue.book_calls == calls * 2, "two portfolios"


def test_without_a_tape_an_unchanged_total_is_what_we_left_of_it() -> None:
    system = TapedSystem()
    system.venue.books[TOKEN] = book(shares=150 * M)
    for number in (1, 2):
        system.buys(number=number)
        system.run_workflows()
    first, second = (a for a in system.attempts() if a.portfolio_id == "main/global")
    assert first.outcome
    assert second.outcome
    assert (first.status, first.outcome.shares) == ("FILLED", WANTED)
    assert (second.status, second.outcome.shares) == ("CANCELLED", 150 * M - WANTED)
    assert second.reasons == (Reason.REMAINDER_KILLED,), "nothing rests on a snapshot"
    system.venue.books[TOKEN] = book(shares=151 * M)
    system.buys(number=3)
    system.run_workflows()
    assert system.attempts()[-1].status == "FILLED"
    assert_books_balance(system)


def test_a_rejected_signal_has_a_preview_too() -> None:
    system = TapedSystem()
    system.record([(40, 900)], [(51, 40), (52, 100)])
    system.buys()
    system.run_workflows()
    attempt = system.attempt()
    assert attempt.status == "SKIPPED"
    assert Reason.SPREAD_TOO_WIDE in attempt.reasons
    assert attempt.decision.limit == 470_000
    assert [p.latency_ms for p in attempt.stress] == [0, 500, 1_000, 2_000, 5_000, 15_000]


def test_an_executed_attempt_has_a_preview_of_other_latencies() -> None:
    system = TapedSystem()
    system.record([(50, 900)], [(51, 900)], [(DECIDED + 4_000, "ask", 51, 60)])
    system.buys()
    system.run_workflows()
    by_latency = {p.latency_ms: p.shares for p in system.attempt().stress}
    assert by_latency[0] == (WANTED,) * 3
    assert by_latency[5_000] == (60 * M, 30 * M, 15 * M)


def test_a_blacklisted_market_is_sold_but_not_bought() -> None:
    system = TapedSystem()
    system.record([(50, 900)], [(51, 900)])
    system.buys()
    system.run_workflows()
    entry = list_entry("blacklist", "market", CONDITION, by="ada", ts=START)
    system.store.commit([Put(MarketLists("main", (entry,)))])
    system.clock.advance(5_000)
    system.buys(number=2)
    system.clock.advance(6_000)
    system.sells(20_000, number=3)
    system.run_workflows()
    assert [(a.side, a.status, a.reasons) for a in system.attempts()][::2] == [
        ("BUY", "FILLED", ()),
        ("BUY", "SKIPPED", (Reason.MARKET_BLACKLISTED,)),
        ("SELL", "FILLED", ()),
    ]


def test_a_workflow_waits_for_the_expiry_within_its_bounds() -> None:
    system = TapedSystem()
    store_settings(system.store, system.clock, "global", {"order_ttl_ms": 120_000})
    system.expect_tape(until=200_000)
    system.record([(50, 900)], [(51, 40), (52, 100)], [(DECIDED + 1, "ask", 52, 0)])
    system.buys()
    run, waited, steps = system.workflows.runs[0], 0, 0
    while run.wait_seconds:
        system.clock.advance(run.wait_seconds * 1000)
        waited, steps = waited + run.wait_seconds, steps + 1
        run = system.services.copy_step(run)
    assert steps <= STEPS_MAX
    assert 123 <= waited <= WAIT_SECONDS_MAX
    assert system.attempt().status == "CANCELLED"


def test_a_workflow_has_steps_to_spare_when_the_recording_stops() -> None:
    system = TapedSystem()
    events = [(DECIDED + 1, "ask", 52, 0)]
    system.record([(50, 900)], [(51, 40), (52, 100)], events, until=20_000)
    system.buys()
    run, steps = system.workflows.runs[0], 0
    while run.wait_seconds:
        system.clock.advance(run.wait_seconds * 1000)
        system.expect_tape()
        run, steps = system.services.copy_step(run), steps + 1
    # Placed, expired, looked for twice more.
    assert steps == 4 <= STEPS_MAX
    attempt = system.attempt()
    assert attempt.reasons == (Reason.REMAINDER_CANCELLED, Reason.TAPE_INCOMPLETE)


def test_settings_that_outlast_a_workflow_are_refused() -> None:
    assert evaluate({"order_ttl_ms": 120_000}).rules().order_ttl_ms == 120_000
    assert evaluate({"resting_fill": "touch"}).rules().resting_fill == "touch"
    for broken in (
        {"order_ttl_ms": 120_001},
        {"order_ttl_ms": -1},
        {"resting_fill": "hope"},
        {"book_fresh_ms": 99},
        {"price_move_max": 2},
        {"order_ttl_ms": 120_000, "decision_latency_ms": 60_000, "submit_latency_ms": 60_000},
    ):
        with pytest.raises(InvalidInput):
            evaluate(broken)


# --- exactly once, in any order of steps


EVENTS = [
    (DECIDED + 1, "ask", 52, 0),
    (7_500, "ask", 52, 7),
    (12_000, "ask", 52, 9),
    (14_000, "ask", 52, 60),
    (18_000, "bid", 50, 10),
    (25_000, "sell", 51, 5),
]


def busy(system: TapedSystem, act: Callable[[Callable[[], object]], None], gaps: list[int]) -> None:
    """A buy that rests, one more, a sell that cancels what is left and rests, and the end."""

    def run_until(ms: int) -> None:
        for gap in gaps:
            system.clock.advance(min(gap, max(0, START + ms - system.clock.now_ms())))
            act(lambda: system.services.sweep(0))
        system.clock.advance(max(0, START + ms - system.clock.now_ms()))

    act(lambda: system.buys(number=1))
    run_until(9_000)
    act(lambda: system.buys(number=2))
    run_until(15_500)
    act(lambda: system.sells(9_000, number=3))
    run_until(80_000)
    for _ in range(8):
        act(lambda: system.services.sweep(0))


def prepared(store: Store | None = None) -> TapedSystem:
    system = TapedSystem(store)
    store_settings(system.store, system.clock, "global", {"buy_depth_multiple": 0})
    system.record([(50, 900)], [(51, 40), (52, 100)], EVENTS, until=90_000)
    return system


def tried(action: Callable[[], object]) -> None:
    for _ in range(4):
        try:
            action()
        except PapercopyError:
            continue
        return
    raise AssertionError("the step never succeeded")


def undisturbed() -> TapedSystem:
    system = prepared()
    busy(system, tried, [1_500] * 60)
    return system


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 30_000), max_size=12))
def test_results_do_not_depend_on_when_the_steps_ran(gaps: list[int]) -> None:
    expected, system = undisturbed(), prepared()
    busy(system, tried, gaps)
    assert system.digests() == expected.digests()
    assert waiting(system) == []
    ours = [(a.side, a.status, a.reasons, a.outcome) for a in system.attempts()]
    assert ours == [(a.side, a.status, a.reasons, a.outcome) for a in expected.attempts()]
    assert_books_balance(system)


def test_a_store_on_disk_ends_in_the_same_books(tmp_path: Path) -> None:
    system = prepared(SqliteStore(tmp_path / "store.sqlite"))
    busy(system, tried, [5_000] * 20)
    expected = undisturbed()
    assert system.digests() == expected.digests()
    assert [a.outcome for a in system.attempts()] == [a.outcome for a in expected.attempts()]


def test_dying_at_any_commit_never_fills_twice() -> None:
    expected = undisturbed()
    sides = expected.attempt_sides()
    assert sides == [("BUY", "FILLED"), ("BUY", "CANCELLED"), ("SELL", "CANCELLED")]
    # 40 at once, then 7, 9 and 42 of the 60; what is left of those goes to the second order.
    bought = [a for a in expected.attempts() if a.portfolio_id == "main/global"][:2]
    assert [shares_of(a) for a in bought] == [[40, 7, 9, 42], [17]]
    assert expected.position().reserved == 0

    def run(dies_at: int, after: bool) -> tuple[TapedSystem, int]:
        store = DyingStore(dies_at, after)
        system = prepared(store)
        store.armed = True
        busy(system, tried, [5_000] * 20)
        return system, store.commits

    outcomes = [a.outcome for a in expected.attempts()]
    _, commits = run(0, after=False)
    for dies_at in range(1, commits + 1):
        for after in (False, True):
            system, _ = run(dies_at, after)
            where = f"commit {dies_at}, {'after' if after else 'before'}"
            assert system.digests() == expected.digests(), where
            assert waiting(system) == [], where
            assert_books_balance(system)
            assert [a.outcome for a in system.attempts()] == outcomes, where
