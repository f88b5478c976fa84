"""Reset and export from the command line, on a data folder and on a deployed stage."""

from __future__ import annotations

import csv
from pathlib import Path

import boto3
import pytest

from chalicelib.adapters.admin_token import FILE
from chalicelib.adapters.clock import SystemClock
from chalicelib.adapters.dynamo.store import DynamoStore
from chalicelib.adapters.embedded.sqlite_store import SqliteStore
from chalicelib.domain.registry import AuditRow
from chalicelib.keyspace import audit_pk, month
from chalicelib.ports import Store
from chalicelib.services.manage_leaders import FollowLeader
from infra import export, reset
from infra.local.engine import AwsEngine

LEADER = "0x" + "ab" * 20
CASH = 10_000_000_000


def followed(store: Store) -> None:
    FollowLeader(store, SystemClock(), CASH)([LEADER], "ada")


@pytest.fixture
def folder(tmp_path: Path) -> list[str]:
    store = SqliteStore(tmp_path / "papercopy.sqlite3")
    followed(store)
    store.close()
    return ["--data", str(tmp_path)]


def test_a_folder_is_reset_and_exported(
    folder: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert reset.main([*folder, "show"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "main/global=1: cash 10000"
    for _ in range(2):
        assert reset.main([*folder, "epochs", "main/global=1"]) == 0
        assert capsys.readouterr().out == "main/global is in epoch 2, 0 unfinished ended\n"
    assert reset.main([*folder, "all"]) == 0
    capsys.readouterr()
    out = tmp_path / "ledger.csv"
    assert export.main([*folder, "ledger", "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"5 rows of ledger are in {out}\n"
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(r["portfolio_id"], r["epoch"]) for r in rows] == [
        ("main/global", "1"),
        ("main/global", "2"),
        ("main/global", "3"),
        (f"main/leader/{LEADER}", "1"),
        (f"main/leader/{LEADER}", "2"),
    ]
    assert export.main([*folder, "fills", "--format", "json"]) == 0
    assert capsys.readouterr().out == ""
    assert not list(tmp_path.glob(".*.part"))
    store = SqliteStore(tmp_path / "papercopy.sqlite3")
    pk = audit_pk("main", month(SystemClock().now_ms()))
    actors = {row.actor for row in store.query(AuditRow, "audit", pk, limit=100)}
    assert any(actor.startswith("operator") for actor in actors)
    store.close()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["epochs", "main/global"], "PORTFOLIO=EPOCH was expected"),
        (["epochs", "main/global=4"], "is in epoch 1"),
        (["epochs", "main/nobody=1"], "no portfolio that can be reset"),
    ],
)
def test_what_cannot_be_reset_is_one_line(
    folder: list[str], capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert reset.main([*folder, *words]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_who_cannot_read_the_token_resets_nothing(
    folder: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert reset.main([*folder, "new-token"]) == 0
    token = (tmp_path / FILE).read_text().strip()
    assert reset.main([*folder, "new-token"]) == 0
    assert (tmp_path / FILE).read_text().strip() != token
    (tmp_path / FILE).chmod(0o644)
    assert reset.main([*folder, "all"]) == 2
    said = capsys.readouterr()
    assert "chmod 600" in said.err
    assert (tmp_path / FILE).read_text().strip() not in said.out + said.err
    assert reset.main([*folder, "show"]) == 0
    assert "main/global=1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["ledger", "--from", "yesterday"], "a time such as"),
        (["ledger", "--portfolio", "eve/global"], "there is no such portfolio"),
        (["trades", "--epoch", "1"], "trades belong to no portfolio"),
        (["ledger", "--out", "/nowhere/at/all.csv"], "No such file"),
    ],
)
def test_what_cannot_be_exported_is_one_line(
    folder: list[str], capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert export.main([*folder, *words]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_a_failed_export_leaves_the_older_file(
    folder: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "ledger.csv"
    out.write_text("older")

    def broken(*_: object, **__: object) -> str:
        raise OSError("the disk is full")

    monkeypatch.setattr(export, "text_of", broken)
    assert export.main([*folder, "ledger", "--out", str(out)]) == 2
    assert out.read_text() == "older"
    assert not list(tmp_path.glob(".*.part"))


def test_a_stage_is_reset_by_who_may_read_its_token(capsys: pytest.CaptureFixture[str]) -> None:
    with AwsEngine(schedules=False) as engine:
        where = ["--stage", engine.stage, "--endpoint-url", engine.endpoint_url]
        followed(DynamoStore(engine.stage, endpoint_url=engine.endpoint_url, region="us-east-1"))
        assert reset.main([*where, "all"]) == 2
        assert "admin/token is missing" in capsys.readouterr().err
        assert reset.main([*where, "new-token"]) == 0
        ssm = boto3.client("ssm", endpoint_url=engine.endpoint_url, region_name="us-east-1")
        kept = ssm.get_parameter(Name=f"/papercopy/{engine.stage}/admin/token")["Parameter"]
        assert kept["Type"] == "SecureString"
        assert reset.main([*where, "epochs", "main/global=1"]) == 0
        assert "main/global is in epoch 2" in capsys.readouterr().out
        assert export.main([*where, "ledger", "--portfolio", "main/global"]) == 0
        assert capsys.readouterr().out.count("OPENING") == 2
