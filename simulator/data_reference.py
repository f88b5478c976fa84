"""Data API v2: service status, resolutions and token descriptions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from simulator import feed_query as fq
from simulator.feed_rows import iso_time
from simulator.markets import Market
from simulator.venue import Venue

Answer = dict[str, Any]
Query = dict[str, str]


class Reference:
    """Answers of `/v2/status`, `/v2/resolutions` and `/v2/tokens`."""

    def __init__(self, venue: Venue) -> None:
        self.venue = venue

    def status(self, _query: Query) -> Answer:
        """Freshness: the feed's lag grows with the late_rows_ms fault."""
        head, now = self.venue.head, self.venue.now
        feed_age = (now - head.ts + 2_500 + self.venue.faults.late_rows_ms) // 1_000
        mechanisms: list[Answer] = [
            {"name": "activity_feed", "age_seconds": feed_age},
            {"name": "custody_balances", "age_seconds": 0, "blocks_behind": 2},
            {"name": "pnl", "age_seconds": 1, "blocks_behind": 1},
        ]
        stream = {"source": "ctf_exchange_v2_order_filled", "block": head.number, "behind_max": 0}
        return {
            "data": {
                "computed_at": iso_time(now),
                "age_seconds": 1,
                "serving": {
                    "lag_seconds": max(m["age_seconds"] for m in mechanisms),
                    "worst": "activity_feed",
                    "mechanisms": mechanisms,
                },
                "ingestion": {
                    "cursors": 148,
                    "network": "polygon",
                    "chain_id": 137,
                    "max_synced_block": head.number,
                    "min_synced_block": head.number,
                    "most_lagged": stream,
                    "lagging": [stream],
                },
            }
        }

    def resolutions(self, query: Query) -> Answer:
        given = [
            n for n in ("question_id", "condition", "condition_id", "event_id") if query.get(n)
        ]
        if len(given) != 1:
            raise fq.invalid("condition", "exactly one of question_id, condition, event_id")
        listed = self.venue.world.listed.all
        wanted = {value.strip().lower() for value in query[given[0]].split(",")}
        if given[0].startswith("condition") and any(len(value) != 66 for value in wanted):
            raise fq.invalid("condition", "malformed condition id: expected 32 bytes")
        attribute: Callable[[Market], str] = {
            "question_id": lambda market: market.question_id,
            "event_id": lambda market: market.event.id,
        }.get(given[0], lambda market: market.condition_id)
        return {"data": [_resolution(market) for market in listed if attribute(market) in wanted]}

    def tokens(self, query: Query) -> Answer:
        listed = self.venue.world.listed
        wanted = {value for value in query.get("token_id", "").split(",") if value}
        conditions = query.get("condition") or query.get("condition_id")
        if bool(wanted) == bool(conditions):
            raise fq.invalid("token_id", "exactly one of token_id, condition is required")
        if len(wanted) > 50:
            raise fq.invalid("token_id", "at most 50 values are allowed in token_id")
        markets = fq.wanted_markets(query, listed) if conditions else None
        return {
            "data": [
                _token_row(market, index)
                for market in listed.all
                for index in (0, 1)
                if market.tokens[index].id in wanted
                or (markets is not None and market.index in markets)
            ]
        }


def _resolution(market: Market) -> Answer:
    """With payouts (micro-USDC per share) once resolved, else a bare lifecycle row."""
    ended = iso_time(market.end_ms)
    row: Answer = {
        "condition_id": market.condition_id,
        "status": "resolved" if market.closed else "active",
        "extended_review": False,
        "was_disputed": False,
        "new_version_q": False,
        "transaction_hash": "",
        "log_index": "",
        "last_update_timestamp": ended if market.closed else iso_time(market.created_ms),
    }
    if market.winner is not None:
        row |= {
            "payouts": [1_000_000 * (market.winner == index) for index in (0, 1)],
            "resolution_source": "reported",
            "was_arbitrated": False,
            "resolved_at": ended,
        }
    return row


def _token_row(market: Market, index: int) -> Answer:
    token, other = market.tokens[index], market.tokens[1 - index]
    resolved = market.winner is not None
    return {
        "token_id": token.id,
        "condition_id": market.condition_id,
        "structural_condition_id": market.feed_condition_id,
        "module": "binary" if market.version == "v2" else "v1_ctf",
        "outcome_index": index,
        "clob_index": index,
        "outcome": token.outcome,
        "opposite_token_id": other.id,
        "resolved": resolved,
        "final_price": float(market.winner == index) if resolved else None,
        "title": market.question,
        "market_slug": market.slug,
        "closed": market.closed,
        "neg_risk": market.neg_risk,
        "neg_risk_market_id": market.neg_risk_market_id,
        "question_index": 0,
        "event_id": market.event.id,
        "event_slug": market.event.slug,
    }
