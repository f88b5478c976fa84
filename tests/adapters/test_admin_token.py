"""The admin token: owner-only, made once, never shown, compared in full."""

from __future__ import annotations

import logging
import os
import stat
import threading
from pathlib import Path
from typing import Any

import pytest

from chalicelib.adapters.admin_token import (
    FILE,
    REFRESH_MS,
    AdminToken,
    file_token,
    new_token,
    stage_token,
)
from chalicelib.adapters.clock import ManualClock
from chalicelib.domain.errors import InvalidInput, Permanent

TOKEN = "t" * 43


def test_the_file_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    token = file_token(tmp_path)
    path = tmp_path / FILE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(token.strip()) >= 43
    assert file_token(tmp_path) == token
    assert [child.name for child in tmp_path.iterdir()] == [FILE]


def test_processes_that_start_together_agree(tmp_path: Path) -> None:
    begin = threading.Barrier(8)
    found: list[str] = []

    def start() -> None:
        begin.wait()
        found.append(file_token(tmp_path))

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o644, 0o660])
def test_a_file_others_can_reach_is_refused(tmp_path: Path, mode: int) -> None:
    secret = file_token(tmp_path).strip()
    (tmp_path / FILE).chmod(mode)
    with pytest.raises(Permanent, match="chmod 600") as refused:
        file_token(tmp_path)
    assert secret not in str(refused.value)


def test_a_link_is_refused(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text(TOKEN)
    elsewhere.chmod(0o600)
    folder = tmp_path / "data"
    folder.mkdir()
    os.symlink(elsewhere, folder / FILE)
    with pytest.raises(Permanent):
        file_token(folder)


@pytest.mark.parametrize(
    "given", ["", "t", TOKEN[:-1], TOKEN + "t", TOKEN.upper(), f" {TOKEN}", "\udc80", "é" * 43]
)
def test_only_the_token_opens(given: str) -> None:
    token = AdminToken(lambda: TOKEN + "\n", lambda: 0)
    assert token.opens(TOKEN)
    assert not token.opens(given)


@pytest.mark.parametrize("kept", ["", "short", "x" * 513, " " * 40])
def test_a_token_that_is_none_opens_nothing_and_is_not_quoted(kept: str) -> None:
    token = AdminToken(lambda: kept, lambda: 0)
    with pytest.raises(InvalidInput) as refused:
        token.opens(kept)
    assert "short" not in str(refused.value)


def test_a_replaced_token_opens_nothing_after_a_while() -> None:
    clock, kept = ManualClock(0), [TOKEN]
    token = AdminToken(lambda: kept[0], clock.now_ms)
    assert token.opens(TOKEN)
    kept[0] = new_token()
    clock.advance(REFRESH_MS)
    assert not token.opens(TOKEN)
    assert token.opens(kept[0])


def test_it_reaches_no_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    token = AdminToken(lambda: file_token(tmp_path), lambda: 0)
    secret = file_token(tmp_path).strip()
    token.opens(secret)
    token.opens("x" + secret)
    assert secret not in caplog.text
    assert secret not in repr(token)
    assert secret not in repr(vars(token))


class Ssm:
    """Parameter Store with what a test puts there."""

    def __init__(self, *rows: dict[str, str]) -> None:
        self.rows = rows

    def get_parameters(self, Names: list[str], WithDecryption: bool) -> dict[str, Any]:
        assert WithDecryption
        return {"Parameters": [row for row in self.rows if row["Name"] in Names]}


def test_a_stage_keeps_it_as_secure_string() -> None:
    name = "/papercopy/dev/admin/token"
    row = {"Name": name, "Type": "SecureString", "Value": TOKEN}
    assert stage_token(Ssm(row), "dev") == TOKEN
    with pytest.raises(InvalidInput, match="SecureString"):
        stage_token(Ssm(row | {"Type": "String"}), "dev")
    with pytest.raises(InvalidInput, match="missing"):
        stage_token(Ssm(), "dev")
