"""Serve the dashboard and the REST API on one local port, as CloudFront does in production."""

from __future__ import annotations

import base64
import contextlib
import functools
import json
import logging
import re
import socket
import sys
import threading
import uuid
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from infra.local.sign_in import LocalSignIn
from infra.local.static_site import static_file

log = logging.getLogger(__name__)

BODY_BYTES_MAX = 6 * 1024 * 1024
SOCKET_TIMEOUT_S = 10
CONNECTIONS_MAX = 128
OWN_HOSTS = frozenset({"127.0.0.1", "localhost"})
GUARDS = {
    "Cache-Control": "no-cache",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
    # Next to the pages' own policy this one can only forbid more, and it concerns framing alone.
    "Content-Security-Policy": "frame-ancestors 'none'",
}
Invoke = Callable[[dict[str, Any]], dict[str, Any]]


def match_resource(path: str, resources: list[str]) -> tuple[str, dict[str, str]] | None:
    """Resource template that serves `path`, and its path parameters; literals win over braces."""
    for resource in sorted(resources, key=lambda template: (template.count("{"), template)):
        pattern = re.sub(r"\\{(\w+)\\\+\\}", r"(?P<\1>.+)", re.escape(resource))
        pattern = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", pattern)
        found = re.fullmatch(pattern, path)
        if found is not None:
            return resource, {key: unquote(value) for key, value in found.groupdict().items()}
    return None


def proxy_event(
    method: str, target: str, headers: list[tuple[str, str]], body: bytes, resources: list[str]
) -> dict[str, Any] | None:
    """API Gateway's proxy event for a request to `/api/...`, None when nothing serves the path.

    `/api` is the name of the deployed API stage, so it is not part of the resource; routes that
    spell it out are found as well.
    """
    url = urlsplit(target)
    stripped = url.path.removeprefix("/api") or "/"
    matched = match_resource(stripped, resources) or match_resource(url.path, resources)
    if matched is None:
        return None
    resource, path_parameters = matched
    query = parse_qsl(url.query, keep_blank_values=True)
    multi_query: dict[str, list[str]] = {}
    for key, value in query:
        multi_query.setdefault(key, []).append(value)
    multi_headers: dict[str, list[str]] = {}
    for key, value in headers:
        multi_headers.setdefault(key, []).append(value)
    try:
        text, is_base64 = body.decode(), False
    except UnicodeDecodeError:
        text, is_base64 = base64.b64encode(body).decode(), True
    return {
        "resource": resource,
        "path": stripped,
        "httpMethod": method,
        "headers": dict(headers),
        "multiValueHeaders": multi_headers,
        "queryStringParameters": dict(query) or None,
        "multiValueQueryStringParameters": multi_query or None,
        "pathParameters": path_parameters or None,
        "stageVariables": None,
        "requestContext": {
            "resourcePath": resource,
            "httpMethod": method,
            "path": url.path,
            "stage": "api",
            "requestId": str(uuid.uuid4()),
            "identity": {"sourceIp": "127.0.0.1"},
        },
        "body": text or None,
        "isBase64Encoded": is_base64,
    }


