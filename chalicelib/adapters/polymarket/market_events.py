"""Events of the venue's market channel; amounts in micros, times in milliseconds."""

from __future__ import annotations

from dataclasses import dataclass

from chalicelib.domain.exchange_log import Side
from chalicelib.domain.orderbook import Book


@dataclass(frozen=True, slots=True)
class BookSnapshot:
    """A whole book; `tick` in micros where the frame states it."""

    condition_id: str
    book: Book
    tick: int | None


@dataclass(frozen=True, slots=True)
class LevelChange:
    """The new total of shares at one price (0: the level is gone), and the best prices then."""

    token_id: str
    side: Side
    price: int
    shares: int
    best_bid: int | None
    best_ask: int | None
    venue_hash: str


@dataclass(frozen=True, slots=True)
class LevelChanges:
    """Changes of one moment; they always name both tokens of the market, mirrored."""

    condition_id: str
    ts_venue: int
    changes: tuple[LevelChange, ...]


@dataclass(frozen=True, slots=True)
class LastTrade:
    """A trade of the taker's token; `tx_hash` is empty where the venue does not know it yet."""

    condition_id: str
    token_id: str
    side: Side
    price: int
    shares: int
    ts_venue: int
    tx_hash: str


@dataclass(frozen=True, slots=True)
class BestPrices:
    """Best bid and ask of one token; None where a side is empty."""

    condition_id: str
    token_id: str
    best_bid: int | None
    best_ask: int | None
    ts_venue: int


@dataclass(frozen=True, slots=True)
class TickChange:
    """The price grid of one token changed."""

    condition_id: str
    token_id: str
    tick_before: int
    tick: int
    ts_venue: int


@dataclass(frozen=True, slots=True)
class MarketOpened:
    """A market was listed (broadcast to everybody)."""

    condition_id: str
    token_ids: tuple[str, ...]
    ts_venue: int


@dataclass(frozen=True, slots=True)
class MarketSettled:
    """A market was resolved; the authoritative payouts are elsewhere."""

    condition_id: str
    token_ids: tuple[str, ...]
    winning_token: str
    ts_venue: int


@dataclass(frozen=True, slots=True)
class Pong:
    """The venue answered our PING."""


@dataclass(frozen=True, slots=True)
class UnknownEvent:
    """A kind of event this version does not know, under the venue's own name (may be empty)."""

    name: str


@dataclass(frozen=True, slots=True)
class MalformedEvent:
    """An event of a known kind that does not parse, with the sentence that says why."""

    name: str
    payload: str
    error: str


MarketEvent = (
    BookSnapshot
    | LevelChanges
    | LastTrade
    | BestPrices
    | TickChange
    | MarketOpened
    | MarketSettled
    | Pong
    | UnknownEvent
    | MalformedEvent
)
