"""The body of a message on the fills queue: UTF-8 JSON that names its version `v`.

Version 2, which is written, has the fields of FillMessage beside `v`; `backfill` is left out when
it is false, and `chain`, `api`, `events` and `raw` when they are empty. Version 1, with the message
under `message` and nothing left out, is still read: such messages are in flight while a new
deployment replaces the old one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

from chalicelib.adapters import codec
from chalicelib.domain.errors import InvalidInput
from chalicelib.domain.evidence import ActivityEvidence, ApiEvidence, ChainEvidence, FillMessage

try:
    # Only the watcher ships it; what a poller sends is too little to matter.
    import orjson
except ImportError:
    orjson = None  # type: ignore[assignment]

VERSION = 2
_REFUSED_BY_THE_QUEUE = tuple((c.encode(), f"\\u{ord(c):04x}".encode()) for c in "\ufffe\uffff")
"""Characters of JSON that are none of XML, which is what a message may hold; with their escape."""


@dataclass(frozen=True, slots=True)
class _Versioned:
    v: int


@dataclass(frozen=True, slots=True)
class _EnvelopeV1:
    message: FillMessage
    v: Literal[1] = 1


def encode(message: FillMessage) -> bytes:
    """The body of a message. Raises InvalidInput for text that is not Unicode."""
    body: dict[str, Any] = {
        "v": VERSION,
        "leader": message.leader,
        "wallet": message.wallet,
        "ts_seen": message.ts_seen,
    }
    if message.backfill:
        body["backfill"] = True
    if message.chain:
        body["chain"] = [_chain(item) for item in message.chain]
    if message.api:
        body["api"] = [_api(item) for item in message.api]
    if message.events:
        body["events"] = [_event(item) for item in message.events]
    text = _json(body)
    if not text.isascii():
        for character, escape in _REFUSED_BY_THE_QUEUE:
            text = text.replace(character, escape)
    return text


def parse_fill_message(body: str | bytes) -> FillMessage:
    """The message in a body of either version. Raises InvalidInput naming the field."""
    version = codec.from_text(_Versioned, body).v
    if version == VERSION:
        return codec.from_text(FillMessage, body, strict=True)
    if version == 1:
        return codec.from_text(_EnvelopeV1, body).message
    raise InvalidInput("v", f"version 1 or {VERSION} was expected, got {version}")


def _json(body: dict[str, Any]) -> bytes:
    if orjson is not None:
        try:
            return orjson.dumps(body)
        except orjson.JSONEncodeError:
            # Integers above 64 bits; what the other cannot write either is refused below.
            pass
    try:
        return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    except ValueError as error:
        raise InvalidInput("FillMessage", str(error)) from error


def _chain(item: ChainEvidence) -> dict[str, Any]:
    leg = item.leg
    fields: dict[str, Any] = {
        "tx_hash": item.tx_hash,
        "token_id": item.token_id,
        "side": item.side,
        "leg": {
            "block_hash": leg.block_hash,
            "block_number": leg.block_number,
            "log_index": leg.log_index,
            "ts_block": leg.ts_block,
            "shares": leg.shares,
            "cash": leg.cash,
            "fee": leg.fee,
            "fee_asset": leg.fee_asset,
            "role": leg.role,
            "order_hash": leg.order_hash,
            "removed": leg.removed,
        },
    }
    if item.raw:
        fields["raw"] = item.raw
    return fields


def _api(item: ApiEvidence) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "tx_hash": item.tx_hash,
        "token_id": item.token_id,
        "side": item.side,
        "rows": [
            {
                "shares": row.shares,
                "price_e10": row.price_e10,
                "cash": row.cash,
                "fee": row.fee,
                "role": row.role,
                "ts_block": row.ts_block,
                "count": row.count,
            }
            for row in item.rows
        ],
    }
    if item.raw:
        fields["raw"] = item.raw
    return fields


def _event(item: ActivityEvidence) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "kind": item.kind,
        "tx_hash": item.tx_hash,
        "condition_id": item.condition_id,
        "token_id": item.token_id,
        "shares": item.shares,
        "cash": item.cash,
        "ts_block": item.ts_block,
        "count": item.count,
        "outcome_index": item.outcome_index,
    }
    if item.raw:
        fields["raw"] = item.raw
    return fields
