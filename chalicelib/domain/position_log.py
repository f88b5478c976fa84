"""Decoding of the logs that move positions without a trade: split, merge, convert.

The stakeholder of these logs is usually a collateral adapter and not the wallet, so they explain a
transaction but do not by themselves say whose position moved.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from chalicelib.domain.errors import InvalidInput
from chalicelib.domain.exchange_log import quantity
from chalicelib.domain.identifiers import hash32

_SPLIT = "0x2e6bb91f8cbcda0c93623c54d0403a43514fabc40084ec96b6d5379a74786298"
_MERGE = "0x6f13ca62553fcc2bcd2372180a43949c1e4cebba603901ede2f4e14f36b282ca"
_CONVERT = "0xb03d19dddbc72a87e735ff0ea3b57bef133ebe44e1894284916a84044deb367e"

_DATA = re.compile(r"0x(?:[0-9a-fA-F]{64})+\Z")

PositionEvent = Literal["SPLIT", "MERGE", "CONVERSION"]
_KINDS: Mapping[str, PositionEvent] = {_SPLIT: "SPLIT", _MERGE: "MERGE", _CONVERT: "CONVERSION"}


@dataclass(frozen=True, slots=True)
class PositionChange:
    """Sets split or merged, or NO shares converted; `amount` in micros.

    `subject` is the condition id of a split or merge and the market id of a conversion;
    `index_set` is 0 except for conversions.
    """

    kind: PositionEvent
    stakeholder: str
    subject: str
    index_set: int
    amount: int
    tx_hash: str
    block_number: int
    log_index: int


def decode_position_change(log: Mapping[str, object]) -> PositionChange | None:
    """The change a raw node log states, or None for any other event.

    Raises InvalidInput naming the field when a log of these events is malformed.
    """
    topics = log.get("topics")
    if not isinstance(topics, list) or not topics or not isinstance(topics[0], str):
        raise InvalidInput("topics", "a list of hex strings was expected")
    kind = _KINDS.get(topics[0].lower())
    if kind is None:
        return None
    if len(topics) != 4:
        raise InvalidInput("topics", f"4 topics were expected, got {len(topics)}")
    data = log.get("data")
    if not isinstance(data, str) or not _DATA.match(data):
        raise InvalidInput("data", "whole words of hex were expected")
    stakeholder = hash32(topics[1], "topics[1]")
    if stakeholder[2:26] != "0" * 24:
        raise InvalidInput("topics[1]", "an address topic was expected")
    converted = kind == "CONVERSION"
    amount_word = data[2:66] if converted else data[130:194]
    return PositionChange(
        kind=kind,
        stakeholder="0x" + stakeholder[26:],
        subject=hash32(*((topics[2], "topics[2]") if converted else (topics[3], "topics[3]"))),
        index_set=quantity(topics[3], "topics[3]") if converted else 0,
        amount=quantity("0x" + amount_word, "data"),
        tx_hash=hash32(log.get("transactionHash"), "transactionHash"),
        block_number=quantity(log.get("blockNumber"), "blockNumber"),
        log_index=quantity(log.get("logIndex"), "logIndex"),
    )
