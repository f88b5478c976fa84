"""`OrderFilled` decoded field by field, slowly: what the fast decoder must agree with."""

from __future__ import annotations

import re
from collections.abc import Container, Mapping

from chalicelib.domain.errors import InvalidInput
from chalicelib.domain.exchange_log import (
    EXCHANGES,
    TIMESTAMP_MAX,
    TOPIC_V1,
    TOPIC_V2,
    FeeAsset,
    Generation,
    LeaderFill,
    Side,
)
from chalicelib.domain.identifiers import address, hash32
from chalicelib.domain.money import AMOUNT_MAX

_HEX = re.compile(r"0x[0-9a-fA-F]{1,64}\Z")
_HEX_DATA = re.compile(r"0x(?:[0-9a-fA-F]{64})*\Z")
_WORDS = {"v1": 5, "v2": 7, "v3": 7}


def quantity(value: object, field: str) -> int:
    """A JSON-RPC quantity: 0x-prefixed hex text, or a plain non-negative integer."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if isinstance(value, str) and _HEX.match(value):
        return int(value, 16)
    raise InvalidInput(field, f"a hex quantity was expected, got {str(value)[:40]!r}")


def _optional(value: object, field: str) -> int | None:
    return None if value is None else quantity(value, field)


def _topics(log: Mapping[str, object]) -> list[str]:
    topics = log.get("topics")
    if not isinstance(topics, list) or not all(isinstance(t, str) for t in topics):
        raise InvalidInput("topics", "a list of hex strings was expected")
    return [t.lower() for t in topics]


def _topic_address(topic: str, field: str) -> str:
    if len(topic) != 66 or topic[:26] != "0x" + "0" * 24:
        raise InvalidInput(field, f"an address topic was expected, got {topic[:80]!r}")
    return address("0x" + topic[26:], field)


def _words(log: Mapping[str, object], count: int) -> list[int]:
    data = log.get("data")
    if not isinstance(data, str) or len(data) != 2 + 64 * count or not _HEX_DATA.match(data):
        raise InvalidInput("data", f"{count} words of hex were expected")
    return [int(data[i : i + 64], 16) for i in range(2, len(data), 64)]


def _removed(log: Mapping[str, object]) -> bool:
    removed = log.get("removed", False)
    if not isinstance(removed, bool):
        raise InvalidInput("removed", "true or false was expected")
    return removed


def _amounts(generation: Generation, words: list[int]) -> tuple[Side, int, int, int, int, FeeAsset]:
    """(side, token, shares, cash, fee, fee asset) of the data words of one generation."""
    if generation == "v1":
        maker_asset, taker_asset, making, taking, fee = words
        if (maker_asset == 0) == (taker_asset == 0):
            raise InvalidInput("data", "exactly one asset id of a v1 log must be the collateral")
        if maker_asset == 0:
            return "BUY", taker_asset, taking, making, fee, "token"
        return "SELL", maker_asset, making, taking, fee, "collateral"
    side, token, making, taking, fee = words[:5]
    if side > 1:
        raise InvalidInput("data", f"side must be 0 or 1, got {side}")
    if token == 0:
        raise InvalidInput("data", "the token id is zero")
    if side == 0:
        return "BUY", token, taking, making, fee, "collateral"
    return "SELL", token, making, taking, fee, "collateral"


def decode_plainly(
    log: Mapping[str, object],
    wallets: Container[str],
    exchanges: Mapping[str, Generation] = EXCHANGES,
) -> LeaderFill | None:
    """The fill a raw node log states for one of `wallets`, or None if it states none.

    None: another event, another emitter, another wallet, or a dust log of zero shares.
    Raises InvalidInput naming the field when the log claims to be such a fill but is malformed.
    """
    topics = _topics(log)
    if not topics or topics[0] not in (TOPIC_V1, TOPIC_V2):
        return None
    exchange = address(log.get("address"))
    generation = exchanges.get(exchange)
    if generation is None or topics[0] != (TOPIC_V1 if generation == "v1" else TOPIC_V2):
        return None
    if len(topics) != 4:
        raise InvalidInput("topics", f"4 topics were expected, got {len(topics)}")
    wallet = _topic_address(topics[2], "topics[2]")
    if wallet not in wallets:
        return None
    taker = _topic_address(topics[3], "topics[3]")
    side, token, shares, cash, fee, fee_asset = _amounts(
        generation, _words(log, _WORDS[generation])
    )
    if shares == 0:
        return None
    if not 0 < cash <= shares <= AMOUNT_MAX or fee > AMOUNT_MAX:
        raise InvalidInput("data", "the price must be above 0 and at most 1")
    tx_hash, block_hash = log.get("transactionHash"), log.get("blockHash")
    ts_block = _optional(log.get("blockTimestamp"), "blockTimestamp")
    if ts_block is not None and ts_block > TIMESTAMP_MAX:
        raise InvalidInput("blockTimestamp", "is not a time in seconds")
    return LeaderFill(
        wallet=wallet,
        tx_hash=None if tx_hash is None else hash32(tx_hash, "transactionHash"),
        block_number=_optional(log.get("blockNumber"), "blockNumber"),
        block_hash=None if block_hash is None else hash32(block_hash, "blockHash"),
        log_index=_optional(log.get("logIndex"), "logIndex"),
        ts_block=None if ts_block is None else ts_block * 1000,
        exchange=exchange,
        generation=generation,
        role="taker" if taker == exchange else "maker",
        side=side,
        token_id=str(token),
        shares=shares,
        cash=cash,
        fee=fee,
        fee_asset=fee_asset,
        order_hash=hash32(topics[1], "topics[1]"),
        removed=_removed(log),
    )
