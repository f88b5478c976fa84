"""Order books as the CLOB writes them: string numbers, best level last, mirrored tokens."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from simulator.amounts import MICRO, decimal_text
from simulator.markets import Token
from simulator.venue import BookView

MIN_ORDER_SIZE = "5"


def book_sides(view: BookView, token: Token) -> tuple[list[Any], list[Any]]:
    """(bids ascending, asks descending) of a token: the best level is last in both."""
    if token.outcome_index == 0:
        bids = sorted(view.bids.items())
        asks = sorted(view.asks.items(), reverse=True)
    else:
        bids = sorted((MICRO - price, size) for price, size in view.asks.items())
        asks = sorted(((MICRO - p, size) for p, size in view.bids.items()), reverse=True)
    return _levels(bids), _levels(asks)


def _levels(side: list[tuple[int, int]]) -> list[dict[str, str]]:
    return [{"price": decimal_text(price), "size": decimal_text(size)} for price, size in side]


def rest_book(view: BookView, token: Token) -> dict[str, Any]:
    """The `/book` object. Its hash is the SHA-1 of itself with an empty hash, key order kept."""
    bids, asks = book_sides(view, token)
    book = {
        "market": view.market.condition_id,
        "asset_id": token.id,
        "timestamp": str(view.ts),
        "hash": "",
        "bids": bids,
        "asks": asks,
        "min_order_size": MIN_ORDER_SIZE,
        "tick_size": decimal_text(view.tick),
        "neg_risk": view.market.neg_risk,
        "last_trade_price": last_price_text(view),
    }
    packed = json.dumps(book, separators=(",", ":"))
    book["hash"] = hashlib.sha1(packed.encode(), usedforsecurity=False).hexdigest()
    return book


def last_price_text(view: BookView) -> str:
    """The market's last price at three decimals, the same text for both tokens; "" if none."""
    return "" if view.last_price is None else f"{view.last_price / MICRO:.3f}"


def ws_book(view: BookView, token: Token) -> dict[str, Any]:
    """The `book` frame: no minimum size and no neg-risk flag; V2 assets carry a version."""
    book = rest_book(view, token)
    frame = {
        "market": book["market"],
        "asset_id": book["asset_id"],
        "timestamp": book["timestamp"],
        "hash": book["hash"],
        "bids": book["bids"],
        "asks": book["asks"],
        "tick_size": book["tick_size"],
        "event_type": "book",
        "last_trade_price": book["last_trade_price"],
    }
    return frame | ({"version": "v2"} if view.market.version == "v2" else {})
