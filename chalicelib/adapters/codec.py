"""Records and messages as JSON text and back, validated on the way in."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError

from chalicelib.domain.errors import InvalidInput
from chalicelib.validation import refusal

T = TypeVar("T")


_ADAPTERS: dict[type, TypeAdapter[Any]] = {}
"""One compiled validator per record or message class; there are a few dozen classes."""


def _adapter(kind: type) -> TypeAdapter[Any]:
    adapter = _ADAPTERS.get(kind)
    if adapter is None:
        adapter = _ADAPTERS[kind] = TypeAdapter(kind)
    return adapter


def to_text(value: object) -> str:
    """Compact JSON of a dataclass. Raises InvalidInput for text that is not Unicode."""
    try:
        return _adapter(type(value)).dump_json(value).decode()
    except PydanticSerializationError as error:
        raise InvalidInput(type(value).__name__, str(error)) from error


def to_plain(value: object) -> Any:
    """A dataclass as dictionaries, lists, strings, integers, booleans and None."""
    return _adapter(type(value)).dump_python(value, mode="json")


def from_text(kind: type[T], text: str | bytes, *, strict: bool = False) -> T:
    """The value in JSON text. Raises InvalidInput naming the first wrong field.

    With `strict`, a number in quotes or with a fraction is not an integer.
    """
    try:
        value: T = _adapter(kind).validate_json(text, strict=strict)
    except ValidationError as error:
        raise refusal(error, "body") from error
    return value


def from_plain(kind: type[T], plain: object) -> T:
    """The value in plain structures. Raises InvalidInput naming the first wrong field."""
    try:
        value: T = _adapter(kind).validate_python(plain)
    except ValidationError as error:
        raise refusal(error, "body") from error
    return value
