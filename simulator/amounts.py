"""Integer money: prices, shares and pUSD are micros (10^-6), never floats, until JSON.

The two `*_number` functions are the only exits to floating point; they give the doubles the
Data API publishes.
"""

from __future__ import annotations

MICRO = 1_000_000


def decimal_text(micros: int) -> str:
    """Micros as the CLOB writes numbers: a plain decimal string without padding zeros."""
    whole, rest = divmod(micros, MICRO)
    if not rest:
        return str(whole)
    return f"{whole}.{rest:06d}".rstrip("0")


def micros_number(micros: int) -> float:
    """Micros as the double nearest to the exact decimal (at most six decimals)."""
    return micros / MICRO


def price_number(cash_micros: int, shares_micros: int) -> float:
    """Price per share as the Data API publishes it: cash/shares at ten decimals."""
    return round(cash_micros / shares_micros, 10)


def taker_fee_micros(rate_bps: int, cash_micros: int, shares_micros: int) -> int:
    """Taker fee in micros: rate * shares * p * (1-p) with p = cash/shares, rounded DOWN.

    The venue keeps five decimals, so the result is a multiple of 10 micros.
    """
    if not rate_bps or not shares_micros:
        return 0
    numerator = rate_bps * cash_micros * (shares_micros - cash_micros)
    return numerator // (10_000 * shares_micros * 10) * 10
