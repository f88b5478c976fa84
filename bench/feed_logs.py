"""Distinct, valid `OrderFilled` notifications of the live exchanges, as a node writes them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from random import Random
from typing import Any

from chalicelib.domain.exchange_log import LIVE_EXCHANGES, TOPIC_V2

WALLETS = tuple(f"0x{n:040x}" for n in range(0xA11CE, 0xA11CE + 100))
"""The wallets that are followed; every log is a fill of one of them."""

SUBSCRIPTION = "0x9cef478923ff08bf67fde6c64013158d"
LOGS_PER_BLOCK = 8
FIRST_BLOCK = 97_000_000
FIRST_SECOND = 1_795_000_000
_PAD = "0x" + "0" * 24


def logs(count: int, seed: str = "feed") -> Iterator[dict[str, Any]]:
    """`count` logs; every one has its own order, amounts and place, eight share a block."""
    source = Random(seed)
    block_hash = ""
    for n in range(count):
        place = n % LOGS_PER_BLOCK
        if place == 0:
            block_hash = "0x" + source.randbytes(32).hex()
        exchange = source.choice(LIVE_EXCHANGES)
        shares = source.randrange(1_000_000, 10**10)
        cash = shares * source.randrange(10, 990) // 1_000
        side = source.randrange(2)
        making, taking = (shares, cash) if side else (cash, shares)
        fee = source.choice((0, cash // 100))
        taker = source.choice((exchange, "0x" + source.randbytes(20).hex()))
        words = (side, source.getrandbits(256) | 1, making, taking, fee, 0, 0)
        yield {
            "address": exchange,
            "topics": [
                TOPIC_V2,
                "0x" + source.randbytes(32).hex(),
                _PAD + source.choice(WALLETS)[2:],
                _PAD + taker[2:],
            ],
            "data": "0x" + "".join(f"{word:064x}" for word in words),
            "blockNumber": hex(FIRST_BLOCK + n // LOGS_PER_BLOCK),
            "transactionHash": "0x" + source.randbytes(32).hex(),
            "transactionIndex": hex(place),
            "blockHash": block_hash,
            "blockTimestamp": hex(FIRST_SECOND + n // LOGS_PER_BLOCK * 3 // 2),
            "logIndex": hex(40 + place * 7),
            "removed": False,
        }


def notification(result: dict[str, Any], subscription: str = SUBSCRIPTION) -> bytes:
    """The text of a subscription's notification."""
    params = {"subscription": subscription, "result": result}
    message = {"jsonrpc": "2.0", "method": "eth_subscription", "params": params}
    return json.dumps(message, separators=(",", ":")).encode()


def head(number: int, second: int) -> dict[str, Any]:
    """A header as `newHeads` announces it, with the fields that are read."""
    return {
        "number": hex(number),
        "hash": f"0x{number:064x}",
        "parentHash": f"0x{number - 1:064x}",
        "timestamp": hex(second),
    }
