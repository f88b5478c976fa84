"""Frozen values made quickly, for what is made once per log."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, TypeVar, cast

T = TypeVar("T")


def quick(kind: type[T]) -> Callable[..., T]:
    """A constructor of a frozen dataclass with slots: every field, by position.

    Its own constructor has to go round its own guard for each field, which takes four times as
    long as filling a twin that has none and then calling it one of the kind.
    Raises TypeError for a class with other slots or work to do after its fields are set.
    """
    if hasattr(kind, "__post_init__"):
        raise TypeError(f"{kind.__name__} wants to do something after its fields are set")
    names = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    plain = type(kind.__name__, (), {"__annotations__": dict.fromkeys(names, object)})
    twin: Callable[..., Any] = dataclass(slots=True)(plain)

    def make(*values: object) -> T:
        made = twin(*values)
        made.__class__ = kind
        return cast(T, made)

    make(*names)
    return make
