"""What a portfolio may risk: caps against reservations, breakers, remembered views."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from chalicelib.adapters.embedded.memory_store import MemoryStore
from chalicelib.domain.breakers import Breakers
from chalicelib.domain.lane import Attempt, Work
from chalicelib.domain.paper_order import reservation
from chalicelib.domain.portfolio import Head, Position
from chalicelib.domain.reasons import Reason
from chalicelib.domain.registry import Heartbeat, MarkSheet
from chalicelib.keyspace import breakers_key, head_key, heartbeat_key, key_of
from chalicelib.ports import Delete, Holding, Put, Write
from chalicelib.services.portfolio_view import NotingStore, PortfolioViews
from chalicelib.services.snapshot_portfolios import latest_snapshots
from chalicelib.services.watch_breakers import QUIET_MS
from tests.workflow.harness import LEADER, OTHER, TOKEN, System, book
from tests.workflow.many_markets import add_market, settings, token_of, traded
from tests.workflow.taped import DECIDED, TapedSystem
from tests.workflow.test_copying import assert_books_balance, buys, sells, waiting

M = 1_000_000
DAY_MS = 86_400_000


@pytest.fixture
def system() -> System:
    made = System()
    made.follow()
    made.clock.advance(10_000)
    return made


def reasons(system: System, portfolio: str = "main/global") -> list[tuple[Reason, ...]]:
    return [a.reasons for a in system.attempts() if a.portfolio_id == portfolio]


def at_once(system: System, *tokens: str, leader: str = LEADER) -> list[Attempt]:
    """Buys of these tokens, all decided before any is placed; the global portfolio's attempts."""
    start = system.clock.now_ms()
    for number, token in enumerate(tokens, start=1):
        fill = traded(system, number, token, leader=leader, ts=start + number)
        system.services.ingest(fill)
    system.run_workflows()
    return [a for a in system.attempts() if a.portfolio_id == "main/global"]


@pytest.mark.parametrize(
    ("cap", "reason"),
    [
        ("exposure_fraction_max", Reason.RISK_CAP_TOTAL),
        ("market_fraction_max", Reason.RISK_CAP_MARKET),
        ("event_fraction_max", Reason.RISK_CAP_EVENT),
        ("category_fraction_max", Reason.RISK_CAP_CATEGORY),
        ("leader_fraction_max", Reason.RISK_CAP_LEADER),
    ],
)
def test_each_cap_counts_what_unfinished_orders_hold_back(
    system: System, cap: str, reason: Reason
) -> None:
    # Each buy holds back about 52 of 10,000: two of them do not fit into 1 %.
    settings(system, aggregation_window_ms=0, **{cap: "0.01"})
    token = add_market(system, 1, "rain", "weather")
    first, second = at_once(system, token, token)
    assert (first.status, second.reasons) == ("FILLED", (reason,))
    exposure = second.decision.exposure
    assert exposure
    assert exposure.total == exposure.market == exposure.leader == first_reserved(first)
    assert (exposure.open_positions, exposure.holds_token) == (1, True)


def first_reserved(attempt: Attempt) -> int:
    assert attempt.order
    return reservation(attempt.order, attempt.fee_schedule)


def test_caps_look_at_what_the_order_shares_with_others(system: System) -> None:
    settings(
        system,
        aggregation_window_ms=0,
        market_fraction_max="0.01",
        event_fraction_max="0.01",
        category_fraction_max="0.015",
    )
    here = add_market(system, 1, "storm", "weather")
    same_event = add_market(system, 2, "storm", "weather")
    same_category = add_market(system, 3, "frost", "weather")
    apart = add_market(system, 4, "match", "sports")
    attempts = at_once(system, here, same_event, same_category, same_category, apart)
    event = (Reason.RISK_CAP_EVENT,)
    all_three = (Reason.RISK_CAP_MARKET, *event, Reason.RISK_CAP_CATEGORY)
    assert [a.reasons for a in attempts] == [(), event, (), all_three, ()]


def test_the_number_of_positions_is_bounded_and_a_held_one_may_grow(system: System) -> None:
    settings(system, aggregation_window_ms=0, open_positions_max=2)
    one, two, three = (add_market(system, n, f"e{n}", f"c{n}") for n in (1, 2, 3))
    attempts = at_once(system, one, two, three, two)
    assert [a.reasons for a in attempts] == [(), (), (Reason.RISK_CAP_POSITIONS,), ()]


