"""Sign-in on this machine: a link that works once, made with the key that signs the sessions.

The deployed application knows nothing of it. A local engine answers `POST /auth/local` itself, in
front of the API. The token travels in the link's fragment, which browsers send to nobody, and then
in the body of a POST, so no log, address or referrer ever holds it.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Any

from chalice.app import Request, Response

from chalicelib.api.access import LOCAL_OWNER, Access, local_access
from chalicelib.api.answers import answer, problem
from chalicelib.api.auth import new_session
from chalicelib.api.csrf import refused_write
from chalicelib.api.guard import header
from chalicelib.api.session import session_cookie
from chalicelib.api.signing import key_of, read, sign
from chalicelib.api.throttle import Throttle
from chalicelib.domain.errors import InvalidInput, Permanent

RESOURCE = "/auth/local"
PURPOSE = "papercopy-local-link"
LINK_MS = 12 * 3_600_000
REDEEMED_MAX = 1_000
TOKEN_CHARS_MAX = 1_000
KEY_FILE = "session.key"
ADDRESS_FILE = "address"
Invoke = Callable[[dict[str, Any]], dict[str, Any]]


def new_key() -> str:
    """A signing key as text."""
    return secrets.token_urlsafe(48)


def folder_key(folder: Path) -> bytes:
    """The signing key of a data folder, made at its first use; only the owner can read it.

    Raises Permanent for a file that holds none, OSError when it cannot be used.
    """
    file = folder / KEY_FILE
    try:
        made = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        file.chmod(0o600)
    else:
        with os.fdopen(made, "w") as opened:
            opened.write(new_key() + "\n")
    try:
        return key_of(file.read_text(), KEY_FILE)
    except (InvalidInput, ValueError):
        raise Permanent(f"{file} is damaged; remove it, and sign in again") from None


def link(url: str, key: bytes, now_ms: int) -> str:
    """A fresh link that signs in once; `url` is where the dashboard is."""
    payload = {"id": secrets.token_urlsafe(16), "iat": now_ms}
    return f"{url.rstrip('/')}/#/sign-in?token={sign(key, PURPOSE, payload)}"


class LocalSignIn:
    """Redeems links of this start: what was minted before it, or was used, is worth nothing."""

    def __init__(self, port: int, key: bytes, now_ms: Callable[[], int]) -> None:
        self.access: Access = local_access(port, (key,))
        self._now_ms = now_ms
        self._ts_started = now_ms()
        self._redeemed: set[str] = set()
        self._lock = Lock()
        self._throttle = Throttle()

    def link(self) -> str:
        """A fresh link."""
        return link(self.access.origin, self.access.keys[0], self._now_ms())

    def cookie(self) -> str:
        """`name=value` of a session, for clients in this process."""
        return self._session_cookie().partition(";")[0]

    def resources(self, others: Callable[[], list[str]]) -> Callable[[], list[str]]:
        """The API's resources and this one."""
        return lambda: [*others(), RESOURCE]

    def before(self, invoke: Invoke) -> Invoke:
        """The API with this in front of it."""

        def answered(event: dict[str, Any]) -> dict[str, Any]:
            if event["resource"] != RESOURCE:
                return invoke(event)
            found: dict[str, Any] = self._answer(Request(event)).to_dict()
            return found

        return answered

    def _answer(self, request: Request) -> Response:
        if request.method != "POST":
            refusal = problem(405, "Method Not Allowed", "POST was expected.")
            refusal.headers["Allow"] = "POST"
            return refusal
        foreign = refused_write(lambda name: header(request, name), self.access.origins)
        if foreign:
            return foreign
        wait_s = self._throttle.wait_s("", self._now_ms())
        if wait_s:
            detail = f"Too many attempts to sign in; the next one is possible in {wait_s} s."
            refusal = problem(429, "Too Many Requests", detail)
            refusal.headers["Retry-After"] = str(wait_s)
            return refusal
        if not self._redeem(_token(request)):
            detail = (
                "This link was used before, is too old, or belongs to an earlier start. "
                "`.venv/bin/python -m infra.link` prints a new one."
            )
            return problem(403, "Forbidden", detail)
        response = answer({"signed_in": True, "subject": LOCAL_OWNER, "now": self._now_ms()}, None)
        response.headers["Set-Cookie"] = self._session_cookie()
        return response

    def _redeem(self, token: str) -> bool:
        found = read(self.access.keys, PURPOSE, token)
        if found is None:
            return False
        payload, _ = found
        name, minted = payload.get("id"), payload.get("iat")
        if type(name) is not str or type(minted) is not int:
            return False
        now = self._now_ms()
        with self._lock:
            fits = max(self._ts_started, now - LINK_MS) <= minted <= now
            if not fits or name in self._redeemed or len(self._redeemed) >= REDEEMED_MAX:
                return False
            self._redeemed.add(name)
            return True

    def _session_cookie(self) -> str:
        return session_cookie(self.access, new_session(LOCAL_OWNER, self._now_ms() // 1000))


def _token(request: Request) -> str:
    """The token in the body, or nothing."""
    raw = request.raw_body
    if len(raw) > 2 * TOKEN_CHARS_MAX:
        return ""
    try:
        body = json.loads(raw)
    except ValueError:
        return ""
    token = body.get("token") if isinstance(body, dict) else None
    return token if isinstance(token, str) and len(token) <= TOKEN_CHARS_MAX else ""
