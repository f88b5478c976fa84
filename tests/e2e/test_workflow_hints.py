"""Executions are hints: started twice under different names, late, or never, nothing changes."""

from __future__ import annotations

import pytest

from chalicelib.domain.evidence import FillMessage
from chalicelib.domain.reasons import Reason
from chalicelib.ports import CopyRun
from tests.e2e.engines import AwsRun, Engine, store_setting
from tests.e2e.ledgers import attempts_of, digests, entries_of, head, work_of
from tests.workflow.harness import M, chain, leg


class Recorded:
    """Stands before the engine's workflows: remembers every run, and may swallow it."""

    def __init__(self, engine: Engine, patch: pytest.MonkeyPatch, swallow: bool) -> None:
        self.runs: list[CopyRun] = []
        inner = engine.workflows.start

        def start(run: CopyRun) -> None:
            self.runs.append(run)
            if not swallow:
                inner(run)

        patch.setattr(engine.workflows, "start", start)


def evidence(leader: str, ts: int) -> list[FillMessage]:
    """A buy, and three seconds later a sale of half of it."""
    tx = int(leader, 16) * 100
    bought = leg(10_000 * M, 510_000, ts_block=ts - 2_000)
    sold = leg(5_000 * M, 510_000, index=1, ts_block=ts + 1_000)
    return [
        chain([bought], number=tx, ts_seen=ts, leader=leader),
        chain([sold], number=tx + 1, side="SELL", ts_seen=ts + 3_000, leader=leader),
    ]


def tell(engine: Engine, leader: str, ts: int) -> None:
    """The evidence, each part after the one before it is done."""
    for message in evidence(leader, ts):
        engine.send(message)
        engine.settle()


def assert_copied_once(engine: Engine, leader: str) -> None:
    portfolio = f"main/leader/{leader}"
    bought, sold = attempts_of(engine.store, portfolio)
    assert (bought.status, sold.status) == ("FILLED", "FILLED")
    # 1 % of 5,100 at a limit of 0.52: 98.07 shares; half of them down to 0.01 share.
    shares = [e.shares for e in entries_of(engine.store, portfolio) if e.kind == "TRADE_FILL"]
    assert shares == [98_070_000, -49_030_000]
    assert head(engine.store, portfolio).filled == 2
    assert head(engine.store, portfolio).reserved == 0
    assert work_of(engine.store) == []


def test_started_twice_under_different_names(
    engine: Engine, leader: str, past: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = Recorded(engine, monkeypatch, swallow=True)
    names: list[str] = []
    for message in evidence(leader, past):
        engine.send(message)
        engine.settle()
        (run,) = recorded.runs
        recorded.runs.clear()
        for _ in range(3):
            names.append(f"twin-{leader[-6:]}-{len(names)}")
            engine.start(run, names[-1])
        engine.settle()
    assert_copied_once(engine, leader)
    if isinstance(engine, AwsRun):
        twins = {e["name"]: e["status"] for e in engine.executions() if e["name"] in names}
        assert twins == dict.fromkeys(names, "SUCCEEDED")
        assert len(names) == 6


def test_started_again_after_everything_was_done(
    engine: Engine, leader: str, past: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = Recorded(engine, monkeypatch, swallow=False)
    tell(engine, leader, past)
    once = digests(engine.store)
    assert len(recorded.runs) == 2
    for number, run in enumerate(recorded.runs):
        engine.start(run, f"again-{leader[-6:]}-{number}")
    engine.settle()
    assert_copied_once(engine, leader)
    assert digests(engine.store) == once


def test_never_started_is_finished_by_the_sweeper(
    engine: Engine, leader: str, past: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = Recorded(engine, monkeypatch, swallow=True)
    tell(engine, leader, past)
    assert len(recorded.runs) == 2
    assert attempts_of(engine.store, f"main/leader/{leader}") == []
    assert len(work_of(engine.store)) == 4, "two groups in two portfolios"
    engine.sweep()
    assert_copied_once(engine, leader)


def test_the_sweeper_leaves_alone_what_is_not_overdue(
    engine: Engine, leader: str, past: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    Recorded(engine, monkeypatch, swallow=True)
    fresh = past + 30_000
    part = leg(10_000 * M, 510_000, ts_block=fresh - 2_000)
    engine.send(chain([part], number=int(leader, 16) * 100, ts_seen=fresh, leader=leader))
    engine.settle()
    engine.sweep()
    waiting = work_of(engine.store)
    assert {work.leader for work in waiting} == {leader}
    assert len(waiting) == 2
    for ref in ("main/global", f"main/leader/{leader}"):
        engine.services.advance(ref)
    assert work_of(engine.store) == []


def test_the_sweeper_books_nothing_at_a_book_of_another_moment(
    engine: Engine, leader: str, past: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    Recorded(engine, monkeypatch, swallow=True)
    store_setting(engine.store, leader, '{"book_late_ms_max": 10000}')
    engine.send(evidence(leader, past)[0])
    engine.settle()
    engine.sweep()
    (attempt,) = attempts_of(engine.store, f"main/leader/{leader}")
    assert (attempt.status, attempt.reasons) == ("SKIPPED", (Reason.BOOK_TOO_LATE,))
    assert work_of(engine.store) == []
