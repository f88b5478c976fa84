"""Marks, snapshots and look backs by the deployed functions, each held to its policy."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from chalicelib.adapters.clock import SystemClock
from chalicelib.domain.hindsight import Forgone, Hindsight, LookBack
from chalicelib.domain.market import Market, Resolution, resolved
from chalicelib.domain.reasons import Reason
from chalicelib.domain.snapshot import minute_of
from chalicelib.keyspace import hindsight_key, look_backs_pk, market_key
from chalicelib.services.market_directory import change_market
from chalicelib.services.snapshot_portfolios import latest_snapshots
from tests.e2e.engines import AwsRun, open_engine
from tests.e2e.ledgers import attempts_of, follow_since
from tests.e2e.venue import Script, VenueServer
from tests.workflow.harness import CONDITION, LEADER, OPPOSITE, TOKEN, M, chain, leg

GLOBAL = "main/global"
HOUR = 3_600_000


@dataclass
class Shift:
    """How far the functions' clock is ahead of the machine's."""

    ms: int = 0

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000 + self.ms

    def to(self, ts: int) -> None:
        """Go on from `ts`."""
        self.ms += ts - self.now_ms()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Shift:
    shift = Shift()
    monkeypatch.setattr(SystemClock, "now_ms", lambda _: shift.now_ms())
    return shift


@pytest.fixture
def script() -> Script:
    """A deep book, and one that offers too little inside any limit."""
    script = Script()
    script.add_market(CONDITION, (TOKEN, OPPOSITE))
    script.set_book(TOKEN, [("0.51", "1000")], [("0.52", "1000")])
    script.set_book(OPPOSITE, [("0.48", "1000")], [("0.49", "1")])
    return script


@pytest.fixture
def engine(
    script: Script, clock: Shift, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[AwsRun]:
    with VenueServer(script) as venue:
        running = open_engine("aws", venue.environment(), tmp_path, monkeypatch)
        assert isinstance(running, AwsRun)
        yield running
        running.stop()


def waiting(engine: AwsRun, *, settlement: bool = False) -> list[LookBack]:
    pk = look_backs_pk("main", settlement)
    found = engine.store.query(LookBack, "activity", pk, limit=100)
    return [row for row in found if row.portfolio_id == GLOBAL]


def learned(engine: AwsRun, horizon: str) -> Forgone | None:
    found = engine.store.get(Hindsight, hindsight_key(GLOBAL, 1, LEADER))
    cells = found.forgone if found else ()
    wanted = (Reason.DEPTH_TOO_THIN, True, horizon)
    mine = [cell for cell in cells if (cell.reason, cell.alone, cell.horizon) == wanted]
    return mine[0] if mine else None


def copied_and_skipped(engine: AwsRun) -> None:
    """One BUY that is filled and one that the depth guard stops."""
    past = time.time_ns() // 1_000_000 - 40_000
    follow_since(engine.store, past - 600_000, [LEADER])
    for number, (token, price) in enumerate([(TOKEN, 510_000), (OPPOSITE, 480_000)], 1):
        part = leg(10_000 * M, price, ts_block=past - 2_000, block=number, index=number)
        engine.send(chain([part], number=number, token=token, ts_seen=past))
    engine.settle()
    told = {attempt.token_id: attempt.reasons for attempt in attempts_of(engine.store, GLOBAL)}
    assert told == {TOKEN: (), OPPOSITE: (Reason.DEPTH_TOO_THIN,)}


def marked(engine: AwsRun, clock: Shift, ts: int) -> None:
    """A mark cycle at `ts`, and the one between two minutes that follows from it."""
    clock.to(ts)
    engine.engine.fire("mark_portfolios")
    engine.settle()
    assert engine.counted("marks_failed") == engine.counted("snapshots_failed") == 0
    (newest,) = latest_snapshots(engine.store, GLOBAL, 1)
    assert newest.ts == minute_of(ts)
    assert newest.open_positions == 1


def looked(engine: AwsRun, clock: Shift, ts: int) -> None:
    """The measuring function at the first full hour after `ts`: that is when it looks back."""
    clock.to((ts // HOUR + 1) * HOUR + 1_000)
    engine.engine.fire("measure")
    assert engine.counted("look_backs_failed") == engine.counted("look_backs_lost") == 0


def test_a_skip_is_marked_looked_back_at_and_settled_within_the_policies(
    engine: AwsRun, script: Script, clock: Shift
) -> None:
    copied_and_skipped(engine)
    (row,) = [one for one in waiting(engine) if one.token_id == OPPOSITE]
    script.set_book(OPPOSITE, [("0.60", "9")], [("0.62", "9")])
    marked(engine, clock, row.ts_due - 120_000)
    looked(engine, clock, row.ts_due)
    hour = learned(engine, "1h")
    assert hour is not None
    assert (hour.signals, hour.unfilled, hour.unvalued, hour.won) == (1, 0, 0, 1)
    assert hour.estimated == 1

    (row,) = waiting(engine)
    assert row.horizon == "24h"
    marked(engine, clock, row.ts_due - 120_000)
    # Meanwhile the market ended: whoever asks how it did learns that, and stores it.
    script.clob_markets[CONDITION]["ao"] = False
    looked(engine, clock, row.ts_due)
    day = learned(engine, "24h")
    assert day is not None
    assert (day.notional, day.gain, day.unvalued) == (hour.notional, hour.gain, 0)

    known = engine.store.get(Market, market_key(CONDITION))
    assert known is not None
    assert not known.accepting_orders
    assert learned(engine, "settlement") is None
    resolution = Resolution("resolved", (0, M), final=True, ts=clock.now_ms())
    change_market(engine.store, CONDITION, lambda market: resolved(market, resolution))
    (row,) = waiting(engine, settlement=True)
    looked(engine, clock, row.ts_due)
    last = learned(engine, "settlement")
    assert last is not None
    assert last.gain - hour.gain == row.shares - row.shares * 610_000 // M
    assert waiting(engine) == waiting(engine, settlement=True) == []
