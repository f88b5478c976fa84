"""Changes of the market channel, straight from the frame into the books.

The careful parser remains the judge: a frame that is not exactly of the usual shape is left to
it untouched. Texts of prices and sizes repeat, so each is converted once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from chalicelib.adapters.polymarket.book_shape import exact_micros, price_micros
from chalicelib.adapters.polymarket.market_events import LevelChanges
from chalicelib.adapters.polymarket.market_ws import FRAME_EVENTS_MAX
from chalicelib.domain.errors import InvalidInput
from chalicelib.domain.money import MICROS, decimal_text

NAMES_MAX = 20_000
TEXTS_MAX = 4_096
"""Remembered conversions of each kind; all are forgotten when there are more."""
_SCALE = tuple(10 ** (6 - digits) for digits in range(7))
SIDES = {"BUY": True, "SELL": False}


class _Prices(dict[str, int]):
    """Price text → micros."""

    def __missing__(self, text: str) -> int:
        return _remembered(self, text, price_micros(text, "price"))


class _Sizes(dict[str, int]):
    """Size text → micros."""

    def __missing__(self, text: str) -> int:
        whole, point, part = text.partition(".")
        if (
            text.isascii()
            and whole.isdigit()
            and len(whole) <= 11
            and (not point or (part.isdigit() and len(part) <= 6))
        ):
            return _remembered(self, text, int(whole + part) * _SCALE[len(part)])
        return _remembered(self, text, exact_micros(text, "size"))


class _Bests(dict[str | None, int | None]):
    """Best price text → micros, None where the side is empty or not stated."""

    def __missing__(self, text: str | None) -> int | None:
        if text is None or text == "":
            return None
        price = exact_micros(text, "best")
        if price > MICROS:
            raise InvalidInput("best", "must be at most 1")
        if len(self) >= TEXTS_MAX:
            self.clear()
        known = self[text] = price if 0 < price < MICROS else None
        return known


def _remembered(known: dict[str, int], text: str, value: int) -> int:
    if len(known) >= TEXTS_MAX:
        known.clear()
    known[text] = value
    return value


PRICES, SIZES, BESTS = _Prices(), _Sizes(), _Bests()


class Names:
    """Markets and tokens that the careful parser accepted; they need no second look."""

    def __init__(self) -> None:
        self.markets: set[str] = set()
        self.tokens: set[str] = set()

    def learn(self, event: Mapping[str, Any]) -> None:
        """The names in a price_change that the careful parser accepted."""
        for known in (self.markets, self.tokens):
            if len(known) >= NAMES_MAX:
                known.clear()
        self.markets.add(event["market"])
        self.tokens.update(change["asset_id"] for change in event["price_changes"])


def usual(event: LevelChanges) -> dict[str, Any]:
    """Parsed changes in the shape of the usual frame."""
    return {
        "event_type": "price_change",
        "market": event.condition_id,
        "timestamp": str(event.ts_venue),
        "price_changes": [
            {
                "asset_id": change.token_id,
                "side": change.side,
                "price": decimal_text(change.price),
                "size": decimal_text(change.shares),
                "best_bid": None if change.best_bid is None else decimal_text(change.best_bid),
                "best_ask": None if change.best_ask is None else decimal_text(change.best_ask),
                "hash": change.venue_hash,
            }
            for change in event.changes
        ],
    }


def decoded(text: str) -> Any:
    """The JSON of a frame, None when it is none."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None


def all_price_changes(frame: Any) -> bool:
    """Whether a frame is an array of nothing but price_change events, not too many."""
    return (
        type(frame) is list
        and 0 < len(frame) <= FRAME_EVENTS_MAX
        and all(type(e) is dict and e.get("event_type") == "price_change" for e in frame)
    )
