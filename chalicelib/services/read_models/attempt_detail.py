"""Everything about one attempt: what was decided and why, what became of it, what might have."""

from __future__ import annotations

from collections.abc import Iterable

from chalicelib.domain.lane import Attempt
from chalicelib.domain.life_cycle import closing_time, life_cycle
from chalicelib.domain.market import Market
from chalicelib.domain.money import price_nearest
from chalicelib.domain.orderbook import Level
from chalicelib.domain.paper_order import Outcome, Slice
from chalicelib.domain.risk import Exposure, Spending
from chalicelib.domain.rules import CopyRules
from chalicelib.domain.sizing import Size
from chalicelib.domain.stress import DEPTHS_PERCENT, LATENCIES_MS
from chalicelib.services.read_models.checks import checks_of
from chalicelib.services.read_models.listing import Json, explained


def read_detail(
    attempt: Attempt, row: Json, market: Market | None, rules: CopyRules, now: int
) -> Json:
    """The listing's `row` with all that a listing has no room for."""
    same_rules = rules if rules.digest == attempt.decision.rules_digest else None
    return {
        "now": now,
        **row,
        "epoch": attempt.epoch,
        "reserved_micros": attempt.reserved,
        "retracted_shares_micros": attempt.retracted_shares,
        "ran_at": attempt.ran_at,
        "decided": _decided(attempt),
        "bounds_known": same_rules is not None,
        "checks": checks_of(attempt, same_rules),
        "order": _order(attempt),
        "execution": _execution(attempt.outcome) if attempt.outcome else None,
        "slippage": _slippage(attempt),
        "stress": _stress(attempt),
        "market": _market(market, rules, now) if market else None,
    }


def _decided(attempt: Attempt) -> Json:
    decision, health = attempt.decision, attempt.decision.health
    return {
        "reasons": explained(decision.reasons),
        "age_ms": decision.age_ms,
        "rules_digest": decision.rules_digest,
        "leader_cash_micros": decision.leader_cash,
        "leader_reduction": decision.leader_reduction,
        "equity_micros": decision.equity,
        "free_cash_micros": decision.free_cash,
        "held_micros": decision.held,
        "exit_debt_micros": decision.exit_debt,
        "depth_shares_micros": decision.depth_shares,
        "leader_role": decision.leader_role,
        "leader_rank": decision.leader_rank,
        "leader_equity_micros": decision.leader_equity,
        "ts_marks": decision.ts_marks or None,
        "size": _size(decision.size),
        "exposure": _exposure(decision.exposure),
        "spending": _spending(decision.spending),
        "ts_book": decision.ts_book,
        "book_hash": decision.book_hash,
        "segment": decision.segment or None,
        "confirmed": decision.confirmed,
        "health": {
            "chain": health.chain,
            "api": health.api,
            "degraded": health.degraded,
            "detail": health.detail,
        }
        if health
        else None,
    }


def _size(size: Size | None) -> Json | None:
    if size is None:
        return None
    return {
        "asked_micros": size.asked,
        "largest_micros": size.largest,
        "cash_micros": size.cash,
    }


def _exposure(exposure: Exposure | None) -> Json | None:
    if exposure is None:
        return None
    return {
        "total_micros": exposure.total,
        "market_micros": exposure.market,
        "event_micros": exposure.event,
        "category_micros": exposure.category,
        "leader_micros": exposure.leader,
        "open_positions": exposure.open_positions,
        "holds_token": exposure.holds_token,
    }


def _spending(spending: Spending | None) -> Json | None:
    if spending is None:
        return None
    return {"day_cash_micros": spending.cash, "hour_fills": spending.fills}


def _order(attempt: Attempt) -> Json | None:
    order = attempt.order
    if order is None:
        return None
    return {
        "shares_micros": order.shares,
        "limit_micros": order.limit,
        "ts_placed": order.ts_placed,
        "ts_expiry": order.ts_expiry,
        "ttl_ms": order.ttl_ms,
        "resting_fill": order.resting_fill,
    }


def _execution(outcome: Outcome) -> Json:
    return {
        "status": outcome.status,
        "reasons": explained(outcome.reasons),
        "rests": outcome.rests,
        "known_until": outcome.ts_done,
        "book_source": outcome.book_source,
        "book_hash": outcome.book_hash,
        "ts_book": outcome.ts_book,
        "best_micros": outcome.best,
        "mid_micros": outcome.mid,
        "ahead_shares_micros": outcome.ahead,
        "segments": list(outcome.segments),
        "slices": [_slice(number, part) for number, part in enumerate(outcome.slices)],
    }


def _slice(number: int, part: Slice) -> Json:
    return {
        "number": number,
        "ts": part.ts,
        "shares_micros": part.shares,
        "cash_micros": part.cash,
        "fee_micros": part.fee,
        "price_micros": price_nearest(part.cash, part.shares),
        "levels": _levels(part.levels),
    }


def _levels(levels: Iterable[Level]) -> list[Json]:
    return [{"price_micros": level.price, "shares_micros": level.shares} for level in levels]


def _slippage(attempt: Attempt) -> Json | None:
    fared = attempt.slippage
    if fared is None:
        return None
    return {
        "leader_micros": fared.leader,
        "mid_micros": fared.mid,
        "arrival_micros": fared.arrival,
    }


def _stress(attempt: Attempt) -> Json:
    return {
        "latencies_ms": list(LATENCIES_MS),
        "depths_percent": list(DEPTHS_PERCENT),
        "points": [
            {
                "latency_ms": point.latency_ms,
                "shares_micros": list(point.shares),
                "vwap_micros": list(point.vwap),
            }
            for point in attempt.stress
        ],
    }


def _market(market: Market, rules: CopyRules, now: int) -> Json:
    return {
        "condition_id": market.condition_id,
        "category": market.category,
        "life_cycle": life_cycle(market, now, rules.close_guard_ms),
        "closes_at": closing_time(market),
        "resolution": market.resolution.state,
        "tick_micros": market.tick,
        "order_shares_min_micros": market.order_shares_min,
        "delay_ms": market.delay_ms,
        "fee_rate_micros": market.fee.rate,
        "fee_exponent": market.fee.exponent,
        "neg_risk": market.neg_risk,
    }
