"""Messages about one log: that it was seen, and that it is gone."""

from __future__ import annotations

import json
from dataclasses import replace

from chalicelib.domain.errors import InvalidInput
from chalicelib.domain.evidence import ChainEvidence, FillMessage
from chalicelib.domain.exchange_log import LeaderFill
from chalicelib.domain.trade import ChainLeg
from chalicelib.watcher.quick import quick

PAYLOAD_CHARS_MAX = 20_000
_leg, _seen, _message = quick(ChainLeg), quick(ChainEvidence), quick(FillMessage)


def payload(raw: object) -> str:
    """A refused value as text for a person."""
    return json.dumps(raw, default=str)[:PAYLOAD_CHARS_MAX]


def evidence_of(fill: LeaderFill, leader: str, now_ms: int, raw: str = "") -> FillMessage:
    """The message about one log. Raises InvalidInput naming a block field that is missing."""
    tx_hash, block_hash, number = fill.tx_hash, fill.block_hash, fill.block_number
    log_index, ts_block = fill.log_index, fill.ts_block
    if (
        tx_hash is None
        or block_hash is None
        or number is None
        or log_index is None
        or ts_block is None
    ):
        raise InvalidInput(_missing(fill), "a mined log must state it")
    leg = _leg(
        block_hash,
        number,
        log_index,
        ts_block,
        fill.shares,
        fill.cash,
        fill.fee,
        fill.fee_asset,
        fill.role,
        fill.order_hash,
        fill.removed,
    )
    seen = _seen(tx_hash, fill.token_id, fill.side, leg, raw)
    return _message(leader, fill.wallet, now_ms, False, (seen,), (), ())


def _missing(fill: LeaderFill) -> str:
    stated = {
        "transactionHash": fill.tx_hash,
        "blockHash": fill.block_hash,
        "blockNumber": fill.block_number,
        "logIndex": fill.log_index,
    }
    return next((name for name, value in stated.items() if value is None), "blockTimestamp")


def retracted(message: FillMessage, leader: str, now_ms: int) -> FillMessage:
    """The message that the log of another message is gone."""
    (seen,) = message.chain
    gone = replace(seen, leg=replace(seen.leg, removed=True), raw="")
    return FillMessage(leader=leader, wallet=message.wallet, ts_seen=now_ms, chain=(gone,))
