"""Users, trades, markets, config and system in a real Chromium, on the real API: `manage.mjs`.

A representative part runs with `make test`; the rest, and with it each page in every state, is slow
and part of `make test-all` only.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.browser.test_dashboard import missing

HERE = Path(__file__).parent
STOP_S_MAX = 10
NAMED = re.compile(r'^  async "([^"]+)"\(browser\)', re.MULTILINE)
SCENARIOS = NAMED.findall((HERE / "manage.mjs").read_text())
REPRESENTATIVE = {
    "users: somebody is looked up by name, shown, and only then followed",
    "users: stopping asks first, says what he is then, and can be undone",
    "trades: the filter is in the address and survives a reload",
    "trades: CSV of the chosen portfolio holds what the API exports",
    "markets: quotes and slippage, and the blacklist from list and detail",
    "config: every setting there is has a control, its sentence, unit, default and bounds",
    "config: a change is a draft until it is saved, then it is stored and audited",
    "config: a conflict overwrites nobody, keeps what was typed, and shows theirs",
    "config: a test shows before and after, and stores nothing",
    "config: a reset asks, needs the admin token, and opens a new epoch",
    "system: what waits, what failed, who changed what, and the way out",
}
Play = Callable[[str], dict[str, object]]

pytestmark = pytest.mark.skipif(missing() is not None, reason=missing() or "")


def marked(scenario: str) -> object:
    marks = [] if scenario in REPRESENTATIVE else [pytest.mark.slow]
    return pytest.param(scenario, marks=marks)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    command = [sys.executable, "-m", "tests.browser.manage_server"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=HERE.parents[1], stdout=pipe, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.terminate()


@pytest.fixture(scope="module")
def play(server: str) -> Iterator[Play]:
    pipe = subprocess.PIPE
    command = ["node", "manage.mjs", server]
    with subprocess.Popen(command, cwd=HERE, stdin=pipe, stdout=pipe, text=True) as node:
        stdin, stdout = node.stdin, node.stdout
        assert stdin is not None
        assert stdout is not None

        def play_one(scenario: str) -> dict[str, object]:
            stdin.write(scenario + "\n")
            stdin.flush()
            verdict: dict[str, object] = json.loads(stdout.readline() or '{"error": "node ended"}')
            return verdict

        yield play_one
        stdin.close()
        try:
            node.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            node.kill()


def test_no_scenario_is_lost() -> None:
    assert len(SCENARIOS) == len(set(SCENARIOS)) >= 20
    assert set(SCENARIOS) > REPRESENTATIVE


@pytest.mark.parametrize("scenario", [marked(each) for each in SCENARIOS])
def test_page(scenario: str, play: Play) -> None:
    verdict = play(scenario)
    assert "error" not in verdict, verdict["error"]
