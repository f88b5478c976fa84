"""Raw payloads, kept with the fact they brought and nowhere else."""

from __future__ import annotations

import json
import zlib
from base64 import b64decode, b64encode
from collections.abc import Iterable

from chalicelib.domain.errors import Permanent
from chalicelib.domain.registry import RawPayload

DATA_CHARS_MAX = 200_000
"""Deflated and encoded; beyond it only the number of characters is kept."""


def raw_payload(
    subject: str, number: int, source: str, ts: int, texts: Iterable[str]
) -> RawPayload | None:
    """The row for payload texts that brought a new fact, None when there are none."""
    kept = [text for text in texts if text]
    if not kept:
        return None
    data = _packed(kept)
    if len(data) > DATA_CHARS_MAX:
        data = _packed([f"{sum(map(len, kept))} characters were too many to keep"])
    return RawPayload(subject, number, source, ts, data)


def _packed(texts: list[str]) -> str:
    return b64encode(zlib.compress(json.dumps(texts).encode(), 6)).decode()


def raw_texts(row: RawPayload) -> list[str]:
    """The texts of a row. Raises Permanent when it cannot be read."""
    try:
        texts = json.loads(zlib.decompress(b64decode(row.data)))
    except (ValueError, zlib.error) as error:
        raise Permanent(f"raw payload {row.subject} {row.number} cannot be read") from error
    return [str(text) for text in texts]
