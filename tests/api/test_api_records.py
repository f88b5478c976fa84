"""Reset, exports and audit over the API: who may, what is refused, and files that fit together."""

from __future__ import annotations

import csv
import io
import json
import logging
from typing import Any

import pytest
from chalice.app import Chalice

from chalicelib.adapters.admin_token import AdminToken
from chalicelib.api import records as module
from chalicelib.api.guard import secure
from chalicelib.api.records import Keeping, records
from chalicelib.domain.errors import Retryable
from chalicelib.domain.export_rows import COLUMNS
from chalicelib.services import exports
from chalicelib.services.portfolios import portfolio_ref
from infra.local.http_server import proxy_event
from tests.api.calling import ORIGIN, Api, cookie_at, trading
from tests.workflow.harness import LEADER, M, System, chain, leg

TOKEN = "secret-" + "t" * 40
BODY = {"portfolios": {"main/global": 1}}


class Client:
    """The signed-in owner, who may also hold the admin token."""

    def __init__(self, system: System) -> None:
        Api(system)
        self.app = Chalice(app_name="papercopy-records", configure_logs=False)
        secure(self.app)
        self.app.register_blueprint(records)
        self.cookie = cookie_at(system.clock.now_ms())
        token = AdminToken(lambda: TOKEN, system.clock.now_ms)
        Keeping.reset = lambda: system.services.reset_paper
        Keeping.exports = lambda: system.services.exports
        Keeping.read = lambda: system.services.read
        Keeping.token = lambda: token

    def call(
        self, method: str, target: str, body: bytes = b"", **headers: str
    ) -> tuple[int, dict[str, str], str]:
        sent = {"Cookie": self.cookie, "Origin": ORIGIN, "Content-Type": "application/json"}
        given = sent | {name.replace("_", "-"): value for name, value in headers.items()}
        event = proxy_event(method, target, list(given.items()), body, list(self.app.routes))
        assert event is not None
        raw = self.app(event, None)
        found = {name.lower(): str(value) for name, value in raw["headers"].items()}
        assert found["x-content-type-options"] == "nosniff"
        return raw["statusCode"], found, raw["body"]

    def get(self, target: str) -> tuple[int, dict[str, str], str]:
        return self.call("GET", target)

    def reset(self, body: Any = BODY, token: str = TOKEN, **headers: str) -> tuple[int, Any]:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        status, _, text = self.call(
            "POST", "/api/admin/reset-paper", raw, X_Admin_Token=token, **headers
        )
        return status, json.loads(text)


@pytest.fixture
def system() -> System:
    return trading(days=1, trades_per_day=6)


@pytest.fixture
def client(system: System) -> Client:
    return Client(system)


def epoch(system: System) -> int:
    ref = portfolio_ref(system.store, "main/global")
    assert ref
    return ref.epoch


def test_a_reset_takes_session_and_token_and_may_be_repeated(
    client: Client, system: System
) -> None:
    for _ in range(2):
        assert client.reset() == (
            200,
            {"items": [{"portfolio_id": "main/global", "epoch": 2}]},
        )
    row = json.loads(client.get("/api/audit?limit=1")[2])["items"][0]
    assert (row["action"], row["subject"]) == ("portfolio.reset", "main/global")
    assert row["actor"] == "local:owner"


@pytest.mark.parametrize("token", ["", "x", TOKEN[:-1], TOKEN + "t"])
def test_without_the_token_nothing_happens(
    client: Client, system: System, token: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    status, problem = client.reset(token=token)
    assert status == 403
    assert TOKEN not in json.dumps(problem) + caplog.text
    assert epoch(system) == 1


def test_without_a_session_the_token_helps_nobody(client: Client, system: System) -> None:
    client.cookie = ""
    assert client.reset()[0] == 401
    assert epoch(system) == 1


def test_a_foreign_page_cannot_reset(client: Client, system: System) -> None:
    assert client.reset(Origin="https://evil.example")[0] == 403
    assert epoch(system) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b"[" * 100_000,
        {},
        {"portfolios": []},
        {"portfolios": {}},
        {"portfolios": {"main/global": "1"}},
        {"portfolios": {"main/global": True}},
        {"portfolios": {"main/global": 1.0}},
        {"portfolios": {"main/global": 7}},
        {"portfolios": {"main/global": -(10**30)}},
        {"portfolios": {f"shadow/{LEADER}": 1}},
        {"portfolios": {"eve/global": 1}},
        {"portfolios": {"main/global": 1}, "more": 1},
        {"portfolios": {f"main/{n}": 1 for n in range(300)}},
    ],
)
def test_a_wrong_body_is_named(client: Client, system: System, body: Any) -> None:
    status, problem = client.reset(body)
    assert status == 400
    assert problem["detail"].startswith("portfolios: ")
    assert epoch(system) == 1


