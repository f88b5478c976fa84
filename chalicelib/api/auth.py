"""Sign-in, its callback, sign-out, and who is signed in."""

from __future__ import annotations

import logging
import re
import secrets
from hashlib import sha256
from hmac import compare_digest

from chalice.app import Response

from chalicelib.adapters.oauth import CODE_CHARS_MAX, OAuthProvider, SignInRefused
from chalicelib.api.access import Access
from chalicelib.api.answers import answer, problem
from chalicelib.api.guard import Door, header, session_at
from chalicelib.api.routes import Routes
from chalicelib.api.session import (
    SESSION_S,
    Session,
    SignIn,
    ended_cookie,
    session_cookie,
    sign_in_cookie,
    sign_in_of,
)
from chalicelib.api.signing import derived, encoded
from chalicelib.domain.errors import InvalidInput, PapercopyError

RETURN_CHARS_MAX = 1_000
_RETURN_TO = re.compile(r"/[\x21-\x5b\x5d-\x7e]*")
_log = logging.getLogger(__name__)

auth = Routes(__name__)


class SignInFailed(Exception):
    """Why nobody was signed in: `code` for the dashboard, status, title and detail for others."""

    def __init__(self, code: str, status: int, title: str, detail: str, wait_s: int = 0) -> None:
        super().__init__(detail)
        self.code = code
        self.status = status
        self.title = title
        self.detail = detail
        self.wait_s = wait_s


def return_path(text: str) -> str:
    """A path on this site to go on at. Raises InvalidInput for anything that could lead away."""
    path = re.split(r"[?#]", text, maxsplit=1)[0]
    fits = _RETURN_TO.fullmatch(text) and len(text) <= RETURN_CHARS_MAX
    if not fits or "//" in path or ".." in path or path == "/api" or path.startswith("/api/"):
        raise InvalidInput("return_to", "a path of this site was expected")
    return text


