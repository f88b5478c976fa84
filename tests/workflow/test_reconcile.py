"""The reconciler: one verdict on everything, every minute and per leader and day."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chalicelib.domain.completeness import HOUR_MS, SETTLED_MS
from chalicelib.domain.errors import Retryable
from chalicelib.domain.reconciliation import STALL_MS, Progress, Reconciliation, advanced
from chalicelib.domain.registry import Heartbeat, TokenPointer
from chalicelib.keyspace import heartbeat_key, key_of, reconciliation_key, token_key
from chalicelib.ports import Delete, Put
from chalicelib.services.catch_up import request_catch_up
from chalicelib.services.completeness import MeasureCompleteness
from chalicelib.services.heartbeats import beat
from chalicelib.services.reconcile import DAY_MS, GAP_MS, SOURCE, Reconcile
from tests.workflow.harness import LEADER, TOKEN, M, api, row
from tests.workflow.test_completeness import Measured, Mode

MINUTE_MS = 60_000


class Reconciled(Measured):
    """A measured system with its reconciler; chain and polls prove life every minute."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.polled: list[str] = []
        self.mode = Mode("both")
        measure = MeasureCompleteness(
            self.store, self.record, self.queue, self.clock, self.metrics, self.mode
        )
        self.reconcile = Reconcile(
            self.store, measure, self.mode, self.clock, self.metrics, self.polled.append
        )
        self.block = 100

    def minute(self, *, chain: bool = True, polls: bool = True) -> Reconciliation:
        """The next minute's verdict; sources that are alive prove it first."""
        self.clock.advance(MINUTE_MS)
        now = self.clock.now_ms()
        if chain:
            self.block += 30
        beat(self.store, Heartbeat("watcher", now, True, last_block=self.block))
        beat(self.store, Heartbeat("data_api", now, polls))
        return self.reconcile()

    def stored(self) -> Reconciliation:
        found = self.store.get(Reconciliation, reconciliation_key("recent", 0))
        assert found is not None
        return found


@pytest.fixture
def system() -> Reconciled:
    return Reconciled()


def kinds(verdict: Reconciliation) -> list[tuple[str, str]]:
    return [(one.kind, one.subject) for one in verdict.findings]


def test_when_all_is_well_the_verdict_says_so_and_counts_the_evidence(system: Reconciled) -> None:
    now = system.clock.now_ms()
    system.happens(1, now)
    system.happens(2, now)
    part = row(10 * M, 515_000, ts_block=now)
    system.services.ingest(api([part], number=2))
    verdict = system.minute()
    assert (verdict.found, verdict.chain_only, verdict.api_only, verdict.both) == (0, 1, 0, 1)
    assert system.stored() == verdict
    assert {one.name for one in verdict.progress} == {"watcher", "data_api"}
    proof = system.store.get(Heartbeat, heartbeat_key(SOURCE))
    assert proof is not None and proof.up


def test_a_trade_has_its_time_to_settle_and_is_judged_after_it(system: Reconciled) -> None:
    now = system.clock.now_ms() + MINUTE_MS
    system.happens(1, now - 5_000)
    part = row(12 * M, 515_000, ts_block=now - 5_000)
    system.services.ingest(api([part], number=1, ts_seen=now))
    assert kinds(system.minute()) == []
    ((kind, _),) = kinds(system.minute())
    assert kind == "disagreeing"
    assert not system.store.get(Heartbeat, heartbeat_key(SOURCE)).up  # type: ignore[union-attr]


def test_a_token_without_a_market_is_found(system: Reconciled) -> None:
    system.happens(1, system.clock.now_ms())
    pointer = system.store.get(TokenPointer, token_key(TOKEN))
    assert pointer is not None
    system.store.commit([Delete(key_of(pointer), pointer.version)])
    assert kinds(system.minute()) == [("unmapped", TOKEN)]


