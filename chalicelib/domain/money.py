"""Amounts are integers in micros: 1_000_000 is one collateral unit (pUSD) or one share.

Inside the domain every amount without a suffix (`shares`, `cash`, `fee`, `price`, `cost`) is in
micros; a price is micros of collateral per whole share, 0..1_000_000. At every boundary (JSON,
storage, command line) the same number carries the suffix `_micros`. Each division names its
rounding.
"""

from __future__ import annotations

import re
from decimal import ROUND_HALF_EVEN, Decimal

from chalicelib.domain.errors import InvalidInput

MICROS = 1_000_000
SHARE_STEP = 10_000
"""Order sizes have two decimals: 0.01 share."""

AMOUNT_MAX = 10**18
"""A million million units: anything larger is a broken payload, not an amount."""

_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,6})?\Z", re.ASCII)
_MICRO = Decimal("0.000001")


def decimal_of(value: object, field: str) -> Decimal:
    """The exact decimal of a venue number (text, int or Decimal); floats are refused.

    Raises InvalidInput naming `field` for anything that is not a finite number.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise InvalidInput(field, f"a number was expected, got {type(value).__name__}")
    if isinstance(value, str) and not _NUMBER.match(value):
        raise InvalidInput(field, f"a number was expected, got {value[:40]!r}")
    number = Decimal(value)
    if not number.is_finite():
        raise InvalidInput(field, "a finite number was expected")
    return number


def micros(value: object, field: str, *, exact: bool = False) -> int:
    """Micros of a non-negative venue number, rounded half to even at the sixth decimal.

    With `exact`, a number with more than six decimals is refused instead of rounded.
    """
    number = decimal_of(value, field)
    if number < 0:
        raise InvalidInput(field, "must not be negative")
    if number > AMOUNT_MAX // MICROS:
        raise InvalidInput(field, "is too large to be an amount")
    rounded = number.quantize(_MICRO, rounding=ROUND_HALF_EVEN)
    if exact and rounded != number:
        raise InvalidInput(field, "has more than six decimals")
    return int(rounded * MICROS)


def decimal_text(amount: int) -> str:
    """Micros as a plain decimal without trailing zeros, as the venue writes numbers."""
    sign, amount = ("-", -amount) if amount < 0 else ("", amount)
    whole, part = divmod(amount, MICROS)
    return f"{sign}{whole}.{part:06d}".rstrip("0").rstrip(".")


def cash_floor(shares: int, price: int) -> int:
    """Collateral for `shares` at `price`, rounded down to the micro as the exchange does."""
    return shares * price // MICROS


def price_nearest(cash: int, shares: int) -> int:
    """Average price, rounded to the nearest micro (half up). `shares` must be positive."""
    return (2 * cash * MICROS + shares) // (2 * shares)


def ratio_floor(amount: int, numerator: int, denominator: int) -> int:
    """`amount × numerator ÷ denominator`, rounded towards zero for non-negative operands."""
    return amount * numerator // denominator


def floor_to(amount: int, step: int) -> int:
    """The largest multiple of `step` not above `amount`."""
    return amount // step * step


def ceil_to(amount: int, step: int) -> int:
    """The smallest multiple of `step` not below `amount`."""
    return -(-amount // step) * step