@auth.route("/auth/login", methods=["GET"])
def login() -> Response:
    """Send the browser to the provider: `provider`, `return_to`."""
    access, here = Door.access(), "/"
    try:
        query = _query()
        here = return_path(query.get("return_to", "/"))
        _admit()
        provider = _provider(access, query.get("provider", ""))
    except InvalidInput as error:
        return _failed(access, SignInFailed("refused", 400, "Invalid parameter", str(error)), "/")
    except SignInFailed as failure:
        return _failed(access, failure, here)
    nonce = secrets.token_urlsafe(32)
    name, key = provider.endpoints.name, access.keys[0]
    challenge = encoded(sha256(verifier_of(key, nonce).encode()).digest())
    target = provider.authorize_url(access.redirect_uri(name), state_of(key, nonce), challenge)
    cookie = sign_in_cookie(access, nonce, name, here, Door.now_ms() // 1000)
    return _redirect(target, [cookie])


@auth.route("/auth/callback/{provider}", methods=["GET"])
def callback(provider: str) -> Response:
    """Where the provider sends the browser back to: `code` and `state`, or `error`."""
    access, here = Door.access(), "/"
    try:
        _admit()
        begun = _begun(access, provider)
        here = begun.return_to
        session = _session_for(_subject(access, begun), access)
    except SignInFailed as failure:
        return _failed(access, failure, here)
    _log.info("%s signed in", session.subject)
    cookies = [session_cookie(access, session), ended_cookie(access, access.sign_in_name)]
    return _redirect(access.origin + return_path(here), cookies)


@auth.route("/auth/session", methods=["GET"])
def session() -> Response:
    """Who is signed in, and how one can sign in here."""
    try:
        found, ways = session_at(auth.current_request), Door.access().ways
    except PapercopyError as error:
        return problem(503, "Sign-in is not available", str(error))
    body = {
        "signed_in": found is not None,
        "subject": found.subject if found else None,
        "expires_at": found.expires_s * 1000 if found else None,
        "ways": ways,
        "now": Door.now_ms(),
    }
    return answer(body, None)


@auth.route("/auth/logout", methods=["POST"])
def logout() -> Response:
    """End the session, here and wherever its cookie may have gone."""
    access = Door.access()
    response = answer({"signed_in": False, "now": Door.now_ms()}, None)
    try:
        found = session_at(auth.current_request)
        if found:
            Door.sign_outs().add(found.session_id, found.expires_s)
    except PapercopyError as error:
        detail = "This browser is signed out; a copy of its cookie would still be accepted."
        _log.warning("sign-out was not stored: %s", error)
        response = problem(503, "Temporarily unavailable", detail)
    response.headers["Set-Cookie"] = ended_cookie(access, access.session_name)
    return response


def new_session(subject: str, now_s: int) -> Session:
    """A session that begins now."""
    return Session(subject, secrets.token_urlsafe(16), now_s, now_s + SESSION_S)


def state_of(key: bytes, nonce: str) -> str:
    """What the provider hands back; it follows from the nonce, which only the browser has."""
    return derived(key, "state", nonce)


def verifier_of(key: bytes, nonce: str) -> str:
    """The PKCE verifier; computed again for the callback, so no browser ever sees it."""
    return derived(key, "pkce", nonce)


def _query() -> dict[str, str]:
    return dict(auth.current_request.query_params or {})


def _admit() -> None:
    identity = auth.current_request.context.get("identity") or {}
    wait_s = Door.throttle.wait_s(str(identity.get("sourceIp", "")), Door.now_ms())
    if wait_s:
        detail = f"Too many attempts to sign in; the next one is possible in {wait_s} s."
        raise SignInFailed("throttled", 429, "Too Many Requests", detail, wait_s)


def _provider(access: Access, name: str) -> OAuthProvider:
    provider = access.providers.get(name)
    if provider is None:
        ways = ", ".join(access.ways) or "none"
        raise SignInFailed("refused", 404, "Not found", f"Ways to sign in here: {ways}.")
    return provider


def _begun(access: Access, provider: str) -> SignIn:
    """The sign-in that this browser began with this provider and whose answer this is."""
    request = auth.current_request
    _provider(access, provider)
    begun = sign_in_of(access, header(request, "cookie"), Door.now_ms() // 1000)
    state = _query().get("state", "").encode()
    if (
        begun is None
        or begun.provider != provider
        or not compare_digest(state_of(begun.key, begun.nonce).encode(), state)
    ):
        detail = "This sign-in did not begin in this browser, or began too long ago. Sign in again."
        raise SignInFailed("state", 403, "Forbidden", detail)
    return begun


def _subject(access: Access, begun: SignIn) -> str:
    """Who the provider says this is."""
    name, code = begun.provider, _query().get("code", "")
    if not code or len(code) > CODE_CHARS_MAX:
        raise SignInFailed("declined", 403, "Forbidden", f"{name} did not confirm the sign-in.")
    try:
        return access.providers[name].subject(
            code, verifier_of(begun.key, begun.nonce), access.redirect_uri(name)
        )
    except SignInRefused as error:
        _log.warning("sign-in refused: %s", error)
        detail = f"{name} does not accept this sign-in. Sign in again."
        raise SignInFailed("declined", 403, "Forbidden", detail) from None
    except PapercopyError as error:
        _log.warning("sign-in failed: %s", error)
        detail = f"{name} does not answer. Try again in a minute."
        raise SignInFailed("provider", 503, "Temporarily unavailable", detail) from None


def _session_for(subject: str, access: Access) -> Session:
    if subject not in access.subjects:
        _log.warning("%s is not on the list of who may sign in", subject)
        detail = f"{subject} is not on the list of who may sign in."
        raise SignInFailed("not_allowed", 403, "Forbidden", detail)
    return new_session(subject, Door.now_ms() // 1000)


def _failed(access: Access, failure: SignInFailed, here: str) -> Response:
    """Back to the dashboard, which explains it, for a browser; a problem for anybody else."""
    cookie = ended_cookie(access, access.sign_in_name)
    if "navigate" in header(auth.current_request, "sec-fetch-mode"):
        path, hash_mark, rest = here.partition("#")
        mark = "&" if "?" in path else "?"
        return _redirect(
            f"{access.origin}{path}{mark}sign_in={failure.code}{hash_mark}{rest}", [cookie]
        )
    response = problem(failure.status, failure.title, failure.detail)
    response.headers["Set-Cookie"] = cookie
    if failure.wait_s:
        response.headers["Retry-After"] = str(failure.wait_s)
    return response


def _redirect(target: str, cookies: list[str]) -> Response:
    headers: dict[str, str | list[str]] = {
        "Location": target,
        "Set-Cookie": cookies,
        "Cache-Control": "no-store",
        # The address of the callback holds the code.
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }
    return Response(body="", status_code=303, headers=headers)
