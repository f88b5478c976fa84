"""JSON without floats."""

from __future__ import annotations

import json
from decimal import Decimal


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


def parse_json(body: bytes | str) -> object:
    """JSON with fractions as Decimal. Raises ValueError for NaN, Infinity and malformed text."""
    try:
        parsed: object = json.loads(body, parse_float=Decimal, parse_constant=_refuse_constant)
    except (RecursionError, ArithmeticError) as error:
        raise ValueError("the JSON cannot be represented") from error
    return parsed
