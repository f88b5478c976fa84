"""A venue row as the text that is kept of it: what happened, not how it looks on a page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal

RAW_ROW_CHARS_MAX = 1_500
"""Text kept of one row; a field that does not fit any more is left out."""
DEPTH_MAX = 4

_PRESENTATION = frozenset(
    {
        "name", "pseudonym", "bio", "icon", "title", "slug",
        "profile_image", "profile_image_optimized", "event_slug",
        "profileImage", "profileImageOptimized", "eventSlug",
    }
)  # fmt: skip


def _text(value: object, depth: int = 0) -> str:
    """JSON of one value; numbers keep their digits, what is nested too deep is cut."""
    if isinstance(value, Decimal):
        return str(value) if value.is_finite() else json.dumps(str(value))
    if value is None or isinstance(value, bool | int | str):
        return json.dumps(value)
    if depth < DEPTH_MAX and isinstance(value, list):
        return f"[{','.join(_text(item, depth + 1) for item in value)}]"
    if depth < DEPTH_MAX and isinstance(value, dict):
        items = (f"{json.dumps(str(k))}:{_text(v, depth + 1)}" for k, v in value.items())
        return f"{{{','.join(items)}}}"
    return '"..."'


def raw_text(row: Mapping[str, object]) -> str:
    """Compact JSON of `row` without names, pictures and titles, at most RAW_ROW_CHARS_MAX."""
    parts: list[str] = []
    chars = 2
    for name, value in row.items():
        if name in _PRESENTATION:
            continue
        part = f"{json.dumps(str(name))}:{_text(value)}"
        if chars + len(part) + 1 <= RAW_ROW_CHARS_MAX:
            parts.append(part)
            chars += len(part) + 1
    return "{" + ",".join(parts) + "}"


def raw_weight(raw: str) -> int:
    """What such a text adds to a message, where it is quoted once more."""
    return len(raw) + raw.count('"') + raw.count("\\")
