"""The local server: what it serves, what it refuses, and that it stays in step."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

import pytest

from infra.local import http_server
from infra.local.http_server import HttpServer

PAGE = b"<!doctype html><title>site</title>"


@dataclass
class Function:
    """The API behind the server, as a test sets it."""

    answer: dict[str, Any] = field(default_factory=lambda: {"statusCode": 200, "body": "{}"})
    error: Exception | None = None
    seen: list[dict[str, Any]] = field(default_factory=list)

    def __call__(self, event: dict[str, Any]) -> dict[str, Any]:
        self.seen.append(event)
        if self.error:
            raise self.error
        return self.answer


@pytest.fixture
def function() -> Function:
    return Function()


@pytest.fixture
def server(tmp_path: Path, function: Function) -> Iterator[HttpServer]:
    site = tmp_path / "site"
    (site / "js").mkdir(parents=True)
    (site / "index.html").write_bytes(PAGE)
    (site / "js" / "main.js").write_text("export {};")
    (site / ".secret").write_text("hidden")
    (site / "data.sqlite3").write_text("no page")
    (tmp_path / "outside.js").write_text("outside")
    (site / "link.js").symlink_to(tmp_path / "outside.js")
    made = HttpServer(site, 0, lambda: ["/health"], function, unknown=HTTPStatus.NOT_FOUND)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def line(server: HttpServer) -> Iterator[HTTPConnection]:
    connection = HTTPConnection("127.0.0.1", port_of(server), timeout=5)
    yield connection
    connection.close()


def port_of(server: HttpServer) -> int:
    return int(server.url.rpartition(":")[2])


def ask(
    line: HTTPConnection, method: str, path: str, body: bytes | None = None, **headers: str
) -> tuple[HTTPResponse, bytes]:
    """One request over the same connection; guards are on every answer."""
    line.putrequest(method, path, skip_host="Host" in headers, skip_accept_encoding=True)
    for name, value in headers.items():
        line.putheader(name.replace("_", "-"), value)
    if body is not None:
        line.putheader("Content-Length", str(len(body)))
    line.endheaders(body)
    answer = line.getresponse()
    content = answer.read()
    assert_guarded(dict(answer.getheaders()))
    return answer, content


def assert_guarded(headers: dict[str, str]) -> None:
    found = {name.lower(): value for name, value in headers.items()}
    assert found["x-content-type-options"] == "nosniff"
    assert found["referrer-policy"] == "no-referrer"
    assert found["x-frame-options"] == "DENY"
    assert found["cache-control"] == "no-cache"
    assert found["content-security-policy"] == "frame-ancestors 'none'"
    assert found["server"] == "papercopy"


def raw(server: HttpServer, text: bytes) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of what comes back for these bytes until the server hangs up."""
    with socket.create_connection(("127.0.0.1", port_of(server)), timeout=5) as connection:
        connection.sendall(text)
        connection.shutdown(socket.SHUT_WR)
        received = b""
        while part := connection.recv(65_536):
            received += part
    head, _, body = received.partition(b"\r\n\r\n")
    first, *rest = head.decode("latin-1").split("\r\n")
    return int(first.split()[1]), dict(row.split(": ", 1) for row in rest), body


def problem(status: int, answer: HTTPResponse, content: bytes) -> dict[str, Any]:
    assert answer.status == status
    assert answer.getheader("Content-Type") == "application/problem+json"
    document: dict[str, Any] = json.loads(content)
    assert document["status"] == status and document["title"] and document["detail"]
    assert "Traceback" not in content.decode()
    return document


def test_pages_and_api_answer_over_one_kept_connection(
    line: HTTPConnection, function: Function
) -> None:
    answer, content = ask(line, "GET", "/")
    kept = line.sock
    assert (answer.status, answer.version, content) == (200, 11, PAGE)
    assert answer.getheader("Content-Type") == "text/html; charset=utf-8"
    assert ask(line, "GET", "/index.html?x=1")[1] == PAGE
    answer, _ = ask(line, "GET", "/js/main.js")
    assert answer.getheader("Content-Type") == "text/javascript; charset=utf-8"
    assert ask(line, "GET", "/api/health?a=b")[0].status == 200
    assert function.seen[0]["queryStringParameters"] == {"a": "b"}
    assert ask(line, "GET", "/nothing")[0].status == 404
    assert ask(line, "GET", "/api/nothing")[0].status == 404
    assert line.sock is kept


