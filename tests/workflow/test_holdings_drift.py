"""Drift: a shadow that differs from the venue is found, confirmed and corrected."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.domain.evidence import FillMessage
from chalicelib.domain.market import Resolution, resolved
from chalicelib.domain.registry import Check
from chalicelib.domain.rules import SystemRules
from chalicelib.keyspace import key_of
from chalicelib.ports import Delete, Holding, Holdings, Put
from chalicelib.services.holdings_checks import holdings_check, positions_agreed_at
from tests.workflow.harness import LEADER, OPPOSITE, T0, TOKEN, System, api, chain, leg, row, tx
from tests.workflow.holdings_world import (
    SHADOW,
    M,
    Truth,
    assert_folds,
    event,
    leader_of,
    shadow,
    told,
    tried,
)
from tests.workflow.test_exactly_once import DyingStore

DAY = 86_400_000
MINUTE = 60_000


@pytest.fixture
def truth() -> Truth:
    return Truth([(T0 - DAY, TOKEN, 400 * M)])


@pytest.fixture
def system(truth: Truth) -> System:
    made = System()
    truth.serve(made)
    made.follow()
    made.services.tend_leaders()
    return made


def drifts(system: System) -> int:
    return system.metrics.snapshot().get("holdings_drift", 0)


def test_agreement_is_stored_with_the_moment_it_is_about(system: System) -> None:
    assert positions_agreed_at(system.store, LEADER) == T0 - 10_000
    system.clock.advance(4 * MINUTE)
    system.services.check_holdings()
    assert positions_agreed_at(system.store, LEADER) == T0 - 10_000
    system.clock.advance(MINUTE)
    assert system.services.check_holdings() == 1
    assert positions_agreed_at(system.store, LEADER) == T0 + 5 * MINUTE - 10_000


def test_somebody_whose_holdings_were_never_read_never_agreed() -> None:
    system = System()
    system.follow()
    assert system.services.check_holdings() == 0
    assert positions_agreed_at(system.store, LEADER) is None


def test_a_missed_trade_is_corrected_after_a_second_reading(system: System, truth: Truth) -> None:
    truth.changes.append((T0 + MINUTE, TOKEN, -150 * M))
    system.clock.advance(20 * MINUTE)
    system.services.check_holdings()
    check = holdings_check(system.store, LEADER)
    assert [(d.token_id, d.shares) for d in check.drifting] == [(TOKEN, -150 * M)]
    assert shadow(system) == {TOKEN: 400 * M}
    system.clock.advance(30_000)
    assert system.services.check_holdings() == 0
    system.clock.advance(30_000)
    system.services.check_holdings()
    assert shadow(system) == {TOKEN: 250 * M}
    assert drifts(system) == 1
    (booked,) = [e for e in system.entries(SHADOW) if e.reference.startswith("drift/")]
    assert (booked.kind, booked.shares, booked.cash) == ("CORRECTION", -150 * M, 0)
    assert booked.value < 0
    system.clock.advance(MINUTE)
    system.services.check_holdings()
    check = holdings_check(system.store, LEADER)
    assert (check.drifting, check.ts_agreed) == ((), system.clock.now_ms() - 10_000)
    assert_folds(system)


def test_a_difference_that_changes_is_a_new_one(system: System, truth: Truth) -> None:
    system.clock.advance(20 * MINUTE)
    for number in range(4):
        truth.changes.append((system.clock.now_ms() - MINUTE, TOKEN, -M))
        system.services.check_holdings()
        assert shadow(system) == {TOKEN: 400 * M}, number
        system.clock.advance(2 * MINUTE)
    assert drifts(system) == 0


def test_a_token_that_moved_lately_is_not_compared(system: System, truth: Truth) -> None:
    system.clock.advance(20 * MINUTE)
    now = system.clock.now_ms()
    system.services.ingest(chain([leg(5 * M, 500_000, ts_block=now - 3 * MINUTE)], ts_seen=now))
    for _ in range(3):
        system.services.check_holdings()
        assert shadow(system) == {TOKEN: 405 * M}
        system.clock.advance(2 * MINUTE)
    assert holdings_check(system.store, LEADER).moving == 1
    for _ in range(6):
        system.clock.advance(5 * MINUTE)
        system.services.check_holdings()
    assert shadow(system) == {TOKEN: 400 * M}


def test_a_token_with_an_open_question_waits_for_its_answer(system: System, truth: Truth) -> None:
    question = Check("t", LEADER, LEADER, tx(1), TOKEN, "BUY", "removed", T0, T0, T0)
    system.store.commit([Put(question)])
    truth.changes.append((T0 + MINUTE, TOKEN, -150 * M))
    for _ in range(4):
        system.clock.advance(10 * MINUTE)
        system.services.check_holdings()
    assert shadow(system) == {TOKEN: 400 * M}
    system.store.commit([Delete(key_of(question), 1)])
    for _ in range(2):
        system.clock.advance(10 * MINUTE)
        system.services.check_holdings()
    assert shadow(system) == {TOKEN: 250 * M}


def test_an_event_that_waits_for_its_market_is_no_drift(system: System, truth: Truth) -> None:
    system.clock.advance(20 * MINUTE)
    ts = system.clock.now_ms() - 15 * MINUTE
    truth.changes += [(ts, "555", 9 * M), (ts, "556", 9 * M)]
    system.services.ingest(told(event("SPLIT", 9 * M, ts_block=ts, condition="0x" + "d" * 64)))
    for _ in range(3):
        system.services.check_holdings()
        system.clock.advance(5 * MINUTE)
    assert shadow(system) == {TOKEN: 400 * M}
    for _ in range(12):
        system.services.check_holdings()
        system.clock.advance(10 * MINUTE)
    assert shadow(system) == truth.holds(system.clock.now_ms())


def test_a_reading_older_than_the_opening_says_nothing(system: System) -> None:
    system.clock.advance(20 * MINUTE)
    system.venue.holdings = lambda wallet: Holdings(T0 - DAY, ())  # type: ignore[method-assign]
    for _ in range(3):
        system.services.check_holdings()
        system.clock.advance(10 * MINUTE)
    assert shadow(system) == {TOKEN: 400 * M}


def test_rounding_and_refused_rows_are_no_drift(system: System) -> None:
    held = (Holding(TOKEN, 400 * M + 50, 500_000),)

    def holdings(wallet: str) -> Holdings:
        return Holdings(system.clock.now_ms() - 10_000, held, refused=1)

    system.venue.holdings = holdings  # type: ignore[method-assign]
    system.services.ingest(chain([leg(5 * M, 500_000, ts_block=T0 + 1_000)], token=OPPOSITE))
    for _ in range(4):
        system.clock.advance(20 * MINUTE)
        system.services.check_holdings()
    assert drifts(system) == 0


def test_without_the_api_it_is_compared_once_a_day(system: System) -> None:
    rules = system.services.rules
    rules.system = lambda: replace(SystemRules(), trigger_mode="polygon")  # type: ignore[method-assign]
    system.clock.advance(DAY - 1)
    assert system.services.check_holdings() == 0
    system.clock.advance(1)
    assert system.services.check_holdings() == 1


def test_one_venue_failure_is_counted_and_comes_again(system: System) -> None:
    system.venue.down = True
    system.clock.advance(10 * MINUTE)
    with pytest.raises(Exception, match="does not answer"):
        system.services.check_holdings()
    system.venue.down = False
    assert system.services.check_holdings() == 1
    assert system.metrics.snapshot()["holdings_checks_failed"] == 1


@pytest.mark.parametrize("late", ["event", "trade"])
def test_what_comes_late_after_its_difference_was_booked_is_found_at_once(
    system: System, truth: Truth, late: str
) -> None:
    rules = system.services.rules
    rules.system = lambda: replace(SystemRules(), trigger_mode="polygon")  # type: ignore[method-assign]
    moved_at = T0 + MINUTE
    tokens = [TOKEN, OPPOSITE] if late == "event" else [TOKEN]
    truth.changes += [(moved_at, token, 100 * M) for token in tokens]
    system.clock.advance(DAY + MINUTE)
    for _ in range(3):
        system.services.check_holdings()
        system.clock.advance(2 * MINUTE)
    expected = truth.holds(system.clock.now_ms())
    assert shadow(system) == expected
    now = system.clock.now_ms()
    if late == "event":
        system.services.ingest(told(event("SPLIT", 100 * M, ts_block=moved_at), ts_seen=now))
    else:
        system.services.ingest(chain([leg(100 * M, 500_000, ts_block=moved_at)], ts_seen=now))
    for _ in range(2):
        assert system.services.check_holdings() == 1
        system.clock.advance(2 * MINUTE)
    assert shadow(system) == expected
    assert_folds(system)


def test_a_comparison_of_many_wallets_goes_on_with_the_next_call(
    system: System, truth: Truth
) -> None:
    others = [f"0x{n:040x}" for n in range(1, 8)]
    nothing = Holdings(T0 + MINUTE, ())
    served = system.venue.holdings
    system.venue.holdings = lambda wallet: served(wallet) if wallet == LEADER else nothing  # type: ignore[method-assign]
    system.services.follow([LEADER, *others])
    system.services.holdings()
    system.clock.advance(DAY)
    asked: list[str] = []

    def slow(wallet: str) -> Holdings:
        asked.append(wallet)
        system.clock.advance(4_000)
        part = served(wallet)
        return part if wallet == LEADER else replace(part, held=())

    system.venue.holdings = slow  # type: ignore[method-assign]
    system.services.check_holdings()
    assert asked == [LEADER, *others[:3]]
    before = positions_agreed_at(system.store, LEADER)
    system.services.check_holdings()
    assert asked == [LEADER, *others]
    agreed = positions_agreed_at(system.store, LEADER)
    assert agreed is not None
    assert before is not None
    assert agreed > before
    assert holdings_check(system.store, LEADER).read == ()
    assert drifts(system) == 0


MOVES = st.lists(
    st.tuples(
        st.sampled_from(["BUY", "SELL", "SPLIT", "MERGE", "REDEEM", "missed"]),
        st.sampled_from([TOKEN, OPPOSITE]),
        st.integers(1, 300),
    ),
    min_size=1,
    max_size=7,
)


def played(moves: list[tuple[str, str, int]], truth: Truth, start: int) -> list[list[FillMessage]]:
    """What every move changes, and the messages it is told by; missed ones are never told."""
    told_by: list[list[FillMessage]] = []
    for number, (kind, token, amount) in enumerate(moves, start=1):
        ts, shares = start + number * 7_000, amount * M
        if kind in ("BUY", "SELL"):
            side = "BUY" if kind == "BUY" else "SELL"
            truth.changes.append((ts, token, shares if kind == "BUY" else -shares))
            part = leg(shares, 500_000, ts_block=ts)
            rows = [row(shares, 500_000, ts_block=ts)]
            told_by.append([
                chain([part], number=number, side=side, token=token, ts_seen=ts + 2_000),  # type: ignore[arg-type]
                api(rows, number=number, side=side, token=token, ts_seen=ts + 5_000),  # type: ignore[arg-type]
            ])  # fmt: skip
        elif kind == "missed":
            truth.changes.append((ts, token, shares))
        elif kind == "REDEEM":
            held = truth.holds(ts)
            truth.changes += [(ts, t, -s) for t, s in held.items()]
            size = max(0, held.get(token, 0))
            told_by.append([told(event(kind, size, number=number, ts_block=ts))])
        else:
            sign = 1 if kind == "SPLIT" else -1
            truth.changes += [(ts, TOKEN, sign * shares), (ts, OPPOSITE, sign * shares)]
            told_by.append([told(event(kind, shares, number=number, ts_block=ts))])
    return told_by


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_order_of_trades_events_and_readings_ends_at_the_venues_holdings(
    data: st.DataObject,
) -> None:
    truth = Truth([(T0 - DAY, TOKEN, 1_000 * M), (T0 - DAY, OPPOSITE, 20 * M)])
    store = DyingStore(data.draw(st.integers(1, 40)), data.draw(st.booleans()))
    system = System(store=store)
    truth.serve(system)
    messages = played(data.draw(MOVES), truth, T0)
    system.follow()
    store.armed = True
    steps: list[FillMessage | None] = [m for told_by in messages for m in told_by]
    steps += data.draw(st.lists(st.sampled_from(steps), max_size=3)) if steps else []
    steps += [None] * data.draw(st.integers(0, 4))
    for step in data.draw(st.permutations(steps)):
        system.clock.advance(data.draw(st.sampled_from([0, 5_000, 40_000])))
        tried(system.services.ingest, step) if step else tried(system.services.tend_leaders)
    for _ in range(5):
        system.clock.advance(20 * MINUTE)
        tried(system.services.verify_trades)
        tried(system.services.tend_leaders)
    assert shadow(system) == truth.holds(system.clock.now_ms())
    assert (
        positions_agreed_at(system.store, LEADER) == system.clock.now_ms() // 1000 * 1000 - 10_000
    )
    assert leader_of(system).holdings_posted == 1
    assert_folds(system)


def resolve(system: System, payouts: tuple[int, int]) -> None:
    assert system.venue.market
    told_of = Resolution("resolved", payouts, final=True, ts=system.clock.now_ms())
    system.venue.market = resolved(system.venue.market, told_of)


@pytest.mark.parametrize("payouts", [(M, 0), (0, M)])
def test_what_vanishes_with_its_market_is_no_drift(
    system: System, truth: Truth, payouts: tuple[int, int]
) -> None:
    resolve(system, payouts)
    redeemed_at = system.clock.now_ms() // 1_000 * 1_000
    truth.changes.append((redeemed_at, TOKEN, -400 * M))
    for _ in range(20):
        system.clock.advance(MINUTE)
        system.services.check_holdings()
    assert shadow(system) == {TOKEN: 400 * M}, "his until his redemption is known"
    assert drifts(system) == 0
    paid = 400 * payouts[0]
    system.services.ingest(told(event("REDEEM", 400 * M, cash=paid, ts_block=redeemed_at)))
    assert shadow(system) == {}
    assert system.head(SHADOW).cash == paid
    for _ in range(20):
        system.clock.advance(MINUTE)
        system.services.check_holdings()
    assert drifts(system) == 0
    assert positions_agreed_at(system.store, LEADER) == system.clock.now_ms() - 10_000
    assert_folds(system)


def test_what_vanishes_from_an_open_market_is_drift(system: System, truth: Truth) -> None:
    truth.changes.append((system.clock.now_ms() // 1_000 * 1_000, TOKEN, -400 * M))
    for _ in range(20):
        system.clock.advance(MINUTE)
        system.services.check_holdings()
    assert shadow(system) == {}
    assert drifts(system) == 1


def test_marks_of_the_day_move_nothing(system: System, truth: Truth) -> None:
    midnight = (system.clock.now_ms() // DAY + 1) * DAY
    system.clock.advance(midnight - system.clock.now_ms())
    system.services.mark_days()
    system.clock.advance(MINUTE)
    system.services.check_holdings()
    check = holdings_check(system.store, LEADER)
    assert (check.compared, check.moving) == (1, 0)
