"""What requests ask for: query parameters and JSON bodies, refused by name where they are wrong."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from json import dumps, loads
from typing import Any, NoReturn, TypeVar

from chalice.app import Request, Response
from pydantic import BaseModel, ValidationError

from chalicelib.api.answers import answer, problem
from chalicelib.api.guard import WHO
from chalicelib.domain.errors import Conflict, InvalidInput, PapercopyError
from chalicelib.services.read_models import PAGE_MAX, Range
from chalicelib.validation import refusal

PAGE_DEFAULT = 50
BODY_BYTES_MAX = 64_000
TS_MAX = 9_999_999_999_999
NOBODY = "nobody"
"""Who acts where no guard stands in front: in tests of a single blueprint."""
_LIMIT = re.compile(r"[1-9][0-9]{0,3}", re.ASCII)
_TS = re.compile(r"[0-9]{1,13}", re.ASCII)
_log = logging.getLogger(__name__)

B = TypeVar("B", bound=BaseModel)
View = Callable[[], Mapping[str, Any] | None]


def query_of(request: Request, *allowed: str) -> dict[str, str]:
    """Query parameters. Raises InvalidInput for one this route does not know."""
    given: dict[str, str] = dict(request.query_params or {})
    for name in given:
        if name not in allowed:
            known = f" ({', '.join(allowed)})" if allowed else ""
            raise InvalidInput(name, f"is not a parameter of this route{known}")
    return given


def limit_of(query: Mapping[str, str], most: int = PAGE_MAX) -> int:
    """`limit`. Raises InvalidInput."""
    text = query.get("limit")
    if text is None:
        return min(PAGE_DEFAULT, most)
    if not _LIMIT.fullmatch(text) or int(text) > most:
        raise InvalidInput("limit", f"1 to {most} was expected")
    return int(text)


def one_of(query: Mapping[str, str], name: str, *allowed: str) -> str | None:
    """A parameter with few values, None where it was not given. Raises InvalidInput."""
    text = query.get(name)
    if text is not None and text not in allowed:
        raise InvalidInput(name, f"one of {', '.join(allowed)} was expected")
    return text


def range_of(query: Mapping[str, str]) -> Range:
    """`from` and `until` in milliseconds, the second excluded. Raises InvalidInput."""
    times = {name: _ts(query, name) for name in ("from", "until")}
    return Range(times["from"], times["until"])


def _ts(query: Mapping[str, str], name: str) -> int | None:
    text = query.get(name)
    if text is None:
        return None
    if not _TS.fullmatch(text):
        raise InvalidInput(name, "milliseconds since 1970 were expected")
    return int(text)


def body_of(request: Request, kind: type[B]) -> B:
    """The JSON body as `kind`; fractions are Decimal. Raises InvalidInput naming the field."""
    raw = request.raw_body
    if len(raw) > BODY_BYTES_MAX:
        raise InvalidInput("body", f"at most {BODY_BYTES_MAX} bytes were expected")
    try:
        given = loads(raw, parse_float=Decimal, parse_constant=_refused)
        # Half a surrogate pair is JSON, but no text.
        dumps(given, default=str, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise InvalidInput("body", "JSON was expected") from None
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        raise refusal(error, "body") from error


def _refused(constant: str) -> NoReturn:
    raise ValueError(constant)


def who_of(request: Request) -> str:
    """Whose session the guard in front of all routes found."""
    return str(request.context.get(WHO, NOBODY))


def answered(request: Request, view: View) -> Response:
    """A reading view's answer with its entity tag; None is 404, every failure a problem."""

    def made() -> Response:
        body = view()
        if body is None:
            return not_found()
        return answer(body, request.headers.get("if-none-match"))

    return guarded(made, conflict=503)


def changed(view: View, status: int = 200) -> Response:
    """A writing view's answer; None is 404, every failure a problem."""

    def made() -> Response:
        body = view()
        if body is None:
            return not_found()
        response = answer(body, None)
        response.status_code = status
        return response

    return guarded(made, conflict=409)


def not_found() -> Response:
    return problem(404, "Not found", "There is nothing of this name.")


def guarded(view: Callable[[], Response], *, conflict: int) -> Response:
    """What a view answers, or a problem document. `conflict` is the status of a lost write."""
    try:
        return view()
    except InvalidInput as error:
        return problem(400, "Invalid parameter", str(error))
    except Conflict as error:
        title = "Conflict" if conflict == 409 else "Temporarily unavailable"
        return problem(conflict, title, str(error))
    except PapercopyError as error:
        return problem(503, "Temporarily unavailable", str(error))
    except Exception:  # noqa: BLE001
        # Chalice would answer in a form of its own; the log gets what went wrong.
        _log.exception("the API failed")
        return problem(500, "Internal error", "The request could not be answered.")
