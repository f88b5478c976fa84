"""JSON of the socket: orjson where it is installed, the standard library elsewhere."""

from __future__ import annotations

import json
from collections.abc import Callable

Loads = Callable[[str | bytes], object]

NESTING_MAX = 4_000
"""Opening brackets of one frame: more than any node sends, fewer than a stack holds."""


def _plain(frame: str | bytes) -> object:
    text = frame if isinstance(frame, str) else frame.decode()
    if text.count("[") + text.count("{") > NESTING_MAX:
        raise ValueError("nested too deeply")
    return json.loads(text)


_loads: Loads = _plain


def compact(value: object) -> str:
    """Compact JSON text of a parsed value."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


try:
    import orjson
except ImportError:
    pass
else:
    _loads = orjson.loads

    def compact(value: object) -> str:
        """Compact JSON text of a parsed value."""
        return orjson.dumps(value).decode()


def parse(frame: str | bytes) -> object:
    """The JSON value of a frame. Raises ValueError for anything else."""
    try:
        return _loads(frame)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
