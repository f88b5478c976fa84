"""The quick `replace` does what the standard library's does."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain.orderbook import Level
from chalicelib.domain.portfolio import Position
from chalicelib.domain.records import made, replace

NAMES = [field.name for field in dataclasses.fields(Position)]
BEFORE = Position("main/global", 3, "7", "0xab", 5, 6, 7, 8, 9, 10)


@given(st.dictionaries(st.sampled_from(NAMES), st.integers() | st.text(), max_size=5))
def test_it_is_the_library_s_in_every_field(changes: dict[str, object]) -> None:
    after = replace(BEFORE, **changes)  # type: ignore[arg-type]
    assert after == dataclasses.replace(BEFORE, **changes)  # type: ignore[arg-type]
    assert type(after) is Position
    assert hash(after) == hash(dataclasses.replace(BEFORE, **changes))  # type: ignore[arg-type]
    assert BEFORE.shares == 5


def test_what_it_makes_cannot_be_changed() -> None:
    after = replace(BEFORE, shares=9)
    with pytest.raises(dataclasses.FrozenInstanceError):
        after.shares = 1  # type: ignore[misc]
    with pytest.raises(TypeError, match="no field 'cents'"):
        replace(BEFORE, cents=9)  # type: ignore[call-arg]


def test_what_is_no_plain_record_is_refused() -> None:
    @dataclass(frozen=True)
    class Loose:
        shares: int

    with pytest.raises(TypeError, match="no plain record"):
        replace(Loose(1), shares=2)
    with pytest.raises(TypeError, match="no plain record"):
        made(Loose)


def test_a_quick_constructor_makes_the_same_record() -> None:
    assert made(Level)(5, 6) == Level(5, 6)
    assert type(made(Level)(5, 6)) is Level
    with pytest.raises(TypeError):
        made(Level)(5)
