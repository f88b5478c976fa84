"""Open positions as rows: what is held of a token, and what it is worth."""

from __future__ import annotations

from collections.abc import Mapping

from chalicelib.domain.money import MICROS, price_nearest
from chalicelib.domain.portfolio import Position
from chalicelib.domain.registry import PortfolioRef
from chalicelib.keyspace import open_positions_feed
from chalicelib.ports import Store
from chalicelib.services.read_models.listing import Json, MarketTexts

POSITIONS_MAX = 1_000
"""Open positions that one view reads; the store's own bound of a page."""


def open_of(store: Store, ref: PortfolioRef, limit: int) -> tuple[list[Position], bool]:
    """At most `limit` open positions of a portfolio in one read, and whether there are more."""
    listing = open_positions_feed(ref.portfolio_id, ref.epoch)
    size = min(limit + 1, POSITIONS_MAX)
    rows = store.feed(Position, "portfolio", listing, before=None, limit=size)
    return [position for _, position in rows[:limit]], len(rows) == size


def worth(position: Position, prices: Mapping[str, int]) -> int:
    """Shares × mark rounded down, in micros; a token without a mark counts at its cost."""
    mark = prices.get(position.token_id)
    return position.cost if mark is None else position.shares * mark // MICROS


def position_row(
    position: Position, prices: Mapping[str, int], texts: MarketTexts, names: Mapping[str, str]
) -> Json:
    """One position at the marks in `prices`."""
    value = worth(position, prices)
    market = texts.directory.known(position.token_id)
    held = position.shares > 0
    return {
        "portfolio_id": position.portfolio_id,
        "leader": position.leader,
        "leader_name": names.get(position.leader, ""),
        "condition_id": market.condition_id if market else None,
        **texts.fields(position.token_id),
        "shares_micros": position.shares,
        "cost_micros": position.cost,
        "average_micros": price_nearest(position.cost, position.shares) if held else None,
        "mark_micros": prices.get(position.token_id),
        "value_micros": value,
        "unrealized_micros": value - position.cost,
        "realized_micros": position.realized,
        "exit_debt_micros": position.exit_debt,
        "reserved_micros": position.reserved,
        "ts_last": position.ts_last or None,
    }
