"""A deployed stage gets its leaders from the command line."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from chalicelib.adapters.dynamo.store import DynamoStore
from chalicelib.services.manage_leaders import leaders
from chalicelib.services.portfolios import all_portfolios
from infra.local.engine import AwsEngine

ROOT = Path(__file__).resolve().parents[2]
WALLET = "0x" + "ab" * 20
OTHER = "0x" + "cd" * 20
NOBODY = "http://127.0.0.1:9"
"""Nothing listens there: following does not wait for the venue."""


def follow(engine: AwsEngine, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "infra.follow", "--stage", engine.stage, *arguments]
    command += ["--endpoint-url", engine.endpoint_url]
    return subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "DATA_API_URL": NOBODY},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def store_of(stage: AwsEngine) -> DynamoStore:
    return DynamoStore(stage.stage, endpoint_url=stage.endpoint_url, region="us-east-1")


@pytest.fixture(scope="module")
def stage() -> Iterator[AwsEngine]:
    with AwsEngine(schedules=False) as engine:
        yield engine


def test_following_opens_the_portfolios_once_and_the_venue_may_be_down(stage: AwsEngine) -> None:
    for _ in range(2):
        done = follow(stage, "--name", "ada", WALLET)
        assert (done.returncode, done.stderr) == (0, "")
        assert WALLET in done.stdout
        assert "the next sweep reads his holdings" in done.stdout
    store = store_of(stage)
    assert [leader.name for leader in leaders(store)] == ["ada"]
    assert len(all_portfolios(store)) == 3


def test_wallets_are_added_shown_and_no_longer_followed(stage: AwsEngine) -> None:
    assert follow(stage, WALLET, OTHER).returncode == 0
    (leader,) = leaders(store_of(stage))
    assert leader.wallets == (WALLET, OTHER)
    shown = follow(stage, "--list")
    assert shown.stdout == f"{WALLET} ada: on, 1 more wallet, holdings not read yet\n"
    ended = follow(stage, "--unfollow", WALLET)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ": off" in ended.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(("0x12",), "wallet:"), (("--unfollow", "0x" + "00" * 20), "leader:")],
)
def test_bad_input_is_refused_in_one_line(
    stage: AwsEngine, arguments: tuple[str, ...], said: str
) -> None:
    done = follow(stage, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"follow: {said}")
    assert done.stderr.count("\n") == 1
