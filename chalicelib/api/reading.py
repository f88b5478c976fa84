"""The pages' data: health, overview, trades, copy attempts, completeness, latency."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from typing import Any

from chalice.app import Blueprint, Response

from chalicelib.api.answers import answer, problem
from chalicelib.domain.errors import InvalidInput, PapercopyError
from chalicelib.domain.identifiers import address
from chalicelib.services.read_models import PAGE_MAX, ReadModels

VERSION = "0.1.0"
PAGE_DEFAULT = 50
_LIMIT = re.compile(r"[1-9][0-9]{0,3}")
_log = logging.getLogger(__name__)

reading = Blueprint(__name__)


class Sources:
    """What the routes read from; the engine sets it before the first request."""

    read: Callable[[], ReadModels]
    health: Callable[[], Mapping[str, object]]


def _query(*allowed: str) -> dict[str, str]:
    """Query parameters. Raises InvalidInput for one this route does not know."""
    given: dict[str, str] = dict(reading.current_request.query_params or {})
    for name in given:
        if name not in allowed:
            raise InvalidInput(name, f"is not a parameter of this route ({', '.join(allowed)})")
    return given


def _limit(text: str | None) -> int:
    if text is None:
        return PAGE_DEFAULT
    if not _LIMIT.fullmatch(text) or int(text) > PAGE_MAX:
        raise InvalidInput("limit", f"1 to {PAGE_MAX} was expected")
    return int(text)


def _one_of(text: str | None, field: str, *allowed: str) -> str | None:
    if text is not None and text not in allowed:
        raise InvalidInput(field, f"one of {', '.join(allowed)} was expected")
    return text


def _answered(view: Callable[[], Mapping[str, Any] | None]) -> Response:
    try:
        body = view()
    except InvalidInput as error:
        return problem(400, "Invalid parameter", str(error))
    except PapercopyError as error:
        return problem(503, "Temporarily unavailable", str(error))
    except Exception:  # noqa: BLE001
        # Chalice would answer in a form of its own; the log gets what went wrong.
        _log.exception("the API failed")
        return problem(500, "Internal error", "The request could not be answered.")
    if body is None:
        return problem(404, "Not found", "There is nothing of this name.")
    return answer(body, reading.current_request.headers.get("if-none-match"))


@reading.route("/health", methods=["GET"])
def health() -> Response:
    """Whether the system works; open to everybody."""

    def view() -> Mapping[str, Any]:
        _query()
        return Sources.health()

    return _answered(view)


@reading.route("/overview", methods=["GET"])
def overview() -> Response:
    """Leaders, portfolios with equity, totals."""

    def view() -> Mapping[str, Any]:
        _query()
        return Sources.read().overview()

    return _answered(view)


@reading.route("/trades", methods=["GET"])
def trades() -> Response:
    """Leaders' trades, newest first: `limit`, `cursor`, `leader`."""

    def view() -> Mapping[str, Any]:
        query = _query("limit", "cursor", "leader")
        leader = address(query["leader"], "leader") if "leader" in query else None
        return Sources.read().trades(query.get("cursor"), _limit(query.get("limit")), leader)

    return _answered(view)


@reading.route("/copy-attempts", methods=["GET"])
def copy_attempts() -> Response:
    """Copy attempts, newest first: `limit`, `cursor`, `portfolio`, `decision`."""

    def view() -> Mapping[str, Any]:
        query = _query("limit", "cursor", "portfolio", "decision")
        return Sources.read().copy_attempts(
            query.get("cursor"),
            _limit(query.get("limit")),
            query.get("portfolio"),
            _one_of(query.get("decision"), "decision", "EXECUTE", "SKIP"),
        )

    return _answered(view)


@reading.route("/copy-attempts/{attempt}", methods=["GET"])
def copy_attempt(attempt: str) -> Response:
    """One attempt in full, named by the `ref` of its row."""

    def view() -> Mapping[str, Any] | None:
        _query()
        return Sources.read().copy_attempt(attempt)

    return _answered(view)


@reading.route("/copy-attempts/{attempt}/tape", methods=["GET"])
def tape(attempt: str) -> Response:
    """The recorded book around one attempt."""

    def view() -> Mapping[str, Any] | None:
        _query()
        return Sources.read().tape(attempt)

    return _answered(view)


@reading.route("/completeness", methods=["GET"])
def completeness() -> Response:
    """What was detected per leader and hour, newest first: `limit`, `cursor`, `leader`."""

    def view() -> Mapping[str, Any]:
        query = _query("limit", "cursor", "leader")
        leader = address(query["leader"], "leader") if "leader" in query else None
        return Sources.read().completeness(query.get("cursor"), _limit(query.get("limit")), leader)

    return _answered(view)


@reading.route("/latency", methods=["GET"])
def latency() -> Response:
    """How long after its block a trade was seen, decided, placed and done: percentiles of a day."""

    def view() -> Mapping[str, Any]:
        _query()
        return Sources.read().latency()

    return _answered(view)
