"""Long bodies in short form: every text comes back, and what was written is readable for ever."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.adapters.dynamo.packed import (
    BODY_BYTES_MAX,
    DICTIONARIES,
    PLAIN_BYTES_MAX,
    packed,
    unpacked,
)

FROZEN = {1: "d50433625050f44c8ee2154cc918c0f28bcaf427c35817ea056d40c9c1d8e4f1"}
"""A dictionary that changes makes what was packed with it unreadable: add another one instead."""


@given(st.text(st.characters(codec="utf-8"), min_size=PLAIN_BYTES_MAX // 4, max_size=3_000))
def test_every_text_comes_back(body: str) -> None:
    short = packed(body * 4)
    assert short is None or (unpacked(short) == body * 4 and len(short) < len(body.encode()) * 4)


def test_what_is_short_or_can_never_be_an_item_stays_text() -> None:
    assert packed("x" * PLAIN_BYTES_MAX) is None
    assert packed("x" * (PLAIN_BYTES_MAX + 1))
    assert packed("x" * BODY_BYTES_MAX)
    assert packed("x" * (BODY_BYTES_MAX + 1)) is None


def test_the_dictionaries_are_frozen() -> None:
    assert {n: sha256(text).hexdigest() for n, text in DICTIONARIES.items()} == FROZEN


@pytest.mark.parametrize("short", [b"", b"\x00", b"\x63abc", b"\x01\xff\xff\xff", b"\x01"])
def test_anything_else_is_refused(short: bytes) -> None:
    with pytest.raises(ValueError):
        unpacked(short)


def test_what_was_cut_or_grew_is_refused() -> None:
    short = packed("a leader's fill " * 100)
    assert short
    for damaged in (short[:-1], short + b"\x00"):
        with pytest.raises(ValueError):
            unpacked(damaged)


def test_a_bomb_is_refused() -> None:
    import zlib

    deflate = zlib.compressobj(9, zlib.DEFLATED, -15, 9, zlib.Z_DEFAULT_STRATEGY, DICTIONARIES[1])
    bomb = b"\x01" + deflate.compress(b"x" * (BODY_BYTES_MAX + 1)) + deflate.flush()
    with pytest.raises(ValueError):
        unpacked(bomb)
