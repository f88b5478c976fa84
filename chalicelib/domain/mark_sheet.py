"""Marks as one short text: a sheet is written with every cycle, so its bytes are its price."""

from __future__ import annotations

import base64
from collections.abc import Iterable

from chalicelib.domain.errors import InvalidInput
from chalicelib.domain.registry import Mark, MarkScope, MarkSheet

MARKS_MAX = 4_000
"""Tokens on one sheet: 51 characters each, half of the store's 400 KB limit."""
TOKEN_BYTES = 32
PRICE_BYTES = 3
AGE_BYTES = 3
_MARK_BYTES = TOKEN_BYTES + PRICE_BYTES + AGE_BYTES
_AGE_S_MAX = 2 ** (8 * AGE_BYTES) - 1


def mark_sheet(marks: Iterable[Mark], ts: int, scope: MarkScope, version: int = 0) -> MarkSheet:
    """The sheet of these marks as of `ts` (milliseconds); their ages are kept in whole seconds."""
    packed = bytearray()
    for mark in marks:
        age_s = min(max(0, ts - mark.ts) // 1000, _AGE_S_MAX)
        packed += int(mark.token_id).to_bytes(TOKEN_BYTES, "big")
        packed += mark.price.to_bytes(PRICE_BYTES, "big")
        packed += age_s.to_bytes(AGE_BYTES, "big")
    return MarkSheet(base64.b64encode(packed).decode(), ts, scope, version)


def marks_on(sheet: MarkSheet) -> tuple[Mark, ...]:
    """The marks of a sheet. Raises InvalidInput for a text that is none."""
    try:
        packed = base64.b64decode(sheet.packed, validate=True)
    except ValueError as error:
        raise InvalidInput("packed", "packed marks were expected") from error
    if len(packed) % _MARK_BYTES:
        raise InvalidInput("packed", "packed marks were expected")
    return tuple(
        _mark(packed[start : start + _MARK_BYTES], sheet.ts)
        for start in range(0, len(packed), _MARK_BYTES)
    )


def _mark(packed: bytes, ts: int) -> Mark:
    price_end = TOKEN_BYTES + PRICE_BYTES
    return Mark(
        str(int.from_bytes(packed[:TOKEN_BYTES], "big")),
        int.from_bytes(packed[TOKEN_BYTES:price_end], "big"),
        ts - 1000 * int.from_bytes(packed[price_end:], "big"),
    )
