"""Data API v2: service status, resolutions and token descriptions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from simulator import feed_query as fq
from simulator.feed_rows import iso_time
from simulator.markets import Market
from simulator.venue import Venue
from simulator.world import BLOCK_MS

SETTLED_SEEN_MS = 6_000
_MODULES = {"v1": "v1_ctf", "v2": "binary"}

Answer = dict[str, Any]
Query = dict[str, str]


class Reference:
    """Answers of `/v2/status`, `/v2/resolutions` and `/v2/tokens`."""

    def __init__(self, venue: Venue) -> None:
        self.venue = venue

    def status(self, _query: Query) -> Answer:
        """Freshness: feed lag grows with `late_rows_ms`, custody with `positions_lag_blocks`.

        `/v2/positions` is as of `max_synced_block` minus custody's `blocks_behind`.
        """
        head, now, custody = self.venue.head, self.venue.now, self.venue.custody
        synced = custody.synced_block(head.number)
        behind = max(0, synced - custody.block_number)
        feed_age = (now - head.ts + 2_500 + self.venue.faults.late_rows_ms) // 1_000
        mechanisms: list[Answer] = [
            {"name": "activity_feed", "age_seconds": feed_age},
            {"name": "custody_balances", "age_seconds": behind * BLOCK_MS // 1_000,
             "blocks_behind": behind},
            {"name": "pnl", "age_seconds": 1, "blocks_behind": 1},
        ]  # fmt: skip
        worst = max(mechanisms, key=lambda entry: int(entry["age_seconds"]))
        stream = {"source": "ctf_exchange_v2_order_filled", "block": synced, "behind_max": 0}
        return {
            "data": {
                "computed_at": iso_time(now),
                "age_seconds": 1,
                "serving": {
                    "lag_seconds": worst["age_seconds"],
                    "worst": worst["name"],
                    "mechanisms": mechanisms,
                },
                "ingestion": {
                    "cursors": 148,
                    "network": "polygon",
                    "chain_id": 137,
                    "max_synced_block": synced,
                    "min_synced_block": synced,
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
        listed = self.venue.world.listed.singles
        wanted = {value.strip().lower() for value in query[given[0]].split(",")}
        if given[0].startswith("condition") and any(len(value) != 66 for value in wanted):
            raise fq.invalid("condition", "malformed condition id: expected 32 bytes")
        attribute: Callable[[Market], str] = {
            "question_id": lambda market: market.question_id,
            "event_id": lambda market: market.event.id,
        }.get(given[0], lambda market: market.condition_id)
        found = [market for market in listed if attribute(market) in wanted]
        return {"data": [_resolution(market, self.venue.now) for market in found]}

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


def _resolution(market: Market, now_ms: int) -> Answer:
    """A lifecycle row; some time after the resolution it tells the outcome.

    Every third market answers as an oracle row: prices as text instead of payouts (micro-USDC
    per share), and an epoch timestamp.
    """
    settled = market.closed and now_ms - market.closed_ms >= SETTLED_SEEN_MS
    ended = iso_time(market.closed_ms)
    status = "resolved" if settled else "proposed" if market.closed else "active"
    row: Answer = {
        "condition_id": market.condition_id,
        "status": status,
        "extended_review": False,
        "was_disputed": False,
        "new_version_q": False,
        "transaction_hash": "",
        "log_index": "",
        "last_update_timestamp": ended if market.closed else iso_time(market.created_ms),
    }
    if not settled or market.payouts is None:
        return row
    if market.index % 3 == 1 and market.version == "v1":
        price = str(market.payouts[0] * 10**12)
        row |= {
            "question_id": market.question_id,
            "new_version_q": True,
            "proposed_price": price,
            "reproposed_price": "69",
            "price": price,
            "last_update_timestamp": str(market.closed_ms // 1_000),
        }
    else:
        row |= {
            "payouts": list(market.payouts),
            "resolution_source": "reported",
            "was_arbitrated": False,
            "resolved_at": ended,
        }
    return row


def _token_row(market: Market, index: int) -> Answer:
    token, other = market.tokens[index], market.tokens[1 - index]
    resolved = market.payouts is not None
    return {
        "token_id": token.id,
        "condition_id": market.condition_id,
        "structural_condition_id": market.feed_condition_id,
        "module": "combo" if market.is_combo else _MODULES[market.version],
        "outcome_index": index,
        "clob_index": index,
        "outcome": token.outcome,
        "opposite_token_id": other.id,
        "resolved": resolved,
        "final_price": market.payouts[index] / 1_000_000 if market.payouts else None,
        "title": market.question,
        "market_slug": market.slug,
        "closed": market.closed,
        "neg_risk": market.neg_risk,
        "neg_risk_market_id": market.neg_risk_market_id,
        "question_index": 0,
        "event_id": market.event.id,
        "event_slug": market.event.slug,
    }
