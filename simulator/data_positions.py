"""Data API v2: positions and portfolio value, with their pages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from simulator import feed_query as fq
from simulator.cursors import CursorError, CursorSigner
from simulator.feed_rows import RowWriter
from simulator.markets import Market
from simulator.positions import Position
from simulator.venue import Venue

Answer = dict[str, Any]
Query = dict[str, str]

POSITION_SORTS: dict[str, Callable[[dict[str, Any]], float]] = {
    "CURRENT_VALUE": lambda row: row["current_value"],
    "PRICE": lambda row: row["current_price"],
    "TOKENS": lambda row: row["current_size"],
    "UNREALIZED_PNL": lambda row: row["unrealized_pnl"],
    "REALIZED_PNL": lambda row: row["realized_pnl"],
    "TOTAL_PNL": lambda row: row["total_pnl"],
    "TIMESTAMP": lambda row: row["last_event_at"],
}
POSITION_STATUSES = ("OPEN", "REDEEMABLE", "REDEEMABLE_LOST", "MERGEABLE", "CLOSED")


class Holdings:
    """Answers of `/v2/positions` and `/v2/value`, as of the block custody has reached.

    Only leaders hold positions; combos have a ledger page of their own and are left out.
    """

    def __init__(self, venue: Venue, rows: RowWriter, cursors: CursorSigner) -> None:
        self.venue = venue
        self.rows = rows
        self.cursors = cursors

    def positions(self, query: Query) -> Answer:
        fq.refuse_offset(query)
        user = fq.wallet_of(query, required=False)
        markets = fq.wanted_markets(query, self.venue.world.listed)
        if user is None and markets is None:
            raise fq.invalid("user", "user or condition is required")
        sort = fq.choice(query, "sort_by", tuple(POSITION_SORTS), "CURRENT_VALUE")
        descending = fq.choice(query, "sort_direction", ("ASC", "DESC"), "DESC") == "DESC"
        rows = self._position_rows(query, user, markets)
        key = POSITION_SORTS[sort]
        rows.sort(key=lambda row: (key(row), int(row["token_id"])), reverse=descending)
        limit, served = fq.page_limit(query), 0
        if query.get("cursor"):
            params = read_cursor(self.cursors, "positions", query["cursor"])
            if params["av"] != (user or ""):
                raise fq.invalid("cursor", "cursor belongs to another wallet")
            limit, served = fq.page_limit(query, params["l"]), params["d"]
            anchor = (float(params["k"]), int(params["t"]))
            rows = [
                row for row in rows
                if ((key(row), int(row["token_id"])) < anchor) == descending
                and (key(row), int(row["token_id"])) != anchor
            ]  # fmt: skip
        cursor = None
        if len(rows) > limit:
            last = rows[limit - 1]
            cursor = self.cursors.mint("positions", {
                "l": limit, "d": served + limit, "k": str(key(last)), "t": last["token_id"],
                "a": "u", "av": user or "", "st": query.get("status", "OPEN").upper(), "s": sort,
                "dir": "DESC" if descending else "ASC",
            })  # fmt: skip
        return page_envelope(rows[:limit], limit, served, cursor)

    def _position_rows(
        self, query: Query, user: str | None, markets: frozenset[int] | None
    ) -> list[Answer]:
        status = fq.choice(query, "status", POSITION_STATUSES, "OPEN")
        kind = fq.choice(query, "filter_type", ("CASH", "TOKENS"), "TOKENS")
        amount = fq.number(query, "filter_amount", 0.0 if status == "CLOSED" else 0.1)
        if self.venue.faults.positions_lag_blocks:
            self.venue.acted("positions_lag_blocks")
        book = self.venue.custody.book.held
        wallets = book if user is None else {user: book.get(user, {})}
        rows = [
            self.rows.position(wallet, held)
            for wallet, tokens in wallets.items()
            for held in tokens.values()
            if not self._market_of(held).is_combo
            and (markets is None or self._market_of(held).index in markets)
        ]
        measure = "current_value" if kind == "CASH" else "current_size"
        return [row for row in rows if row[measure] >= amount and _has_status(row, status)]

    def _market_of(self, held: Position) -> Market:
        market = self.venue.world.listed.of_token(held.token_id)
        assert market is not None
        return market

    def value(self, query: Query) -> Answer:
        user = fq.wallet_of(query, required=True)
        markets = fq.wanted_markets(query, self.venue.world.listed)
        total = 0
        for held in self.venue.custody.book.held.get(user or "", {}).values():
            if markets is None or self._market_of(held).index in markets:
                token = self.venue.world.listed.by_token[held.token_id]
                total += held.shares * self.venue.price_of(token) // 1_000_000
        return {"data": {"proxy_wallet": user, "value": round(total / 1_000_000, 4)}}


def page_envelope(rows: list[Answer], limit: int, offset: int, cursor: str | None) -> Answer:
    page = {"limit": limit, "offset": offset, "has_more": cursor is not None}
    return {"data": rows, "pagination": page | {"next_cursor": cursor}}


def read_cursor(signer: CursorSigner, kind: str, text: str) -> dict[str, Any]:
    """The params of a cursor; anything but a cursor of this endpoint is a 400."""
    try:
        return signer.read(kind, text)
    except CursorError as error:
        raise fq.invalid("cursor", f"invalid cursor: {error}") from error


def _has_status(row: Answer, status: str) -> bool:
    """OPEN is the superset of everything held; the others narrow it."""
    if status == "CLOSED" or row["status"] == "CLOSED":
        return bool(status == row["status"])
    if status == "MERGEABLE":
        return bool(row["mergeable"])
    if status == "REDEEMABLE":
        return bool(row["redeemable"])
    if status == "REDEEMABLE_LOST":
        return bool(row["redeemable"]) and row["current_price"] == 0
    return True
