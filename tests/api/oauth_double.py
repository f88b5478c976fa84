"""An OAuth provider on this machine: codes that serve once, PKCE checked, faults on demand."""

from __future__ import annotations

import json
import threading
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

from chalicelib.adapters.oauth import GITHUB, GOOGLE, Endpoints, OAuthProvider

CLIENT_ID = "client-of-the-test"
CLIENT_SECRET = "secret-of-the-test"
TOKEN = "token-of-the-test"


@dataclass
class Grant:
    """What a code was given out for."""

    redirect_uri: str
    challenge: str
    user_id: object


@dataclass
class Provider:
    """`fault` is one of: "", "down", "garbage", "redirect", "huge", "nobody"."""

    user_id: object = 583231
    fault: str = ""
    url: str = ""
    grants: dict[str, Grant] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    forms: list[dict[str, str]] = field(default_factory=list)

    def authorize(self, location: str) -> tuple[str, str]:
        """A person agrees: the code and the state that the browser brings back."""
        query = {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}
        assert query["response_type"] == "code"
        assert query["client_id"] == CLIENT_ID
        assert query["code_challenge_method"] == "S256"
        code = f"code-{len(self.grants)}"
        self.grants[code] = Grant(query["redirect_uri"], query["code_challenge"], self.user_id)
        return code, query["state"]

    def client(self, name: str) -> OAuthProvider:
        """Our registration with it, in the shape of GitHub or Google."""
        known = {"github": GITHUB, "google": GOOGLE}[name]
        urls = (f"{self.url}/authorize", f"{self.url}/token", f"{self.url}/user")
        made = Endpoints(name, *urls, known.user_id, known.scope)
        return OAuthProvider(made, CLIENT_ID, CLIENT_SECRET)

    def exchange(self, form: dict[str, str]) -> tuple[int, Any]:
        self.forms.append(form)
        granted = self.grants.pop(form.get("code", ""), None)
        verifier = form.get("code_verifier", "").encode()
        challenge = urlsafe_b64encode(sha256(verifier).digest()).decode().rstrip("=")
        fits = (
            granted is not None
            and (form["client_id"], form["client_secret"]) == (CLIENT_ID, CLIENT_SECRET)
            and form["grant_type"] == "authorization_code"
            and form["redirect_uri"] == granted.redirect_uri
            and challenge == granted.challenge
        )
        if not fits:
            # As GitHub does it: a refusal with status 200.
            return 200, {"error": "bad_verification_code"}
        return 200, {"access_token": TOKEN, "token_type": "bearer"}

    def user(self, authorization: str) -> tuple[int, Any]:
        if authorization != f"Bearer {TOKEN}":
            return 401, {"message": "Bad credentials"}
        if self.fault == "nobody":
            return 200, {"login": "octocat"}
        return 200, {"id": self.user_id, "sub": self.user_id, "login": "octocat"}


@contextmanager
def provider() -> Iterator[Provider]:
    """A provider that answers until the block ends."""
    made = Provider()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            form = dict(parse_qsl(self.rfile.read(length).decode()))
            self._reply(*self._faulty(lambda: made.exchange(form)))

        def do_GET(self) -> None:
            said = self.headers.get("Authorization", "")
            self._reply(*self._faulty(lambda: made.user(said)))

        def _faulty(self, answer: Any) -> tuple[int, Any]:
            made.asked.append(f"{self.command} {self.path}")
            if made.fault == "down":
                return 503, {"message": "unicorn"}
            if made.fault == "garbage":
                return 200, "<html>not json</html>"
            if made.fault == "huge":
                return 200, "x" * 200_000
            if made.fault == "redirect":
                return 302, {}
            found: tuple[int, Any] = answer()
            return found

        def _reply(self, status: int, body: Any) -> None:
            content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
            self.send_response(status)
            if status == 302:
                self.send_header("Location", f"{made.url}/elsewhere")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    made.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield made
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
