"""`replace` for records, as the standard library's but several times as fast.

Records are frozen dataclasses with slots and without anything that runs at their making; the ways
from evidence to entries copy them dozens of times per fill.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, fields
from typing import TYPE_CHECKING, Any, TypeVar

T = TypeVar("T")


def _plain(kind: Any) -> list[str]:
    """The fields of a plain record, in order. Raises TypeError for what is none."""
    if "__slots__" not in vars(kind) or hasattr(kind, "__post_init__"):
        raise TypeError(f"{kind.__name__} is no plain record with slots")
    return [field.name for field in fields(kind)]


if TYPE_CHECKING:
    from dataclasses import replace

    def _twin(kind: type) -> tuple[type, list[str]]: ...
else:
    from dataclasses import dataclass

    _COPIES: dict[type, Any] = {}

    def _twin(kind: type) -> tuple[type, list[str]]:
        """A class with the same slots whose fields can be set, and their names."""
        names = _plain(kind)
        plain = type(kind.__name__, (), {"__annotations__": dict.fromkeys(names, object)})
        return dataclass(slots=True)(plain), names

    def _copier(kind: type) -> Any:
        """A function that copies a record of `kind` into a twin that has no guard yet."""
        twin, names = _twin(kind)
        known = {"twin": twin}
        # As dataclasses makes constructors: straight from slot to slot, no loop and no look-up.
        values = ", ".join(f"record.{name}" for name in names)
        exec(f"def copied(record):\n    return twin({values})", known)  # noqa: S102
        _COPIES[kind] = known["copied"]
        return known["copied"]

    def replace(record: Any, /, **changes: Any) -> Any:
        """The record with other values in some fields. Raises TypeError for an unknown field."""
        kind = type(record)
        made = (_COPIES.get(kind) or _copier(kind))(record)
        try:
            for name, value in changes.items():
                setattr(made, name, value)
        except AttributeError as error:
            raise TypeError(f"{kind.__name__} has no field {name!r}") from error
        made.__class__ = kind
        return made


def quick(kind: type[T]) -> type[T]:
    """A record whose making costs a third: a decorator above `dataclass`, for the hot ones.

    A frozen record sets each field through its guard. This one is without it until all are set.
    """
    names = _plain(kind)
    bare = type(kind.__name__, (), {"__slots__": tuple(names)})
    known: dict[str, Any] = {"_bare": bare, "_kind": kind, "_become": object.__setattr__}
    parameters = []
    for field in fields(kind):  # type: ignore[arg-type]
        if field.default_factory is not MISSING:
            raise TypeError(f"{field.name} is made anew for each record")
        known[f"_usual_{field.name}"] = field.default
        usual = "" if field.default is MISSING else f"=_usual_{field.name}"
        parameters.append(f"{field.name}{usual}")
    lines = [
        f"def __init__(self, {', '.join(parameters)}):",
        "    _become(self, '__class__', _bare)",
        *(f"    self.{name} = {name}" for name in names),
        "    self.__class__ = _kind",
    ]
    exec("\n".join(lines), known)  # noqa: S102
    known["__init__"].__qualname__ = f"{kind.__qualname__}.__init__"
    kind.__init__ = known["__init__"]  # type: ignore[method-assign]
    return kind


def made(kind: type[T]) -> Callable[..., T]:
    """A quick constructor of a record: every field, by position."""
    twin: Any = _twin(kind)[0]

    def make(*values: object) -> T:
        record: Any = twin(*values)
        record.__class__ = kind
        return record  # type: ignore[no-any-return]

    return make


__all__ = ["made", "quick", "replace"]
