"""However long it listens, the session grows only up to its bounds."""

from __future__ import annotations

import gc
import tracemalloc

import pytest
from feed_fakes import WALLET, block_hash, chain_head, log_in, notification
from listening import listening, ts

from chalicelib.domain.registry import Check
from chalicelib.watcher.outputs import Evidence
from chalicelib.watcher.session import PolygonSession

LOGS_PER_BLOCK = 25
GROWTH_BYTES_MAX = 1_000_000
"""Far below what half of the logs would take (about 150 MB), above the noise of the bounds."""


def hear(first: int, last: int, session: PolygonSession) -> int:
    """Blocks with logs, repetitions, forks, missing block times, and new sockets now and then."""
    found = 0
    for number in range(first, last):
        branch = "b" if number % 50 == 0 else "a"
        parent = "b" if (number - 1) % 50 == 0 else "a"
        now, base = ts(number), log_in(number)
        for index in range(LOGS_PER_BLOCK):
            place = {"logIndex": hex(index), "transactionHash": f"0x{number:060x}{index:04x}"}
            log = base | place
            if index % 10 == 0:
                del log["blockTimestamp"]
            if index == 0:
                outputs = session.receive(notification(log), now)
                session.receive(notification(log), now)
            else:
                outputs = session.receive_log(log, now)
            found += sum(isinstance(output, Evidence) for output in outputs)
        session.receive(chain_head(number, branch, parent), now)
        session.tick(now)
        if number % 20 == 0:
            check = Check("t", "l", WALLET, block_hash(number), "1", "BUY", "api_only", now, now, 0)
            session.api_first([check], now)
            session.canonical(number - 3, block_hash(number - 3), now)
        if number % 300 == 0:
            session.disconnected("gone")
            for request in session.connected(now):
                session.receive(request, now)
    return found


def grown(logs: int) -> tuple[int, int]:
    """(bytes held more after all logs than after half of them, evidence found)."""
    blocks = logs // LOGS_PER_BLOCK
    session = listening()
    tracemalloc.start(1)
    try:
        found = hear(101, 101 + blocks // 2, session)
        gc.collect()
        half = tracemalloc.get_traced_memory()[0]
        found += hear(101 + blocks // 2, 101 + blocks, session)
        gc.collect()
        return tracemalloc.get_traced_memory()[0] - half, found
    finally:
        tracemalloc.stop()


def test_a_hundred_thousand_logs_leave_no_trace() -> None:
    growth, found = grown(100_000)
    assert found > 80_000
    assert growth < GROWTH_BYTES_MAX


@pytest.mark.slow
def test_a_million_logs_leave_no_trace() -> None:
    growth, found = grown(1_000_000)
    assert found > 800_000
    assert growth < GROWTH_BYTES_MAX
