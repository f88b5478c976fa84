"""The quick `replace` does what the standard library's does."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain.orderbook import Level
from chalicelib.domain.portfolio import Position
from chalicelib.domain.records import made, quick, replace

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


@dataclass(frozen=True, slots=True)
class Plain:
    """A record in the usual way; its fields are named to get into each other's way."""

    kind: str
    twin: int
    self_made: bool = False
    become: tuple[int, ...] = ()


@quick
@dataclass(frozen=True, slots=True)
class Quick:
    """The same one, made quickly."""

    kind: str
    twin: int
    self_made: bool = False
    become: tuple[int, ...] = ()


@given(st.text(), st.integers(), st.booleans(), st.lists(st.integers()).map(tuple))
def test_a_quick_record_is_made_as_any_other(
    kind: str, twin: int, self_made: bool, become: tuple[int, ...]
) -> None:
    plain, quickly = Plain(kind, twin, self_made, become), Quick(kind, twin, self_made, become)
    assert type(quickly) is Quick
    assert dataclasses.asdict(quickly) == dataclasses.asdict(plain)
    assert hash(quickly) == hash(plain)
    assert repr(quickly) == repr(plain).replace("Plain", "Quick")
    assert quickly == Quick(become=become, self_made=self_made, twin=twin, kind=kind)
    assert Quick(kind, twin) == dataclasses.replace(quickly, self_made=False, become=())
    assert pickle.loads(pickle.dumps(quickly)) == copy.copy(quickly) == quickly
    assert replace(quickly, twin=5) == Quick(kind, 5, self_made, become)


def test_a_quick_record_keeps_its_guard() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Quick("a", 1).twin = 2  # type: ignore[misc]
    with pytest.raises(TypeError, match=r"missing 1 required positional argument: 'twin'"):
        Quick("a")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="unexpected keyword argument 'cents'"):
        Quick("a", 1, cents=2)  # type: ignore[call-arg]


def test_what_is_made_anew_for_each_record_cannot_be_quick() -> None:
    @dataclass(frozen=True, slots=True)
    class Listing:
        rows: list[int] = dataclasses.field(default_factory=list)

    with pytest.raises(TypeError, match="made anew"):
        quick(Listing)
