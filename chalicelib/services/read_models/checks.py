"""What a decision looked at, figure beside bound, so that a person can follow it.

Nothing is decided again: whether a check held is read off the decision's reasons, and a bound is
shown only while the settings in force are those of the decision.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from chalicelib.domain.lane import Attempt
from chalicelib.domain.money import MICROS, cash_floor
from chalicelib.domain.paper_order import Order, reservation
from chalicelib.domain.reasons import Reason
from chalicelib.domain.rules import CopyRules

Unit = Literal["cash", "shares", "price", "time_ms", "count", "fraction", "none"]
Bounds = tuple[int | None, int | None]
"""At least, at most; None where that side is open."""

_HALTED = (
    Reason.PAUSED,
    Reason.BREAKER_DAILY_LOSS,
    Reason.BREAKER_WEEKLY_LOSS,
    Reason.BREAKER_DRAWDOWN,
)
_FOREIGN = (
    Reason.SKIP_BACKFILL,
    Reason.COMBO_NOT_COPYABLE,
    Reason.LEADER_FILL_RETRACTED,
    Reason.SETTINGS_REFUSED,
    Reason.LEADER_DENIED,
    Reason.LEADER_SELL_ONLY,
)
_TRADE = (
    Reason.LEADER_TRADE_TOO_SMALL,
    Reason.LEADER_TRADE_BELOW_PERCENTILE,
    Reason.MAKER_LEADER,
)
_RISK = (
    Reason.RISK_CAP_TOTAL,
    Reason.RISK_CAP_MARKET,
    Reason.RISK_CAP_EVENT,
    Reason.RISK_CAP_CATEGORY,
    Reason.RISK_CAP_LEADER,
    Reason.RISK_CAP_POSITIONS,
)
_MARKET = (
    Reason.UNKNOWN_TOKEN,
    Reason.MARKET_CLOSED,
    Reason.MARKET_CLOSES_SOON,
    Reason.MARKET_BLACKLISTED,
    Reason.NOT_WHITELISTED,
)
_BOOK = (Reason.BOOK_MISSING, Reason.BOOK_STALE, Reason.BOOK_TOO_LATE)
_HEALTH = (Reason.POLYGON_UNHEALTHY, Reason.API_UNHEALTHY)
_ENDS_IT = (
    *_HALTED,
    *_FOREIGN,
    *_HEALTH,
    Reason.NO_POSITION,
    *_TRADE,
    *_MARKET,
    *_BOOK,
)
"""Checks in the order in which the first that fails ends the decision, with those beside it."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at. `reasons` are those it can fail with."""

    name: str
    unit: Unit
    found: int | None
    bounds: Bounds
    reasons: tuple[Reason, ...]
    judged: bool = True


def checks_of(attempt: Attempt, rules: CopyRules | None) -> list[dict[str, object]]:
    """Every check of the attempt's decision, in the order in which they are made.

    `state` is passed, failed, or not_reached where an earlier check ended the decision. Without
    `rules` no bounds are told.
    """
    failed = set(attempt.decision.reasons)
    first_end = next((r for r in _ENDS_IT if r in failed), None)
    ended = False
    rows: list[dict[str, object]] = []
    for check in _checks(attempt, rules):
        hit = [r for r in check.reasons if r in failed]
        state = "failed" if hit else "not_reached" if ended or not check.judged else "passed"
        at_least, at_most = check.bounds if rules else (None, None)
        rows.append(
            {
                "check": check.name,
                "state": state,
                "unit": check.unit,
                "found": check.found,
                "at_least": at_least,
                "at_most": at_most,
                "reasons": [r.value for r in hit],
            }
        )
        ended = ended or (first_end is not None and first_end in hit)
    return rows


