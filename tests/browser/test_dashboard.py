"""Drives the dashboard in a real Chromium, through the scenarios of `scenarios.mjs`.

Needs node, `npm ci` in this folder, and Chromium (`$CHROMIUM`, or on the PATH).
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
STOP_S_MAX = 10
SCRIPTS = [path.read_text() for path in sorted(HERE.glob("scenarios*.mjs"))]
NAMED = re.compile(r'^  async "([^"]+)"\(browser\)', re.MULTILINE)
SCENARIOS = [name for script in SCRIPTS for name in NAMED.findall(script)]


def missing() -> str | None:
    """What is not there, in words that say how to get it; None when everything is."""
    if shutil.which("node") is None:
        return "node is not installed"
    if not (HERE / "node_modules" / "playwright-core").is_dir():
        return "node_modules is missing: run `npm ci` in tests/browser"
    names = ("chromium", "chromium-browser", "google-chrome")
    if not os.environ.get("CHROMIUM") and not any(map(shutil.which, names)):
        return "Chromium is missing: set CHROMIUM, or install one of " + ", ".join(names)
    return None


if os.environ.get("REQUIRE_BROWSER") and missing():
    raise RuntimeError(f"the browser tests must run here, but {missing()}")
pytestmark = pytest.mark.skipif(missing() is not None, reason=missing() or "")


@pytest.fixture(scope="module")
def fixture_url() -> Iterator[str]:
    command = [sys.executable, "-m", "tests.browser.fixture_server"]
    with subprocess.Popen(
        command, cwd=HERE.parents[1], stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        yield server.stdout.readline().strip()
        server.terminate()


@pytest.fixture(scope="module")
def play(fixture_url: str) -> Iterator[Callable[[str], dict[str, object]]]:
    """Plays one scenario and returns its verdict; one browser serves them all, a context each."""
    pipe = subprocess.PIPE
    command = ["node", "scenarios.mjs", fixture_url]
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


def test_there_are_scenarios() -> None:
    assert len(SCENARIOS) >= 40
    assert len(set(SCENARIOS)) == len(SCENARIOS)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_dashboard(scenario: str, play: Callable[[str], dict[str, object]]) -> None:
    verdict = play(scenario)
    assert "error" not in verdict, verdict["error"]