def test_in_the_portfolio_of_one_leader_his_cap_is_the_total(system: System) -> None:
    settings(system, aggregation_window_ms=0, leader_fraction_max="0.001")
    system.services.ingest(traded(system, 1, TOKEN))
    system.run_workflows()
    assert reasons(system) == [(Reason.RISK_CAP_LEADER,)]
    assert reasons(system, f"main/leader/{LEADER}") == [()]


def test_a_leader_blocked_by_his_cap_leaves_the_others_their_room(system: System) -> None:
    system.follow(OTHER, "bob")
    system.clock.advance(10_000)
    settings(system, aggregation_window_ms=0, leader_fraction_max="0.01")
    tokens = [add_market(system, n, f"e{n}", f"c{n}") for n in range(4)]
    start = system.clock.now_ms()
    for number, (token, leader) in enumerate(
        zip(tokens, (LEADER, LEADER, OTHER, OTHER), strict=True), start=1
    ):
        fill = traded(system, number, token, leader=leader, ts=start + number)
        system.services.ingest(fill)
    system.run_workflows()
    blocked = (Reason.RISK_CAP_LEADER,)
    assert reasons(system) == [(), blocked, (), blocked]


def test_what_was_spent_today_counts_from_the_decision_on_and_is_given_back(
    system: System,
) -> None:
    settings(system, aggregation_window_ms=0, daily_cash_max=100)
    token = add_market(system, 1, "e", "c")
    attempts = at_once(system, token, token)
    assert [a.reasons for a in attempts] == [(), (Reason.DAILY_CAP,)]
    filled = attempts[0].outcome
    assert filled
    spending = system.head().spending
    assert (spending.cash, spending.fills) == (filled.cash, len(filled.slices))


class CountingStore(MemoryStore):
    """Counts the reads of whole partitions of positions."""

    def __init__(self) -> None:
        super().__init__()
        self.read: list[str] = []

    def query(self, kind: Any, table: Any, pk: str, **span: Any) -> Any:
        if kind is Position:
            self.read.append(pk)
        return super().query(kind, table, pk, **span)


def test_positions_are_read_once_however_many_buys_are_decided() -> None:
    store = CountingStore()
    system = System(store=store)
    system.follow()
    system.clock.advance(10_000)
    for number in range(1, 6):
        buys(system, number=number)
        system.run_workflows()
    assert system.head().filled == 5
    assert store.read.count("main/global#1") == 1
    assert store.read.count(f"main/leader/{LEADER}#1") == 1


steps = st.lists(
    st.tuples(
        st.booleans(),
        st.sampled_from(["position", "work", "done"]),
        st.integers(0, 3),
        st.integers(0, 2),
    ),
    max_size=25,
)


@examples(max_examples=150, deadline=None)
@given(steps)
def test_a_remembered_view_equals_what_is_stored(changes: list[tuple[bool, str, int, int]]) -> None:
    store = MemoryStore()
    views = PortfolioViews(store)
    own = NotingStore(store, views)
    key = head_key("main/global", 1)
    store.commit([Put(Head("main/global", "global", "", 1, M, M))])
    for is_own, what, number, shares in changes:
        head = store.get(Head, key)
        assert head
        writes: list[Write] = [Put(head)]
        empty = Position("main/global", 1, token_of(number), LEADER, shares, shares)
        row = Work(
            "main/global", 1, number, "attempt", f"a{number}", LEADER, TOKEN, "BUY", 0, 0, 0, 0
        )
        known = store.get(Work, key_of(row))
        if what == "position":
            before = store.get(Position, key_of(empty))
            version = before.version if before else 0
            writes.append(
                Put(Position("main/global", 1, token_of(number), LEADER, shares, version=version))
            )
        elif what == "work" and known is None:
            writes.append(Put(row))
        elif known:
            writes.append(Delete(key_of(row), known.version))
        (own if is_own else store).commit(writes)
        head = store.get(Head, key)
        assert head
        assert views.of(head) == PortfolioViews(store).of(head)


def breakers(system: System) -> Breakers:
    found = system.store.get(Breakers, breakers_key("main/global", 1))
    assert found
    return found


