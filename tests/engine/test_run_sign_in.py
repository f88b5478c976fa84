"""Sign-in to a papercopy as a person starts it: the printed link, the command, the next start."""

from __future__ import annotations

import signal
import subprocess
import sys
import urllib.error
from pathlib import Path

import pytest

from tests.engine.launching import ROOT, Run, free_port, running


def printed_link(run: Run) -> str:
    (line,) = [line for line in run.said if "sign-in?token=" in line]
    return line


def status_of(run: Run, cookie: str) -> int:
    run.cookie = cookie
    try:
        run.get("/api/overview")
    except urllib.error.HTTPError as error:
        return error.code
    return 200


def fresh_link(data: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "infra.link", "--data", str(data)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    return done.stdout.strip()


def test_the_link_opens_once_the_command_makes_another_and_a_restart_keeps_sessions(
    tmp_path: Path,
) -> None:
    arguments = ("--port", str(free_port()), "--fills-per-minute", "0")
    with running(tmp_path, *arguments) as run:
        first, old = run.cookie, printed_link(run)
        assert (status_of(run, ""), status_of(run, first)) == (401, 200)
        with pytest.raises(urllib.error.HTTPError, match="403"):
            run.sign_in(old)
        run.sign_in(fresh_link(tmp_path))
        assert run.cookie != first
        assert status_of(run, run.cookie) == 200
        assert "token" not in "".join(run.complaints)
        unused = fresh_link(tmp_path)
        run.end(signal.SIGTERM)
    assert not (tmp_path / "simulated" / "address").exists()
    with running(tmp_path, *arguments) as again:
        assert status_of(again, first) == 200
        for link in (old, unused):
            with pytest.raises(urllib.error.HTTPError, match="403"):
                again.sign_in(link)
        assert again.end(signal.SIGTERM) == 0
        assert again.clean()
