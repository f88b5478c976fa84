"""Packed digests: what goes in comes out, and broken texts are refused."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain.errors import InvalidInput
from chalicelib.domain.market_sync import (
    DIGEST_BYTES,
    GONE,
    NUMBER_MAX,
    PAGE_ENTRIES_MAX,
    DigestPage,
    fold,
    pack,
    pack_numbers,
    pages_of,
    unpack,
    unpack_numbers,
)

NUMBERS = st.integers(0, NUMBER_MAX - 1)
DIGESTS = st.dictionaries(NUMBERS, st.binary(min_size=DIGEST_BYTES, max_size=DIGEST_BYTES))


@given(DIGESTS)
def test_digests_come_back(digests: dict[int, bytes]) -> None:
    assert unpack(pack(digests)) == digests
    assert unpack_numbers(pack_numbers(digests)) == set(digests)


@given(st.lists(DIGESTS, max_size=4))
def test_later_pages_win_and_what_left_is_gone(pages: list[dict[int, bytes]]) -> None:
    expected: dict[int, bytes] = {}
    for page in pages:
        expected.update(page)
    rows = [DigestPage(1, number, pack(page)) for number, page in enumerate(pages)]
    assert fold(rows) == {n: digest for n, digest in expected.items() if digest != GONE}


def test_pages_are_bounded() -> None:
    digests = {number * 1_000_003: b"abcdef" for number in range(PAGE_ENTRIES_MAX + 1)}
    pages = pages_of(digests)
    assert [len(unpack(page)) for page in pages] == [PAGE_ENTRIES_MAX, 1]
    assert max(len(page) for page in pages) < 300_000
    assert pages_of({}) == []


@pytest.mark.parametrize(
    "packed", [b"\x80", b"\x01abc", b"\xff" * 12, b"\x05" + b"x" * DIGEST_BYTES + b"\x01"]
)
def test_a_broken_text_is_refused(packed: bytes) -> None:
    with pytest.raises(InvalidInput):
        unpack(base64.b64encode(packed).decode())
    with pytest.raises(InvalidInput):
        unpack("not base64!")


def test_numbers_have_bounds() -> None:
    for number in (-1, NUMBER_MAX):
        with pytest.raises(InvalidInput):
            pack_numbers([number])
