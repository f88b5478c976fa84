"""The link of a local engine: works once, for this start only, and leaves no trace."""

from __future__ import annotations

import json
import logging
import stat
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

import pytest

from chalicelib.adapters.clock import ManualClock
from chalicelib.api.session import session_of
from chalicelib.api.signing import sign
from chalicelib.api.throttle import PER_SOURCE_MAX
from chalicelib.domain.errors import Permanent
from infra import link as link_command
from infra.local.embedded import lock_folder
from infra.local.http_server import HttpServer
from infra.local.sign_in import (
    ADDRESS_FILE,
    KEY_FILE,
    LINK_MS,
    PURPOSE,
    LocalSignIn,
    folder_key,
    link,
)

KEY = b"k" * 40
START_MS = 1_795_132_800_123


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START_MS)


@pytest.fixture
def server(tmp_path: Path, clock: ManualClock) -> Iterator[HttpServer]:
    (tmp_path / "index.html").write_text("page")

    def api(event: dict[str, Any]) -> dict[str, Any]:
        return {"statusCode": 200, "body": json.dumps({"resource": event["resource"]})}

    made = HttpServer(tmp_path, 0, lambda: ["/health"], api)
    made.put_before(LocalSignIn(made.port, KEY, clock.now_ms))
    made.start()
    yield made
    made.stop()


def token_of(text: str) -> str:
    return text.split("#/sign-in?token=")[1]


def fresh(server: HttpServer, clock: ManualClock, key: bytes = KEY) -> str:
    return token_of(link(server.url, key, clock.now_ms()))


def redeem(
    server: HttpServer, token: object, method: str = "POST", **headers: str
) -> tuple[HTTPResponse, Any]:
    connection = HTTPConnection("127.0.0.1", server.port, timeout=5)
    sent = {"Origin": server.url, "Content-Type": "application/json"}
    sent.update({name.replace("_", "-"): value for name, value in headers.items()})
    body = token if isinstance(token, bytes) else json.dumps({"token": token}).encode()
    connection.request(method, "/api/auth/local", body, sent)
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    assert b"Traceback" not in text
    return answer, json.loads(text)


def test_a_link_signs_the_owner_in_once(server: HttpServer, clock: ManualClock) -> None:
    token = fresh(server, clock)
    answer, body = redeem(server, token)
    assert (answer.status, body["subject"]) == (200, "local:owner")
    line = answer.getheader("Set-Cookie") or ""
    assert line.startswith(f"papercopy-local-{server.port}=")
    assert "HttpOnly" in line and "SameSite=Strict" in line and "Secure" not in line
    access = LocalSignIn(server.port, KEY, clock.now_ms).access
    found = session_of(access, [line.partition(";")[0]], clock.now_ms() // 1000)
    assert found is not None and found.subject == "local:owner"
    again, problem = redeem(server, token)
    assert again.status == 403 and again.getheader("Set-Cookie") is None
    assert "infra.link" in problem["detail"]
    assert redeem(server, fresh(server, clock))[0].status == 200


def test_a_link_is_an_address_of_the_dashboard_and_its_token_is_in_the_fragment() -> None:
    made = link("http://127.0.0.1:8000/", KEY, START_MS)
    assert made.startswith("http://127.0.0.1:8000/#/sign-in?token=")


def test_a_link_of_an_earlier_start_is_refused(server: HttpServer, clock: ManualClock) -> None:
    token = fresh(server, clock)
    clock.advance(1)
    server.put_before(LocalSignIn(server.port, KEY, clock.now_ms))
    assert redeem(server, token)[0].status == 403
    assert redeem(server, fresh(server, clock))[0].status == 200


def test_a_link_grows_too_old(server: HttpServer, clock: ManualClock) -> None:
    first, second = fresh(server, clock), fresh(server, clock)
    clock.advance(LINK_MS)
    assert redeem(server, first)[0].status == 200
    clock.advance(1)
    assert redeem(server, second)[0].status == 403


def test_what_we_did_not_sign_for_this_is_refused(server: HttpServer, clock: ManualClock) -> None:
    now = clock.now_ms()
    session = sign(KEY, f"papercopy-local-{server.port}", {"id": "a", "iat": now})
    future = sign(KEY, PURPOSE, {"id": "a", "iat": now + LINK_MS})
    nameless = sign(KEY, PURPOSE, {"id": 7, "iat": now})
    for token in ("", "x", None, 7, ["a"], session, future, nameless, "x" * 1_500):
        clock.advance(60_000)
        assert redeem(server, token)[0].status == 403, token
    clock.advance(60_000)
    assert redeem(server, fresh(server, clock, b"o" * 40))[0].status == 403
    for body in (b"", b"[]", b"\xff\xfe", b"{", b'{"token":1e999}'):
        clock.advance(60_000)
        assert redeem(server, body)[0].status == 403


def test_guessing_is_bounded(server: HttpServer, clock: ManualClock) -> None:
    for _ in range(PER_SOURCE_MAX):
        assert redeem(server, "guess")[0].status == 403
    answer, _ = redeem(server, fresh(server, clock))
    assert answer.status == 429
    clock.advance(1000 * int(answer.getheader("Retry-After") or 0))
    assert redeem(server, fresh(server, clock))[0].status == 200


def test_only_our_own_pages_redeem(server: HttpServer, clock: ManualClock) -> None:
    token = fresh(server, clock)
    for headers in (
        {"Origin": "http://evil.example"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec_Fetch_Site": "cross-site"},
    ):
        assert redeem(server, token, **headers)[0].status == 403
    assert redeem(server, token, Content_Type="text/plain")[0].status == 415
    answer, _ = redeem(server, token, "GET")
    assert (answer.status, answer.getheader("Allow")) == (405, "POST")
    assert redeem(server, token)[0].status == 200


def test_the_log_holds_neither_token_nor_query(
    server: HttpServer, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    token = fresh(server, clock)
    redeem(server, token)
    connection = HTTPConnection("127.0.0.1", server.port, timeout=5)
    connection.request("GET", f"/api/health?code={token}")
    assert connection.getresponse().status == 200
    connection.close()
    assert "GET /api/health 200" in caplog.text
    assert "/api/auth/local" in caplog.text
    assert token not in caplog.text


def test_the_key_of_a_folder_is_the_owners_alone_and_stays(tmp_path: Path) -> None:
    key = folder_key(tmp_path)
    file = tmp_path / KEY_FILE
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.chmod(0o644)
    assert folder_key(tmp_path) == key
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    for damaged in (b"", b"short", b"\xff" * 50):
        file.write_bytes(damaged)
        with pytest.raises(Permanent, match="damaged"):
            folder_key(tmp_path)


def test_the_command_prints_a_link_of_what_runs(
    tmp_path: Path, clock: ManualClock, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "simulated"
    assert link_command.main(["--data", str(tmp_path)]) == 2
    assert "no papercopy runs" in capsys.readouterr().err
    lock = lock_folder(folder)
    (folder / ADDRESS_FILE).write_text("http://127.0.0.1:8123/")
    assert link_command.main(["--data", str(tmp_path)]) == 0
    printed = capsys.readouterr().out.strip()
    assert printed.startswith("http://127.0.0.1:8123/#/sign-in?token=")
    sign_in = LocalSignIn(8123, folder_key(folder), lambda: 0)
    sign_in._now_ms = lambda: 2**53
    assert not sign_in._redeem(token_of(printed))
    assert link_command.main(["--data", str(tmp_path), "--venue", "live"]) == 2
    lock.close()
    assert link_command.main(["--data", str(tmp_path)]) == 2
