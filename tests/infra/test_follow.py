"""A deployed stage gets its leaders from the command line."""

from __future__ import annotations

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


def follow(engine: AwsEngine, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "infra.follow", "--stage", engine.stage, *arguments]
    command += ["--endpoint-url", engine.endpoint_url]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture(scope="module")
def stage() -> Iterator[AwsEngine]:
    with AwsEngine(schedules=False) as engine:
        yield engine


def test_following_opens_the_portfolios_once(stage: AwsEngine) -> None:
    for _ in range(2):
        done = follow(stage, "--name", "ada", WALLET)
        assert (done.returncode, done.stderr) == (0, "")
        assert WALLET in done.stdout
    store = DynamoStore(stage.stage, endpoint_url=stage.endpoint_url, region="us-east-1")
    assert [leader.name for leader in leaders(store)] == ["ada"]
    assert len(all_portfolios(store)) == 3


def test_a_bad_address_is_refused_in_one_line(stage: AwsEngine) -> None:
    done = follow(stage, "0x12")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("follow: wallet:")
    assert done.stderr.count("\n") == 1