@pytest.mark.parametrize("tended", [True, False])
def test_a_loss_stops_opens_and_lets_reductions_pass(system: System, tended: bool) -> None:
    # 98 shares bought at 0.52 lose about 20 of 10,000 when the price falls to 0.315.
    settings(system, daily_loss_max="0.001")
    buys(system)
    system.run_workflows()
    system.venue.books[TOKEN] = book(310_000, 320_000)
    system.services.mark_portfolios()
    if tended:
        system.services.tend_portfolios()
        beat = system.store.get(Heartbeat, heartbeat_key("breakers"))
        assert beat
        assert not beat.up
        assert "main/global: BREAKER_DAILY_LOSS" in beat.detail
    buys(system, price=310_000, number=2)
    system.run_workflows()
    assert reasons(system)[-1] == (Reason.BREAKER_DAILY_LOSS,)
    assert breakers(system).ts_daily > 0
    assert system.metrics.snapshot()["breakers_opened"] >= 1
    sells(system, 20_000, price=310_000, number=3)
    system.run_workflows()
    assert system.attempt_sides()[-1] == ("SELL", "FILLED")
    # Another day, another limit.
    system.clock.advance(DAY_MS)
    system.services.mark_portfolios()
    buys(system, price=310_000, number=4)
    system.run_workflows()
    assert reasons(system)[-1] == ()
    assert_books_balance(system)


class BusyStore(MemoryStore):
    """Lets the lane go on between a reader's look at the head and at the positions."""

    def __init__(self) -> None:
        super().__init__()
        self.meanwhile: list[Any] = []

    def query(self, kind: Any, table: Any, pk: str, **span: Any) -> Any:
        if kind is Position and pk == "main/global#1" and self.meanwhile:
            self.meanwhile.pop()()
        return super().query(kind, table, pk, **span)


def test_a_sale_while_breakers_are_tended_is_no_loss() -> None:
    store = BusyStore()
    system = System(store=store)
    system.follow()
    system.clock.advance(10_000)
    settings(system, daily_loss_max="0.001", drawdown_max="0.001")
    buys(system)
    system.run_workflows()
    # Long enough for the cycle to store an equity that opens nothing.
    system.clock.advance(QUIET_MS)
    system.services.mark_portfolios()

    def sold() -> None:
        sells(system, 10_000, number=2)
        system.run_workflows()

    # Another process moved the head: positions are read again, and sold at that moment.
    store.commit([Put(system.head())])
    store.meanwhile = [sold]
    system.services.tend_portfolios()
    assert system.position().shares == 0
    found = breakers(system)
    assert (found.ts_daily, found.ts_drawdown) == (0, 0)
    assert found.equity == system.head().cash


def test_breakers_of_a_head_that_never_rests_are_looked_at_by_the_next_cycle() -> None:
    store = BusyStore()
    system = System(store=store)
    system.follow()
    system.services.mark_portfolios()
    system.services.tend_portfolios()
    before = breakers(system)

    def moved() -> None:
        store.meanwhile.append(moved)
        store.commit([Put(system.head())])

    moved()
    system.clock.advance(QUIET_MS)
    system.services.mark_portfolios()
    system.services.tend_portfolios()
    assert breakers(system) == before
    store.meanwhile.clear()
    system.services.tend_portfolios()
    assert breakers(system).ts > before.ts


def test_a_drawdown_counts_from_the_highest_minute_not_from_marks_between_two(
    system: System,
) -> None:
    settings(system, drawdown_max="0.001", daily_loss_max="0", weekly_loss_max="0")
    buys(system)
    system.run_workflows()

    def cycle(bid: int, ms: int, *, minute: bool) -> int:
        system.clock.advance(ms)
        system.venue.books[TOKEN] = book(bid, bid + 10_000)
        system.services.mark_portfolios(shadows=minute)
        system.services.tend_portfolios()
        return breakers(system).high_water

    low = cycle(500_000, 60_000, minute=True)
    # 98 shares are worth 39 more between two minutes, and 20 more with the next one.
    assert cycle(900_000, 30_000, minute=False) == low
    high = cycle(700_000, 30_000, minute=True)
    newest = latest_snapshots(system.store, "main/global", 1)[0]
    assert high == newest.equity > low
    assert cycle(620_000, 30_000, minute=False) == high
    assert breakers(system).ts_drawdown == 0
    cycle(580_000, 30_000, minute=True)
    assert breakers(system).ts_drawdown > 0
    # Reset by hand: that minute no longer counts, the next one does.
    system.services.control.reset_breaker("ada", "main/global")
    low = breakers(system).high_water
    assert low < high
    system.services.tend_portfolios()
    assert breakers(system).high_water == low
    assert cycle(800_000, 60_000, minute=True) > high


