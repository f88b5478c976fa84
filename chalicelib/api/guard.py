"""The one door of the API: every request of every route passes here before its handler.

A write must come from our own pages, and all but the open routes need a session. A route that is
added is closed by being there.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from chalice.app import Chalice, Request, Response

from chalicelib.api.access import Access, StoredAccess
from chalicelib.api.answers import problem
from chalicelib.api.csrf import SAFE_METHODS, refused_write
from chalicelib.api.session import Session, session_of
from chalicelib.api.throttle import Throttle
from chalicelib.domain.errors import InvalidInput, PapercopyError
from chalicelib.services.sign_outs import SignOuts

HEALTH = ("GET", "/health")
"""Answers whatever state sign-in is in."""
OPEN = frozenset(
    {
        HEALTH,
        ("GET", "/auth/login"),
        ("GET", "/auth/callback/{provider}"),
        ("GET", "/auth/session"),
        ("POST", "/auth/logout"),
    }
)
"""Methods and resources that answer without a session."""
WHO = "papercopy_session"
_log = logging.getLogger(__name__)


class Door:
    """What the guard works with; the engine sets it before the first request."""

    access: Callable[[], Access]
    sign_outs: Callable[[], SignOuts]
    now_ms: Callable[[], int]
    throttle: Throttle = Throttle()


def secure(app: Chalice) -> None:
    """Put the guard before every route of an application."""
    app.register_middleware(guard, "http")


def guard(request: Request | None, answer: Callable[[Any], Response]) -> Response:
    """The answer to a request, or why there is none; a problem document for every error."""
    if request is None:
        return problem(400, "Bad Request", "This is no request of the API.")
    try:
        refused = _refused(request)
    except InvalidInput as error:
        _log.warning("sign-in is not set up: %s", error)
        return problem(503, "Sign-in is not set up", str(error))
    except PapercopyError as error:
        _log.warning("sessions cannot be checked: %s", error)
        return problem(503, "Temporarily unavailable", "Sessions cannot be checked now.")
    return refused or _as_problem(answer(request))


def _refused(request: Request) -> Response | None:
    if (request.method, request.path) == HEALTH:
        return None
    origins = Door.access().origins
    if request.method not in SAFE_METHODS:
        refusal = refused_write(lambda name: header(request, name), origins)
        if refusal:
            return refusal
    if (request.method, request.path) in OPEN:
        return None
    session = session_at(request)
    if session is None:
        refusal = problem(401, "Unauthorized", "Sign in first; GET /api/auth/session says how.")
        refusal.headers["WWW-Authenticate"] = 'Session realm="papercopy"'
        return refusal
    request.context[WHO] = session.subject
    return None


def session_at(request: Request) -> Session | None:
    """The session in force that a request carries.

    Raises InvalidInput when sign-in is not set up, Retryable or Permanent when nobody can say.
    """
    cookies, now_s = header(request, "cookie"), Door.now_ms() // 1000
    access = Door.access()
    session = session_of(access, cookies, now_s)
    if session is None and isinstance(Door.access, StoredAccess) and _sent(access, cookies):
        # Another process may sign with a key that is newer than what we know.
        session = session_of(Door.access.fresh(), cookies, now_s)
    if session is None or Door.sign_outs().has(session.session_id):
        return None
    return session


def _sent(access: Access, cookies: list[str]) -> bool:
    return any(access.session_name in text for text in cookies)


def who(request: Request) -> str:
    """Who makes this request, for the audit log: `github:<id>`, `google:<subject>`, `local:owner`.

    Raises KeyError on a route that needs no session.
    """
    return str(request.context[WHO])


def header(request: Request, name: str) -> list[str]:
    """Every value of a header, in the order sent."""
    event = request.to_original_event()
    many = event.get("multiValueHeaders") or {}
    found = [value for key, values in many.items() if key.lower() == name for value in values]
    single = request.headers.get(name)
    return found or ([single] if single is not None else [])


def _as_problem(response: Response) -> Response:
    """An error of the framework below in the form all our errors have."""
    kind = str(response.headers.get("Content-Type", ""))
    if response.status_code < 400 or kind == "application/problem+json":
        return response
    body = response.body
    if isinstance(body, str):
        try:
            body = json.loads(body)
        except ValueError:
            body = {}
    status = HTTPStatus(response.status_code)
    said = body.get("Message") if isinstance(body, dict) else None
    found = problem(status.value, status.phrase, str(said or status.description or status.phrase))
    if "Allow" in response.headers:
        found.headers["Allow"] = response.headers["Allow"]
    return found
