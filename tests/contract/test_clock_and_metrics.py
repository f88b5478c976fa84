"""The clocks and the counters."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from chalicelib.adapters.clock import ManualClock, SystemClock
from chalicelib.adapters.metrics import CountingMetrics


def test_the_system_clock_counts_milliseconds() -> None:
    before = int(time.time() * 1_000) - 1
    now = SystemClock().now_ms()
    assert before <= now <= int(time.time() * 1_000) + 1


def test_the_manual_clock_moves_by_hand_and_forward_only() -> None:
    clock = ManualClock(100)
    assert clock.now_ms() == 100
    assert clock.advance(5) == 105
    with pytest.raises(ValueError, match="back"):
        clock.advance(-1)
    assert clock.now_ms() == 105


def test_counters_lose_nothing_between_threads() -> None:
    metrics = CountingMetrics()

    def work(_: int) -> None:
        for _ in range(2_000):
            metrics.count("fills")
            metrics.count("shares", 3)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    counted = metrics.snapshot()
    assert counted == {"fills": 16_000, "shares": 48_000}
    counted["fills"] = 0
    assert metrics.snapshot()["fills"] == 16_000