def test_what_the_record_misses_or_counts_twice_is_part_of_the_verdict(system: Reconciled) -> None:
    at = system.clock.now_ms() - SETTLED_MS - 1_000
    system.happens(1, at, seen_after=None)
    system.happens(2, at, shares=11 * M)
    system.record.rows[-1] = replace(system.record.rows[-1], shares=10 * M)
    system.measure()
    system.services.sweep()
    assert kinds(system.minute()) == [("missed", LEADER), ("duplicated", LEADER)]


def test_a_stretch_that_nobody_reads_and_a_wrong_ledger_are_found(system: Reconciled) -> None:
    now = system.clock.now_ms()
    request_catch_up(system.store, LEADER, now - 5_000, now, "the socket was down")
    assert kinds(system.minute()) == [], "pollers have their time to read it"
    head = system.head("main/global")
    system.store.commit([Put(replace(head, cash=head.cash + 1))])
    system.services.check_ledgers()
    system.clock.advance(GAP_MS)
    assert set(kinds(system.minute())) >= {("gap", LEADER), ("ledger", "main/global")}


def test_a_chain_that_stands_still_is_counted_until_it_moves_on(system: Reconciled) -> None:
    system.minute()
    for _ in range(STALL_MS // MINUTE_MS - 1):
        assert kinds(system.minute(chain=False)) == []
    assert kinds(system.minute(chain=False)) == [("stalled", "watcher")]
    assert system.metrics.snapshot()["progress_stalled"] == 1
    assert system.polled == []
    assert kinds(system.minute()) == []
    assert system.metrics.snapshot()["progress_stalled"] == 1


def test_polls_that_stand_still_are_asked_for_each_minute(system: Reconciled) -> None:
    system.minute()
    for _ in range(4):
        system.minute(polls=False)
    assert kinds(system.stored()) == [("stalled", "data_api")]
    assert system.polled == [LEADER] * 3, "trying never ends"


def test_a_source_that_the_mode_does_not_use_may_stand(system: Reconciled) -> None:
    system.mode.mode = "api"
    for _ in range(5):
        system.minute(chain=False)
    assert kinds(system.stored()) == []


def test_work_that_nobody_finishes_stands_still(system: Reconciled) -> None:
    system.happens(1, system.clock.now_ms())
    system.clock.advance(4 * MINUTE_MS)
    stuck = [subject for kind, subject in kinds(system.minute()) if kind == "stalled"]
    assert "main/global" in stuck
    system.services.sweep()
    assert kinds(system.minute()) == []


def test_each_leader_is_measured_once_a_day_and_failures_again(system: Reconciled) -> None:
    start = system.clock.now_ms() // DAY_MS * DAY_MS
    at = start + DAY_MS - HOUR_MS
    system.until(at + 2 * MINUTE_MS)
    system.happens(1, at, seen_after=None)
    assert system.reconcile.days() == [], "the day is not over"
    system.until(start + DAY_MS + SETTLED_MS)
    system.record.down.add(LEADER)
    assert kinds(system.reconcile.days()[0]) == [("unmeasured", LEADER)]
    system.record.down.clear()
    (verdict,) = system.reconcile.days()
    assert (verdict.scope, verdict.ts_from, verdict.ts_until) == (LEADER, start, start + DAY_MS)
    assert kinds(verdict) == [("missed", LEADER)]
    assert len(system.queue.messages) == 1, "what was missing was handed in"
    assert system.reconcile.days() == [], "once a day is enough"
    assert system.store.get(Reconciliation, reconciliation_key(LEADER, start)) == verdict


def test_a_store_that_does_not_answer_is_counted(
    system: Reconciled, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise Retryable("throttled")

    monkeypatch.setattr(system.store, "feed", refuse)
    with pytest.raises(Retryable):
        system.reconcile()
    assert system.metrics.snapshot()["measurements_failed"] == 1


def test_progress_keeps_the_time_of_what_did_not_move() -> None:
    before = (Progress("a", 1, 10), Progress("b", 1, 10), Progress("gone", 1, 10))
    assert advanced(before, {"a": 1, "b": 2, "new": 3}, 50) == (
        Progress("a", 1, 10),
        Progress("b", 2, 50),
        Progress("new", 3, 50),
    )
