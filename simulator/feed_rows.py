"""Rows of the Data API, built from settled fills with the venue's own roundings."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from simulator import ids
from simulator.activity import REDEEM, ActivityRow
from simulator.amounts import micros_number, price_number
from simulator.chain import Fill
from simulator.markets import Market, Token
from simulator.matching import BUY
from simulator.positions import Position
from simulator.venue import Venue

ENRICH_MS = 6_000
_MOODS = ("Mealy", "Gracious", "Scary", "Sturdy", "Velvet", "Brisk", "Humble", "Lunar")
_THINGS = ("Oar", "Barrel", "Fame", "Acorn", "Kettle", "Sonnet", "Pebble", "Marsh")


def pseudonym(wallet: str) -> str:
    """The handle the venue makes up for a wallet without a name."""
    digit = int(wallet[-4:], 16)
    return f"{_MOODS[digit % 8]}-{_THINGS[digit // 8 % 8]}"


def icon_url(market: Market) -> str:
    if market.is_combo:
        return ""
    return f"https://polymarket-upload.s3.us-east-2.amazonaws.com/{market.event.slug}.png"


class RowWriter:
    """Turns fills and positions into JSON rows as of the venue's present moment."""

    def __init__(self, venue: Venue) -> None:
        self.venue = venue
        self.names = venue.world.names

    def activity(self, fill: Fill) -> dict[str, Any]:
        """An activity row. On taker BUY rows `usdc_size` is cash plus fee; elsewhere cash."""
        market = self.venue.world.listed.all[fill.token.market_index]
        outcome_index, event_slug = self._labels(fill, market)
        paid = fill.logged_cash + (fill.fee if fill.side == BUY else 0)
        row = {
            "proxy_wallet": fill.wallet,
            "timestamp": fill.tx.block.timestamp,
            "condition_id": market.feed_condition_id,
            "type": "TRADE",
            "size": micros_number(fill.shares),
            "usdc_size": micros_number(paid),
            "transaction_hash": fill.tx.hash,
            "price": price_number(fill.logged_cash, fill.shares),
            "token_id": fill.token.id,
            "side": fill.side,
            "outcome_index": outcome_index,
            "title": market.question,
            "slug": market.slug,
            "icon": icon_url(market),
            "event_slug": event_slug,
            "outcome": fill.token.outcome,
            **self._profile(fill.wallet),
        }
        return row | {"is_combo": True} if market.is_combo else row

    def wallet_event(self, row: ActivityRow) -> dict[str, Any]:
        """A row that is no trade: the same keys, without token, side, outcome and price."""
        event, market = row.event, row.event.market
        return {
            "proxy_wallet": event.wallet,
            "timestamp": row.tx.block.timestamp,
            "condition_id": event.condition_id,
            "type": event.type,
            "size": micros_number(event.size),
            "usdc_size": micros_number(event.cash if event.type == REDEEM else event.size),
            "transaction_hash": row.tx.hash,
            "price": 0,
            "token_id": "",
            "side": "",
            "outcome_index": 999,
            "title": "" if market is None else market.question,
            "slug": "" if market is None else market.slug,
            "icon": "" if market is None else icon_url(market),
            "event_slug": "" if market is None else market.event.slug,
            "outcome": "",
            **self._profile(event.wallet),
        }

    def trade(self, fill: Fill) -> dict[str, Any]:
        market = self.venue.world.listed.all[fill.token.market_index]
        outcome_index, event_slug = self._labels(fill, market)
        return {
            "proxy_wallet": fill.wallet,
            "side": fill.side,
            "token_id": fill.token.id,
            "condition_id": market.feed_condition_id,
            "size": micros_number(fill.shares),
            "price": price_number(fill.logged_cash, fill.shares),
            "timestamp": fill.tx.block.timestamp,
            "title": market.question,
            "slug": market.slug,
            "icon": icon_url(market),
            "event_slug": event_slug,
            "outcome": fill.token.outcome,
            "outcome_index": outcome_index,
            **self._profile(fill.wallet),
            "transaction_hash": fill.tx.hash,
        }

    def position(self, wallet: str, held: Position) -> dict[str, Any]:
        """A position row: four decimals, fees five; percentages are of the total spent."""
        venue = self.venue
        token = venue.world.listed.by_token[held.token_id]
        market = venue.world.listed.all[token.market_index]
        other = market.tokens[1 - token.outcome_index]
        mark = venue.price_of(token)
        value = held.shares * mark // 1_000_000
        unrealized = value - held.cost
        total = unrealized + held.realized
        spent = held.spent or held.cost or 1_000_000
        return {
            "proxy_wallet": wallet,
            "token_id": token.id,
            "condition_id": market.feed_condition_id,
            "current_size": _four(held.shares),
            "avg_price": round(held.spent / held.bought, 4) if held.bought else 0.0,
            "entry_cost_usdc": _four(held.cost),
            "entry_fees_usdc": round(held.fees / 1_000_000, 5),
            "total_cost_usdc": round((held.cost + held.fees) / 1_000_000, 4),
            "current_price": round(mark / 1_000_000, 4),
            "current_value": _four(value),
            "total_size": _four(held.bought),
            "realized_pnl": _four(held.realized),
            "unrealized_pnl": _four(unrealized),
            "total_pnl": _four(total),
            "percent_pnl": round(100 * total / spent, 4),
            "percent_realized_pnl": round(100 * held.realized / spent, 4),
            "status": self._status(market, held),
            "redeemable": market.closed and held.shares > 0,
            "mergeable": self._mergeable(wallet, other, held),
            "negative_risk": market.neg_risk,
            "archived": False,
            "title": market.question,
            "slug": market.slug,
            "icon": icon_url(market),
            "event_id": market.event.id,
            "event_slug": market.event.slug,
            "outcome": token.outcome,
            "outcome_index": token.outcome_index,
            "opposite_outcome": other.outcome,
            "opposite_token_id": other.id,
            "end_date": _date(market.end_ms),
            "last_event_at": held.last_event_s,
            "first_entry_at": held.first_entry_s,
            "name": self.names.get(wallet, ""),
            "profile_image": "",
            "verified": False,
        }

    def _status(self, market: Market, held: Position) -> str:
        if held.shares <= 0:
            return "CLOSED"
        return "REDEEMABLE" if market.closed else "OPEN"

    def _mergeable(self, wallet: str, other: Token, held: Position) -> bool:
        opposite = self.venue.custody.book.held.get(wallet, {}).get(other.id)
        return held.shares > 0 and opposite is not None and opposite.shares > 0

    def _labels(self, fill: Fill, market: Market) -> tuple[int, str]:
        """(outcome_index, event_slug); some of the freshest rows lack both for a while."""
        visible_for = self.venue.now - fill.ts_visible - self.venue.faults.late_rows_ms
        if fill.enriched_late and visible_for < ENRICH_MS:
            return 999, ""
        return fill.token.outcome_index, market.event.slug

    def _profile(self, wallet: str) -> dict[str, str]:
        return {
            "name": self.names.get(wallet, ""),
            "pseudonym": pseudonym(wallet),
            "bio": "",
            "profile_image": "",
            "profile_image_optimized": "",
        }


def _four(micros: int) -> float:
    return round(micros / 1_000_000, 4)


def _date(ts_ms: int) -> str:
    return iso_time(ts_ms)[:10]


def iso_time(ts_ms: int) -> str:
    """RFC 3339 in UTC, whole seconds."""
    return datetime.fromtimestamp(ts_ms // 1_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def trace_id(venue: Venue) -> str:
    return ids.hash32(venue.wire_rng.random())[2:34]