def test_marks_are_read_once_however_many_portfolios_are_tended(system: System) -> None:
    system.follow(OTHER, "bob")
    system.services.mark_portfolios()
    get, read = system.store.get, []

    def counted(kind: Any, key: Any) -> Any:
        read.append(kind)
        return get(kind, key)

    system.store.get = counted  # type: ignore[method-assign]
    system.services.tend_portfolios()
    assert read.count(MarkSheet) == 2


def test_a_drawdown_is_reset_by_hand(system: System) -> None:
    settings(system, drawdown_max="0.001")
    buys(system)
    system.run_workflows()
    system.venue.books[TOKEN] = book(310_000, 320_000)
    system.services.mark_portfolios()
    system.services.tend_portfolios()
    system.clock.advance(8 * DAY_MS)
    buys(system, price=310_000, number=2)
    system.run_workflows()
    assert reasons(system)[-1] == (Reason.BREAKER_DRAWDOWN,)
    assert system.services.control.reset_breaker("ada", "main/global") == ["main/global"]
    assert system.services.control.reset_breaker("ada", "main/global") == []
    buys(system, price=310_000, number=3)
    system.run_workflows()
    assert reasons(system)[-1] == ()


def test_a_trip_stored_meanwhile_makes_a_decision_look_again(system: System) -> None:
    settings(system, daily_loss_max="0.001")
    buys(system)
    system.run_workflows()
    buys(system, number=2)
    watch = system.services.tend_portfolios._watch
    put, tripped = system.store.commit, False

    def commit(writes: Any) -> None:
        nonlocal tripped
        is_decision = any(isinstance(w, Put) and isinstance(w.record, Attempt) for w in writes)
        if is_decision and not tripped:
            tripped = True
            watch(system.head(), 9_900 * M, breakers(system).ts)
        put(writes)

    system.store.commit = commit  # type: ignore[method-assign]
    system.run_workflows()
    assert reasons(system)[-1] == (Reason.BREAKER_DAILY_LOSS,)
    assert system.metrics.snapshot()["lane_conflicts"] >= 1


def test_a_leaders_equity_is_what_his_known_positions_are_worth(system: System) -> None:
    settings(system, sizing="leader_equity")
    buys(system)
    system.run_workflows()
    assert reasons(system) == [(Reason.LEADER_EQUITY_UNKNOWN,)]
    # He holds 10,000 shares at 0.515, we are worth 10,000, and he buys for 5,100 more.
    system.venue.held = (Holding(TOKEN, 10_000 * M, 515_000),)
    system.clock.advance(60_000)
    system.services.holdings()
    system.services.mark_portfolios()
    buys(system, number=2)
    system.run_workflows()
    shadow = system.position(f"shadow/{LEADER}").shares
    told = [a for a in system.attempts() if a.portfolio_id == "main/global"][-1].decision
    assert told.leader_equity == shadow * 515_000 // M
    assert told.ts_marks > 0
    assert told.size
    assert told.size.asked == 10_000 * M * told.leader_cash // told.leader_equity


def test_work_rows_hold_back_what_the_head_does_while_orders_rest() -> None:
    system = TapedSystem()
    system.record(
        [(50, 900)],
        [(52, 900), (60, 900)],
        [
            (DECIDED + 200, "ask", 52, 30),
            (DECIDED + 5_000, "ask", 51, 10),
            (DECIDED + 5_100, "ask", 51, 0),
            (DECIDED + 20_000, "ask", 52, 900),
        ],
    )
    system.expect_tape()
    system.buys()
    held_back = []
    for ms in (2_800, 3_500, 8_000, 10_800, 11_000, 12_500, 20_000, 50_000):
        system.at(ms)
        if ms == 8_000:
            system.buys(number=2)
        rows = [work for work in waiting(system) if work.portfolio_id == "main/global"]
        assert sum(work.reserved for work in rows) == system.head().reserved
        held_back.append(system.head().reserved)
    assert len(set(held_back)) >= 4
    assert held_back[-1] == 0
