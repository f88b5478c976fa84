"""Limits and checks that a copy must pass, each a pure function with its reason codes."""

from __future__ import annotations

from chalicelib.domain.exchange_log import Side
from chalicelib.domain.group import Group
from chalicelib.domain.life_cycle import opening_refused
from chalicelib.domain.market import Market
from chalicelib.domain.market_lists import MarketLists, listed
from chalicelib.domain.money import MICROS, ceil_to, floor_to
from chalicelib.domain.orderbook import Book, depth
from chalicelib.domain.reasons import Reason
from chalicelib.domain.rules import CopyRules


def limit_price(side: Side, leader_price: int, mid: int | None, tick: int, rules: CopyRules) -> int:
    """The worst price we accept, on the tick grid and never beyond a guard, in [tick, 1 − tick].

    BUY: min(leader + guard, mid + guard) rounded down; SELL: max(leader − guard, mid − guard)
    rounded up. Without a midpoint (a one-sided book) the leader's price alone guards.
    """
    mid = leader_price if mid is None else mid
    if side == "BUY":
        bound = min(leader_price + rules.buy_leader_guard, mid + rules.buy_mid_guard)
        rounded = floor_to(bound, tick)
    else:
        bound = max(leader_price - rules.sell_leader_guard, mid - rules.sell_mid_guard)
        rounded = ceil_to(bound, tick)
    return max(tick, min(rounded, MICROS - tick))


def trade_reasons(group: Group, rules: CopyRules) -> list[Reason]:
    """Whether a BUY of the leader is of the kind that is copied.

    His notional counts before any bound of ours. A group that cannot be ranked passes the filter.
    """
    reasons = []
    if group.net_cash < rules.leader_notional_min:
        reasons.append(Reason.LEADER_TRADE_TOO_SMALL)
    if group.rank is not None and group.rank < rules.leader_percentile_min:
        reasons.append(Reason.LEADER_TRADE_BELOW_PERCENTILE)
    if rules.skip_maker and group.role == "maker":
        reasons.append(Reason.MAKER_LEADER)
    return reasons


def market_reasons(
    market: Market | None,
    side: Side,
    ts_decided: int,
    rules: CopyRules,
    lists: MarketLists | None = None,
) -> list[Reason]:
    """Known at all; for a BUY also in the right part of its life, and not ruled out by a list."""
    if market is None:
        return [Reason.UNKNOWN_TOKEN]
    if side == "SELL":
        return []
    refused = opening_refused(market, ts_decided, rules.close_guard_ms)
    if refused is None and lists is not None:
        refused = listed(market, lists)
    return [refused] if refused else []


def book_reasons(book: Book | None, side: Side, ts: int, rules: CopyRules) -> list[Reason]:
    """Whether there is a book to decide on, and whether it tells of the moment `ts`.

    A SELL needs bids only; a BUY needs both sides, because its guards look at the midpoint. A SELL
    that is always attempted takes an old book for want of a better one; one of later is none.
    """
    if book is None or not book.takes(side) or (side == "BUY" and book.mid is None):
        return [Reason.BOOK_MISSING]
    is_forced = side == "SELL" and rules.sell_always_attempt
    if ts - book.ts_received > rules.book_age_ms_max and not is_forced:
        return [Reason.BOOK_STALE]
    if book.ts_received - ts > rules.book_late_ms_max:
        return [Reason.BOOK_TOO_LATE]
    return []


def age_reasons(age_ms: int, best_ask: int, leader_price: int, rules: CopyRules) -> list[Reason]:
    """A BUY detected late must be young enough, and, by default, not worse than the leader's."""
    if age_ms <= rules.live_age_ms_max:
        return []
    if age_ms > rules.catch_up_age_ms_max:
        return [Reason.TOO_OLD]
    worst = leader_price * (10_000 + rules.catch_up_worse_bps_max) // 10_000
    if rules.catch_up_require_better and best_ask > worst:
        return [Reason.CATCH_UP_NOT_BETTER]
    return []


def price_reasons(
    side: Side, best: int, mid: int | None, leader_price: int, rules: CopyRules
) -> list[Reason]:
    """Distance of the best price from the leader's and from the midpoint, and the price band.

    `price_move_max`, where it is set, bounds the move against us relative to the leader's price.
    """
    mid = best if mid is None else mid
    reasons = []
    if side == "BUY":
        if not rules.price_band_min <= best <= rules.price_band_max:
            reasons.append(Reason.OUTSIDE_PRICE_BAND)
        if best > leader_price + rules.buy_leader_guard:
            reasons.append(Reason.WORSE_THAN_LEADER)
        if best > mid + rules.buy_mid_guard:
            reasons.append(Reason.BEYOND_MID)
        moved = best - leader_price
    else:
        if best < leader_price - rules.sell_leader_guard:
            reasons.append(Reason.WORSE_THAN_LEADER)
        if best < mid - rules.sell_mid_guard:
            reasons.append(Reason.BEYOND_MID)
        moved = leader_price - best
    if rules.price_move_max and moved * MICROS > leader_price * rules.price_move_max:
        reasons.append(Reason.PRICE_MOVED)
    return reasons


def spread_reasons(side: Side, spread: int | None, rules: CopyRules) -> list[Reason]:
    """Whether the spread is within the side's bound; a one-sided book has none, which is wide."""
    widest = rules.buy_spread_max if side == "BUY" else rules.sell_spread_max
    return [Reason.SPREAD_TOO_WIDE] if spread is None or spread > widest else []


def depth_reasons(
    book: Book, side: Side, shares: int, limit: int, rules: CopyRules
) -> list[Reason]:
    """A BUY wants a multiple of its shares inside the limit; a SELL has no such bound."""
    if side == "SELL":
        return []
    wanted = shares * rules.buy_depth_multiple
    return [Reason.DEPTH_TOO_THIN] if depth(book, side, limit) * MICROS < wanted else []
