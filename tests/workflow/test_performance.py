"""What copying a leader is measured by: counted exactly once, and looked back at later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from chalicelib.domain.fee import taker_fee
from chalicelib.domain.hindsight import Forgone, Hindsight, LookBack
from chalicelib.domain.lane import Attempt
from chalicelib.domain.market import Resolution
from chalicelib.domain.performance import LeaderCounts, counted
from chalicelib.domain.reasons import Reason
from chalicelib.domain.registry import SettingsRow
from chalicelib.keyspace import attempt_key, hindsight_key, key_of
from chalicelib.ports import Put
from chalicelib.services.count_attempts import latest_counts
from chalicelib.services.look_back import ROWS_PER_COMMIT_MAX
from tests.unit.tapes import Event
from tests.workflow.harness import LEADER, OTHER, TOKEN, System, book, chain, leg, market
from tests.workflow.taped import DECIDED, TapedSystem
from tests.workflow.test_crash_sweep import run as crashed_run
from tests.workflow.test_exactly_once import DyingStore

M = 1_000_000
GLOBAL = "main/global"
HOUR = 3_600_000
DAY = 24 * HOUR


def counts_of(system: System, portfolio: str = GLOBAL, leader: str = LEADER) -> LeaderCounts:
    found = latest_counts(system.store, portfolio, 1, leader)
    assert found is not None
    return found


def recounted(attempts: Sequence[Attempt]) -> LeaderCounts:
    row = LeaderCounts(attempts[0].portfolio_id, 1, attempts[0].leader, 0)
    for attempt in attempts:
        row = counted(row, attempt)
    return row


def trade(
    system: System, number: int, side: str = "BUY", shares: int = 10_000, leader: str = LEADER
) -> None:
    ts = system.clock.now_ms()
    part = leg(shares * M, 510_000, ts_block=ts - 2_000, index=number, block=number)
    fills = chain([part], number=number, side=side, ts_seen=ts, leader=leader)  # type: ignore[arg-type]
    system.services.ingest(fills)
    system.run_workflows()


@pytest.fixture
def system() -> System:
    made = System()
    made.follow()
    made.clock.advance(10_000)
    return made


def skipped(system: System, number: int = 1, leader: str = LEADER) -> None:
    """A BUY of a known size that only the depth guard stops: 98 shares wanted, 1 offered."""
    system.venue.books[TOKEN] = book(510_000, 520_000, M)
    trade(system, number, leader=leader)
    system.venue.books[TOKEN] = book()


def hindsight(system: System, portfolio: str = GLOBAL, leader: str = LEADER) -> Hindsight:
    key = hindsight_key(portfolio, 1, leader)
    return system.store.get(Hindsight, key) or Hindsight(portfolio, 1, leader)


def cell(
    system: System, horizon: str, reason: Reason | None = None, alone: bool = False
) -> Forgone:
    (found,) = [
        one
        for one in hindsight(system).forgone
        if (one.reason, one.alone, one.horizon) == (reason, alone, horizon)
    ]
    return found


def waiting(system: System, settlement: bool = False) -> list[LookBack]:
    pk = f"look_backs#main#{'settlement' if settlement else 'marks'}"
    return system.store.query(LookBack, "activity", pk, limit=1000)


def passes(system: System, milliseconds: int, step: int = 300_000) -> None:
    """Time goes by with its mark cycles."""
    until = system.clock.now_ms() + milliseconds
    while system.clock.now_ms() < until:
        system.clock.advance(min(step, until - system.clock.now_ms()))
        system.services.mark_portfolios()


def test_counters_equal_those_of_the_attempts_that_are_over(system: System) -> None:
    system.follow(OTHER, "bea")
    trade(system, 1)
    trade(system, 2, "SELL", 2_500)
    skipped(system, 3)
    trade(system, 4, leader=OTHER)
    system.clock.advance(2 * HOUR)
    trade(system, 5)
    for portfolio in (GLOBAL, f"main/leader/{LEADER}"):
        mine = [a for a in system.attempts() if (a.portfolio_id, a.leader) == (portfolio, LEADER)]
        assert len(mine) == 4
        found = counts_of(system, portfolio)
        assert replace(found, version=0) == recounted(mine)
        assert (found.attempts, found.executed, found.skipped) == (4, 3, 1)
        assert [one.reason for one in found.reasons] == [Reason.DEPTH_TOO_THIN]
    assert counts_of(system, leader=OTHER).attempts == 1
    early = latest_counts(system.store, GLOBAL, 1, LEADER, before=system.clock.now_ms() - HOUR)
    assert early is not None
    assert early.attempts == 3, "each hour keeps what it ended with"


def test_dying_at_any_commit_counts_every_attempt_once() -> None:
    undisturbed, commits = crashed_run(0, after=False)
    expected = replace(counts_of(undisturbed), version=0)
    assert expected.attempts == 3
    assert expected == recounted([a for a in undisturbed.attempts() if a.portfolio_id == GLOBAL])
    for dies_at in range(1, commits + 1):
        for after in (False, True):
            system, _ = crashed_run(dies_at, after)
            assert replace(counts_of(system), version=0) == expected, dies_at


def test_a_skip_is_valued_after_an_hour_a_day_and_at_its_settlement(system: System) -> None:
    skipped(system)
    attempt = system.attempt()
    assert attempt.reasons == (Reason.DEPTH_TOO_THIN,)
    shares = attempt.decision.target_shares
    assert shares
    cash = shares * 520_000 // M
    paid = cash + taker_fee(attempt.fee_schedule, shares, cash)
    system.venue.books[TOKEN] = book(600_000, 600_000)
    passes(system, HOUR - 10 * 60_000)
    system.services.look_back()
    assert hindsight(system).forgone == (), "its time has not come"
    passes(system, 10 * 60_000)
    system.services.look_back()
    found = cell(system, "1h")
    assert (found.signals, found.unfilled, found.unvalued, found.won) == (1, 0, 0, 1)
    assert (found.notional, found.gain) == (cash, shares * 600_000 // M - paid)
    assert cell(system, "1h", Reason.DEPTH_TOO_THIN) == replace(found, reason=Reason.DEPTH_TOO_THIN)
    assert cell(system, "1h", Reason.DEPTH_TOO_THIN, alone=True).gain == found.gain

    system.venue.books[TOKEN] = book(300_000, 300_000)
    passes(system, 23 * HOUR)
    system.services.look_back()
    assert cell(system, "24h").gain == shares * 300_000 // M - paid
    assert cell(system, "1h") == found, "an earlier look stays as it was"
    assert (len(waiting(system)), len(waiting(system, settlement=True))) == (0, 2)

    system.clock.advance(1_000)
    system.services.look_back()
    assert not [one for one in hindsight(system).forgone if one.horizon == "settlement"]
    system.venue.market = market(
        closed=True,
        accepting_orders=False,
        resolution=Resolution("resolved", (M, 0), final=True),
    )
    for _ in range(3):
        passes(system, 8 * HOUR, step=HOUR)
        system.services.look_back()
    assert cell(system, "settlement").gain == shares - paid
    assert waiting(system, settlement=True) == []


def test_the_token_of_a_skip_is_marked_though_nobody_holds_it(system: System) -> None:
    skipped(system)
    trade(system, 2, "SELL", 10_000)
    assert system.position(f"shadow/{LEADER}").shares == 0
    system.venue.books[TOKEN] = book(700_000, 700_000)
    passes(system, HOUR)
    system.services.look_back()
    assert cell(system, "1h").unvalued == 0
    assert cell(system, "1h").won == 1


def test_without_a_mark_of_the_time_there_is_no_value(system: System) -> None:
    skipped(system)
    system.clock.advance(HOUR)
    system.services.look_back()
    found = cell(system, "1h")
    assert (found.signals, found.unvalued, found.notional, found.gain) == (1, 1, 0, 0)


def test_without_a_price_guard_we_had_paid_the_best_offer_as_far_as_is_known(
    system: System,
) -> None:
    system.venue.books[TOKEN] = book(590_000, 600_000)
    trade(system, 1)
    assert system.attempt().reasons == (Reason.WORSE_THAN_LEADER,)
    passes(system, HOUR)
    system.services.look_back()
    found = cell(system, "1h", Reason.WORSE_THAN_LEADER, alone=True)
    assert (found.signals, found.unfilled, found.estimated, found.won) == (1, 0, 1, 0)
    shares = system.attempt().decision.target_shares
    assert shares
    assert found.notional == shares * 600_000 // M
    assert found.gain == shares * 595_000 // M - found.notional - fee_of(system, found.notional)


def fee_of(system: System, cash: int) -> int:
    attempt = system.attempt()
    return taker_fee(attempt.fee_schedule, attempt.decision.target_shares or 0, cash)


def on_tape(bids: list[tuple[float, int]], asks: list[tuple[float, int]], *events: Event) -> System:
    """A decided BUY at 0.51 of 98.07 shares inside 0.52, looked back at an hour later at 0.595."""
    system = TapedSystem()
    system.record(bids, asks, events)
    system.expect_tape()
    system.buys()
    system.at(DECIDED + 2_000)
    system.venue.books[TOKEN] = book(590_000, 600_000)
    passes(system, HOUR)
    system.services.look_back()
    return system


def test_without_a_price_guard_we_had_paid_what_the_recording_offered_at_placement() -> None:
    later = DECIDED + 600
    system = on_tape([(59, 900)], [(60, 900)], (later, "ask", 60, 50), (later, "ask", 62, 900))
    assert system.attempt().reasons == (Reason.WORSE_THAN_LEADER,)
    assert system.attempt().decision.target_shares == 98_070_000
    found = cell(system, "1h", Reason.WORSE_THAN_LEADER, alone=True)
    # 50 × 0.60 + 48.07 × 0.62
    assert found.notional == 59_803_400
    assert (found.signals, found.unfilled, found.estimated) == (1, 0, 0)
    assert found.gain == 98_070_000 * 595_000 // M - 59_803_400 - fee_of(system, 59_803_400)


def test_an_order_that_a_cap_stopped_would_have_kept_its_limit() -> None:
    later = DECIDED + 600
    asks: list[tuple[float, int]] = [(52, 900)]
    system = TapedSystem()
    system.record([(51, 900)], asks, [(later, "ask", 52, 40), (later, "ask", 53, 900)])
    system.store.commit([Put(SettingsRow("global", '{"order_cash_max": 20}'))])
    system.expect_tape()
    system.buys()
    system.at(DECIDED + 2_000)
    assert system.attempt().reasons == (Reason.ORDER_CAP,)
    passes(system, HOUR)
    system.services.look_back()
    found = cell(system, "1h", Reason.ORDER_CAP, alone=True)
    assert (found.signals, found.notional, found.estimated) == (1, 40 * 520_000, 0)


def test_what_was_refused_before_a_book_was_looked_at_is_unjudged(system: System) -> None:
    trade(system, 1, shares=1)
    assert system.attempt().reasons == (Reason.LEADER_TRADE_TOO_SMALL,)
    skipped(system, 2)
    passes(system, HOUR)
    system.services.look_back()
    counts = counts_of(system)
    assert counts.unjudged == 1
    assert [(one.reason, one.count) for one in counts.unjudged_reasons] == [
        (Reason.LEADER_TRADE_TOO_SMALL, 1)
    ]
    assert cell(system, "1h").signals + counts.unjudged == counts.skipped == 2


def sums(system: System) -> Hindsight:
    return replace(hindsight(system), version=0)


def looked_back_on(store: DyingStore) -> System:
    """Many skips, then a day of looks, each repeated; the store dies once on the way."""
    system = System(store=store)
    system.follow()
    system.clock.advance(10_000)
    for number in range(1, ROWS_PER_COMMIT_MAX + 3):
        skipped(system, number)
    passes(system, HOUR)
    store.armed = True
    for _ in range(3):
        for service in (system.services, system.wire(store)):
            service.look_back()
    store.armed = False
    passes(system, 23 * HOUR, step=HOUR)
    store.armed = True
    for _ in range(4):
        system.services.look_back()
    return system


def test_dying_at_any_look_back_counts_every_skip_once() -> None:
    store = DyingStore(0, after=False)
    undisturbed = looked_back_on(store)
    expected = sums(undisturbed)
    assert cell(undisturbed, "1h").signals == ROWS_PER_COMMIT_MAX + 2
    assert cell(undisturbed, "24h").signals == ROWS_PER_COMMIT_MAX + 2
    assert store.commits >= 6
    for dies_at in range(1, store.commits + 1):
        for after in (False, True):
            assert sums(looked_back_on(DyingStore(dies_at, after))) == expected, dies_at


def test_a_row_that_can_never_be_looked_at_blocks_no_other(system: System) -> None:
    skipped(system, 1)
    skipped(system, 2)
    row = waiting(system)[0]
    key = attempt_key(row.portfolio_id, row.epoch, row.ts_decided, row.attempt_id)
    system.store._remove(key)  # type: ignore[attr-defined]
    passes(system, HOUR)
    for _ in range(2):
        system.services.look_back()
    assert not [one for one in waiting(system) if one.horizon == "1h"]
    assert system.metrics.snapshot()["look_backs_lost"] == 1


def test_the_decay_curve_compares_the_same_orders_with_and_without_delay() -> None:
    system = TapedSystem()
    away = [(3_500, "ask", 52, 0), (3_500, "ask", 53, 1_000)]
    system.record([(51, 1_000)], [(52, 1_000)], away)
    system.expect_tape()
    system.buys()
    system.at(4_000)
    attempt = system.attempt()
    assert attempt.status == "FILLED"
    system.clock.advance(HOUR)
    system.services.sweep(0)
    attempt = system.attempt()
    system.services.look_back()
    curve = {point.latency_ms: point for point in hindsight(system).decay}
    assert set(curve) == {point.latency_ms for point in attempt.stress}
    assert 0 in curve and len(curve) > 2
    shares = attempt.order.shares if attempt.order else 0
    at_his = 10_000
    for latency, point in curve.items():
        assert (point.count, point.target) == (1, shares)
        assert (point.base_shares, point.base_worse) == (shares, shares * at_his // M)
        if latency <= 1_000:
            assert point.shares[0] == shares
            assert point.worse[0] == shares * at_his // M
        else:
            assert point.shares[0] == 0, "the offer was beyond the limit by then"
    before = sums(system)
    system.services.look_back()
    assert sums(system) == before


def test_a_row_worked_off_elsewhere_meanwhile_is_not_counted_again(system: System) -> None:
    skipped(system)
    passes(system, HOUR)
    rows = waiting(system)
    system.services.look_back()
    expected = sums(system)
    # The same rows as they were: their versions no longer exist.
    for row in rows:
        assert row.horizon == "1h"
        assert system.store.get(LookBack, key_of(row)) is None
        system.store.commit([Put(replace(row, version=0, account_id="other"))])
    system.services.look_back()
    assert sums(system) == expected
