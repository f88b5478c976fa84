"""Limits of risk, what was spent, circuit breakers and pauses."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain.breakers import Breakers, observed, open_breakers, reset, week_of
from chalicelib.domain.pause import (
    PAUSES_MAX,
    Pause,
    Pauses,
    is_paused,
    pause,
    paused_after,
    paused_at,
    resume,
)
from chalicelib.domain.reasons import Reason
from chalicelib.domain.risk import (
    DAY_MS,
    HOUR_MS,
    UNSPENT,
    Exposure,
    Spending,
    Stake,
    exposure_of,
    risk_reasons,
)
from chalicelib.domain.rules import CopyRules
from chalicelib.domain.snapshot import Snapshot, minute_of

M = 1_000_000
EQUITY = 10_000 * M
RULES = CopyRules()
MONDAY = int(datetime(2026, 10, 5, tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    ("field", "fraction", "reason"),
    [
        ("total", 70, Reason.RISK_CAP_TOTAL),
        ("market", 5, Reason.RISK_CAP_MARKET),
        ("event", 10, Reason.RISK_CAP_EVENT),
        ("category", 25, Reason.RISK_CAP_CATEGORY),
        ("leader", 20, Reason.RISK_CAP_LEADER),
    ],
)
def test_each_cap_holds_to_the_micro(field: str, fraction: int, reason: Reason) -> None:
    room = EQUITY * fraction // 100
    at_risk = replace(Exposure(), **{field: room - 50 * M})
    assert risk_reasons(at_risk, 50 * M, EQUITY, RULES) == []
    assert risk_reasons(at_risk, 50 * M + 1, EQUITY, RULES) == [reason]
    assert reason in risk_reasons(at_risk, 50 * M, EQUITY - 100, RULES)


def test_all_broken_caps_are_named_and_one_leaders_portfolio_knows_no_leader_cap() -> None:
    full = Exposure(EQUITY, EQUITY, EQUITY, EQUITY, EQUITY, open_positions=100)
    assert [reason.value.removeprefix("RISK_CAP_") for reason in risk_reasons(
        full, M, EQUITY, RULES
    )] == ["TOTAL", "MARKET", "EVENT", "CATEGORY", "LEADER", "POSITIONS"]  # fmt: skip
    his = Exposure(total=3_000 * M, leader=3_000 * M, one_leader=True)
    assert risk_reasons(his, 50 * M, EQUITY, RULES) == []
    assert risk_reasons(replace(his, one_leader=False), 50 * M, EQUITY, RULES) == [
        Reason.RISK_CAP_LEADER
    ]
    assert risk_reasons(Exposure(), 1, 0, RULES)


def test_a_token_that_is_held_may_grow_where_no_other_may_be_opened() -> None:
    full = Exposure(open_positions=RULES.open_positions_max)
    assert risk_reasons(full, M, EQUITY, RULES) == [Reason.RISK_CAP_POSITIONS]
    assert risk_reasons(replace(full, holds_token=True), M, EQUITY, RULES) == []


stakes = st.builds(
    Stake,
    cash=st.integers(0, 10**9),
    token_id=st.sampled_from("abcd"),
    leader=st.sampled_from("xy"),
    market=st.sampled_from(["", "m", "n"]),
    event=st.sampled_from(["", "e", "f"]),
    category=st.sampled_from(["", "c"]),
)


@given(st.lists(stakes, max_size=12), stakes)
def test_an_exposure_is_the_sum_of_what_shares_with_the_order(
    held: list[Stake], order: Stake
) -> None:
    found = exposure_of(held, order)

    def shared(name: str) -> int:
        own = getattr(order, name)
        return sum(
            s.cash
            for s in held
            if s.token_id == order.token_id or (own and own == getattr(s, name))
        )

    assert found.total == sum(stake.cash for stake in held)
    assert (found.market, found.event) == (shared("market"), shared("event"))
    assert found.category == shared("category")
    assert found.leader == sum(s.cash for s in held if s.leader == order.leader)
    assert found.open_positions == len({s.token_id for s in held})
    assert found.holds_token == any(s.token_id == order.token_id for s in held)


def test_spending_counts_a_day_and_an_hour_by_witness_time() -> None:
    noon = MONDAY + 12 * HOUR_MS
    spent = UNSPENT.spent(noon, 70).spent(noon, -20).filled(noon, 1).filled(noon + 1, 2)
    assert (spent.cash, spent.fills) == (50, 3)
    assert spent.at(noon + HOUR_MS) == replace(spent, hour=spent.hour + 1, fills=0)
    tomorrow = spent.at(noon + DAY_MS)
    assert (tomorrow.cash, tomorrow.fills) == (0, 0)
    # What yesterday held back is not given back to today, and late fills do not count anew.
    later = spent.spent(noon + DAY_MS, 10)
    assert later.spent(noon, -20).cash == 10
    assert later.filled(noon, 5) == later
    assert later.at(noon) == later


def seen(*equities: tuple[int, int]) -> Breakers:
    breakers = Breakers("main/global", 1)
    for ts, equity in equities:
        breakers = observed(breakers, equity * M, ts, RULES)
    return breakers


def minute(equity: int, ts: int) -> Snapshot:
    return Snapshot("main/global", 1, "1m", minute_of(ts), ts, 0, equity * M, 0, 0, 0, 0, 0, 0, 0)


def test_a_daily_loss_blocks_until_midnight() -> None:
    at = MONDAY + 10 * HOUR_MS
    assert open_breakers(seen((MONDAY, 10_000), (at, 9_701)), at) == ()
    tripped = seen((MONDAY, 10_000), (at, 9_700))
    assert open_breakers(tripped, at) == (Reason.BREAKER_DAILY_LOSS,)
    assert open_breakers(tripped, at - 1) == ()
    # A recovery does not close it, midnight does.
    back = observed(tripped, 10_000 * M, at + 1, RULES)
    assert open_breakers(back, MONDAY + DAY_MS - 1) == (Reason.BREAKER_DAILY_LOSS,)
    assert open_breakers(back, MONDAY + DAY_MS) == ()


def test_what_was_to_be_decided_before_midnight_still_meets_yesterdays_breaker() -> None:
    at, midnight = MONDAY + 10 * HOUR_MS, MONDAY + DAY_MS
    breakers = seen((MONDAY, 10_000), (at, 9_200), (midnight, 9_200), (midnight + 30_000, 9_190))
    assert Reason.BREAKER_DAILY_LOSS in open_breakers(breakers, midnight - 1)
    assert Reason.BREAKER_DAILY_LOSS not in open_breakers(breakers, midnight)
    again = observed(breakers, 8_900 * M, midnight + HOUR_MS, RULES)
    assert Reason.BREAKER_DAILY_LOSS in open_breakers(again, midnight + HOUR_MS)
    monday = MONDAY + 7 * DAY_MS
    weekly = seen((MONDAY, 10_000), (at, 9_200), (monday, 9_200))
    assert Reason.BREAKER_WEEKLY_LOSS in open_breakers(weekly, monday - 1)
    assert Reason.BREAKER_WEEKLY_LOSS not in open_breakers(weekly, monday)


def test_no_loss_falls_between_two_days() -> None:
    last, first = MONDAY + DAY_MS - 1, MONDAY + DAY_MS + 1
    breakers = seen((MONDAY, 10_000), (last, 10_000), (first, 9_600))
    assert breakers.day_equity == 10_000 * M
    assert open_breakers(breakers, first) == (Reason.BREAKER_DAILY_LOSS,)


def test_weekly_losses_add_up_over_days_until_monday() -> None:
    days = [(MONDAY + n * DAY_MS, 10_000 - 250 * n) for n in range(5)]
    assert open_breakers(seen(*days[:4]), days[3][0]) == ()
    breakers = seen(*days)
    assert open_breakers(breakers, days[4][0]) == (Reason.BREAKER_WEEKLY_LOSS,)
    assert open_breakers(breakers, MONDAY + 7 * DAY_MS - 1) == (Reason.BREAKER_WEEKLY_LOSS,)
    assert open_breakers(breakers, MONDAY + 7 * DAY_MS) == ()
    assert week_of(MONDAY) == week_of(MONDAY + 7 * DAY_MS - 1) == week_of(MONDAY - 1) + 1


def test_a_drawdown_stays_until_it_is_reset_by_hand() -> None:
    high = minute(12_000, MONDAY + 1)
    breakers = observed(seen((MONDAY, 10_000)), 12_000 * M, MONDAY + 1, RULES, high)
    breakers = observed(breakers, 10_560 * M, MONDAY + 2, RULES, high)
    month = MONDAY + 30 * DAY_MS
    assert open_breakers(breakers, month) == (Reason.BREAKER_DRAWDOWN,)
    closed = reset(observed(breakers, 11_000 * M, month, RULES))
    assert open_breakers(closed, month) == ()
    assert open_breakers(observed(closed, 9_680 * M, month + 1, RULES), month + 1) != ()
    assert closed.high_water == 11_000 * M
    # The height before the reset is not seen again.
    assert observed(closed, 11_000 * M, month + 1, RULES, high).high_water == 11_000 * M


def test_a_limit_of_zero_is_off() -> None:
    off = replace(RULES, daily_loss_max=0, weekly_loss_max=0, drawdown_max=0)
    breakers = observed(seen((MONDAY, 10_000)), 1, MONDAY + 1, off)
    assert open_breakers(breakers, MONDAY + 1) == ()


@given(st.lists(st.tuples(st.integers(0, 30 * DAY_MS), st.integers(0, 20_000)), max_size=20))
def test_breakers_never_go_back_in_time_and_seeing_twice_changes_nothing(
    sights: list[tuple[int, int]],
) -> None:
    breakers = Breakers("main/global", 1)
    for offset, equity in sights:
        before, ts = breakers, MONDAY + offset
        breakers = observed(breakers, equity * M, ts, RULES)
        assert breakers.ts >= before.ts
        assert breakers.high_water == (before.high_water if before.ts else equity * M)
        assert observed(breakers, equity * M, ts, RULES) == breakers
        snapshot = minute(equity, ts)
        higher = observed(breakers, equity * M, ts, RULES, snapshot)
        assert higher.high_water >= breakers.high_water
        assert observed(higher, equity * M, ts, RULES, snapshot) == higher
        if before.ts_drawdown:
            assert breakers.ts_drawdown == before.ts_drawdown


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 50)), max_size=30))
def test_a_pause_covers_exactly_the_times_between_pausing_and_resuming(
    steps: list[tuple[bool, int]],
) -> None:
    pauses: Pauses = ()
    now, timeline = 1_000, []
    for pausing, length in steps:
        pauses = pause(pauses, now) if pausing else resume(pauses, now)
        assert is_paused(pauses) == pausing
        timeline.append((now, now + length, pausing))
        now += length
    assert len(pauses) <= PAUSES_MAX
    oldest = pauses[0].ts_from if len(pauses) == PAUSES_MAX else 0
    for start, end, pausing in timeline:
        if start >= oldest:
            assert paused_at(pauses, start) == paused_at(pauses, end - 1) == pausing


def test_the_first_pause_after_a_time_is_found() -> None:
    pauses = (Pause(10, 20), Pause(30))
    assert [paused_after(pauses, ts) for ts in (5, 10, 29, 30)] == [10, 30, 30, None]
    assert Spending() == UNSPENT