def _checks(attempt: Attempt, told: CopyRules | None) -> Iterator[Check]:
    decision, rules = attempt.decision, told or CopyRules()
    if set(_HALTED) & set(decision.reasons):
        yield Check("running", "none", None, (None, None), _HALTED)
    yield Check("eligible", "none", None, (None, None), _FOREIGN)
    if attempt.side == "BUY":
        yield Check("health", "none", None, (None, None), _HEALTH)
        cash = decision.leader_cash
        small = (Reason.LEADER_TRADE_TOO_SMALL,)
        yield Check("leader_notional", "cash", cash, (rules.leader_notional_min, None), small)
        yield from _kind_of_trade(attempt, rules)
    else:
        yield Check("position", "shares", decision.held, (1, None), (Reason.NO_POSITION,))
    yield Check("market", "none", None, (None, None), _MARKET)
    age = None if decision.ts_book is None else max(0, decision.ts_decided - decision.ts_book)
    yield Check("book_age", "time_ms", age, (None, rules.book_age_ms_max), _BOOK)
    yield from _buy(attempt, rules, told) if attempt.side == "BUY" else _sell(attempt, rules)


def _kind_of_trade(attempt: Attempt, rules: CopyRules) -> Iterator[Check]:
    """The filters that are off by default; shown where they are on or were when it was decided."""
    decision = attempt.decision
    low, maker = (Reason.LEADER_TRADE_BELOW_PERCENTILE,), (Reason.MAKER_LEADER,)
    if rules.leader_percentile_min or low[0] in decision.reasons:
        bounds = (rules.leader_percentile_min, None)
        yield Check("leader_rank", "fraction", decision.leader_rank, bounds, low)
    if rules.skip_maker or maker[0] in decision.reasons:
        yield Check("leader_role", "none", None, (None, None), maker)


def _buy(attempt: Attempt, rules: CopyRules, told: CopyRules | None) -> Iterator[Check]:
    decision = attempt.decision
    priced = decision.limit is not None
    share = decision.equity * rules.buy_equity_fraction_max // MICROS
    largest = min(rules.buy_cash_max, max(share, 0)) if told else None
    if decision.size:
        largest = decision.size.largest
    small = (Reason.BELOW_MINIMUM, Reason.LEADER_EQUITY_UNKNOWN)
    yield Check("size", "cash", largest, (rules.buy_cash_min, None), small, judged=priced)
    better = Reason.CATCH_UP_NOT_BETTER
    late = decision.age_ms > rules.live_age_ms_max and rules.catch_up_require_better
    worst = decision.leader_price * (10_000 + rules.catch_up_worse_bps_max) // 10_000
    yield Check(
        "age",
        "time_ms",
        decision.age_ms,
        (None, rules.catch_up_age_ms_max),
        (Reason.TOO_OLD,),
        judged=priced,
    )
    if better in decision.reasons or (told and late):
        judged = priced and Reason.TOO_OLD not in decision.reasons
        yield Check(
            "catch_up_price", "price", decision.best, (None, worst), (better,), judged=judged
        )
    yield from _prices(attempt, rules, priced)
    at_hand = not {Reason.WORSE_THAN_LEADER, Reason.BEYOND_MID} & set(decision.reasons)
    wanted = _scaled(decision.target_shares, rules.buy_depth_multiple)
    yield Check(
        "depth",
        "shares",
        decision.depth_shares,
        (wanted, None),
        (Reason.DEPTH_TOO_THIN,),
        judged=priced and at_hand,
    )
    yield _venue_minimum(attempt, rules, decision.limit)
    yield Check(
        "free_cash",
        "cash",
        decision.free_cash,
        (_reserved(attempt), None),
        (Reason.INSUFFICIENT_CASH,),
        judged=priced,
    )
    yield from _caps(attempt, rules, priced)


