"""Ids: their formulas are frozen, and what is not an id is refused."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain import identifiers
from chalicelib.domain.errors import InvalidInput
from tests.unit.wire import CONDITION, LEADER, YES, hash_of


def test_golden_formulas() -> None:
    tx, condition = "0x" + "11" * 32, "0x" + "22" * 32
    trade = identifiers.trade_id(LEADER, tx, "12", "BUY")
    event = identifiers.event_id(LEADER, tx, "REDEEM", condition, "")
    assert trade == sha256(f"{LEADER}|{tx}|12|BUY".encode()).hexdigest()
    assert trade == "ed8c917fc11b44aef94a1bbe88dbe67b97fc1bfa1dfa7d0128cb4733c3d72f7f"
    assert event == "95df6b3ff988ad0f386f46f79378646b3eb86039d0c6f03ce178f6c33de6842f"
    assert identifiers.fill_id("abc", 3) == "abc:3"
    assert (
        identifiers.group_id("abc:3")
        == "f8360d181a8d261491e759549114f596d03440313e8a391c8aa30c1fe469fcb8"
    )
    assert (
        identifiers.attempt_id("g", "main/global", 2)
        == "94c8db67fd398f768dc6a3c13b0d43a3116d15bddc099642a6417a3f621d73e6"
    )


@given(st.text("0123456789abcdefABCDEF", min_size=40, max_size=40))
def test_an_address_is_lower_cased(digits: str) -> None:
    assert identifiers.address("0x" + digits) == "0x" + digits.lower()


@pytest.mark.parametrize(
    "bad",
    [
        None,
        1,
        "",
        "0x",
        LEADER[:-1],
        LEADER + "0",
        LEADER + "\n",
        " " + LEADER,
        "0x" + "g" * 40,
        [],
    ],
)
def test_what_is_not_an_address_is_refused(bad: object) -> None:
    with pytest.raises(InvalidInput, match="wallet"):
        identifiers.address(bad, "wallet")


@pytest.mark.parametrize("bad", [None, 7, hash_of(1)[:-1], hash_of(1) + "\n", hash_of(1)[2:]])
def test_what_is_not_a_hash_is_refused(bad: object) -> None:
    with pytest.raises(InvalidInput, match="transactionHash"):
        identifiers.hash32(bad, "transactionHash")


def test_short_condition_ids_are_padded_for_ordinary_modules_only() -> None:
    short = "0x01" + "ab" * 30
    assert identifiers.condition_id(short) == short + "00"
    assert identifiers.condition_id("0x02" + "AB" * 30) == "0x02" + "ab" * 30 + "00"
    combo = "0x03" + "ab" * 30
    assert identifiers.condition_id(combo) == combo
    assert identifiers.condition_id(CONDITION) == CONDITION
    assert len(identifiers.condition_id(short)) == 66


@pytest.mark.parametrize(
    "bad",
    [12, "", "0", "012", "-1", "1.0", "1e3", " 1", "1\n", "٣", "1_0", str(2**256), "9" * 79, None],
)
def test_what_is_not_a_token_id_is_refused(bad: object) -> None:
    with pytest.raises(InvalidInput, match="token_id"):
        identifiers.token_id(bad)


@given(st.integers(1, 2**256 - 1))
def test_token_ids_keep_every_digit(number: int) -> None:
    assert identifiers.token_id(str(number)) == str(number)


def test_combos_are_told_by_module_and_reserved_bits() -> None:
    assert identifiers.is_combo(str(3 << 248 | 5 << 120 | 1))
    assert not identifiers.is_combo(str(2 << 248))
    assert not identifiers.is_combo(str(3 << 248 | 1 << 60))
    assert not identifiers.is_combo(YES)
