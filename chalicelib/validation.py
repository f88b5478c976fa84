"""pydantic's complaints in our own words."""

from __future__ import annotations

from pydantic import ValidationError

from chalicelib.domain.errors import InvalidInput


def refusal(error: ValidationError, whole: str) -> InvalidInput:
    """The first complaint, naming its field, or `whole` when it is about everything."""
    first = error.errors(include_url=False, include_input=False)[0]
    field = ".".join(str(part) for part in first["loc"]) or whole
    return InvalidInput(field, str(first["msg"]))
