"""Frames of the market channel."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from venue_fakes import SAMPLES, load, needs_samples

from chalicelib.adapters.polymarket.market_events import (
    BestPrices,
    BookSnapshot,
    LastTrade,
    LevelChange,
    LevelChanges,
    MalformedEvent,
    MarketOpened,
    MarketSettled,
    Pong,
    TickChange,
    UnknownEvent,
)
from chalicelib.adapters.polymarket.market_ws import parse_frame

MARKET = "0x" + "3c" * 32
BOOK = {
    "market": MARKET,
    "asset_id": "89",
    "timestamp": "1790779105520",
    "hash": "d4b9",
    "bids": [{"price": "0.01", "size": "30790.97"}],
    "asks": [{"price": "0.99", "size": "30918.44"}],
    "tick_size": "0.01",
    "event_type": "book",
    "last_trade_price": "0.490",
}
CHANGES = {
    "market": MARKET,
    "price_changes": [
        {
            "asset_id": "10",
            "price": "0.03",
            "size": "0",
            "side": "BUY",
            "hash": "5e49",
            "best_bid": "0.12",
            "best_ask": "",
        }
    ],
    "timestamp": "1790779112060",
    "event_type": "price_change",
}
TRADE = {
    "market": MARKET,
    "asset_id": "89",
    "price": "0.52",
    "size": "9.615385",
    "fee_rate_bps": "0",
    "side": "SELL",
    "timestamp": "1790779116962",
    "event_type": "last_trade_price",
    "transaction_hash": "0x" + "54" * 32,
}


def frame(raw: object) -> tuple[object, ...]:
    return parse_frame(json.dumps(raw), 7)


def test_a_book() -> None:
    (event,) = frame(BOOK)
    assert isinstance(event, BookSnapshot)
    assert (event.tick, event.book.best_bid, event.book.ts_received) == (10_000, 10_000, 7)


def test_changes_and_a_trade_in_one_array() -> None:
    changes, trade = frame([CHANGES, TRADE])
    expected = LevelChange("10", "BUY", 30_000, 0, 120_000, None, "5e49")
    assert changes == LevelChanges(MARKET, 1_790_779_112_060, (expected,))
    assert trade == LastTrade(
        MARKET, "89", "SELL", 520_000, 9_615_385, 1_790_779_116_962, "0x" + "54" * 32
    )


def test_the_small_events() -> None:
    base = {"market": MARKET, "timestamp": "5"}
    best = base | {"event_type": "best_bid_ask", "asset_id": "8", "best_bid": "0", "best_ask": "1"}
    tick = base | {
        "event_type": "tick_size_change",
        "asset_id": "8",
        "old_tick_size": "0.01",
        "new_tick_size": "0.001",
    }
    opened = base | {"event_type": "new_market", "assets_ids": ["6", "3"]}
    settled = opened | {"event_type": "market_resolved", "winning_asset_id": "6"}
    assert frame([best, tick, opened, settled]) == (
        BestPrices(MARKET, "8", None, None, 5),
        TickChange(MARKET, "8", 10_000, 1_000, 5),
        MarketOpened(MARKET, ("6", "3"), 5),
        MarketSettled(MARKET, ("6", "3"), "6", 5),
    )
    assert parse_frame("PONG", 7) == (Pong(),)


def test_what_is_not_understood_never_hides_its_neighbours() -> None:
    bad = TRADE | {"price": 0.52}
    first, second, third, fourth = frame([bad, {"event_type": "novelty"}, 5, TRADE])
    assert isinstance(first, MalformedEvent)
    assert (first.name, first.error.split(":")[0]) == ("last_trade_price", "price")
    assert second == UnknownEvent("novelty")
    assert isinstance(third, MalformedEvent)
    assert isinstance(fourth, LastTrade)
    assert isinstance(parse_frame("", 7)[0], MalformedEvent)
    assert isinstance(frame([{}] * 2_001)[0], MalformedEvent)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


@given(kind=st.sampled_from([BOOK, CHANGES, TRADE]), field=st.integers(0, 9), value=JSON)
def test_no_value_of_any_field_raises(kind: dict[str, object], field: int, value: object) -> None:
    name = list(kind)[field % len(kind)]
    assert len(frame(kind | {name: value})) == 1


@given(text=st.text(max_size=50) | JSON.map(json.dumps))
def test_no_frame_raises(text: str) -> None:
    parse_frame(text, 7)


@needs_samples
@pytest.mark.parametrize("path", sorted(SAMPLES.glob("ws/*.json")), ids=lambda path: path.name)
def test_recorded_frames(path: object) -> None:
    recorded = load(path)
    frames = recorded.get("samples", [recorded])
    events = [event for raw in frames for event in frame(_plain(raw))]
    malformed = [event for event in events if isinstance(event, MalformedEvent)]
    assert malformed == []
    if "market" in path.name or "book" in path.name:
        assert not any(isinstance(event, UnknownEvent) for event in events)
    if "user" in path.name:
        assert events in ([UnknownEvent("order")], [UnknownEvent("trade")])


def _plain(raw: object) -> object:
    return json.loads(json.dumps(raw, default=str))
