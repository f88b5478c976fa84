"""What a quarantine keeps of a payload that can never be processed."""

from __future__ import annotations

import json

PAYLOAD_BYTES_MAX = 100_000
ERROR_BYTES_MAX = 2_000
LINE_BYTES_MAX = 250_000
"""JSON escapes make a control character six times longer; a queue takes 256 KB."""

_NONCHARACTERS = {0xFFFE: 0xFFFD, 0xFFFF: 0xFFFD}
"""A queue refuses messages that contain them."""


def cut(text: str, bytes_max: int) -> str:
    """`text` cut to so many bytes of UTF-8, never through a character."""
    encoded = text.encode("utf-8", "replace")[:bytes_max]
    return encoded.decode("utf-8", "ignore")


def refused_line(source: str, payload: str, error: str) -> str:
    """One line of JSON: source, error, payload, and the payload's full size in bytes.

    What is not Unicode text becomes a question mark or U+FFFD. A payload that is mostly control
    characters is cut further, until the line fits a message.
    """
    full_bytes = len(payload.encode("utf-8", "replace"))
    kept = cut(payload, PAYLOAD_BYTES_MAX)
    while True:
        line = json.dumps(
            {
                "v": 1,
                "source": cut(source, ERROR_BYTES_MAX),
                "error": cut(error, ERROR_BYTES_MAX),
                "payload": kept,
                "payload_bytes": full_bytes,
            },
            ensure_ascii=False,
        ).translate(_NONCHARACTERS)
        if len(line.encode()) <= LINE_BYTES_MAX:
            return line
        kept = kept[: len(kept) // 2]
