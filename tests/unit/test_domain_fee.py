"""The taker fee against exact fractions and known charges."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain.fee import FeeSchedule, taker_fee


def reference(rate: int, exponent: int, shares: int, cash: int) -> int:
    price = Fraction(cash, shares)
    fee = Fraction(rate, 10**6) * Fraction(shares, 10**6) * (price * (1 - price)) ** exponent
    return int(fee * 10**5 // 1) * 10


@given(
    st.integers(0, 10**6), st.integers(1, 3), st.integers(1, 10**14), st.fractions(0, 1)
)  # fmt: skip
def test_the_fee_is_the_formula_rounded_down_to_five_decimals(
    rate: int, exponent: int, shares: int, part: Fraction
) -> None:
    cash = int(shares * part)
    schedule = FeeSchedule(rate, exponent)
    assert taker_fee(schedule, shares, cash) == reference(rate, exponent, shares, cash)


@pytest.mark.parametrize(
    ("rate", "shares", "cash", "fee"),
    [
        (70_000, 25_000_000, 16_000_000, 403_200),
        (40_000, 100_000_000, 58_800_000, 969_020),
        (50_000, 22_840_000, 11_876_800, 285_040),
        (70_000, 2_560_000, 2_355_200, 13_180),
        (50_000, 0, 0, 0),
        (0, 100_000_000, 50_000_000, 0),
        (50_000, 1_000_000, 1_000_000, 0),
        (50_000, 100, 50, 0),
    ],
)
def test_known_fees(rate: int, shares: int, cash: int, fee: int) -> None:
    assert taker_fee(FeeSchedule(rate), shares, cash) == fee
