"""`make run`: what it says, that it ends well, and that a venue out of reach is overcome."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import urlopen

import pytest

from infra.local.simulator_process import SimulatorProcess
from tests.engine.launching import (
    ROOT,
    Run,
    alive,
    children,
    free_port,
    refused,
    running,
    surroundings,
    until,
)

FAST = ("--port", "0", "--fills-per-minute", "600", "--leaders-wait", "2")
LINES_MAX = 10
STOP_S_MAX = 12


def test_it_says_what_is_up_serves_it_and_ends_on_ctrl_c(tmp_path: Path) -> None:
    with running(tmp_path, *FAST) as run:
        assert len(run.said) <= LINES_MAX
        text = "".join(run.said)
        for said in ("starting the simulated venue", "simulated", "mode both", "4 leaders"):
            assert said in text
        with urlopen(f"{run.url}/", timeout=5) as page:
            assert b"<title>papercopy</title>" in page.read()
        health = run.get("/api/health")
        assert (health["engine"], health["venue"]) == ("embedded", "simulated")
        until(lambda: run.get("/api/trades?limit=5")["items"], 20)
        until(lambda: run.get("/api/health")["status"] == "ok", 10)
        (simulator,) = run.children()

        # The folder is taken as long as it runs, and so is the port.
        line = refused("run", "--data", str(tmp_path), "--port", "0")
        assert "another papercopy is using" in line and str(tmp_path) in line
        port = run.url.rpartition(":")[2]
        line = refused("run", "--data", str(tmp_path / "other"), "--port", port)
        assert f"port {port} is taken" in line and f"PORT={int(port) + 1}" in line
        assert not (tmp_path / "other").exists()

        # A browser keeps its connection open, and Ctrl-C reaches every process of the terminal.
        with socket.create_connection(("127.0.0.1", int(port))):
            started = time.monotonic()
            os.killpg(run.process.pid, signal.SIGINT)
            assert run.process.wait(STOP_S_MAX) == 0
            assert time.monotonic() - started < STOP_S_MAX
        until(lambda: not alive(simulator), 5)
    assert "everything is kept in" in run.said[-1]
    assert run.clean() and run.complaints == []


def test_after_kill_9_a_restart_has_everything_and_sigterm_ends_it(tmp_path: Path) -> None:
    with running(tmp_path, *FAST) as run:
        until(lambda: len(run.get("/api/copy-attempts")["items"]) >= 4, 30)
        (simulator,) = run.children()
        before = {row["trade_id"] for row in run.listing("/api/trades")}
        attempts = {row["attempt_id"]: row for row in run.listing("/api/copy-attempts")}
        run.process.kill()
        run.process.wait()
        until(lambda: not alive(simulator), 10)
    with running(tmp_path, *FAST) as run:
        after = {row["trade_id"] for row in run.listing("/api/trades")}
        assert before <= after
        later = {row["attempt_id"]: row for row in run.listing("/api/copy-attempts")}
        for name, row in attempts.items():
            kept = ("decision", "target_shares_micros", "limit_micros", "ts_decided")
            assert [later[name][key] for key in kept] == [row[key] for key in kept]
        # The same world goes on: the known leaders trade, nobody new appears.
        assert len(run.get("/api/overview")["leaders"]) == 4
        until(lambda: len(run.listing("/api/trades")) > len(after), 30)
        assert run.end(signal.SIGTERM) == 0
    assert run.clean()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_it_starts_ends_it_and_its_venue(
    tmp_path: Path, number: signal.Signals
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "infra.local", "run", "--data", str(tmp_path), *FAST],
        cwd=ROOT,
        env=surroundings(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    started = until(lambda: children(process.pid), 20)
    process.send_signal(number)
    said, complaints = process.communicate(timeout=STOP_S_MAX)
    assert (process.returncode, complaints) == (130, "")
    assert "is up" not in said
    until(lambda: not any(alive(child) for child in started), 5)


def said_of(run: Run, source: str) -> bool:
    """Whether the page says that a source is down."""
    return any(source in reason for reason in run.get("/api/health")["reasons"])


def test_a_venue_that_does_not_answer_is_said_and_overcome(tmp_path: Path) -> None:
    port = free_port()
    venue = SimulatorProcess.start("--port", str(port), "--fills-per-minute", "0")
    urls = {k: v for k, v in venue.environment().items() if k.endswith("_URL")}
    venue.stop()
    env = surroundings(**urls, POLL_INTERVAL_S="5")
    ask = ("--venue", "live", "--port", "0", "--leaders", "0x" + "a" * 40)
    with running(tmp_path, *ask, env=env) as run:
        until(lambda: run.get("/api/health")["status"] == "down", 30)
        until(lambda: said_of(run, "Polygon:") and said_of(run, "Data API:"), 60)
        venue = SimulatorProcess.start("--port", str(port), "--fills-per-minute", "0")
        try:
            until(lambda: run.get("/api/health")["status"] == "ok", 60)
            # A venue that answers nothing any more must not hold up the end.
            venue.control("health")
            venue.process.send_signal(signal.SIGSTOP)
            time.sleep(6)
            assert run.end(signal.SIGINT) == 0
        finally:
            venue.process.send_signal(signal.SIGCONT)
            venue.stop()
    assert run.clean()