def test_a_missing_token_is_a_stage_that_is_not_set_up(client: Client, system: System) -> None:
    Keeping.token = lambda: AdminToken(lambda: "", system.clock.now_ms)
    status, problem = client.reset(token="")
    assert (status, problem["detail"]) == (503, "there is no usable admin token")

    def down() -> str:
        raise Retryable("parameters do not answer")

    Keeping.token = lambda: AdminToken(down, system.clock.now_ms)
    assert client.reset()[0] == 503
    assert epoch(system) == 1


def test_a_reset_that_is_not_finished_is_a_conflict(client: Client, system: System) -> None:
    ts = system.clock.now_ms()
    part = leg(10_000 * M, 510_000, ts_block=ts, index=99, block=99)
    system.services.ingest(chain([part], number=99, ts_seen=ts))
    assert client.reset()[0] == 200
    again = {"portfolios": {"main/global": 2}}
    assert client.reset(again)[0] == 409
    system.services.sweep(0)
    assert client.reset(again)[0] == 200


def joined(client: Client, target: str) -> tuple[str, int, dict[str, str]]:
    """Everything behind a target, in how many answers, and the headers of the last."""
    text, cursor = "", ""
    for answers in range(1, 200):
        status, headers, part = client.get(target + cursor)
        assert status == 200
        text += part
        if "x-next-cursor" not in headers:
            return text, answers, headers
        cursor = f"&cursor={headers['x-next-cursor']}"
    raise AssertionError("the answers never ended")


@pytest.mark.parametrize("kind", COLUMNS)
@pytest.mark.parametrize("format_", ["csv", "json"])
def test_answers_joined_are_one_file(
    client: Client, kind: str, format_: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = f"/api/exports/{kind}?format={format_}"
    whole, some, _ = joined(client, target)
    monkeypatch.setattr(exports, "PAGE_ROWS", 2)
    monkeypatch.setattr(module, "ROWS_PER_ANSWER", 3)
    text, more, headers = joined(client, target)
    assert more > some
    assert text == whole
    if format_ == "csv":
        header, *lines = csv.reader(io.StringIO(text, newline=""))
        assert headers["content-type"].startswith("text/csv")
        assert header == [column.name for column in COLUMNS[kind]]  # type: ignore[index]
        assert len(lines) > 3
    else:
        assert all(json.loads(line) for line in text.splitlines())
    assert f'filename="{kind}.' in headers["content-disposition"]


def test_epochs_of_before_a_reset_are_exported_and_shown_no_more(client: Client) -> None:
    before = client.get("/api/exports/attempts?portfolio=main/global&epoch=1")[2]
    client.reset()
    assert client.get("/api/exports/attempts?portfolio=main/global&epoch=1")[2] == before
    fresh = client.get("/api/exports/ledger?portfolio=main/global&epoch=2&format=json")[2]
    assert [json.loads(line)["kind"] for line in fresh.splitlines()] == ["OPENING"]
    assert Keeping.read().overview()["portfolios"][0]["epoch"] == 2


@pytest.mark.parametrize(
    ("target", "named"),
    [
        ("/api/exports/secrets", "kind"),
        ("/api/exports/ledger?format=xml", "format"),
        ("/api/exports/ledger?epoch=0x1", "epoch"),
        ("/api/exports/ledger?epoch=9", "epoch"),
        ("/api/exports/ledger?from=-1", "from"),
        ("/api/exports/ledger?from=5&until=4", "from"),
        ("/api/exports/ledger?until=99999999999999", "until"),
        ("/api/exports/ledger?portfolio=eve/global", "portfolio"),
        ("/api/exports/ledger?portfolio=eve%2300", "portfolio"),
        ("/api/exports/ledger?cursor=a", "cursor"),
        ("/api/exports/ledger?account=eve", "account"),
        ("/api/exports/trades?portfolio=main/global", "portfolio"),
        ("/api/audit?limit=0", "limit"),
        ("/api/audit?limit=201", "limit"),
        ("/api/audit?cursor=2026", "cursor"),
        ("/api/audit?account=eve", "account"),
    ],
)
def test_a_wrong_parameter_is_named_here_too(client: Client, target: str, named: str) -> None:
    status, _, text = client.get(target)
    assert status == 400, text
    assert json.loads(text)["detail"].startswith(f"{named}: ")