@pytest.mark.parametrize("path", ["/", "/js/main.js"])
def test_a_known_page_is_304_without_a_body(line: HTTPConnection, path: str) -> None:
    tag = ask(line, "GET", path)[0].getheader("ETag")
    assert tag
    answer, content = ask(line, "GET", path, If_None_Match=tag)
    assert (answer.status, content, answer.getheader("Content-Length")) == (304, b"", None)
    assert ask(line, "GET", path, If_None_Match='"old"')[0].status == 200


def test_a_304_of_the_api_has_no_body_and_the_line_goes_on(
    line: HTTPConnection, function: Function
) -> None:
    function.answer = {"statusCode": 304, "body": "", "headers": {"ETag": '"x"'}}
    answer, content = ask(line, "GET", "/api/health")
    assert (answer.status, content, answer.getheader("ETag")) == (304, b"", '"x"')
    assert ask(line, "GET", "/")[1] == PAGE


@pytest.mark.parametrize("path", ["/", "/api/health", "/api/nothing", "/nothing"])
def test_head_says_what_get_would_say(line: HTTPConnection, function: Function, path: str) -> None:
    function.answer = {"statusCode": 200, "body": '{"a":1}'}
    got, content = ask(line, "GET", path)
    answer, nothing = ask(line, "HEAD", path)
    assert (answer.status, nothing) == (got.status, b"")
    for name in ("Content-Length", "Content-Type"):
        assert answer.getheader(name) == got.getheader(name)
    assert int(answer.getheader("Content-Length") or 0) == len(content)
    assert {event["httpMethod"] for event in function.seen} <= {"GET"}


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "localhost.", "0"])
def test_another_name_for_this_machine_is_refused(
    line: HTTPConnection, function: Function, host: str
) -> None:
    for path in ("/", "/api/health"):
        answer, content = ask(line, "GET", path, Host=host)
        problem(403, answer, content)
        line.close()
    assert function.seen == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST:1", "127.0.0.1:8000"])
def test_our_own_names_are_served(line: HTTPConnection, host: str) -> None:
    assert ask(line, "GET", "/", Host=host)[0].status == 200


@pytest.mark.parametrize(
    "path",
    [
        "/js",
        "/js/",
        "/../outside.js",
        "/js/../../outside.js",
        "/%2e%2e/outside.js",
        "/..%2foutside.js",
        "/js/..%5c..%5coutside.js",
        "//etc/passwd",
        "/link.js",
        "/.secret",
        "/data.sqlite3",
        "/index.html/",
        "/index.html%00.js",
        "/%ff%fe",
        "/" + "a" * 5000,
        "/apihealth",
    ],
)
def test_nothing_but_the_sites_files_is_served(line: HTTPConnection, path: str) -> None:
    problem(404, *ask(line, "GET", path))


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_pages_can_only_be_read(line: HTTPConnection, method: str) -> None:
    answer, content = ask(line, method, "/index.html", b"x")
    problem(405, answer, content)
    assert answer.getheader("Allow") == "GET, HEAD"


def test_a_failing_function_is_a_500_and_its_trace_is_in_the_log(
    line: HTTPConnection, function: Function, caplog: pytest.LogCaptureFixture
) -> None:
    function.error = ValueError("secret detail")
    answer, content = ask(line, "GET", "/api/health")
    problem(500, answer, content)
    assert b"secret" not in content
    assert "secret detail" in caplog.text and "Traceback" in caplog.text
    function.error = None
    function.answer = {"statusCode": 500, "body": '{"Code":"X","Message":"An error occurred."}'}
    answer, content = ask(line, "GET", "/api/health")
    assert problem(500, answer, content)["detail"] == "An error occurred."
    function.answer = {"no": "status"}
    problem(500, *ask(line, "GET", "/api/health"))


