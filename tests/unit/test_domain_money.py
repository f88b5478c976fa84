"""Amounts: exact conversion at the edge, named rounding inside."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain import money
from chalicelib.domain.errors import InvalidInput

EXACT = Context(prec=200)
NUMBERS = st.decimals(0, 10**12, allow_nan=False, allow_infinity=False)


@given(NUMBERS)
def test_micros_round_half_to_even_whatever_the_length(number: Decimal) -> None:
    scaled = EXACT.multiply(number, Decimal(10**6))
    expected = int(scaled.to_integral_value(rounding=ROUND_HALF_EVEN, context=EXACT))
    assert money.micros(number, "size") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.0000005", 0),
        ("0.0000015", 2),
        ("0.0000005000000000000000000000000000001", 1),
        ("12.5", 12_500_000),
        ("1e-6", 1),
        ("1E3", 10**9),
        ("-0", 0),
        (10**12, 10**18),
    ],
)
def test_micros(text: object, expected: int) -> None:
    assert money.micros(text, "size") == expected


@pytest.mark.parametrize("text", ["0.0000001", "1.00000000000000000000000000000000000001"])
def test_exact_micros_refuse_further_digits(text: str) -> None:
    with pytest.raises(InvalidInput, match="six decimals"):
        money.micros(text, "--shares", exact=True)


@pytest.mark.parametrize(
    "bad",
    [
        None, True, 1.5, [], {}, "", "abc", "NaN", "Infinity", "-Infinity", "sNaN", "1_000", " 1",
        "1 ", "1\n", "١", "0x10", "1,5", "+1", ".5", "5.", "--1", "1e", "1e99999999999999",
        Decimal("NaN"), Decimal("Infinity"), -1, "-0.000001", 10**12 + 1, "1e13", "1e999999",
    ],
)  # fmt: skip
def test_what_is_not_an_amount_is_refused(bad: object) -> None:
    with pytest.raises(InvalidInput, match="size"):
        money.micros(bad, "size")


@given(st.integers(-(10**18), 10**18))
def test_decimal_text_says_the_same_number(amount: int) -> None:
    text = money.decimal_text(amount)
    assert Fraction(text) == Fraction(amount, 10**6)
    assert "e" not in text.lower()
    assert "." not in text or text[-1] not in ".0"


@given(st.integers(0, 10**18), st.integers(1, 10**18))
def test_price_is_the_nearest_micro(cash: int, shares: int) -> None:
    error = money.price_nearest(cash, shares) - Fraction(cash * 10**6, shares)
    assert Fraction(-1, 2) < error <= Fraction(1, 2)


@given(st.integers(-(10**12), 10**12), st.integers(1, 10**6))
def test_steps(amount: int, step: int) -> None:
    low, high = money.floor_to(amount, step), money.ceil_to(amount, step)
    assert low <= amount <= high
    assert high - low in (0, step)
    assert low % step == high % step == 0


@given(st.integers(0, 10**15), st.integers(0, 10**6))
def test_cash_is_floored(shares: int, price: int) -> None:
    assert money.cash_floor(shares, price) == Fraction(shares * price, 10**6).__floor__()
