"""What cannot work is said in one line, with code 2, and before anything is started."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from infra.local.__main__ import main
from infra.local.simulator_process import SimulatorFailed, SimulatorProcess
from tests.engine.launching import ROOT, surroundings

Refused = Callable[..., str]
LEADER = "0x" + "a" * 40
LIVE = ("--venue", "live", "--port", "0")
SHELL_CODE_NOT_READY = 2


@pytest.fixture
def refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Refused]:
    """What a start that must fail says: one line, code 2, and nothing was announced."""
    handler = signal.getsignal(signal.SIGTERM)

    def start(*arguments: str, **variables: str) -> str:
        for name, value in surroundings(**variables).items():
            monkeypatch.setenv(name, value)
        try:
            code = main(arguments)
        except SystemExit as end:
            code = int(str(end.code))
        said = capsys.readouterr()
        assert code == 2, said
        assert "is up" not in said.out
        (line,) = said.err.strip().splitlines()
        assert line.startswith("papercopy: ")
        return str(line)

    yield start
    signal.signal(signal.SIGTERM, handler)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--leaders", "0x12"), "LEADERS: an address"),
        (("--leaders", f"{LEADER},nobody"), "'nobody'"),
        ((*LIVE,), "whom to follow"),
        (("--port", "70000"), "PORT: 0 to 65535"),
        (("--port", "abc"), "--port: invalid int value: 'abc'"),
        (("--venue", "moon"), "invalid choice: 'moon'"),
        (("--fills-per-minute", "-1"), "--fills-per-minute"),
    ],
)
def test_a_wrong_argument_is_named(
    refused: Refused, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    data = tmp_path / "data"
    assert said in refused("run", "--data", str(data), *arguments)
    assert not data.exists()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("POLL_INTERVAL_S", "abc"),
        ("TRIGGER_MODE", "foo"),
        ("PAPERCOPY_STAGE", "Bad Stage"),
        ("STARTING_CASH", "NaN"),
    ],
)
def test_a_wrong_variable_is_named(refused: Refused, tmp_path: Path, name: str, value: str) -> None:
    data = tmp_path / "data"
    line = refused("run", "--data", str(data), "--port", "0", **{name: value})
    assert f"papercopy: {name}: " in line
    assert not data.exists()


def test_watching_the_chain_needs_an_endpoint(refused: Refused, tmp_path: Path) -> None:
    ask = ("run", "--data", str(tmp_path), *LIVE, "--leaders", LEADER)
    line = refused(*ask, TRIGGER_MODE="both")
    assert "POLYGON_WS_URL: is needed in mode both" in line


def test_an_address_that_is_none_is_refused(refused: Refused, tmp_path: Path) -> None:
    ask = ("run", "--data", str(tmp_path), *LIVE, "--leaders", LEADER)
    line = refused(*ask, DATA_API_URL="localhost:80")
    assert "must start with https:// or http://" in line


def test_a_damaged_database_is_named(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "live").mkdir()
    file = tmp_path / "live" / "papercopy.sqlite3"
    file.write_bytes(b"this is not a database, but long enough to look like one" * 100)
    line = refused("run", "--data", str(tmp_path), *LIVE)
    assert str(file) in line and "not a database" in line


def test_a_database_of_a_newer_papercopy_is_named(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "live").mkdir()
    file = tmp_path / "live" / "papercopy.sqlite3"
    connection = sqlite3.connect(file)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    line = refused("run", "--data", str(tmp_path), *LIVE)
    assert "newer papercopy" in line and "99" in line


def test_a_data_folder_that_is_a_file_is_named(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    line = refused("run", "--data", str(tmp_path / "taken"), "--port", "0")
    assert "data folder" in line and str(tmp_path / "taken") in line


@pytest.mark.parametrize("text", ["", "{", "[]", '{"seed": 7}', '{"seed": "x", "genesis": 1}'])
def test_a_damaged_record_of_the_simulated_venue_is_named(
    refused: Refused, tmp_path: Path, text: str
) -> None:
    (tmp_path / "simulated").mkdir()
    record = tmp_path / "simulated" / "venue.json"
    record.write_text(text)
    assert str(record) in refused("run", "--data", str(tmp_path), "--port", "0")


def test_a_simulated_venue_that_is_too_old_to_compute_again_is_named(
    refused: Refused, tmp_path: Path
) -> None:
    (tmp_path / "simulated").mkdir()
    genesis = time.time_ns() // 1_000_000 - 31 * 86_400_000
    text = json.dumps({"seed": 7, "genesis": genesis})
    (tmp_path / "simulated" / "venue.json").write_text(text)
    assert "30 days" in refused("run", "--data", str(tmp_path), "--port", "0")


def test_a_simulator_that_does_not_start_is_quoted(refused: Refused, tmp_path: Path) -> None:
    line = refused("run", "--data", str(tmp_path), "--port", "0", "--leaders-wait", "100000")
    assert "simulated venue did not start" in line and "--leaders-wait must be" in line


def test_a_simulator_that_takes_too_long_is_ended() -> None:
    with pytest.raises(SimulatorFailed, match="did not start"):
        SimulatorProcess.start("--port", "0", ready_seconds_max=0.05)


@pytest.mark.parametrize("fills", ["0", "10001", "some"])
def test_a_demo_of_impossible_size_is_refused(refused: Refused, fills: str) -> None:
    line = refused("demo", "--fills", fills)
    assert "FILLS" in line or "--fills" in line


def make(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    # `-o` keeps make from preparing the environment these tests run in.
    call = ["make", "-f", str(ROOT / "Makefile"), f"BIN={Path(sys.executable).parent}", *arguments]
    return subprocess.run(
        call, cwd=cwd, env=surroundings(), capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("run", "PORT=abc"), "papercopy: argument --port: invalid int value: 'abc'"),
        (("run", "LEADERS=0x12"), "papercopy: LEADERS: an address"),
        (("demo", "FILLS=0"), "papercopy: FILLS: 1 to 10000 was expected"),
        (("demo", "ENGINE=steam"), "invalid choice: 'steam'"),
    ],
)
def test_make_passes_the_refusal_on(arguments: tuple[str, ...], said: str) -> None:
    done = make("-o", ".venv/ready", *arguments)
    assert done.returncode == SHELL_CODE_NOT_READY
    assert said in done.stderr
    assert "Traceback" not in done.stderr and "usage:" not in done.stderr


def test_python_that_is_too_old_is_named(tmp_path: Path) -> None:
    for shared in ("infra", "requirements"):
        (tmp_path / shared).symlink_to(ROOT / shared)
    old = tmp_path / "bin" / "python3"
    old.parent.mkdir()
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.9.2" && exit 0\nexit 1\n')
    old.chmod(0o755)
    for named in (f"PYTHON={old}", "PYTHON=no-such-python"):
        done = make("run", named, cwd=tmp_path)
        assert done.returncode == SHELL_CODE_NOT_READY
        assert "Python 3.11 or newer is needed" in done.stderr
        assert ("Python 3.9.2 is too old" in done.stderr) == (str(old) in named)
        assert not os.path.lexists(tmp_path / ".venv")
