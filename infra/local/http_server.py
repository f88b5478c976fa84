"""Serve the dashboard and the REST API on one local port, as CloudFront does in production."""

import base64
import functools
import json
import logging
import re
import threading
import uuid
from collections.abc import Callable
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

log = logging.getLogger(__name__)

BODY_BYTES_MAX = 6 * 1024 * 1024
SOCKET_TIMEOUT_S = 10
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


class _Handler(SimpleHTTPRequestHandler):
    timeout = SOCKET_TIMEOUT_S

    def __init__(self, *arguments: Any, api: "HttpServer", **options: Any) -> None:
        self._api = api
        super().__init__(*arguments, **options)

    def log_message(self, format: str, *arguments: Any) -> None:
        log.debug(format, *arguments)

    def do_GET(self) -> None:
        if self._is_api():
            self._answer()
        else:
            super().do_GET()

    def do_HEAD(self) -> None:
        if self._is_api():
            self._answer()
        else:
            super().do_HEAD()

    def do_POST(self) -> None:
        self._answer()

    do_PUT = do_PATCH = do_DELETE = do_POST

    def _is_api(self) -> bool:
        path = urlsplit(self.path).path
        return path == "/api" or path.startswith("/api/")

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        if not self._is_api() or length > BODY_BYTES_MAX:
            self._reply(413 if length > BODY_BYTES_MAX else 405, {}, b"")
            return
        body = self.rfile.read(length)
        event = proxy_event(
            self.command, self.path, list(self.headers.items()), body, self._api.resources()
        )
        if event is None:
            # API Gateway's own answer for an unknown resource.
            message = json.dumps({"message": "Missing Authentication Token"}).encode()
            self._reply(403, {"Content-Type": ["application/json"]}, message)
            return
        try:
            answer = self._api.invoke(event)
        except Exception:
            log.warning("API function failed", exc_info=True)
            message = json.dumps({"message": "Internal server error"}).encode()
            self._reply(502, {"Content-Type": ["application/json"]}, message)
            return
        headers = {key: [value] for key, value in (answer.get("headers") or {}).items()}
        headers.update(answer.get("multiValueHeaders") or {})
        text = answer.get("body") or ""
        payload = base64.b64decode(text) if answer.get("isBase64Encoded") else text.encode()
        self._reply(int(answer["statusCode"]), headers, payload)

    def _reply(self, status: int, headers: dict[str, list[str]], payload: bytes) -> None:
        self.send_response(status)
        for name, values in headers.items():
            for value in values:
                self.send_header(name, str(value))
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(payload)


class _Server(ThreadingHTTPServer):
    # Joined on close; each request ends by itself within the socket time-out.
    daemon_threads = False


class HttpServer:
    """`resources` lists the deployed API's resource templates; `invoke` runs its function."""

    def __init__(
        self, site: Path, port: int, resources: Callable[[], list[str]], invoke: Invoke
    ) -> None:
        self.resources = resources
        self.invoke = invoke
        handler = functools.partial(_Handler, api=self, directory=str(site))
        self._server = _Server(("127.0.0.1", port), handler)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, name="http-server"
        )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