@pytest.mark.parametrize(
    ("head", "status"),
    [
        ("Content-Length: abc", 400),
        ("Content-Length: -5", 400),
        ("Content-Length: 1\r\nContent-Length: 2", 400),
        ("Content-Length: +1", 400),
        ("Content-Length: 20", 400),
        ("Content-Length: 99999999", 413),
        ("Content-Length: 99999999999999999999999", 400),
        ("Transfer-Encoding: chunked", 411),
        ("Host: evil.example", 403),
    ],
)
@pytest.mark.parametrize("target", ["/api/health", "/"])
def test_a_doubtful_body_ends_the_connection(
    server: HttpServer, function: Function, target: str, head: str, status: int
) -> None:
    text = f"POST {target} HTTP/1.1\r\nHost: localhost\r\n{head}\r\n\r\nGET / HTTP/1.1\r\n"
    found, headers, body = raw(server, text.encode())
    assert (found, headers["Connection"]) == (status, "close")
    assert json.loads(body)["status"] == status
    assert function.seen == []


@pytest.mark.parametrize(
    ("text", "status"),
    [
        (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 70_000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + b"X: 1\r\n" * 200 + b"\r\n", 431),
        (b"GET / HTTP/9.9\r\n\r\n", 505),
        (b"GET / nonsense\r\n\r\n", 400),
        (b"BREW / HTTP/1.1\r\nHost: localhost\r\n\r\n", 501),
        (b"GET http://localhost/ HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 403),
    ],
)
def test_what_is_no_request_gets_a_problem_and_the_end(
    server: HttpServer, text: bytes, status: int
) -> None:
    found, headers, body = raw(server, text)
    assert (found, headers["Connection"]) == (status, "close")
    assert_guarded(headers)
    assert json.loads(body)["status"] == status


def test_noise_is_survived(server: HttpServer, line: HTTPConnection) -> None:
    for noise in (b"\x00\xff" * 50 + b"\r\n\r\n", b"\r\n\r\n", b"\x16\x03\x01", b""):
        with socket.create_connection(("127.0.0.1", port_of(server)), timeout=5) as connection:
            connection.sendall(noise)
    assert ask(line, "GET", "/")[1] == PAGE


def test_connections_are_bounded(
    server: HttpServer, monkeypatch: pytest.MonkeyPatch, line: HTTPConnection
) -> None:
    monkeypatch.setattr(http_server, "CONNECTIONS_MAX", 3)
    held = [socket.create_connection(("127.0.0.1", port_of(server)), timeout=5) for _ in range(3)]
    for connection in held:
        # Answered, so that the server has surely taken it.
        connection.sendall(b"HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert connection.recv(12) == b"HTTP/1.1 200"
    with socket.create_connection(("127.0.0.1", port_of(server)), timeout=5) as beyond:
        assert beyond.recv(1) == b""
    for connection in held:
        connection.close()
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            assert ask(line, "GET", "/")[1] == PAGE
            return
        except OSError:
            line.close()
            time.sleep(0.05)
    raise AssertionError("no connection became free")


def test_stop_ends_kept_connections_at_once_and_frees_the_port(tmp_path: Path) -> None:
    threads = set(threading.enumerate())
    (tmp_path / "index.html").write_bytes(PAGE)
    server = HttpServer(tmp_path, 0, list, lambda event: {"statusCode": 200})
    port = port_of(server)
    with pytest.raises(OSError, match="in use"):
        HttpServer(tmp_path, port, list, lambda event: {"statusCode": 200})
    server.start()
    line = HTTPConnection("127.0.0.1", port, timeout=5)
    assert ask(line, "GET", "/")[1] == PAGE
    started = time.monotonic()
    server.stop()
    assert time.monotonic() - started < 2
    assert set(threading.enumerate()) == threads
    server.stop()
    HttpServer(tmp_path, port, list, lambda event: {"statusCode": 200}).stop()
