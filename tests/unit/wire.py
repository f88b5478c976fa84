"""Builders of venue payloads and of domain values for tests; every value is made up."""

from __future__ import annotations

import random
from hashlib import sha256

from chalicelib.domain.exchange_log import TOPIC_V1, TOPIC_V2
from chalicelib.domain.fee import FeeSchedule
from chalicelib.domain.market import Market
from chalicelib.domain.orderbook import Book, Level
from chalicelib.domain.trade import ChainLeg

LEADER = "0x" + "a1" * 20
MAKER_1 = "0x" + "b2" * 20
MAKER_2 = "0x" + "c3" * 20
TAKER = "0x" + "d4" * 20
V1_EXCHANGE = "0x4bfb41d5b3570defd03c39a9a4d8de6bd8b8982e"
V2_EXCHANGE = "0xe111180000d2663c0091e4f400237545b87b996b"
V2_NEG_RISK = "0xe2222d279d744050d28e00520010520000310f59"
V3_EXCHANGE = "0xe3333700ca9d93003f00f0f71f8515005f6c00aa"
YES = str(int(sha256(b"yes").hexdigest(), 16))
NO = str(int(sha256(b"no").hexdigest(), 16))
CONDITION = "0x" + sha256(b"condition").hexdigest()
NOW_MS = 1_795_000_000_000


def hash_of(label: object) -> str:
    """A 32-byte hash that depends on a label only."""
    return "0x" + sha256(str(label).encode()).hexdigest()


def word(number: int) -> str:
    """One 32-byte data word without prefix."""
    return f"{number:064x}"


def topic(address: str) -> str:
    """An address as a log topic."""
    return "0x" + "0" * 24 + address[2:]


def order_filled(
    maker: str,
    taker: str,
    side: str,
    token: str,
    making: int,
    taking: int,
    fee: int = 0,
    *,
    exchange: str = V2_EXCHANGE,
    tx: str = "tx",
    block: int = 97_000_000,
    index: int = 7,
    **extra: object,
) -> dict[str, object]:
    """An OrderFilled log as a node returns it; `making` is what the order gives."""
    if exchange == V1_EXCHANGE:
        assets = (0, int(token)) if side == "BUY" else (int(token), 0)
        words = [*assets, making, taking, fee]
        signature = TOPIC_V1
    else:
        words = [int(side == "SELL"), int(token), making, taking, fee, 0, 0]
        signature = TOPIC_V2
    log: dict[str, object] = {
        "address": exchange,
        "topics": [signature, hash_of(f"order{index}"), topic(maker), topic(taker)],
        "data": "0x" + "".join(map(word, words)),
        "blockNumber": hex(block),
        "transactionHash": hash_of(tx),
        "transactionIndex": "0x3",
        "blockHash": hash_of(f"block{block}"),
        "logIndex": hex(index),
        "removed": False,
    }
    return log | extra


def random_log(source: random.Random, exchange: str) -> dict[str, object]:
    """A well-formed fill of LEADER with arbitrary amounts."""
    shares = source.choice((1, 5, 10**6, source.randrange(1, 10**13), 10**18))
    cash = source.randrange(1, shares + 1)
    side = source.choice(("BUY", "SELL"))
    making, taking = (cash, shares) if side == "BUY" else (shares, cash)
    return order_filled(
        LEADER,
        source.choice((exchange, MAKER_1)),
        side,
        str(source.randrange(1, 2 ** source.choice((8, 200, 256)))),
        making,
        taking,
        source.randrange(10**9),
        exchange=exchange,
        block=source.randrange(1, 10**8),
        index=source.randrange(5000),
    )


def leg(index: int, shares: int, cash: int, **extra: object) -> ChainLeg:
    """A maker's leg in block `A` unless told otherwise."""
    fields: dict[str, object] = {
        "block_hash": hash_of("A"),
        "block_number": 97_000_000,
        "log_index": index,
        "ts_block": NOW_MS,
        "shares": shares,
        "cash": cash,
        "fee": 0,
        "fee_asset": "collateral",
        "role": "maker",
        "order_hash": hash_of(f"order{index}"),
    }
    return ChainLeg(**(fields | extra))  # type: ignore[arg-type]


def book(
    bids: list[tuple[int, int]], asks: list[tuple[int, int]], ts_received: int = NOW_MS
) -> Book:
    """A book from (price in 0.01, shares) pairs, best first."""
    return Book(
        token_id=YES,
        bids=tuple(Level(p * 10_000, n * 10**6) for p, n in bids),
        asks=tuple(Level(p * 10_000, n * 10**6) for p, n in asks),
        ts_venue=ts_received,
        ts_received=ts_received,
        venue_hash="h",
    )


def market(**extra: object) -> Market:
    """An open market with a tick of 0.01 and a fee rate of 0.05."""
    fields: dict[str, object] = {
        "condition_id": CONDITION,
        "question": "Will it rain?",
        "slug": "rain",
        "event_id": "1",
        "category": "weather",
        "protocol": "v1",
        "tokens": (YES, NO),
        "outcomes": ("Yes", "No"),
        "tick": 10_000,
        "order_shares_min": 5_000_000,
        "fee": FeeSchedule(rate=50_000),
        "neg_risk": False,
        "delay_ms": 0,
        "closes_at": None,
        "closed": False,
        "accepting_orders": True,
    }
    return Market(**(fields | extra))  # type: ignore[arg-type]
