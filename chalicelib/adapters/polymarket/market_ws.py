"""Frames of the venue's market channel as events. Pure: no socket, no clock.

A frame is one object or an array of them; every number is a text. What cannot be understood
becomes an event of its own and never hides its neighbours.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from chalicelib.adapters.polymarket.book_shape import (
    exact_micros,
    parse_book,
    price_micros,
    timestamp_ms,
)
from chalicelib.adapters.polymarket.exact_json import parse_json
from chalicelib.adapters.polymarket.market_events import (
    BestPrices,
    BookSnapshot,
    LastTrade,
    LevelChange,
    LevelChanges,
    MalformedEvent,
    MarketEvent,
    MarketOpened,
    MarketSettled,
    Pong,
    TickChange,
    UnknownEvent,
)
from chalicelib.domain.errors import InvalidInput
from chalicelib.domain.exchange_log import Side
from chalicelib.domain.identifiers import condition_id, hash32, token_id
from chalicelib.domain.money import MICROS

FRAME_EVENTS_MAX = 2_000
CHANGES_MAX = 2_000
PAYLOAD_CHARS_MAX = 2_000

_Raw = Mapping[str, object]


def _side(value: object, field: str = "side") -> Side:
    if value == "BUY":
        return "BUY"
    if value == "SELL":
        return "SELL"
    raise InvalidInput(field, "BUY or SELL was expected")


def _best(value: object, field: str) -> int | None:
    """A best price; the venue writes nothing, or the bound itself, for an empty side."""
    if value is None or value == "":
        return None
    price = exact_micros(value, field)
    if price > MICROS:
        raise InvalidInput(field, "must be at most 1")
    return price if 0 < price < MICROS else None


def _condition(raw: _Raw) -> str:
    return condition_id(raw.get("market"), "market")


def _token_ids(raw: _Raw) -> tuple[str, ...]:
    listed = raw.get("assets_ids")
    if not isinstance(listed, list) or len(listed) > CHANGES_MAX:
        raise InvalidInput("assets_ids", "a list was expected")
    return tuple(token_id(value, "assets_ids") for value in listed)


def _snapshot(raw: _Raw, ts_received: int) -> BookSnapshot:
    tick = raw.get("tick_size")
    return BookSnapshot(
        condition_id=_condition(raw),
        book=parse_book(raw, ts_received),
        tick=None if tick is None or tick == "" else price_micros(tick, "tick_size"),
    )


def _change(raw: object, i: int) -> LevelChange:
    field = f"price_changes[{i}]"
    if not isinstance(raw, Mapping):
        raise InvalidInput(field, "an object was expected")
    venue_hash = raw.get("hash")
    return LevelChange(
        token_id=token_id(raw.get("asset_id"), f"{field}.asset_id"),
        side=_side(raw.get("side"), f"{field}.side"),
        price=price_micros(raw.get("price"), f"{field}.price"),
        shares=exact_micros(raw.get("size"), f"{field}.size"),
        best_bid=_best(raw.get("best_bid"), f"{field}.best_bid"),
        best_ask=_best(raw.get("best_ask"), f"{field}.best_ask"),
        venue_hash=venue_hash if isinstance(venue_hash, str) else "",
    )


def _changes(raw: _Raw) -> LevelChanges:
    listed = raw.get("price_changes")
    if not isinstance(listed, list) or len(listed) > CHANGES_MAX:
        raise InvalidInput("price_changes", "a list was expected")
    return LevelChanges(
        condition_id=_condition(raw),
        ts_venue=timestamp_ms(raw.get("timestamp")),
        changes=tuple(_change(row, i) for i, row in enumerate(listed)),
    )


def _last_trade(raw: _Raw) -> LastTrade:
    tx_hash = raw.get("transaction_hash")
    return LastTrade(
        condition_id=_condition(raw),
        token_id=token_id(raw.get("asset_id"), "asset_id"),
        side=_side(raw.get("side")),
        price=price_micros(raw.get("price"), "price"),
        shares=exact_micros(raw.get("size"), "size"),
        ts_venue=timestamp_ms(raw.get("timestamp")),
        tx_hash=hash32(tx_hash, "transaction_hash") if tx_hash else "",
    )


def _best_prices(raw: _Raw) -> BestPrices:
    return BestPrices(
        condition_id=_condition(raw),
        token_id=token_id(raw.get("asset_id"), "asset_id"),
        best_bid=_best(raw.get("best_bid"), "best_bid"),
        best_ask=_best(raw.get("best_ask"), "best_ask"),
        ts_venue=timestamp_ms(raw.get("timestamp")),
    )


def _tick_change(raw: _Raw) -> TickChange:
    return TickChange(
        condition_id=_condition(raw),
        token_id=token_id(raw.get("asset_id"), "asset_id"),
        tick_before=price_micros(raw.get("old_tick_size"), "old_tick_size"),
        tick=price_micros(raw.get("new_tick_size"), "new_tick_size"),
        ts_venue=timestamp_ms(raw.get("timestamp")),
    )


def _opened(raw: _Raw) -> MarketOpened:
    return MarketOpened(_condition(raw), _token_ids(raw), timestamp_ms(raw.get("timestamp")))


def _settled(raw: _Raw) -> MarketSettled:
    winner = raw.get("winning_asset_id")
    return MarketSettled(
        condition_id=_condition(raw),
        token_ids=_token_ids(raw),
        winning_token=token_id(winner, "winning_asset_id") if winner else "",
        ts_venue=timestamp_ms(raw.get("timestamp")),
    )


_PARSERS: Mapping[str, Callable[[_Raw], MarketEvent]] = {
    "price_change": _changes,
    "last_trade_price": _last_trade,
    "best_bid_ask": _best_prices,
    "tick_size_change": _tick_change,
    "new_market": _opened,
    "market_resolved": _settled,
}


def parse_event(raw: object, ts_received: int) -> MarketEvent:
    """One event of a frame that was parsed as JSON."""
    if not isinstance(raw, Mapping):
        return MalformedEvent("", json.dumps(raw, default=str)[:PAYLOAD_CHARS_MAX], "no object")
    stated = raw.get("event_type")
    name = stated[:100] if isinstance(stated, str) else ""
    parser = _PARSERS.get(name)
    if parser is None and name != "book":
        return UnknownEvent(name)
    try:
        return _snapshot(raw, ts_received) if parser is None else parser(raw)
    except InvalidInput as error:
        payload = json.dumps(raw, default=str)[:PAYLOAD_CHARS_MAX]
        return MalformedEvent(name, payload, str(error))


def parse_frame(text: str, ts_received: int) -> tuple[MarketEvent, ...]:
    """The events of one text frame, in its order. Never raises."""
    if text == "PONG":
        return (Pong(),)
    try:
        frame = parse_json(text)
    except ValueError:
        return (MalformedEvent("", text[:PAYLOAD_CHARS_MAX], "the frame is not JSON"),)
    if isinstance(frame, list):
        if len(frame) > FRAME_EVENTS_MAX:
            return (MalformedEvent("", text[:PAYLOAD_CHARS_MAX], "too many events in one frame"),)
        return tuple(parse_event(raw, ts_received) for raw in frame)
    return (parse_event(frame, ts_received),)
