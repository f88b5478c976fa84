"""A decided market is paid out once in every lane, after whatever of ours was still open on it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chalicelib.domain.errors import PapercopyError
from chalicelib.domain.lane import Work
from chalicelib.domain.ledger import Entry
from chalicelib.domain.market import Resolution, resolved
from chalicelib.domain.reasons import Reason
from chalicelib.keyspace import key_of
from chalicelib.ports import Put
from chalicelib.services import portfolios
from chalicelib.services.check_ledger import CheckLedgers
from chalicelib.services.market_directory import change_market
from chalicelib.services.portfolios import all_portfolios, open_positions, portfolio_ref
from tests.workflow.harness import CONDITION, LEADER, OPPOSITE, TOKEN, System
from tests.workflow.taped import DECIDED, START, TapedSystem
from tests.workflow.test_copying import assert_books_balance, buys, sells, waiting
from tests.workflow.test_exactly_once import DyingStore

M = 1_000_000
WON, LOST, VOID = (M, 0), (0, M), (M // 2, M // 2)
PORTFOLIOS = ("main/global", f"main/leader/{LEADER}")


def decide(system: System, payouts: tuple[int, int], ts: int) -> None:
    """The venue decided the market at `ts` and took its book away."""
    resolution = Resolution("resolved", payouts, final=True, ts=ts)
    change_market(system.store, CONDITION, lambda known: resolved(known, resolution))
    assert system.venue.market
    system.venue.market = resolved(system.venue.market, resolution)
    system.venue.books[TOKEN] = None


def cycle(system: System) -> None:
    """What the schedules do every minute."""
    system.services.mark_portfolios()
    system.services.settle_markets()
    for _ in range(4):
        system.services.sweep(0)


def settlements(system: System, portfolio: str = "main/global") -> list[Entry]:
    return [entry for entry in system.entries(portfolio) if entry.kind == "SETTLEMENT"]


def assert_ledgers_hold(system: System) -> None:
    check = CheckLedgers(system.store, system.clock, system.metrics)
    for ref in all_portfolios(system.store):
        assert check.check(ref).wrong == (), ref.portfolio_id


@pytest.fixture
def system() -> System:
    made = System()
    made.follow()
    made.clock.advance(10_000)
    return made


@pytest.mark.parametrize("payouts", [WON, LOST, VOID])
def test_every_lane_is_paid_at_the_venues_own_time(
    system: System, payouts: tuple[int, int]
) -> None:
    buys(system)
    system.run_workflows()
    before = {name: (system.head(name), system.position(name)) for name in PORTFOLIOS}
    ts = system.clock.now_ms() - 7_000
    decide(system, payouts, ts)
    cycle(system)
    for name in PORTFOLIOS:
        head, held = before[name]
        assert held.shares
        (entry,) = settlements(system, name)
        paid = held.shares * payouts[0] // M
        assert (entry.shares, entry.cash, entry.ts_effective) == (-held.shares, paid, ts)
        position = system.position(name)
        assert (position.shares, position.cost, position.exit_debt) == (0, 0, 0)
        assert system.head(name).cash == head.cash + paid
        assert system.head(name).realized == head.realized + paid - held.cost
    assert settlements(system, f"shadow/{LEADER}") == [], "he is paid when he redeems"
    assert waiting(system) == []
    assert_books_balance(system)
    assert_ledgers_hold(system)


def test_repeated_schedules_settle_once(system: System) -> None:
    buys(system)
    system.run_workflows()
    decide(system, WON, system.clock.now_ms())
    for _ in range(3):
        system.clock.advance(60_000)
        cycle(system)
    assert len(settlements(system)) == 1
    assert open_positions(system.store, "main/global", 1) == []
    assert system.metrics.snapshot()["settlements_begun"] == 2


def test_a_proposal_and_a_dispute_pay_nothing(system: System) -> None:
    buys(system)
    system.run_workflows()
    for state in ("proposed", "disputed"):
        told = Resolution(state, WON)  # type: ignore[arg-type]
        change_market(system.store, CONDITION, lambda known, told=told: resolved(known, told))
        system.venue.books[TOKEN] = None
        cycle(system)
    assert settlements(system) == []
    assert system.position().shares


def test_an_order_that_rests_ends_at_the_settlements_time() -> None:
    system = TapedSystem()
    events = [(DECIDED + 1, "ask", 52, 0), (7_500, "ask", 52, 7), (8_001, "ask", 52, 900)]
    system.record([(50, 900)], [(51, 40), (52, 100)], events)
    system.buys()
    system.at(4_000)
    assert system.head().resting == 1
    ts = START + 8_000
    decide(system, WON, ts)
    system.clock.advance(ts + 500 - system.clock.now_ms())
    cycle(system)
    attempt = system.attempt()
    assert (attempt.status, attempt.reasons) == ("CANCELLED", (Reason.REMAINDER_CANCELLED,))
    assert attempt.outcome
    assert attempt.outcome.ts_done == ts
    (entry,) = settlements(system)
    assert entry.shares == -47 * M, "what filled before the end is paid out too"
    assert (system.head().reserved, system.head().resting) == (0, 0)
    assert waiting(system) == []
    assert_ledgers_hold(system)


def test_an_order_on_its_way_is_waited_for(system: System) -> None:
    buys(system)
    (work, *_) = waiting(system)
    system.clock.advance(work.ts_due + 750 - system.clock.now_ms())
    system.services.advance("main/global")
    assert system.attempt().status == "SUBMITTED"
    buys_ahead = next(w for w in waiting(system) if w.kind == "attempt")
    resolution = Resolution("resolved", WON, final=True, ts=system.clock.now_ms())
    change_market(system.store, CONDITION, lambda known: resolved(known, resolution))
    ref = portfolio_ref(system.store, "main/global")
    assert ref
    ts = resolution.ts
    row = Work(
        "main/global", 1, ts, "settlement", CONDITION, "", "", "SELL", 0, ts, ts, 0
    )  # fmt: skip
    system.store.commit([Put(row)])
    system.services.advance("main/global")
    (moved,) = [w for w in waiting(system) if w.kind == "settlement"]
    assert (moved.ts_due, moved.ts_decided) == (buys_ahead.ts_due + 1, ts)
    system.clock.advance(5_000)
    system.services.advance("main/global")
    (entry,) = settlements(system)
    assert (entry.ts_effective, entry.shares) == (ts, -system.attempt().outcome.shares)  # type: ignore[union-attr]
    assert system.position().shares == 0


def test_schedules_that_look_again_while_an_order_is_waited_for_block_nobody(
    system: System,
) -> None:
    buys(system)
    (work, *_) = waiting(system)
    system.clock.advance(work.ts_due + 750 - system.clock.now_ms())
    system.services.advance("main/global")
    held = replace(system.position(), token_id=OPPOSITE, shares=10 * M, cost=4 * M, version=0)
    head = system.head()
    bought = Entry(
        "main/global", 1, head.entries, "TRADE_FILL", "o", OPPOSITE, LEADER, 10 * M, -4 * M, 1
    )
    spent = replace(head, cash=head.cash - 4 * M, entries=head.entries + 1)
    system.store.commit([Put(bought), Put(held), Put(spent)])
    system.venue.books[OPPOSITE] = None
    decide(system, WON, system.clock.now_ms())
    for _ in range(3):
        # Each look finds the shares still there, and the row of before moved behind the order.
        system.services.mark_portfolios()
        system.services.settle_markets()
        system.services.advance("main/global")
    rows = portfolios.work_of(system.store, "main/global", 1)
    assert [row.kind for row in rows] == ["attempt", "settlement"]
    system.clock.advance(60_000)
    cycle(system)
    assert waiting(system) == []
    assert {entry.token_id for entry in settlements(system)} >= {OPPOSITE}
    assert open_positions(system.store, "main/global", 1) == []


def test_an_order_known_beyond_the_settlement_does_not_end_before_its_fills() -> None:
    system = TapedSystem()
    events = [(DECIDED + 1, "ask", 52, 0), (7_500, "ask", 52, 7), (9_000, "bid", 50, 800)]
    system.record([(50, 900)], [(51, 40), (52, 100)], events)
    system.buys()
    system.at(4_000)
    before = system.attempt()
    assert before.outcome
    assert system.head().resting == 1
    ts = before.outcome.ts_done - 1_000
    decide(system, WON, ts)
    cycle(system)
    attempt = system.attempt()
    assert attempt.status == "CANCELLED"
    assert attempt.outcome
    assert attempt.outcome.ts_done == before.outcome.ts_done
    assert settlements(system)[0].ts_effective == ts


def test_what_comes_after_the_settlement_is_skipped(system: System) -> None:
    buys(system)
    system.run_workflows()
    decide(system, WON, system.clock.now_ms())
    cycle(system)
    # The directory remembers a market for a minute.
    system.clock.advance(61_000)
    buys(system, number=2)
    sells(system, 10_000, number=3)
    system.run_workflows()
    later = [a for a in system.attempts() if a.portfolio_id == "main/global"][1:]
    assert {a.side: a.reasons for a in later} == {
        "BUY": (Reason.MARKET_CLOSED,),
        "SELL": (Reason.NO_POSITION,),
    }
    assert len(settlements(system)) == 1


def test_a_position_that_was_opened_again_is_paid_again(system: System) -> None:
    """A fill that slipped in beside the settlement must not be held for ever."""
    buys(system)
    system.run_workflows()
    ts = system.clock.now_ms()
    decide(system, WON, ts)
    cycle(system)
    head, position = system.head(), system.position()
    late = Entry(
        "main/global", 1, head.entries, "TRADE_FILL", "late", TOKEN, LEADER, M, -M // 2, ts + 1
    )
    held = replace(position, shares=M, cost=M // 2)
    spent = replace(head, cash=head.cash - M // 2, entries=head.entries + 1)
    system.store.commit([Put(late), Put(held), Put(spent)])
    cycle(system)
    cycle(system)
    assert [entry.shares for entry in settlements(system)][-1] == -M
    assert len({key_of(entry).sk for entry in settlements(system)}) == 2
    assert system.position().shares == 0


def test_both_outcomes_are_paid_each_its_own() -> None:
    system = System()
    system.follow()
    system.clock.advance(10_000)
    buys(system)
    system.run_workflows()
    other = replace(system.position(), token_id=OPPOSITE, shares=10 * M, cost=4 * M, version=0)
    head = system.head()
    bought = Entry(
        "main/global", 1, head.entries, "TRADE_FILL", "o", OPPOSITE, LEADER, 10 * M, -4 * M, 1
    )
    spent = replace(head, cash=head.cash - 4 * M, entries=head.entries + 1)
    system.store.commit([Put(bought), Put(other), Put(spent)])
    decide(system, (400_000, 600_000), system.clock.now_ms())
    cycle(system)
    paid = {entry.token_id: entry.cash for entry in settlements(system)}
    assert paid[OPPOSITE] == 6 * M
    assert (
        paid[TOKEN] == -next(e.shares for e in settlements(system) if e.token_id == TOKEN) * 2 // 5
    )


def scenario(system: System) -> None:
    def tried(action: object, *arguments: object) -> None:
        for _ in range(4):
            try:
                action(*arguments)  # type: ignore[operator]
            except PapercopyError:
                continue
            return
        raise AssertionError("the step never succeeded")

    tried(system.services.mark_portfolios)
    tried(system.services.settle_markets)
    for _ in range(4):
        tried(system.services.sweep, 0)
        tried(system.services.settle_markets)


def test_dying_at_any_commit_pays_the_same_once() -> None:
    def run(dies_at: int, after: bool) -> tuple[System, int]:
        store = DyingStore(dies_at, after)
        made = System(store=store)
        made.follow()
        made.clock.advance(10_000)
        buys(made)
        made.run_workflows()
        decide(made, WON, made.clock.now_ms() - 1_000)
        store.armed = True
        scenario(made)
        return made, store.commits

    undisturbed, commits = run(0, after=False)
    expected = undisturbed.digests()
    assert len(settlements(undisturbed)) == 1
    assert commits > 4
    for dies_at in range(1, commits + 1):
        for after in (False, True):
            made, _ = run(dies_at, after)
            where = f"commit {dies_at}, {'after' if after else 'before'}"
            assert made.digests() == expected, where
            assert waiting(made) == [], where
            assert_books_balance(made)
