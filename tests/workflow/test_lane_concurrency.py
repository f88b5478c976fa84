"""A hundred simultaneous executions of one portfolio end like one after the other."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import cache

import pytest

from chalicelib.adapters.embedded.memory_store import MemoryStore
from chalicelib.domain.lane import Attempt
from chalicelib.domain.reasons import Reason
from tests.workflow.harness import System
from tests.workflow.lane_storm import PORTFOLIO, storm
from tests.workflow.test_copying import assert_books_balance

GROUPS = 100


@pytest.fixture(autouse=True)
def _restless_threads() -> Iterator[None]:
    """Threads take turns every few instructions, so that they meet in the middle of things."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(usual)


def global_attempts(system: System) -> list[Attempt]:
    return [a for a in system.attempts() if a.portfolio_id == PORTFOLIO]


@cache
def serial() -> System:
    system, stormy = storm(MemoryStore(), GROUPS, threads=1)
    assert stormy.broken == []
    return system


def test_the_scenario_meets_every_cap_and_makes_room_again() -> None:
    attempts = global_attempts(serial())
    seen = {reason for attempt in attempts for reason in attempt.reasons}
    assert {
        Reason.RISK_CAP_TOTAL,
        Reason.RISK_CAP_MARKET,
        Reason.RISK_CAP_LEADER,
        Reason.DAILY_CAP,
    } <= seen
    bought = [n for n, a in enumerate(attempts) if (a.side, a.status) == ("BUY", "FILLED")]
    blocked = [n for n, a in enumerate(attempts) if a.side == "BUY" and a.status == "SKIPPED"]
    assert min(blocked) < max(bought)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_order_books_and_caps_hold_whoever_comes_when(seed: int) -> None:
    system, stormy = storm(MemoryStore(), GROUPS, threads=16, seed=seed)
    assert stormy.storms > 20
    assert system.metrics.snapshot()["lane_conflicts"] > 0
    assert stormy.broken == []
    assert_books_balance(system)
    expected, attempts = global_attempts(serial()), global_attempts(system)
    assert len({a.attempt_id for a in attempts}) == len(attempts) == GROUPS
    assert [(a.attempt_id, a.status, a.reasons) for a in attempts] == [
        (a.attempt_id, a.status, a.reasons) for a in expected
    ]
    assert [a.decision.exposure for a in attempts] == [a.decision.exposure for a in expected]
    assert system.digests() == serial().digests()
    assert system.head().spending == serial().head().spending


def test_the_global_portfolio_decides_in_the_order_of_detection() -> None:
    system, _ = storm(MemoryStore(), GROUPS, threads=16, seed=4)
    heads = global_attempts(system)
    by_detection = sorted(heads, key=lambda a: a.ts_opened)
    assert [a.attempt_id for a in heads] == [a.attempt_id for a in by_detection]
    # Each decision saw everything that was decided before it, and nothing after it.
    spent = 0
    for attempt in heads:
        if attempt.side == "BUY" and attempt.order:
            assert attempt.decision.spending
            assert attempt.decision.spending.cash <= spent
            spent += attempt.order.cash
    fills = [e for e in system.entries(PORTFOLIO) if e.kind == "TRADE_FILL"]
    fills.sort(key=lambda entry: entry.seq)
    assert [e.ts_effective for e in fills] == sorted(e.ts_effective for e in fills)
