"""Decoding of `OrderFilled`, the one log that states a wallet's fill, of all exchange generations.

Only the log whose `maker` topic is the wallet is that wallet's fill; logs with the wallet in the
`taker` topic are the counterparties' orders, with their side and, in mint and merge matches, the
complement token. Sources: the exchanges' public event signatures.
"""

from __future__ import annotations

import re
from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Literal

from chalicelib.domain.errors import InvalidInput
from chalicelib.domain.identifiers import address, hash32
from chalicelib.domain.money import AMOUNT_MAX, price_nearest

Side = Literal["BUY", "SELL"]
Role = Literal["maker", "taker"]
Generation = Literal["v1", "v2", "v3"]
FeeAsset = Literal["collateral", "token"]

TOPIC_V1 = "0xd0a08e8c493f9c94f29311604c9de1b4e8c8d4c06bd0c789af57f2d65bfec0f6"
TOPIC_V2 = "0xd543adfd945773f1a62f74f0ee55a5e3b9b1a28262980ba90b1a89f2ea84d8ee"
"""The second and third generation share one signature."""

EXCHANGES: Mapping[str, Generation] = {
    "0x4bfb41d5b3570defd03c39a9a4d8de6bd8b8982e": "v1",
    "0xc5d563a36ae78145c45a50134d48a1215220f80a": "v1",
    "0xe111180000d2663c0091e4f400237545b87b996b": "v2",
    "0xe2222d279d744050d28e00520010520000310f59": "v2",
    "0xe3333700ca9d93003f00f0f71f8515005f6c00aa": "v3",
}
LIVE_EXCHANGES = tuple(a for a, generation in EXCHANGES.items() if generation != "v1")

_quantity_text = re.compile(r"0x[0-9a-fA-F]{1,64}").fullmatch
_hash_text = re.compile(r"0x[0-9a-f]{64}").fullmatch
_ADDRESS_PAD = "0x" + "0" * 24
_address_topic_text = re.compile(r"0x0{24}[0-9a-f]{40}").fullmatch
TIMESTAMP_MAX = 10**10
"""Seconds; later times would outgrow the thirteen digits of a sort key."""

_GENERATIONS: Mapping[str, tuple[Generation, ...]] = {TOPIC_V1: ("v1",), TOPIC_V2: ("v2", "v3")}
_WORDS = {"v1": 5, "v2": 7, "v3": 7}
Words = tuple[int, int, int, int, int]
_data_text = {n: re.compile(f"0x[0-9a-fA-F]{{{64 * n}}}").fullmatch for n in {*_WORDS.values()}}


@dataclass(frozen=True)
class LeaderFill:
    """One (possibly partial) fill of one order of `wallet`, exactly as its own log states it.

    Amounts are micros and exclude the fee; `ts_block` is milliseconds or None where the provider
    does not send block times; the block fields are None only for logs without a block.
    """

    wallet: str
    tx_hash: str | None
    block_number: int | None
    block_hash: str | None
    log_index: int | None
    ts_block: int | None
    exchange: str
    generation: Generation
    role: Role
    side: Side
    token_id: str
    shares: int
    cash: int
    fee: int
    fee_asset: FeeAsset
    order_hash: str
    removed: bool

    @property
    def price(self) -> int:
        """Micros per share, rounded to the nearest micro."""
        return price_nearest(self.cash, self.shares)


def quantity(value: object, field: str) -> int:
    """A JSON-RPC quantity: 0x-prefixed hex text, or a plain non-negative integer."""
    if isinstance(value, str):
        if _quantity_text(value):
            return int(value, 16)
    elif isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise InvalidInput(field, f"a hex quantity was expected, got {str(value)[:40]!r}")


def _optional(value: object, field: str) -> int | None:
    if isinstance(value, str) and _quantity_text(value):
        return int(value, 16)
    return None if value is None else quantity(value, field)


def _topics(log: Mapping[str, object]) -> list[str]:
    topics = log.get("topics")
    if isinstance(topics, list):
        try:
            # One pass over all of them: joining refuses what is not text.
            "".join(topics)
        except TypeError:
            pass
        else:
            return topics
    raise InvalidInput("topics", "a list of hex strings was expected")


def _topic_address(topic: str, field: str, known: Container[str]) -> str:
    """`known` are addresses of which it is probably one, which spares the closer look."""
    found = "0x" + topic[26:]
    if found in known and topic.startswith(_ADDRESS_PAD):
        return found
    if not _address_topic_text(topic):
        topic = topic.lower()
        if not _address_topic_text(topic):
            raise InvalidInput(field, f"an address topic was expected, got {topic[:80]!r}")
    return "0x" + topic[26:]


