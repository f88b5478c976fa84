"""Sizing, guardrails and whole decisions, at and one step beyond each limit."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.domain import guardrails, sizing
from chalicelib.domain.decision import Inputs, decide
from chalicelib.domain.group import KEPT_SCALE, Group, retract
from chalicelib.domain.identifiers import COMBO_MODULE
from chalicelib.domain.latency_model import jitter_ms, placed_at, settle_ms
from chalicelib.domain.market_lists import MarketLists, list_entry
from chalicelib.domain.money import MICROS, SHARE_STEP, cash_floor
from chalicelib.domain.orderbook import Book, Level, depth
from chalicelib.domain.paper_order import ended, fill_and_kill, refused, reservation
from chalicelib.domain.reasons import Reason
from chalicelib.domain.risk import DAY_MS, HOUR_MS, UNSPENT, Exposure, Spending
from chalicelib.domain.rules import CopyRules
from chalicelib.domain.safety_caps import HARD_CAPS
from chalicelib.domain.source_health import SourceHealth
from tests.unit.wire import CONDITION, LEADER, NOW_MS, YES, book, hash_of, market

RULES = CopyRules(digest="rules-1")
U = MICROS
ATTEMPT = hash_of("attempt")[2:]


def group(**changes: object) -> Group:
    fields: dict[str, object] = {
        "group_id": "g",
        "leader": LEADER,
        "token_id": YES,
        "side": "BUY",
        "number": 1,
        "opened": NOW_MS - 2_000,
        "window_ms": 2_000,
        "ts_block": NOW_MS - 5_000,
        "order": 0,
        "shares": 2_000 * U,
        "cash": 1_000 * U,
        "fills": 1,
        "kept": KEPT_SCALE,
        "role": "maker",
    }
    return Group(**(fields | changes))  # type: ignore[arg-type]


BUY = Inputs(
    attempt_id=ATTEMPT,
    group=group(),
    rules=RULES,
    equity=10_000 * U,
    free_cash=10_000 * U,
    held=0,
    exit_debt=0,
    market=market(),
    book=book([(49, 1_000)], [(50, 1_000)]),
)
SELL = replace(BUY, group=group(side="SELL", kept=KEPT_SCALE // 2), held=30 * U)


# --- sizing


@pytest.mark.parametrize(
    ("leader_cash", "equity", "expected"),
    [
        (1_000 * U, 10_000 * U, 10 * U),
        (500 * U, 10_000 * U, 5 * U),
        (499 * U, 10_000 * U, 5 * U),
        (100, 10_000 * U, 5 * U),
        (7_500 * U, 10_000 * U, 75 * U),
        (7_501 * U, 10_000 * U, 75 * U),
        (10**6 * U, 10**6 * U, 250 * U),
        (1_000 * U, 666_666_667, 5 * U),
        (1_000 * U, 666_666_666, None),
        (1_000 * U, 0, None),
        (1_000 * U, -5, None),
    ],
)
def test_buy_cash(leader_cash: int, equity: int, expected: int | None) -> None:
    size = sizing.buy_size(leader_cash, equity, RULES)
    assert size is not None
    assert size.cash == expected


@given(st.integers(0, 10**12), st.integers(1, MICROS - 1))
def test_buy_shares_never_cost_more_than_asked(cash: int, limit: int) -> None:
    shares = sizing.buy_shares(cash, limit)
    assert shares % SHARE_STEP == 0
    assert cash_floor(shares, limit) <= cash
    assert (shares + SHARE_STEP) * limit > cash * MICROS


@pytest.mark.parametrize(
    ("held", "kept", "debt", "is_out", "expected"),
    [
        (30 * U, KEPT_SCALE // 2, 0, False, 15 * U),
        (30 * U, KEPT_SCALE // 2, 4 * U, False, 17 * U),
        (30 * U, KEPT_SCALE // 2, 300 * U, False, 30 * U),
        (30 * U, KEPT_SCALE, 0, False, 0),
        (30 * U, 0, 0, True, 30 * U),
        (30_123_456, 0, 0, True, 30_123_456),
        (30 * U, KEPT_SCALE * 2 // 3, 0, False, 10 * U),
        (12_345, 1, 0, False, 10_000),
        (12_345, 0, 0, False, 12_345),
        (0, KEPT_SCALE // 2, 5 * U, False, 0),
    ],
)
def test_sell_shares(held: int, kept: int, debt: int, is_out: bool, expected: int) -> None:
    owed = sizing.sell_owed(held, KEPT_SCALE - kept, debt, is_out)
    assert sizing.sell_shares(owed, held) == expected


@given(
    st.integers(0, 10**13), st.integers(0, KEPT_SCALE), st.integers(0, 10**13), st.booleans()
)  # fmt: skip
def test_a_sell_never_exceeds_the_holding(held: int, reduction: int, debt: int, out: bool) -> None:
    owed = sizing.sell_owed(held, reduction, debt, out)
    assert 0 <= sizing.sell_shares(owed, held) <= owed <= held


def test_many_small_sells_add_up() -> None:
    held, debt = 1_000_000, 0
    for _ in range(200):
        debt = sizing.sell_owed(held, KEPT_SCALE // 400, debt, False)
        order = sizing.sell_shares(debt, held)
        held, debt = held - order, debt - order
    assert abs(held - 1_000_000 * (1 - 1 / 400) ** 200) < 20_000


# --- limit price


@given(
    st.sampled_from(("BUY", "SELL")),
    st.integers(1, MICROS),
    st.integers(1, MICROS - 1),
    st.sampled_from((100, 1_000, 2_500, 5_000, 10_000, 100_000)),
)
def test_limit_price_is_on_the_grid_and_within_both_guards(
    side: str, leader: int, mid: int, tick: int
) -> None:
    limit = guardrails.limit_price(side, leader, mid, tick, RULES)  # type: ignore[arg-type]
    assert limit % tick == 0
    assert tick <= limit <= MICROS - tick
    if side == "BUY":
        bound = min(leader + 10_000, mid + 15_000)
        assert limit <= max(bound, tick)
        assert limit > bound - tick or limit == MICROS - tick
    else:
        bound = max(leader - 50_000, mid - 50_000)
        assert limit >= min(bound, MICROS - tick)
        assert limit < bound + tick or limit == tick


# --- single guardrails at their limits


@pytest.mark.parametrize(
    ("age_ms", "ask", "expected"),
    [
        (15_000, 990_000, []),
        (15_001, 501_000, []),
        (15_001, 501_001, [Reason.CATCH_UP_NOT_BETTER]),
        (300_000, 501_000, []),
        (300_001, 1, [Reason.TOO_OLD]),
    ],
)
def test_age(age_ms: int, ask: int, expected: list[Reason]) -> None:
    assert guardrails.age_reasons(age_ms, ask, 500_000, RULES) == expected


def test_age_without_the_better_price_rule() -> None:
    rules = replace(RULES, catch_up_require_better=False)
    assert guardrails.age_reasons(300_000, 990_000, 500_000, rules) == []
    assert guardrails.age_reasons(300_001, 1, 500_000, rules) == [Reason.TOO_OLD]


@pytest.mark.parametrize(
    ("side", "best", "mid", "leader", "expected"),
    [
        ("BUY", 510_000, 500_000, 500_000, []),
        ("BUY", 510_001, 500_000, 500_000, [Reason.WORSE_THAN_LEADER]),
        ("BUY", 515_000, 500_000, 600_000, []),
        ("BUY", 515_001, 500_000, 600_000, [Reason.BEYOND_MID]),
        ("BUY", 20_000, 20_000, 20_000, []),
        ("BUY", 19_999, 19_999, 20_000, [Reason.OUTSIDE_PRICE_BAND]),
        ("BUY", 980_000, 980_000, 980_000, []),
        ("BUY", 980_001, 980_000, 980_000, [Reason.OUTSIDE_PRICE_BAND]),
        ("SELL", 450_000, 500_000, 500_000, []),
        ("SELL", 449_999, 490_000, 500_000, [Reason.WORSE_THAN_LEADER]),
        ("SELL", 449_999, 500_000, 490_000, [Reason.BEYOND_MID]),
        ("SELL", 10_000, 10_000, 10_000, []),
    ],
)
def test_price(side: str, best: int, mid: int, leader: int, expected: list[Reason]) -> None:
    assert guardrails.price_reasons(side, best, mid, leader, RULES) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("side", "spread", "expected"),
    [
        ("BUY", 20_000, []),
        ("BUY", 20_001, [Reason.SPREAD_TOO_WIDE]),
        ("SELL", 100_000, []),
        ("SELL", 100_001, [Reason.SPREAD_TOO_WIDE]),
    ],
)
def test_spread(side: str, spread: int, expected: list[Reason]) -> None:
    assert guardrails.spread_reasons(side, spread, RULES) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("shares", "expected"), [(8_000_000, []), (8_000_001, [Reason.DEPTH_TOO_THIN])]
)
def test_depth_counts_inside_the_limit_only(shares: int, expected: list[Reason]) -> None:
    of = book([], [(50, 10), (51, 1_000)])
    assert guardrails.depth_reasons(of, "BUY", shares, 509_999, RULES) == expected
    assert guardrails.depth_reasons(of, "SELL", shares, 509_999, RULES) == []


@pytest.mark.parametrize(
    ("side", "changes", "expected"),
    [
        ("BUY", {}, []),
        ("BUY", {"closed": True}, [Reason.MARKET_CLOSED]),
        ("BUY", {"accepting_orders": False}, [Reason.MARKET_CLOSED]),
        ("SELL", {"accepting_orders": False}, []),
        ("BUY", {"closes_at": NOW_MS + 1_800_000}, []),
        ("BUY", {"closes_at": NOW_MS + 1_799_999}, [Reason.MARKET_CLOSES_SOON]),
        ("SELL", {"closes_at": NOW_MS}, []),
    ],
)
def test_market(side: str, changes: dict[str, object], expected: list[Reason]) -> None:
    found = guardrails.market_reasons(market(**changes), side, NOW_MS, RULES)  # type: ignore[arg-type]
    assert found == expected


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        (None, [Reason.BOOK_MISSING]),
        (book([], []), [Reason.BOOK_MISSING]),
        (book([(49, 1)], []), [Reason.BOOK_MISSING]),
        (book([], [(50, 1)]), [Reason.BOOK_MISSING]),
        (book([(49, 1)], [(50, 1)], NOW_MS - 5_000), []),
        (book([(49, 1)], [(50, 1)], NOW_MS - 5_001), [Reason.BOOK_STALE]),
        (book([(49, 1)], [(50, 1)], NOW_MS + 10_000), []),
        (book([(49, 1)], [(50, 1)], NOW_MS + 10_001), [Reason.BOOK_TOO_LATE]),
    ],
)
def test_book(of: Book | None, expected: list[Reason]) -> None:
    assert guardrails.book_reasons(of, "BUY", NOW_MS, RULES) == expected


def test_a_sell_needs_bids_only() -> None:
    assert guardrails.book_reasons(book([(49, 1)], []), "SELL", NOW_MS, RULES) == []
    assert guardrails.book_reasons(book([], [(50, 1)]), "SELL", NOW_MS, RULES) == [
        Reason.BOOK_MISSING
    ]
    decision, order = decide(replace(SELL, book=book([(49, 9_000)], [])))
    assert order is not None
    assert (decision.mid, decision.spread) == (None, None)


# --- whole decisions


def test_a_buy_is_sized_limited_and_placed() -> None:
    decision, order = decide(BUY)
    assert (decision.verdict, decision.reasons) == ("EXECUTE", ())
    assert order is not None
    assert order.limit == decision.limit == 510_000
    assert order.shares == decision.target_shares == 19_600_000
    assert order.ts_placed == NOW_MS + 750 + jitter_ms(ATTEMPT, 250)
    assert decision.rules_digest == "rules-1"
    assert (decision.best, decision.mid, decision.spread) == (500_000, 495_000, 10_000)
    assert (decision.leader_price, decision.age_ms) == (500_000, 5_000)
    assert decision.depth_shares == 1_000 * U


def test_a_sell_follows_the_leaders_proportion() -> None:
    decision, order = decide(SELL)
    assert decision.verdict == "EXECUTE"
    assert order is not None
    assert (order.side, order.shares) == ("SELL", 15 * U)
    assert order.limit == 450_000


def test_the_whole_holding_goes_when_the_leader_is_out() -> None:
    _, order = decide(replace(SELL, held=30_123_456, group=group(side="SELL", kept=0)))
    assert order is not None
    assert order.shares == 30_123_456


def lists(*named: str) -> MarketLists:
    return MarketLists("main", (list_entry(*named, by="ada", ts=NOW_MS),))


COMBO = str(COMBO_MODULE << 248 | 5)
BLOCKED = SourceHealth("down", "down", blocking=(Reason.POLYGON_UNHEALTHY, Reason.API_UNHEALTHY))
THIN = book([(49, 1_000)], [(50, 24), (60, 1_000)])

STRICT_SELLS = replace(RULES, sell_always_attempt=False)
NEAR = Exposure(6_990 * U, 499 * U, 999 * U, 2_499 * U, 1_999 * U, 100)
SPENT = Spending(NOW_MS // DAY_MS, 4_999 * U, NOW_MS // HOUR_MS, 200)
BREAKERS = (Reason.BREAKER_DAILY_LOSS, Reason.BREAKER_WEEKLY_LOSS, Reason.BREAKER_DRAWDOWN)

SKIPS: list[tuple[Reason, Inputs]] = [
    (Reason.SKIP_BACKFILL, replace(BUY, backfill=True)),
    (Reason.SKIP_BACKFILL, replace(SELL, backfill=True)),
    (Reason.LEADER_SELL_ONLY, replace(BUY, sell_only=True)),
    (Reason.LEADER_TRADE_TOO_SMALL, replace(BUY, group=group(shares=2 * U, cash=U - 1))),
    (Reason.NO_POSITION, replace(SELL, held=0, exit_debt=5)),
    (Reason.UNKNOWN_TOKEN, replace(BUY, market=None)),
    (Reason.MARKET_CLOSED, replace(BUY, market=market(closed=True))),
    (Reason.MARKET_CLOSES_SOON, replace(BUY, market=market(closes_at=NOW_MS + 1))),
    (Reason.BOOK_MISSING, replace(BUY, book=None)),
    (Reason.BOOK_STALE, replace(BUY, book=book([(49, 9)], [(50, 9)], NOW_MS - 5_001))),
    (
        Reason.BOOK_STALE,
        replace(SELL, rules=STRICT_SELLS, book=book([(49, 99)], [(50, 9)], NOW_MS - 5_001)),
    ),
    (Reason.BELOW_MINIMUM, replace(BUY, equity=600 * U)),
    (Reason.TOO_OLD, replace(BUY, group=group(ts_block=NOW_MS - 300_001))),
    (
        Reason.CATCH_UP_NOT_BETTER,
        replace(BUY, group=group(ts_block=NOW_MS - 15_001, cash=995 * U)),
    ),
    (
        Reason.OUTSIDE_PRICE_BAND,
        replace(BUY, book=book([(98, 9_000)], [(99, 9_000)]), group=group(cash=1_980 * U)),
    ),
    (Reason.WORSE_THAN_LEADER, replace(BUY, group=group(cash=979 * U))),
    (
        Reason.BEYOND_MID,
        replace(BUY, book=book([(46, 9_000)], [(50, 9_000)]), group=group(cash=1_000 * U)),
    ),
    (Reason.SPREAD_TOO_WIDE, replace(BUY, book=book([(47, 9_000)], [(50, 9_000)]))),
    (Reason.DEPTH_TOO_THIN, replace(BUY, book=THIN)),
    (
        Reason.BELOW_MARKETABLE_MINIMUM,
        replace(
            BUY, rules=replace(RULES, buy_cash_min=0), group=group(shares=180 * U, cash=90 * U)
        ),
    ),
    (Reason.BELOW_MARKETABLE_MINIMUM, replace(SELL, held=4 * U)),
    (Reason.INSUFFICIENT_CASH, replace(BUY, free_cash=9 * U)),
    (Reason.DUST, replace(SELL, held=190_000)),
    (Reason.SETTINGS_REFUSED, replace(BUY, rules=replace(RULES, refused="settings global: x"))),
    (Reason.BOOK_TOO_LATE, replace(BUY, book=book([(49, 9_000)], [(50, 9_000)], NOW_MS + 60_000))),
    (Reason.COMBO_NOT_COPYABLE, replace(BUY, group=group(token_id=COMBO))),
    (Reason.COMBO_NOT_COPYABLE, replace(SELL, group=group(side="SELL", token_id=COMBO))),
    (Reason.LEADER_FILL_RETRACTED, replace(BUY, group=retract(group(), 2_000 * U, 1_000 * U))),
    (
        Reason.LEADER_FILL_RETRACTED,
        replace(SELL, group=retract(group(side="SELL"), 2_000 * U - SHARE_STEP + 1, 999 * U)),
    ),
    (
        Reason.PRICE_MOVED,
        replace(BUY, rules=replace(RULES, price_move_max=20_000), group=group(cash=980 * U)),
    ),
    (Reason.MARKET_BLACKLISTED, replace(BUY, lists=lists("blacklist", "market", CONDITION))),
    (Reason.NOT_WHITELISTED, replace(BUY, lists=lists("whitelist", "category", "sports"))),
    (Reason.POLYGON_UNHEALTHY, replace(BUY, health=BLOCKED)),
    (Reason.API_UNHEALTHY, replace(BUY, health=BLOCKED)),
    (Reason.PAUSED, replace(BUY, paused=True)),
    (Reason.PAUSED, replace(SELL, paused=True)),
    *((breaker, replace(BUY, tripped=BREAKERS)) for breaker in BREAKERS),
    (Reason.LEADER_DENIED, replace(BUY, rules=replace(RULES, copying=False))),
    (
        Reason.LEADER_TRADE_BELOW_PERCENTILE,
        replace(
            BUY, rules=replace(RULES, leader_percentile_min=750_000), group=group(rank=749_999)
        ),
    ),
    (Reason.MAKER_LEADER, replace(BUY, rules=replace(RULES, skip_maker=True))),
    (
        Reason.LEADER_EQUITY_UNKNOWN,
        replace(BUY, rules=replace(RULES, sizing="leader_equity")),
    ),
    (Reason.ORDER_CAP, replace(BUY, rules=replace(RULES, order_cash_max=9 * U))),
    (Reason.DAILY_CAP, replace(BUY, spending=SPENT)),
    (Reason.HOURLY_CAP, replace(BUY, spending=SPENT)),
    *((reason, replace(BUY, exposure=NEAR)) for reason in Reason if reason.startswith("RISK_CAP")),
]

RESTED = (Reason.REMAINDER_CANCELLED, Reason.TAPE_INCOMPLETE)
NOT_DECIDED = {
    Reason.NO_FOLLOWER,
    Reason.INCREMENT_TOO_SMALL,
    Reason.SELF_TRADE,
    Reason.SAFETY_CAP,
    Reason.PORTFOLIO_RESET,
    Reason.SPLIT_NO_CASH,
    Reason.SPLIT_SOLD_BEFORE,
    Reason.MERGE_NO_POSITION,
    Reason.CONVERSION_UNSUPPORTED,
}
"""Reasons of what never comes to this decision, or that come after it."""


@pytest.mark.parametrize(("reason", "inputs"), SKIPS)
def test_every_skip_names_its_reason(reason: Reason, inputs: Inputs) -> None:
    decision, order = decide(inputs)
    assert order is None
    assert decision.verdict == "SKIP"
    assert reason in decision.reasons
    assert decision.leader_shares == inputs.group.net_shares
    assert decision.health == inputs.health


def test_every_reason_can_happen() -> None:
    _, order = decide(BUY)
    assert order is not None
    nothing = fill_and_kill(order, book([(48, 1)], [(90, 1)]), market().fee, NOW_MS)
    part = fill_and_kill(order, book([], [(50, 1)]), market().fee, NOW_MS)
    gap = ended(order, replace(part, status="PARTIAL"), NOW_MS, *RESTED)
    seen = {reason for reason, _ in SKIPS} | {*nothing.reasons, *part.reasons, *gap.reasons}
    assert set(Reason) - seen == NOT_DECIDED


def test_lists_and_a_markets_life_never_stop_a_sell() -> None:
    on = lists("blacklist", "market", CONDITION)
    closed = market(closed=True, accepting_orders=False)
    for inputs in (replace(SELL, lists=on), replace(SELL, market=closed)):
        assert decide(inputs)[0].verdict == "EXECUTE"
    listed = lists("whitelist", "category", "weather")
    assert decide(replace(BUY, lists=listed))[0].verdict == "EXECUTE"


@pytest.mark.parametrize(
    ("side", "best", "limit", "expected"),
    [
        ("BUY", 505_000, 0, []),
        ("BUY", 505_000, 10_000, []),
        ("BUY", 505_001, 10_000, [Reason.PRICE_MOVED]),
        ("BUY", 400_000, 10_000, []),
        ("SELL", 495_000, 10_000, []),
        ("SELL", 494_999, 10_000, [Reason.PRICE_MOVED]),
        ("SELL", 600_000, 10_000, []),
    ],
)
def test_a_relative_move_against_us(
    side: str, best: int, limit: int, expected: list[Reason]
) -> None:
    rules = replace(RULES, price_move_max=limit)
    assert guardrails.price_reasons(side, best, best, 500_000, rules) == expected  # type: ignore[arg-type]


def test_an_order_below_the_venues_minimum_size_never_rests() -> None:
    _, order = decide(replace(BUY, market=market(order_shares_min=19_600_000)))
    _, small = decide(replace(BUY, market=market(order_shares_min=19_600_001)))
    assert order is not None
    assert small is not None
    assert (order.shares, order.ttl_ms, small.ttl_ms) == (19_600_000, 30_000, 0)
    assert order.ts_expiry == order.ts_placed + 30_000


def test_a_decision_names_the_part_of_the_tape_it_rests_on() -> None:
    assert decide(replace(BUY, segment="s"))[0].segment == "s"
    assert decide(replace(BUY, segment="s", book=None))[0].segment == ""


def test_unhealthy_sources_never_stop_a_sell() -> None:
    decision, order = decide(replace(SELL, health=BLOCKED))
    assert order is not None
    assert decision.verdict == "EXECUTE"
    assert decision.health == BLOCKED


def test_healthy_sources_are_kept_with_the_decision() -> None:
    well = SourceHealth("up", "down", degraded=True, detail="the Data API is down")
    decision, order = decide(replace(BUY, health=well))
    assert order is not None
    assert decision.health == well


def test_what_was_taken_back_is_not_copied() -> None:
    half = replace(BUY, group=retract(group(), 1_000 * U, 500 * U))
    decision, order = decide(half)
    assert order is not None
    assert (decision.leader_shares, decision.leader_cash) == (1_000 * U, 500 * U)
    assert decision.leader_price == 500_000
    assert order.shares == 9_800_000
    small = replace(BUY, group=retract(group(), 1_999 * U, 999 * U + 1))
    assert decide(small)[0].reasons == (Reason.LEADER_TRADE_TOO_SMALL,)


def test_a_seller_whose_sale_was_partly_taken_back_is_not_out() -> None:
    out = group(side="SELL", kept=0)
    whole, part = replace(SELL, group=out), replace(SELL, group=retract(out, 500 * U, 250 * U))
    assert decide(whole)[0].target_shares == 30 * U
    decision, _ = decide(part)
    assert decision.target_shares == 22_500_000
    assert decision.leader_reduction == KEPT_SCALE * 3 // 4


@pytest.mark.parametrize(
    ("changes", "confirmed"),
    [
        ({}, False),
        ({"confirm_ms": 3_000}, True),
        ({"confirm_ms": 3_000, "awaits": ("t",)}, False),
    ],
)
def test_a_decision_says_whether_it_was_confirmed(
    changes: dict[str, object], confirmed: bool
) -> None:
    assert decide(replace(BUY, group=group(**changes)))[0].confirmed is confirmed


def test_free_cash_may_be_exactly_the_reservation() -> None:
    _, order = decide(BUY)
    assert order is not None
    needed = reservation(order, market().fee)
    assert decide(replace(BUY, free_cash=needed))[1] == order
    assert decide(replace(BUY, free_cash=needed - 1))[0].reasons == (Reason.INSUFFICIENT_CASH,)


def test_several_reasons_are_named_together() -> None:
    wide = replace(BUY, book=book([(40, 9)], [(55, 1)]), free_cash=0)
    assert set(decide(wide)[0].reasons) == {
        Reason.WORSE_THAN_LEADER,
        Reason.BEYOND_MID,
        Reason.SPREAD_TOO_WIDE,
        Reason.INSUFFICIENT_CASH,
    }


def test_money_reasons_are_named_with_those_of_the_book() -> None:
    wide = replace(BUY, book=book([(40, 9)], [(50, 1)]), free_cash=0, spending=SPENT, exposure=NEAR)
    rules = replace(RULES, order_cash_max=9 * U, buy_mid_guard=100_000)
    assert set(decide(replace(wide, rules=rules))[0].reasons) == {
        Reason.SPREAD_TOO_WIDE,
        Reason.DEPTH_TOO_THIN,
        Reason.INSUFFICIENT_CASH,
        Reason.ORDER_CAP,
        Reason.DAILY_CAP,
        Reason.HOURLY_CAP,
        *(reason for reason in Reason if reason.startswith("RISK_CAP")),
    }


def test_reasons_about_the_leaders_trade_are_named_together() -> None:
    rules = replace(RULES, leader_percentile_min=1, skip_maker=True)
    small = replace(BUY, rules=rules, group=group(rank=0, cash=U - 1))
    assert decide(small)[0].reasons == (
        Reason.LEADER_TRADE_TOO_SMALL,
        Reason.LEADER_TRADE_BELOW_PERCENTILE,
        Reason.MAKER_LEADER,
    )


def test_a_pause_comes_before_everything_and_breakers_before_the_rest() -> None:
    worst = replace(BUY, paused=True, tripped=BREAKERS, backfill=True, book=None, market=None)
    assert decide(worst)[0].reasons == (Reason.PAUSED,)
    assert decide(replace(worst, paused=False))[0].reasons == BREAKERS
    assert decide(replace(worst, paused=False, tripped=()))[0].reasons == (Reason.SKIP_BACKFILL,)


def test_nothing_that_limits_openings_stops_a_reduction() -> None:
    rules = replace(
        RULES,
        copying=False,
        skip_maker=True,
        leader_percentile_min=U,
        leader_notional_min=10**12,
        order_cash_max=0,
        daily_cash_max=0,
        hourly_fills_max=0,
        sizing="leader_equity",
    )
    shut = replace(
        SELL, rules=rules, tripped=BREAKERS, exposure=NEAR, spending=SPENT, sell_only=True
    )
    decision, order = decide(shut)
    assert decision.verdict == "EXECUTE"
    assert order is not None
    assert order.shares == 15 * U


def test_a_sell_takes_an_old_book_for_want_of_a_better_one_but_none_of_later() -> None:
    old = replace(SELL, book=book([(49, 99)], [(50, 9)], NOW_MS - 60_000))
    assert decide(old)[0].verdict == "EXECUTE"
    later = replace(SELL, book=book([(49, 99)], [(50, 9)], NOW_MS + 60_000))
    assert decide(later)[0].reasons == (Reason.BOOK_TOO_LATE,)


def test_a_sell_by_notional_sells_a_part_of_his_shares() -> None:
    by_notional = replace(SELL, rules=replace(RULES, sell_sizing="notional"))
    assert decide(by_notional)[0].target_shares == 20 * U
    assert decide(replace(by_notional, held=19 * U))[0].target_shares == 19 * U
    out = replace(by_notional, group=group(side="SELL", kept=0), held=70 * U)
    assert decide(out)[0].target_shares == 70 * U


def test_an_order_always_has_shares() -> None:
    nothing = replace(RULES, buy_cash_min=0, marketable_cash_min=0, copy_fraction=0, dust_shares=0)
    assert decide(replace(BUY, rules=nothing))[0].reasons == (Reason.BELOW_MARKETABLE_MINIMUM,)
    still = group(side="SELL", kept=KEPT_SCALE)
    assert decide(replace(SELL, rules=nothing, group=still))[0].reasons == (Reason.DUST,)


def test_what_sized_and_judged_a_buy_stands_on_its_decision() -> None:
    rules = replace(RULES, sizing="leader_equity", maker_ratio=500_000)
    inputs = replace(
        BUY,
        rules=rules,
        group=group(rank=900_000),
        leader_equity=40_000 * U,
        exposure=Exposure(total=7, open_positions=1),
        spending=Spending(NOW_MS // DAY_MS, 30 * U, NOW_MS // HOUR_MS - 1, 9),
        ts_marks=NOW_MS - 7,
    )
    decision, order = decide(inputs)
    assert order is not None
    assert decision.size == sizing.Size(125 * U, 75 * U, 75 * U)
    assert (decision.leader_role, decision.leader_rank) == ("maker", 900_000)
    assert (decision.leader_equity, decision.ts_marks) == (40_000 * U, NOW_MS - 7)
    assert decision.exposure == inputs.exposure
    current = Spending(NOW_MS // DAY_MS, 30 * U, NOW_MS // HOUR_MS, 0)
    assert decision.spending == order.spent == current
    assert decide(SELL)[0].spending is None


def test_caps_count_from_one_to_the_very_bound() -> None:
    _, order = decide(BUY)
    assert order is not None
    day, hour = NOW_MS // DAY_MS, NOW_MS // HOUR_MS
    room = 5_000 * U - order.cash
    assert decide(replace(BUY, spending=Spending(day, room, hour, 199)))[1] is not None
    assert decide(replace(BUY, spending=Spending(day, room + 1, hour, 199)))[0].reasons == (
        Reason.DAILY_CAP,
    )
    assert decide(replace(BUY, spending=Spending(day, room, hour, 200)))[0].reasons == (
        Reason.HOURLY_CAP,
    )
    earlier = Spending(day - 1, 10**12, hour - 24, 10**6)
    assert decide(replace(BUY, spending=earlier))[1] is not None
    bound = replace(RULES, order_cash_max=order.cash)
    assert decide(replace(BUY, rules=bound))[1] is not None
    below = replace(RULES, order_cash_max=order.cash - 1)
    assert decide(replace(BUY, rules=below))[0].reasons == (Reason.ORDER_CAP,)


def test_sells_are_always_attempted_unless_told_otherwise() -> None:
    bad = replace(SELL, book=book([(20, 1_000)], [(50, 1_000)]))
    assert decide(bad)[0].verdict == "EXECUTE"
    strict = replace(bad, rules=replace(RULES, sell_always_attempt=False))
    assert set(decide(strict)[0].reasons) == {
        Reason.WORSE_THAN_LEADER,
        Reason.BEYOND_MID,
        Reason.SPREAD_TOO_WIDE,
    }


def test_the_price_of_a_late_sell_decides_nothing() -> None:
    assert decide(replace(SELL, group=group(side="SELL", kept=0, ts_block=1)))[0].verdict == (
        "EXECUTE"
    )


LEVELS = st.lists(st.tuples(st.integers(1, 9_999), st.integers(1, 10**10)), max_size=4)


AMOUNTS = st.integers(0, 10**11)
FRACTIONS = st.integers(0, MICROS)
RARELY = st.integers(0, 19).map(lambda n: n == 7)


def mostly(usual: object, others: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    """The usual value nine times in ten: with every figure at random there is never an order."""
    return st.integers(0, 9).flatmap(lambda n: others if n == 7 else st.just(usual))


ANY_RULES = st.builds(
    CopyRules,
    copying=RARELY.map(lambda rare: not rare),
    sizing=st.sampled_from(("percent_of_notional", "fixed_notional", "leader_equity")),
    copy_fraction=mostly(10_000, FRACTIONS),
    fixed_cash=AMOUNTS,
    leader_percentile_min=mostly(0, FRACTIONS),
    maker_ratio=st.integers(1, 10 * MICROS),
    skip_maker=RARELY,
    sell_sizing=st.sampled_from(("proportional", "notional")),
    buy_cash_min=mostly(0, AMOUNTS),
    buy_cash_max=AMOUNTS,
    buy_equity_fraction_max=FRACTIONS,
    leader_notional_min=mostly(0, AMOUNTS),
    dust_shares=mostly(0, st.integers(0, 100 * MICROS)),
    sell_always_attempt=st.booleans(),
    buy_depth_multiple=mostly(0, st.integers(0, 2 * MICROS)),
    buy_leader_guard=mostly(100_000, FRACTIONS),
    buy_mid_guard=mostly(200_000, FRACTIONS),
    buy_spread_max=mostly(MICROS, FRACTIONS),
    price_move_max=mostly(0, FRACTIONS),
    price_band_min=mostly(0, FRACTIONS),
    price_band_max=mostly(MICROS, FRACTIONS),
    marketable_cash_min=mostly(0, AMOUNTS),
    order_cash_max=st.integers(0, HARD_CAPS.order_cash),
    daily_cash_max=st.integers(0, HARD_CAPS.daily_cash),
    hourly_fills_max=mostly(200, st.integers(0, 300)),
    exposure_fraction_max=mostly(MICROS, FRACTIONS),
    refused=RARELY.map(lambda rare: "settings global: x" if rare else ""),
)
ANY_SPENDING = st.builds(
    Spending,
    day=st.integers(-1, 1).map(lambda n: NOW_MS // DAY_MS + n),
    cash=st.integers(0, 10**10),
    hour=st.integers(-1, 1).map(lambda n: NOW_MS // HOUR_MS + n),
    fills=mostly(0, st.integers(0, 300)),
)
ANY_EXPOSURE = st.builds(
    Exposure, *[mostly(0, AMOUNTS)] * 5, st.integers(0, 120), st.booleans(), st.booleans()
)


@st.composite
def any_group(draw: st.DrawFn, price: int) -> Group:
    """Of any kind, mostly at about `price`."""
    shares = draw(st.integers(10**8, 10**12) | st.integers(1, 10**12))
    near = shares * max(0, min(MICROS, price + draw(st.integers(-20_000, 20_000)))) // MICROS
    of = group(
        side=draw(st.sampled_from(("BUY", "BUY", "SELL"))),
        shares=shares,
        cash=draw(mostly(near, st.integers(0, shares))),
        kept=draw(st.integers(0, KEPT_SCALE)),
        ts_block=NOW_MS - draw(mostly(5_000, st.integers(-1_000, 400_000))),
        role=draw(st.sampled_from(("maker", "taker", None))),
        rank=draw(st.none() | FRACTIONS),
    )
    if draw(RARELY):
        of = retract(of, draw(st.integers(0, shares)), draw(st.integers(0, shares)))
    return of


@st.composite
def any_inputs(draw: st.DrawFn) -> Inputs:
    """Half of them under the default rules."""
    split = draw(st.integers(300, 9_700))
    levels = dict(draw(LEVELS))
    if not draw(RARELY):
        levels |= {split: 10**10, split - draw(st.integers(1, 200)): 10**10}
    bids = sorted(
        (Level(p * 100, n) for p, n in levels.items() if p < split), key=lambda x: -x.price
    )
    asks = sorted(
        (Level(p * 100, n) for p, n in levels.items() if p >= split), key=lambda x: x.price
    )
    full = Book(YES, tuple(bids), tuple(asks), NOW_MS, NOW_MS, venue_hash="h")
    return Inputs(
        attempt_id=ATTEMPT,
        group=draw(any_group(split * 100)),
        rules=RULES if draw(st.booleans()) else draw(ANY_RULES),
        equity=draw(st.integers(10**9, 10**12) | st.integers(-(10**9), 10**12)),
        free_cash=draw(mostly(10**11, st.integers(-(10**9), 10**11))),
        held=draw(st.integers(0, 10**10)),
        exit_debt=draw(st.integers(0, 10**10)),
        market=None if draw(RARELY) else market(tick=draw(st.sampled_from((100, 10_000)))),
        book=None if draw(RARELY) else full,
        backfill=draw(RARELY),
        sell_only=draw(RARELY),
        paused=draw(RARELY),
        tripped=BREAKERS if draw(RARELY) else (),
        exposure=draw(st.none() | ANY_EXPOSURE),
        spending=draw(st.just(UNSPENT) | ANY_SPENDING),
        leader_equity=draw(mostly(10**12, st.none() | st.integers(-(10**9), 10**15))),
    )


@settings(max_examples=400, deadline=None)
@given(any_inputs())
def test_an_order_exactly_when_no_reason_and_always_within_bounds(inputs: Inputs) -> None:
    decision, order = decide(inputs)
    assert decide(inputs) == (decision, order), "same inputs, same decision"
    assert (order is None) == (decision.verdict == "SKIP") == bool(decision.reasons)
    assert len(set(decision.reasons)) == len(decision.reasons)
    if order is None:
        return
    rules = inputs.rules
    assert inputs.market is not None
    assert inputs.book is not None
    assert not inputs.paused
    assert not rules.refused
    assert order.shares > 0
    assert order.limit % inputs.market.tick == 0
    assert refused(order) is None, "what a decision lets pass, no executor refuses"
    if order.side == "BUY":
        assert not inputs.sell_only
        assert not inputs.tripped
        assert rules.copying
        worth = max(inputs.equity, 0) * rules.buy_equity_fraction_max
        assert order.cash <= min(rules.buy_cash_max, worth // MICROS, rules.order_cash_max)
        spent = inputs.spending.at(NOW_MS)
        assert spent.cash + order.cash <= rules.daily_cash_max
        assert spent.fills < rules.hourly_fills_max
        held_back = reservation(order, inputs.market.fee)
        assert held_back <= inputs.free_cash
        if inputs.exposure:
            most = max(inputs.equity, 0) * rules.exposure_fraction_max // MICROS
            assert inputs.exposure.total + held_back <= most
        wanted = order.shares * rules.buy_depth_multiple
        assert depth(inputs.book, "BUY", order.limit) * MICROS >= wanted
        assert inputs.book.best_ask is not None
        assert inputs.book.best_ask <= order.limit
    else:
        assert order.shares <= inputs.held


# --- latency


def test_jitter_depends_on_the_attempt_only() -> None:
    assert jitter_ms("0" * 64, 250) == 0
    assert jitter_ms("f" * 64, 0) == 0
    assert {jitter_ms(hash_of(i)[2:], 3) for i in range(99)} == {0, 1, 2, 3}
    assert placed_at(NOW_MS, "0" * 64, RULES, 3_000) == NOW_MS + 3_750
    assert settle_ms(RULES, 3_000) == 6_000
    assert all(
        placed_at(NOW_MS, hash_of(i)[2:], RULES, 9) <= NOW_MS - 2_000 + settle_ms(RULES, 9)
        for i in range(99)
    )
