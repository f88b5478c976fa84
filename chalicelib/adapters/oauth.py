"""Sign-in with an OAuth 2 provider: authorization code with PKCE (RFC 7636, S256).

The access token serves one question, who this is, and is forgotten. Google's answer comes from its
userinfo endpoint, so no token of it has to be verified here.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from chalicelib.domain.errors import Permanent, Retryable

TIMEOUT_S = (2.0, 5.0)
BODY_S_MAX = 5.0
BODY_BYTES_MAX = 64 * 1024
CODE_CHARS_MAX = 1_024


class SignInRefused(Permanent):
    """The provider does not accept the code, its verifier, or the client."""


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where a provider answers, and which field of its answer never changes for a person."""

    name: str
    authorize_url: str
    token_url: str
    user_url: str
    user_id: str
    scope: str


GITHUB = Endpoints(
    "github",
    "https://github.com/login/oauth/authorize",
    "https://github.com/login/oauth/access_token",
    "https://api.github.com/user",
    "id",
    # Nothing beyond what is public.
    "",
)
GOOGLE = Endpoints(
    "google",
    "https://accounts.google.com/o/oauth2/v2/auth",
    "https://oauth2.googleapis.com/token",
    "https://openidconnect.googleapis.com/v1/userinfo",
    "sub",
    "openid",
)


@dataclass(frozen=True, slots=True, repr=False)
class OAuthProvider:
    """One provider and our registration there."""

    endpoints: Endpoints
    client_id: str
    client_secret: str

    def authorize_url(self, redirect_uri: str, state: str, challenge: str) -> str:
        """Where a browser goes to sign in."""
        query = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": redirect_uri,
            "state": state,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        if self.endpoints.scope:
            query["scope"] = self.endpoints.scope
        return f"{self.endpoints.authorize_url}?{urlencode(query)}"

    def subject(self, code: str, verifier: str, redirect_uri: str) -> str:
        """Who the code stands for, as `github:<id>`; a code serves once, so nothing is repeated.

        Raises SignInRefused, or Retryable when the provider does not answer as promised.
        """
        form = {
            "grant_type": "authorization_code",
            "client_id": self.client_id,
            "client_secret": self.client_secret,
            "code": code,
            "code_verifier": verifier,
            "redirect_uri": redirect_uri,
        }
        granted = self._ask("POST", self.endpoints.token_url, form=form)
        token = granted.get("access_token")
        # GitHub says no with status 200, and without a token.
        if not isinstance(token, str) or not token:
            raise SignInRefused(f"{self.endpoints.name} does not accept the code")
        user = self._ask("GET", self.endpoints.user_url, token=token)
        text = str(user.get(self.endpoints.user_id))
        if not text.isascii() or not text.isdigit():
            raise Retryable(f"{self.endpoints.name} did not say who this is")
        return f"{self.endpoints.name}:{text}"

    def _ask(
        self, method: str, url: str, *, form: Mapping[str, str] | None = None, token: str = ""
    ) -> dict[str, Any]:
        """A JSON object; failures quote neither the request nor the answer."""
        # Only who signs in needs it, and a cold start does not.
        import requests

        name = self.endpoints.name
        headers = {"Accept": "application/json", "User-Agent": "papercopy"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        deadline = time.monotonic() + BODY_S_MAX
        content = bytearray()
        try:
            with requests.Session() as session:
                # Neither proxies nor credentials from the machine's environment.
                session.trust_env = False
                with session.request(
                    method,
                    url,
                    data=form,
                    headers=headers,
                    timeout=TIMEOUT_S,
                    allow_redirects=False,
                    stream=True,
                ) as answer:
                    status = answer.status_code
                    for chunk in answer.iter_content(8 * 1024):
                        content += chunk
                        if len(content) > BODY_BYTES_MAX or time.monotonic() > deadline:
                            raise Retryable(f"{name}: the answer is too long")
        except (requests.RequestException, OSError) as error:
            raise Retryable(f"{name}: {type(error).__name__}") from None
        if status in (400, 401, 403):
            raise SignInRefused(f"{name} does not accept the code")
        try:
            found = json.loads(content) if status == 200 else None
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise Retryable(f"{name}: status {status}, no answer as promised")
        return found
