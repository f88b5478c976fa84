"""The venue's order book as a domain book, and the check of its own hash. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha1

from chalicelib.domain.errors import InvalidInput
from chalicelib.domain.identifiers import token_id
from chalicelib.domain.money import MICROS, micros
from chalicelib.domain.orderbook import Book, Level

LEVELS_MAX = 20_000
"""Per side; the finest tick has 9,999 prices."""

_HASHED = (
    "market",
    "asset_id",
    "timestamp",
    "hash",
    "bids",
    "asks",
    "min_order_size",
    "tick_size",
    "neg_risk",
    "last_trade_price",
)


def exact_micros(value: object, field: str) -> int:
    """Micros of a number the venue writes as text; nothing is rounded."""
    if not isinstance(value, str):
        raise InvalidInput(field, "a number in a text was expected")
    return micros(value, field, exact=True)


def price_micros(value: object, field: str) -> int:
    """Micros of a price between 0 and 1, both excluded."""
    price = exact_micros(value, field)
    if not 0 < price < MICROS:
        raise InvalidInput(field, "a price between 0 and 1 was expected")
    return price


def timestamp_ms(value: object, field: str = "timestamp") -> int:
    """Milliseconds, which the venue writes as text."""
    if not isinstance(value, str) or not (value.isascii() and value.isdigit()) or len(value) > 15:
        raise InvalidInput(field, "milliseconds in a text were expected")
    return int(value)


def _levels(value: object, side: str) -> dict[int, int]:
    """Shares per price; equal prices are added up, empty levels left out."""
    if not isinstance(value, list):
        raise InvalidInput(side, "a list of levels was expected")
    if len(value) > LEVELS_MAX:
        raise InvalidInput(side, f"at most {LEVELS_MAX} levels were expected")
    levels: dict[int, int] = {}
    for i, row in enumerate(value):
        if not isinstance(row, Mapping):
            raise InvalidInput(f"{side}[{i}]", "an object was expected")
        price = price_micros(row.get("price"), f"{side}[{i}].price")
        shares = exact_micros(row.get("size"), f"{side}[{i}].size")
        if shares:
            levels[price] = levels.get(price, 0) + shares
    return levels


def parse_book(raw: object, ts_received: int) -> Book:
    """The book in a REST answer or a WebSocket frame (best level last on the wire).

    Raises InvalidInput naming the field when it is malformed or crossed.
    """
    if not isinstance(raw, Mapping):
        raise InvalidInput("book", "an object was expected")
    bids, asks = _levels(raw.get("bids"), "bids"), _levels(raw.get("asks"), "asks")
    if bids and asks and max(bids) >= min(asks):
        raise InvalidInput("bids", f"the book is crossed at {max(bids)} to {min(asks)}")
    venue_hash = raw.get("hash")
    return Book(
        token_id=token_id(raw.get("asset_id"), "asset_id"),
        bids=tuple(Level(price, bids[price]) for price in sorted(bids, reverse=True)),
        asks=tuple(Level(price, asks[price]) for price in sorted(asks)),
        ts_venue=timestamp_ms(raw.get("timestamp")),
        ts_received=ts_received,
        venue_hash=venue_hash if isinstance(venue_hash, str) else "",
    )


def book_hash(raw: Mapping[str, object]) -> str:
    """The venue's hash of a REST book: SHA-1 of its compact JSON with an empty hash.

    Source: the venue's SDK; reproduces every full-depth REST book at hand. Raises InvalidInput
    when a part is missing.
    """
    parts: dict[str, object] = {}
    for name in _HASHED:
        if name == "hash":
            parts[name] = ""
        elif name in ("bids", "asks"):
            parts[name] = _hashed_levels(raw.get(name), name)
        elif isinstance(value := raw.get(name), str | bool):
            parts[name] = value
        else:
            raise InvalidInput(name, "is needed for the hash")
    text = json.dumps(parts, separators=(",", ":"), ensure_ascii=False)
    return sha1(text.encode(), usedforsecurity=False).hexdigest()


def _hashed_levels(value: object, side: str) -> list[dict[str, str]]:
    if not isinstance(value, list):
        raise InvalidInput(side, "a list of levels was expected")
    levels = []
    for row in value:
        if not isinstance(row, Mapping):
            raise InvalidInput(side, "a list of levels was expected")
        price, size = row.get("price"), row.get("size")
        if not isinstance(price, str) or not isinstance(size, str):
            raise InvalidInput(side, "levels of texts were expected")
        levels.append({"price": price, "size": size})
    return levels


def hash_matches(raw: Mapping[str, object]) -> bool | None:
    """Whether a book's own hash fits its content; None when it has no hash or misses parts."""
    stated = raw.get("hash")
    if not isinstance(stated, str) or not stated:
        return None
    try:
        return book_hash(raw) == stated.lower()
    except InvalidInput:
        return None
