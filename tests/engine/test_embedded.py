"""The embedded engine in this process: what it takes it gives back, and no thread ends for good."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest

from chalicelib.domain.errors import InvalidInput, Permanent
from chalicelib.settings import environment
from infra.local.embedded import AlreadyRunning, EmbeddedEngine, lock_folder
from infra.local.simulator_process import SimulatorProcess
from tests.engine.launching import free_port, surroundings, until

QUIET = {"TRIGGER_MODE": "api", "POLL_INTERVAL_S": "5"}


@pytest.fixture(scope="module")
def venue() -> Iterator[SimulatorProcess]:
    made = SimulatorProcess.start("--port", "0", "--fills-per-minute", "0")
    yield made
    made.stop()


def engine_on(folder: Path, port: int = 0, **variables: str) -> EmbeddedEngine:
    return EmbeddedEngine(environment(surroundings(**{**QUIET, **variables})), folder, port=port)


def test_a_start_that_fails_half_way_gives_folder_port_and_file_back(tmp_path: Path) -> None:
    port = free_port()
    file = tmp_path / "papercopy.sqlite3"
    file.write_bytes(b"no database at all" * 1000)
    with pytest.raises(Permanent, match="not a database"):
        engine_on(tmp_path, port)
    file.unlink()
    with pytest.raises(Permanent, match="base address"):
        engine_on(tmp_path, port, CLOB_API_URL="nowhere")
    with pytest.raises(InvalidInput, match="POLYGON_WS_URL"):
        engine_on(tmp_path, port, TRIGGER_MODE="polygon")
    first = engine_on(tmp_path / "first", port)
    with pytest.raises(OSError, match="in use"):
        engine_on(tmp_path, port)
    first.stop()
    engine_on(tmp_path, port).stop()


def test_one_folder_serves_one_engine(tmp_path: Path) -> None:
    engine = engine_on(tmp_path)
    with pytest.raises(AlreadyRunning, match="another papercopy"):
        engine_on(tmp_path)
    engine.stop()
    lock_folder(tmp_path).close()


def test_stop_leaves_no_thread_even_when_it_never_started(
    tmp_path: Path, venue: SimulatorProcess
) -> None:
    threads = set(threading.enumerate())
    engine_on(tmp_path).stop()
    engine = EmbeddedEngine(environment(venue.environment()), tmp_path)
    engine.start()
    until(lambda: engine.services.read.overview()["now"], 5)
    engine.stop()
    engine.stop()
    left = [t.name for t in set(threading.enumerate()) - threads if not t.name.startswith("watch")]
    assert left == []


def test_a_thread_that_fails_begins_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("infra.local.embedded.REVIVE_S", 0.05)
    calls: list[float] = []

    def broken_leaders(_: object) -> list[object]:
        calls.append(time.monotonic())
        if len(calls) < 3:
            raise ZeroDivisionError("leaders")
        return []

    monkeypatch.setattr("infra.local.embedded.leaders", broken_leaders)
    engine = engine_on(tmp_path)
    engine.start()
    try:
        until(lambda: len(calls) >= 3, 5)
        assert engine.metrics.snapshot()["threads_revived"] == 2
        assert "ZeroDivisionError" in caplog.text
    finally:
        engine.stop()


def test_the_last_engine_started_answers(tmp_path: Path) -> None:
    """Routes live in one module; a later engine in the same process must not serve an older one."""
    for name in ("one", "two"):
        engine = engine_on(tmp_path / name)
        engine.start()
        try:
            engine.follow([("0x" + name[0].encode().hex() * 20, name)])
            port = int(engine.url.rstrip("/").rpartition(":")[2])
            line = HTTPConnection("127.0.0.1", port, timeout=5)
            line.request("GET", "/api/overview", headers={"Cookie": engine.sign_in.cookie()})
            assert f'"name":"{name}"'.encode() in line.getresponse().read()
            line.close()
        finally:
            engine.stop()