class Refused(Exception):
    """A request that is answered with a problem document; the connection may be out of step."""

    def __init__(self, status: HTTPStatus, detail: str, *, close: bool = True) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.close = close


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = SOCKET_TIMEOUT_S

    def __init__(self, *arguments: Any, api: HttpServer, **options: Any) -> None:
        self._api = api
        super().__init__(*arguments, **options)

    def version_string(self) -> str:
        return "papercopy"

    def log_message(self, format: str, *arguments: Any) -> None:
        log.debug(format, *arguments)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """The path alone: a query may hold what only its sender should know."""
        # What could not be read as a request has no path.
        path = getattr(self, "path", "").partition("?")[0]
        log.debug("%s %s %s", self.command, path, code)

    def do_GET(self) -> None:
        try:
            self._require_own_host()
            body = self._body()
            path = urlsplit(self.path).path
            if path == "/api" or path.startswith("/api/"):
                self._answer(body)
            elif self.command in ("GET", "HEAD"):
                self._file(path)
            else:
                raise Refused(HTTPStatus.METHOD_NOT_ALLOWED, "Files can be read only.")
        except Refused as refused:
            if refused.close:
                self.close_connection = True
            self._problem(refused.status, refused.detail)

    do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_GET

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the base class refuses (request line, headers, method), in our form."""
        self.close_connection = True
        # The base class takes an unreadable version for one without headers.
        self.request_version = self.protocol_version
        self._problem(HTTPStatus(code), message or "")

    def _require_own_host(self) -> None:
        """A page of another site can make its name mean 127.0.0.1, but must send that name."""
        hosts = self.headers.get_all("Host") or []
        name = re.sub(r":\d*\Z", "", hosts[0].strip().lower()) if len(hosts) == 1 else ""
        if name not in OWN_HOSTS:
            raise Refused(HTTPStatus.FORBIDDEN, "This address answers to localhost only.")
        if not self.path.startswith("/"):
            raise Refused(HTTPStatus.BAD_REQUEST, "The request target must be a path.")

    def _body(self) -> bytes:
        """The request's body. Raises Refused when its length is unknown, doubtful or too large."""
        if self.headers.get("Transfer-Encoding") is not None:
            raise Refused(HTTPStatus.LENGTH_REQUIRED, "The body must come with a Content-Length.")
        lengths = self.headers.get_all("Content-Length") or ["0"]
        if len(lengths) != 1 or not re.fullmatch(r"[0-9]{1,15}", lengths[0].strip()):
            raise Refused(HTTPStatus.BAD_REQUEST, "Content-Length must be one whole number.")
        length = int(lengths[0])
        if length > BODY_BYTES_MAX:
            detail = f"A body may have at most {BODY_BYTES_MAX} bytes."
            raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail)
        body = self.rfile.read(length)
        if len(body) < length:
            raise Refused(HTTPStatus.BAD_REQUEST, "The body ended early.")
        return body

    def _file(self, path: str) -> None:
        found = static_file(self._api.site, path)
        if found is None:
            raise Refused(HTTPStatus.NOT_FOUND, "There is no such page.", close=False)
        headers = {"Content-Type": [found.kind], "ETag": [found.tag]}
        if found.tag in (self.headers.get("If-None-Match") or ""):
            self._reply(HTTPStatus.NOT_MODIFIED, headers, b"")
        else:
            self._reply(HTTPStatus.OK, headers, found.content)

    def _answer(self, body: bytes) -> None:
        # The API knows no HEAD; it is a GET whose body stays here.
        method = "GET" if self.command == "HEAD" else self.command
        sent = list(self.headers.items())
        try:
            event = proxy_event(method, self.path, sent, body, self._api.resources())
            if event is None:
                raise Refused(self._api.unknown, "The API has no such resource.", close=False)
            status, headers, payload = _unpacked(self._api.invoke(event))
        except Refused:
            raise
        except Exception:
            log.warning("%s %s failed", method, urlsplit(self.path).path, exc_info=True)
            detail = "The request could not be answered; the log says why."
            raise Refused(HTTPStatus.INTERNAL_SERVER_ERROR, detail, close=False) from None
        if status >= 400 and "application/problem+json" not in headers.get("content-type", []):
            self._problem(HTTPStatus(status), _message_of(payload), headers.get("allow"))
        else:
            self._reply(status, headers, payload)

    def _problem(self, status: HTTPStatus, detail: str, allow: list[str] | None = None) -> None:
        document = {
            "type": "about:blank",
            "title": status.phrase,
            "detail": detail or status.description,
            "status": status.value,
        }
        headers = {"Content-Type": ["application/problem+json"]}
        if status == HTTPStatus.METHOD_NOT_ALLOWED:
            headers["Allow"] = allow or ["GET, HEAD"]
        self._reply(status, headers, json.dumps(document).encode())

    def _reply(self, status: int, headers: dict[str, list[str]], payload: bytes) -> None:
        """Send an answer; every one of them carries the guards, its own headers win."""
        self.send_response(status)
        given = {name.lower() for name in headers}
        guards = {name: [value] for name, value in GUARDS.items() if name.lower() not in given}
        for name, values in {**headers, **guards}.items():
            for value in values:
                self.send_header(name, str(value))
        empty = status < 200 or status in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)
        if not empty:
            self.send_header("Content-Length", str(len(payload)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD" and not empty:
            self.wfile.write(payload)


def _unpacked(answer: dict[str, Any]) -> tuple[int, dict[str, list[str]], bytes]:
    """Status, headers by lower-case name, and body of an answer in Lambda's form."""
    headers = {key.lower(): [str(value)] for key, value in (answer.get("headers") or {}).items()}
    for key, values in (answer.get("multiValueHeaders") or {}).items():
        headers[key.lower()] = [str(value) for value in values]
    text = answer.get("body") or ""
    payload = base64.b64decode(text) if answer.get("isBase64Encoded") else text.encode()
    return int(answer["statusCode"]), headers, payload


def _message_of(payload: bytes) -> str:
    """The sentence in an error of the framework below, or nothing."""
    try:
        document = json.loads(payload)
    except ValueError:
        return ""
    if not isinstance(document, dict):
        return ""
    return str(document.get("Message") or document.get("message") or "")


class _Server(ThreadingHTTPServer):
    # Joined on close; each request ends by itself within the socket time-out.
    daemon_threads = False
    # Two servers on one port would take turns; the second one has to fail.
    allow_reuse_port = False

    def __init__(self, address: tuple[str, int], handler: Callable[..., _Handler]) -> None:
        self._open: set[socket.socket] = set()
        self._open_lock = threading.Lock()
        super().__init__(address, handler)

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Take a connection; one beyond the bound is dropped."""
        with self._open_lock:
            if len(self._open) >= CONNECTIONS_MAX:
                return False
            self._open.add(request)
            return True

    def shutdown_request(self, request: Any) -> None:
        with self._open_lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def end_idle(self) -> None:
        """Let connections that wait for their next request see its end; answers go out."""
        with self._open_lock:
            for request in self._open:
                with contextlib.suppress(OSError):
                    request.shutdown(socket.SHUT_RD)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that went away is nothing; anything else belongs into the log."""
        gone = isinstance(sys.exc_info()[1], OSError)
        log.log(logging.DEBUG if gone else logging.WARNING, "request failed", exc_info=not gone)


class HttpServer:
    """`resources` lists the deployed API's resource templates; `invoke` runs its function.

    `unknown` is the status for a resource that does not exist: API Gateway says 403.
    """

    def __init__(
        self,
        site: Path,
        port: int,
        resources: Callable[[], list[str]],
        invoke: Invoke,
        *,
        unknown: HTTPStatus = HTTPStatus.FORBIDDEN,
    ) -> None:
        """Takes the port. Raises OSError when it is not to be had."""
        self.site = site
        self.resources = resources
        self.invoke = invoke
        self.unknown = unknown
        self._server = _Server(("127.0.0.1", port), functools.partial(_Handler, api=self))
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def put_before(self, sign_in: LocalSignIn) -> None:
        """Let a local sign-in answer in front of the API."""
        self.resources = sign_in.resources(self.resources)
        self.invoke = sign_in.before(self.invoke)

    def start(self) -> None:
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, name="http-server"
        )
        self._thread.start()

    def stop(self) -> None:
        """Finish the answers under way and give the port back."""
        if self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            self._thread = None
            self._server.end_idle()
        self._server.server_close()
