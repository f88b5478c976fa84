"""Sessions and sign-ins under way, each one signed cookie; times in seconds since 1970.

Over https the names carry the prefix `__Host-`, which makes browsers insist on Secure, on Path=/
and on no Domain. On this machine, over http, other names are used, with the port in them because
browsers share cookies between ports.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chalicelib.api.access import Access
from chalicelib.api.signing import read, sign

SESSION_S = 24 * 3600
SIGN_IN_S = 600
CLOCK_SKEW_S = 60
COOKIE_HEADER_CHARS_MAX = 16_384


@dataclass(frozen=True, slots=True)
class Session:
    """Who is signed in: `github:<id>`, `google:<subject>` or `local:owner`, and until when."""

    subject: str
    session_id: str
    issued_s: int
    expires_s: int


@dataclass(frozen=True, slots=True)
class SignIn:
    """A sign-in that waits for the provider's answer; `key` is the one it was begun with."""

    nonce: str
    provider: str
    return_to: str
    key: bytes


def session_cookie(access: Access, session: Session) -> str:
    """The Set-Cookie value that signs a browser in. Nothing but our own pages sends it."""
    payload = {
        "sub": session.subject,
        "sid": session.session_id,
        "iat": session.issued_s,
        "exp": session.expires_s,
    }
    text = sign(access.keys[0], access.session_name, payload)
    age_s = session.expires_s - session.issued_s
    return _set_cookie(access, access.session_name, text, age_s, "Strict")


def sign_in_cookie(access: Access, nonce: str, provider: str, return_to: str, now_s: int) -> str:
    """The Set-Cookie value that binds a sign-in to a browser; Lax, as the provider sends it back.

    Raises ValueError when the return address is too long for it.
    """
    payload = {"n": nonce, "p": provider, "to": return_to, "exp": now_s + SIGN_IN_S}
    text = sign(access.keys[0], access.sign_in_name, payload)
    return _set_cookie(access, access.sign_in_name, text, SIGN_IN_S, "Lax")


def ended_cookie(access: Access, name: str) -> str:
    """The Set-Cookie value that removes a cookie."""
    return _set_cookie(access, name, "", 0, "Strict")


def session_of(access: Access, cookies: Sequence[str], now_s: int) -> Session | None:
    """The session a request's Cookie headers carry; None unless all of it is ours and in force."""
    found = _payload(access, access.session_name, cookies)
    if found is None:
        return None
    payload, _ = found
    issued, expires = payload.get("iat"), payload.get("exp")
    if type(issued) is not int or type(expires) is not int:
        return None
    fits = now_s < expires <= issued + SESSION_S and issued <= now_s + CLOCK_SKEW_S
    subject, session_id = str(payload.get("sub", "")), str(payload.get("sid", ""))
    # Who was taken off the list is out at once, whatever his cookie says.
    if not fits or not session_id or subject not in access.subjects:
        return None
    return Session(subject, session_id, issued, expires)


def sign_in_of(access: Access, cookies: Sequence[str], now_s: int) -> SignIn | None:
    """The sign-in this browser began; None without one, or when it took too long."""
    found = _payload(access, access.sign_in_name, cookies)
    if found is None:
        return None
    payload, key = found
    expires = payload.get("exp")
    if type(expires) is not int or not now_s < expires <= now_s + SIGN_IN_S + CLOCK_SKEW_S:
        return None
    nonce, provider, return_to = (str(payload.get(part, "")) for part in ("n", "p", "to"))
    return SignIn(nonce, provider, return_to, key) if nonce else None


def _payload(
    access: Access, name: str, cookies: Sequence[str]
) -> tuple[Mapping[str, Any], bytes] | None:
    values = cookie_values(cookies, name)
    # Two of one name: somebody else set one of them, and nobody can say which.
    return read(access.keys, name, values[0]) if len(values) == 1 else None


def cookie_values(headers: Sequence[str], name: str) -> list[str]:
    """The values of every cookie of this name in the Cookie headers of a request."""
    if sum(map(len, headers)) > COOKIE_HEADER_CHARS_MAX:
        return []
    pairs = (part.strip().partition("=") for header in headers for part in header.split(";"))
    return [value for found, equals, value in pairs if equals and found == name]


def _set_cookie(access: Access, name: str, value: str, age_s: int, same_site: str) -> str:
    secure = "" if access.is_local else "; Secure"
    return f"{name}={value}; Path=/; Max-Age={age_s}; HttpOnly; SameSite={same_site}{secure}"
