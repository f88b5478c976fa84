"""Sizing kinds, the filter of larger trades, sells by notional, and safety caps."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain.decision import decide
from chalicelib.domain.exchange_log import Role
from chalicelib.domain.leader_notionals import (
    NOTIONALS_MAX,
    NOTIONALS_MIN,
    LeaderNotionals,
    rank_of,
    with_notional,
)
from chalicelib.domain.money import MICROS
from chalicelib.domain.paper_order import Order, refused
from chalicelib.domain.reasons import Reason
from chalicelib.domain.risk import DAY_MS, HOUR_MS, UNSPENT, Spending
from chalicelib.domain.rules import CopyRules
from chalicelib.domain.safety_caps import HARD_CAPS, Caps, cap_reasons, lower_of
from chalicelib.domain.sizing import (
    Size,
    asked_cash,
    buy_shares,
    buy_size,
    sell_owed_by_notional,
    sell_shares,
)
from tests.unit.test_domain_decision import ANY_RULES, BUY, RULES, group
from tests.unit.wire import LEADER, NOW_MS

U = MICROS
AMOUNTS = st.integers(0, 10**13)
FIXED = replace(RULES, sizing="fixed_notional", fixed_cash=12 * U)
BY_EQUITY = replace(RULES, sizing="leader_equity")
ROLES = st.sampled_from(("maker", "taker", None))


# --- sizing kinds


@pytest.mark.parametrize("leader_cash", [1, 1_000 * U, 10**6 * U])
def test_a_fixed_notional_asks_for_the_same_whatever_he_trades(leader_cash: int) -> None:
    assert buy_size(leader_cash, 10_000 * U, FIXED) == Size(12 * U, 75 * U, 12 * U)


@pytest.mark.parametrize(
    ("leader_cash", "leader_equity", "asked", "cash"),
    [
        (200 * U, 40_000 * U, 50 * U, 50 * U),
        (400 * U, 40_000 * U, 100 * U, 75 * U),
        (1 * U, 40_000 * U, 250_000, 5 * U),
        (200 * U, 3, 2 * 10**18 // 3, 75 * U),
    ],
)
def test_by_his_equity_we_risk_the_part_of_ours_that_he_risks_of_his(
    leader_cash: int, leader_equity: int, asked: int, cash: int
) -> None:
    size = buy_size(leader_cash, 10_000 * U, BY_EQUITY, leader_equity)
    assert size == Size(asked, 75 * U, cash)


@pytest.mark.parametrize("unknown", [None, 0, -5])
def test_an_equity_that_is_not_known_sizes_nothing(unknown: int | None) -> None:
    assert buy_size(200 * U, 10_000 * U, BY_EQUITY, unknown) is None
    assert buy_size(200 * U, 10_000 * U, RULES, unknown) is not None


@pytest.mark.parametrize(
    ("role", "ratio", "asked"),
    [
        ("maker", 500_000, 5 * U),
        ("maker", 3 * U, 30 * U),
        ("taker", 500_000, 10 * U),
        (None, 500_000, 10 * U),
    ],
)
def test_a_makers_trade_is_scaled_before_the_bounds(
    role: Role | None, ratio: int, asked: int
) -> None:
    rules = replace(RULES, maker_ratio=ratio, buy_cash_min=0)
    assert buy_size(1_000 * U, 10_000 * U, rules, role=role) == Size(asked, 75 * U, asked)
    raised = replace(rules, buy_cash_min=50 * U)
    assert buy_size(1_000 * U, 10_000 * U, raised, role=role) == Size(asked, 75 * U, 50 * U)


@given(AMOUNTS, st.integers(-(10**9), 10**13), ANY_RULES, st.none() | AMOUNTS, ROLES)
def test_a_size_never_leaves_its_bounds(
    leader_cash: int, equity: int, rules: CopyRules, leader_equity: int | None, role: Role | None
) -> None:
    size = buy_size(leader_cash, equity, rules, leader_equity, role)
    if size is None:
        assert rules.sizing == "leader_equity"
        return
    assert size.largest <= rules.buy_cash_max
    assert size.largest * MICROS <= max(equity, 0) * rules.buy_equity_fraction_max
    if size.cash is None:
        assert size.largest < rules.buy_cash_min
    else:
        assert rules.buy_cash_min <= size.cash <= size.largest


@given(AMOUNTS, AMOUNTS, AMOUNTS, AMOUNTS, ANY_RULES, st.none() | AMOUNTS, ROLES)
def test_a_size_never_falls_when_he_trades_more_or_we_own_more(
    cash: int,
    more_cash: int,
    equity: int,
    more_equity: int,
    rules: CopyRules,
    leader_equity: int | None,
    role: Role | None,
) -> None:
    small = buy_size(cash, equity, rules, leader_equity, role)
    for larger in (
        buy_size(cash + more_cash, equity, rules, leader_equity, role),
        buy_size(cash, equity + more_equity, rules, leader_equity, role),
    ):
        assert (small is None) == (larger is None)
        if small and larger:
            assert larger.asked >= small.asked
            assert larger.largest >= small.largest
            assert (larger.cash or 0) >= (small.cash or 0)


@given(AMOUNTS, st.integers(1, 10**13), st.integers(1, 10**13))
def test_a_richer_leaders_trade_is_copied_smaller(cash: int, his: int, more: int) -> None:
    rich = asked_cash(cash, 10_000 * U, his + more, BY_EQUITY)
    poor = asked_cash(cash, 10_000 * U, his, BY_EQUITY)
    assert rich is not None
    assert poor is not None
    assert rich <= poor


@given(AMOUNTS, AMOUNTS, st.integers(1, MICROS - 1))
def test_more_cash_buys_no_fewer_shares(cash: int, more: int, limit: int) -> None:
    assert buy_shares(cash + more, limit) >= buy_shares(cash, limit)


# --- sells by notional


@given(AMOUNTS, AMOUNTS, AMOUNTS, AMOUNTS, st.booleans(), ANY_RULES)
def test_a_sell_by_notional_stays_within_the_holding_and_grows_with_his(
    held: int, his: int, more: int, debt: int, out: bool, rules: CopyRules
) -> None:
    owed = sell_owed_by_notional(held, his, debt, out, rules)
    assert min(debt, held) <= owed <= held
    assert 0 <= sell_shares(owed, held) <= owed
    assert sell_owed_by_notional(held, his + more, debt, out, rules) >= owed
    if out:
        assert owed == held


def test_a_sell_by_notional_adds_what_is_owed() -> None:
    assert sell_owed_by_notional(100 * U, 2_000 * U, 30 * U, False, RULES) == 50 * U
    assert sell_owed_by_notional(100 * U, 2_000 * U, 90 * U, False, RULES) == 100 * U


# --- only his larger trades


def record(*cash: int) -> LeaderNotionals:
    return LeaderNotionals(LEADER, tuple(range(len(cash))), cash)


def test_with_fewer_than_twenty_there_is_no_rank() -> None:
    nineteen = record(*range(1, NOTIONALS_MIN))
    assert rank_of(nineteen, 100, 10**9) is None
    assert rank_of(record(*range(1, NOTIONALS_MIN + 1)), 100, 10**9) == MICROS


@pytest.mark.parametrize(
    ("cash", "rank"), [(0, 0), (1, 50_000), (10, 500_000), (15, 750_000), (20, MICROS)]
)
def test_a_rank_is_the_part_that_was_not_larger(cash: int, rank: int) -> None:
    assert rank_of(record(*range(1, 21)), 100, cash) == rank


def test_only_what_came_before_counts_and_only_the_last_two_hundred() -> None:
    known = record(*([5] * 30), *([1] * 30))
    assert rank_of(known, 29, 1) == 0
    assert rank_of(known, 59, 1) == 500_000
    full = LeaderNotionals(LEADER)
    for ts in range(NOTIONALS_MAX + 50):
        full = with_notional(full, ts, 9 if ts < 50 else 1)
    assert (len(full.times), full.times[0], set(full.cash)) == (NOTIONALS_MAX, 50, {1})


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 10**12)), max_size=60), st.data())
def test_the_record_is_in_order_of_time_whatever_the_order_of_arrival(
    groups: list[tuple[int, int]], data: st.DataObject
) -> None:
    groups = list(dict(groups).items())
    forwards = backwards = LeaderNotionals(LEADER)
    for ts, cash in groups:
        forwards = with_notional(forwards, ts, cash)
    for ts, cash in data.draw(st.permutations(groups)):
        backwards = with_notional(backwards, ts, cash)
    assert forwards == backwards
    assert list(zip(forwards.times, forwards.cash, strict=True)) == sorted(groups)


@pytest.mark.parametrize(
    ("rank", "least", "verdict"),
    [
        (None, 900_000, "EXECUTE"),
        (0, 0, "EXECUTE"),
        (900_000, 900_000, "EXECUTE"),
        (899_999, 900_000, "SKIP"),
    ],
)
def test_the_filter_is_off_at_zero_and_open_while_there_is_no_rank(
    rank: int | None, least: int, verdict: str
) -> None:
    rules = replace(RULES, leader_percentile_min=least)
    assert decide(replace(BUY, rules=rules, group=group(rank=rank)))[0].verdict == verdict


# --- makers


@pytest.mark.parametrize(
    ("role", "verdict"), [("maker", "SKIP"), ("taker", "EXECUTE"), (None, "EXECUTE")]
)
def test_makers_are_skipped_only_where_every_fill_was_a_makers(
    role: Role | None, verdict: str
) -> None:
    rules = replace(RULES, skip_maker=True)
    assert decide(replace(BUY, rules=rules, group=group(role=role)))[0].verdict == verdict


# --- safety caps


def order(shares: int, *, side: str = "BUY", **changes: object) -> Order:
    fields: dict[str, object] = {
        "token_id": "1",
        "side": side,
        "shares": shares,
        "limit": 500_000,
        "ts_placed": NOW_MS,
        "ts_book_max": NOW_MS,
    }
    return Order(**(fields | changes))  # type: ignore[arg-type]


OPEN = Caps(10**18, 10**18, 10**9)
TODAY = Spending(NOW_MS // DAY_MS, 0, NOW_MS // HOUR_MS, 0)


@pytest.mark.parametrize(
    ("shares", "changes", "is_refused"),
    [
        (10_000 * U, {"caps": OPEN}, False),
        (10_000 * U + 1, {"caps": OPEN}, True),
        (10_000 * U + 1, {}, True),
        (20 * U, {"caps": Caps(10 * U, 10**18, 9)}, False),
        (20 * U + 1, {"caps": Caps(10 * U, 10**18, 9)}, True),
        (20 * U, {"caps": OPEN, "spent": replace(TODAY, cash=99_990 * U)}, False),
        (20 * U, {"caps": OPEN, "spent": replace(TODAY, cash=99_990 * U + 1)}, True),
        (20 * U, {"caps": OPEN, "spent": replace(TODAY, fills=1_999)}, False),
        (20 * U, {"caps": OPEN, "spent": replace(TODAY, fills=2_000)}, True),
        (20 * U, {"caps": OPEN, "spent": Spending(TODAY.day - 1, 10**15, 0, 10**6)}, False),
    ],
)
def test_an_executor_refuses_beyond_the_lower_of_setting_and_hard_cap(
    shares: int, changes: dict[str, object], is_refused: bool
) -> None:
    end = refused(order(shares, **changes))
    assert (end is not None) == is_refused
    if end:
        assert (end.status, end.reasons, end.slices) == ("FAILED", (Reason.SAFETY_CAP,), ())
    assert refused(order(shares, side="SELL", **changes)) is None


CAPS = st.builds(Caps, st.integers(0, 10**12), st.integers(0, 10**12), st.integers(0, 10**4))
SPENDING = st.builds(
    Spending,
    day=st.integers(-2, 2).map(lambda n: TODAY.day + n),
    cash=st.integers(0, 10**12),
    hour=st.integers(-2, 2).map(lambda n: TODAY.hour + n),
    fills=st.integers(0, 10**4),
)


@given(st.integers(0, 10**12), SPENDING, CAPS, CAPS)
def test_the_lower_of_two_caps_refuses_what_either_refuses(
    cash: int, spent: Spending, one: Caps, other: Caps
) -> None:
    both = {*cap_reasons(cash, spent, NOW_MS, one), *cap_reasons(cash, spent, NOW_MS, other)}
    assert set(cap_reasons(cash, spent, NOW_MS, lower_of(one, other))) == both
    assert both >= {*cap_reasons(cash, UNSPENT, NOW_MS, one)}
    assert cap_reasons(0, UNSPENT, NOW_MS, HARD_CAPS) == []
