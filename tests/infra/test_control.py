"""Portfolios are paused, resumed and shown from the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from chalicelib.adapters.clock import ManualClock, SystemClock
from chalicelib.adapters.embedded.sqlite_store import SqliteStore
from chalicelib.domain.pause import is_paused
from chalicelib.services.watch_breakers import breakers_of
from infra import control
from tests.workflow.harness import LEADER, System

M = 1_000_000


def test_a_data_folder_is_controlled_and_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = SqliteStore(tmp_path / "papercopy.sqlite3")
    now = SystemClock().now_ms()
    system = System(store=store, clock=ManualClock(now))
    system.follow()
    system.services.mark_portfolios()
    system.services.tend_portfolios()
    where = ["--data", str(tmp_path)]
    assert control.main([*where, "pause", "--portfolio", "main/global"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "pause: main/global",
        "main/global: paused",
        f"main/leader/{LEADER}: running",
    ]
    assert control.main([*where, "pause"]) == 0
    assert capsys.readouterr().out.startswith(f"pause: main/leader/{LEADER}\n")
    assert is_paused(system.head().pauses)
    assert control.main([*where, "resume"]) == 0
    assert not is_paused(system.head().pauses)
    watch = system.services.tend_portfolios._watch
    watch(system.head(), 8_000 * M, now + 1)
    capsys.readouterr()
    assert control.main([*where, "show"]) == 0
    told = capsys.readouterr().out.splitlines()[0]
    assert "main/global: running, BREAKER_DAILY_LOSS" in told
    assert control.main([*where, "reset-breaker"]) == 0
    assert capsys.readouterr().out.startswith("reset-breaker: main/global\n")
    assert breakers_of(store, system.head()).ts_drawdown == 0
    assert control.main([*where, "pause", "--portfolio", "main/nobody"]) == 2
    assert capsys.readouterr().err.startswith("control: portfolio")
    store.close()
