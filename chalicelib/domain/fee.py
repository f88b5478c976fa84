"""The taker fee: rate × shares × (p · (1 − p))^exponent, rounded down to five decimals.

`p` is the volume-weighted price of the whole placement fill, and makers pay nothing. Source: the
venue's fee schedule, reproduced to the last digit on chain logs.
"""

from __future__ import annotations

from dataclasses import dataclass

from chalicelib.domain.money import MICROS

FEE_STEP = 10
"""Fees have five decimals: multiples of ten micros."""


@dataclass(frozen=True, slots=True)
class FeeSchedule:
    """A market's own schedule; `rate` in micros (50_000 is 0.05)."""

    rate: int = 0
    exponent: int = 1


def taker_fee(schedule: FeeSchedule, shares: int, cash: int) -> int:
    """Fee in micros of collateral for taking `shares` for `cash` before fee. Rounded down."""
    if shares == 0 or schedule.rate == 0:
        return 0
    spread = cash * (shares - cash)
    exponent = schedule.exponent
    numerator: int = schedule.rate * shares * spread**exponent
    denominator: int = MICROS * shares ** (2 * exponent)
    return numerator // (denominator * FEE_STEP) * FEE_STEP
