"""What DynamoDB charges for, by the published rules: sizes of items and units of requests.

A write costs one unit per started kilobyte of the larger of the item before and after, a strongly
consistent read one per started 4 KB, an eventually consistent one half of that; a transaction
doubles, conditions in it included, and what a condition refuses is charged like what it lets pass.
A query reads its items together. An index takes one write to enter or leave and two to move.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

WRITE_BYTES, READ_BYTES = 1024, 4096
ITEM_OVERHEAD_BYTES = 100
"""Stored with every item and every index entry, and charged as storage only."""

Typed = Mapping[str, Mapping[str, Any]]
"""An item as it travels: attribute → {type: value}."""


def item_bytes(item: Typed) -> int:
    """Names and values of an item in bytes."""
    return sum(len(name.encode()) + _value_bytes(value) for name, value in item.items())


def _value_bytes(value: Mapping[str, Any]) -> int:
    ((kind, given),) = value.items()
    if kind == "S":
        return len(given.encode())
    if kind == "N":
        digits = given.lstrip("-").replace(".", "").strip("0")
        return (len(digits) + 1) // 2 + 1 + given.startswith("-")
    if kind == "B":
        return len(given)
    if kind in ("BOOL", "NULL"):
        return 1
    if kind == "L":
        return 3 + sum(1 + _value_bytes(part) for part in given)
    if kind == "M":
        return 3 + sum(1 + len(k.encode()) + _value_bytes(v) for k, v in given.items())
    raise ValueError(f"no size is known for the type {kind}")


def write_units(before: int, after: int, *, transaction: bool = False) -> int:
    """Units of writing or deleting an item that had and will have so many bytes, 0 for none."""
    return max(1, math.ceil(max(before, after) / WRITE_BYTES)) * (2 if transaction else 1)


def read_units(sizes: Iterable[int], *, consistent: bool) -> float:
    """Units of one request that reads items of these sizes together; nothing found costs one."""
    whole = max(1, math.ceil(sum(sizes) / READ_BYTES))
    return whole if consistent else whole / 2


def index_writes(before: str | None, after: str | None, size: int) -> int:
    """Units that a write causes in an index, by the item's place there before and after."""
    if before == after:
        return 0
    each = max(1, math.ceil(size / WRITE_BYTES))
    return each * ((before is not None) + (after is not None))
