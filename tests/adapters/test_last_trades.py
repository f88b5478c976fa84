"""Last trades: batched, and nothing from what was never traded or does not parse."""

from __future__ import annotations

import pytest
from venue_fakes import CountingMetrics, FakeHttp

from chalicelib.adapters.polymarket.http import NotFound
from chalicelib.adapters.polymarket.last_trades import CHUNK_TOKENS, ClobLastTrades
from chalicelib.domain.errors import Retryable


def test_prices_of_traded_tokens() -> None:
    rows = [
        {"token_id": "1", "price": "0.006", "side": "BUY"},
        {"token_id": "2", "price": "0.5", "side": ""},
        {"token_id": "3", "price": "1.5", "side": "SELL"},
        {"token_id": "4", "price": "x", "side": "SELL"},
        {"token_id": "99", "price": "0.1", "side": "SELL"},
        "no row",
    ]
    http, metrics = FakeHttp(lambda path, asked: rows), CountingMetrics()
    assert ClobLastTrades(http, metrics).last_trades(["1", "2", "3", "4", "1"]) == {"1": 6_000}
    assert http.calls == [
        ("/last-trades-prices", [{"token_id": token} for token in ("1", "2", "3", "4")])
    ]
    assert metrics.counts == {"last_trades_refused": 3}


def test_chunks_and_failures() -> None:
    http = FakeHttp(lambda path, asked: [])
    tokens = [str(number + 1) for number in range(CHUNK_TOKENS + 1)]
    assert ClobLastTrades(http, CountingMetrics()).last_trades(tokens) == {}
    assert [len(body) for _, body in http.calls] == [CHUNK_TOKENS, 1]  # type: ignore[arg-type]
    with pytest.raises(Retryable):
        ClobLastTrades(FakeHttp(lambda *_: {}), CountingMetrics()).last_trades(["1"])
    missing = FakeHttp(lambda *_: NotFound("clob: status 404"))
    assert ClobLastTrades(missing, CountingMetrics()).last_trades(["1"]) == {}