def _caps(attempt: Attempt, rules: CopyRules, judged: bool) -> Iterator[Check]:
    """What one order, one day and one hour may hold; the limits of risk as one line."""
    decision = attempt.decision
    shares, limit, spent = decision.target_shares, decision.limit, decision.spending
    cash = None if shares is None or limit is None else -(-shares * limit // MICROS)
    today = None if cash is None or spent is None else spent.cash + cash
    fills = None if spent is None else spent.fills + 1
    most = (None, rules.order_cash_max)
    yield Check("order_cap", "cash", cash, most, (Reason.ORDER_CAP,), judged)
    most = (None, rules.daily_cash_max)
    yield Check("daily_cap", "cash", today, most, (Reason.DAILY_CAP,), judged)
    most = (None, rules.hourly_fills_max)
    yield Check("hourly_cap", "count", fills, most, (Reason.HOURLY_CAP,), judged)
    if decision.exposure or set(_RISK) & set(decision.reasons):
        yield Check("risk", "none", None, (None, None), _RISK, judged)


def _sell(attempt: Attempt, rules: CopyRules) -> Iterator[Check]:
    decision = attempt.decision
    priced = decision.limit is not None
    dust = (Reason.DUST,)
    yield Check(
        "size", "shares", decision.target_shares, (rules.dust_shares, None), dust, judged=priced
    )
    whole = priced and Reason.DUST not in decision.reasons
    yield _venue_minimum(attempt, rules, decision.best if whole else None)
    guarded = {
        Reason.WORSE_THAN_LEADER,
        Reason.BEYOND_MID,
        Reason.PRICE_MOVED,
        Reason.SPREAD_TOO_WIDE,
    }
    if not rules.sell_always_attempt or guarded & set(decision.reasons):
        yield from _prices(attempt, rules, whole)


def _prices(attempt: Attempt, rules: CopyRules, judged: bool) -> Iterator[Check]:
    decision, best, price = attempt.decision, attempt.decision.best, attempt.decision.leader_price
    buy = attempt.side == "BUY"
    if buy:
        band: Bounds = (rules.price_band_min, rules.price_band_max)
        yield Check("price_band", "price", best, band, (Reason.OUTSIDE_PRICE_BAND,), judged)
    guard = rules.buy_leader_guard if buy else rules.sell_leader_guard
    bounds: Bounds = (None, price + guard) if buy else (price - guard, None)
    yield Check("leader_price", "price", best, bounds, (Reason.WORSE_THAN_LEADER,), judged)
    mid = decision.mid if decision.mid is not None else best
    guard = rules.buy_mid_guard if buy else rules.sell_mid_guard
    bounds = (None, None)
    if mid is not None:
        bounds = (None, mid + guard) if buy else (mid - guard, None)
    yield Check("mid_price", "price", best, bounds, (Reason.BEYOND_MID,), judged)
    if rules.price_move_max or Reason.PRICE_MOVED in decision.reasons:
        moved = price * rules.price_move_max // MICROS
        bounds = (None, price + moved) if buy else (price - moved, None)
        yield Check("price_move", "price", best, bounds, (Reason.PRICE_MOVED,), judged)
    widest = rules.buy_spread_max if buy else rules.sell_spread_max
    wide = (Reason.SPREAD_TOO_WIDE,)
    yield Check("spread", "price", decision.spread, (None, widest), wide, judged)


def _venue_minimum(attempt: Attempt, rules: CopyRules, price: int | None) -> Check:
    shares = attempt.decision.target_shares
    cash = None if shares is None or price is None else cash_floor(shares, price)
    below = (Reason.BELOW_MARKETABLE_MINIMUM,)
    bounds = (rules.marketable_cash_min, None)
    return Check("venue_minimum", "cash", cash, bounds, below, judged=cash is not None)


def _scaled(shares: int | None, multiple: int) -> int | None:
    return None if shares is None else -(-shares * multiple // MICROS)


def _reserved(attempt: Attempt) -> int | None:
    """What the order would hold back, also where it was never placed."""
    shares, limit = attempt.decision.target_shares, attempt.decision.limit
    if shares is None or limit is None:
        return None
    order = Order(attempt.token_id, attempt.side, shares, limit, 0, 0)
    return reservation(order, attempt.fee_schedule)