def _hash(value: object, field: str) -> str:
    """As nodes write it, which is tried first, or any other letter case."""
    return value if isinstance(value, str) and _hash_text(value) else hash32(value, field)


def _optional_hash(value: object, field: str) -> str | None:
    return None if value is None else _hash(value, field)


def _emitter(
    log: Mapping[str, object], signature: str, exchanges: Mapping[str, Generation]
) -> tuple[str, Generation] | None:
    """The exchange that emitted a log and its generation, if `signature` is that one's event."""
    if signature not in _GENERATIONS:
        signature = signature.lower()
        if signature not in _GENERATIONS:
            return None
    exchange = log.get("address")
    if not isinstance(exchange, str) or exchange not in exchanges:
        exchange = address(exchange)
    generation = exchanges.get(exchange)
    if generation is None or generation not in _GENERATIONS[signature]:
        return None
    return exchange, generation


def _words(log: Mapping[str, object], count: int) -> Words:
    """The first five words; the others of the `count` are checked and left alone."""
    text = log.get("data")
    if isinstance(text, str) and len(text) == 2 + 64 * count and text.startswith("0x"):
        try:
            data = bytes.fromhex(text[2:])
        except ValueError:
            data = b""
        # Spaces are skipped there, so a full length proves that every character was a digit.
        if len(data) == 32 * count:
            word = int.from_bytes
            return (
                word(data[:32], "big"),
                word(data[32:64], "big"),
                word(data[64:96], "big"),
                word(data[96:128], "big"),
                word(data[128:160], "big"),
            )
    raise InvalidInput("data", f"{count} words of hex were expected")


def _removed(log: Mapping[str, object]) -> bool:
    removed = log.get("removed", False)
    if not isinstance(removed, bool):
        raise InvalidInput("removed", "true or false was expected")
    return removed


def _amounts(generation: Generation, words: Words) -> tuple[Side, int, int, int, int, FeeAsset]:
    """(side, token, shares, cash, fee, fee asset) of the data words of one generation."""
    if generation == "v1":
        maker_asset, taker_asset, making, taking, fee = words
        if (maker_asset == 0) == (taker_asset == 0):
            raise InvalidInput("data", "exactly one asset id of a v1 log must be the collateral")
        if maker_asset == 0:
            return "BUY", taker_asset, taking, making, fee, "token"
        return "SELL", maker_asset, making, taking, fee, "collateral"
    side, token, making, taking, fee = words
    if side > 1:
        raise InvalidInput("data", f"side must be 0 or 1, got {side}")
    if token == 0:
        raise InvalidInput("data", "the token id is zero")
    if side == 0:
        return "BUY", token, taking, making, fee, "collateral"
    return "SELL", token, making, taking, fee, "collateral"


def decode_order_filled(
    log: Mapping[str, object],
    wallets: Container[str],
    exchanges: Mapping[str, Generation] = EXCHANGES,
) -> LeaderFill | None:
    """The fill a raw node log states for one of `wallets`, or None if it states none.

    `wallets` and `exchanges` hold addresses in lower case.
    None: another event, another emitter, another wallet, or a dust log of zero shares.
    Raises InvalidInput naming the field when the log claims to be such a fill but is malformed.
    """
    topics = _topics(log)
    emitter = _emitter(log, topics[0], exchanges) if topics else None
    if emitter is None:
        return None
    exchange, generation = emitter
    if len(topics) != 4:
        raise InvalidInput("topics", f"4 topics were expected, got {len(topics)}")
    wallet = _topic_address(topics[2], "topics[2]", wallets)
    if wallet not in wallets:
        return None
    taker = _topic_address(topics[3], "topics[3]", exchanges)
    side, token, shares, cash, fee, fee_asset = _amounts(
        generation, _words(log, _WORDS[generation])
    )
    if shares == 0:
        return None
    if not 0 < cash <= shares <= AMOUNT_MAX or fee > AMOUNT_MAX:
        raise InvalidInput("data", "the price must be above 0 and at most 1")
    ts_block = _optional(log.get("blockTimestamp"), "blockTimestamp")
    if ts_block is not None and ts_block > TIMESTAMP_MAX:
        raise InvalidInput("blockTimestamp", "is not a time in seconds")
    fill = object.__new__(LeaderFill)
    # In one step: a frozen dataclass sets its fields one by one, which takes three times as long.
    fill.__dict__.update(
        wallet=wallet,
        tx_hash=_optional_hash(log.get("transactionHash"), "transactionHash"),
        block_number=_optional(log.get("blockNumber"), "blockNumber"),
        block_hash=_optional_hash(log.get("blockHash"), "blockHash"),
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
        order_hash=_hash(topics[1], "topics[1]"),
        removed=_removed(log),
    )
    return fill
