"""A small `demo` proves in every mode that nothing is missed, duplicated or wrong."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time

from simulator.scenes import SCENES
from tests.engine.launching import ROOT, alive, children, surroundings, until

SECONDS_MAX = 120
SCRIPTED_FILLS = sum(len(scene.entrances) for scene in SCENES)
MODES = ("both", "api", "polygon")


def started(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "infra.local", "demo", *arguments],
        cwd=ROOT,
        env=surroundings(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def count(table: str, label: str) -> int:
    found = re.search(rf"^ *{re.escape(label)}  +(\d+)$", table, re.MULTILINE)
    assert found, (label, table)
    return int(found[1])


def test_every_mode_ends_with_nothing_missed_duplicated_or_wrong() -> None:
    # Side by side: what a demo does most of the time is wait.
    runs = {mode: started("--fills", "20", "--mode", mode) for mode in MODES}
    for mode, process in runs.items():
        table, complaints = process.communicate(timeout=SECONDS_MAX)
        assert process.returncode == 0, (mode, table, complaints)
        assert "Traceback" not in complaints
        # Where only the API is polled no scene is played: their books move too fast for that.
        fills = 20 if mode == "api" else 20 + SCRIPTED_FILLS
        assert count(table, "leader fills (ground truth)") == fills
        assert count(table, "seen by chain") == (0 if mode == "api" else fills)
        if mode != "polygon":
            # There, only the catch-up after the start asks the API.
            assert count(table, "seen by API") == fills
        for label in ("missed", "duplicated", "wrong"):
            assert count(table, label) == 0
        assert count(table, "ledgers that are not the fold of their entries") == 0
        assert count(table, "attempts") > 0


def test_ctrl_c_ends_a_demo_and_its_venue() -> None:
    process = started("--fills", "500")
    simulator = until(lambda: children(process.pid), 20)
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    _, complaints = process.communicate(timeout=15)
    assert process.returncode == 130
    assert "Traceback" not in complaints
    until(lambda: not any(alive(child) for child in simulator), 5)
