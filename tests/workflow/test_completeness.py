"""Completeness per leader and hour: measured against the venue's record, stored, and healed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

from chalicelib.domain.activity import TRADE, ActivityEvent
from chalicelib.domain.completeness import HOUR_MS, HourTally, hour_of
from chalicelib.domain.errors import InvalidInput, Retryable
from chalicelib.domain.exchange_log import Side
from chalicelib.domain.lag import percentile
from chalicelib.domain.registry import Heartbeat, Leader
from chalicelib.domain.rules import CopyRules, SystemRules, TriggerMode
from chalicelib.keyspace import heartbeat_key, hour_key, leader_key
from chalicelib.ports import ActivityPoll, Put
from chalicelib.services.completeness import SOURCE, MeasureCompleteness
from tests.workflow.harness import CONDITION, LEADER, OTHER, T0, TOKEN, M, System, chain, leg, tx

HOUR = hour_of(T0) + HOUR_MS
MINUTE_MS = 60_000


@dataclass
class Record:
    """The venue's record per wallet, cut to what is asked for; wallets in `down` do not answer."""

    rows: list[ActivityEvent] = field(default_factory=list)
    down: set[str] = field(default_factory=set)
    asked: list[tuple[str, int, int]] = field(default_factory=list)

    def poll(
        self, wallet: str, since_seconds: int, until_seconds: int | None = None
    ) -> ActivityPoll:
        if wallet in self.down:
            raise Retryable("the venue does not answer")
        until = until_seconds or 10**10
        self.asked.append((wallet, since_seconds, until))
        found = [
            r for r in self.rows if r.wallet == wallet and since_seconds <= r.timestamp <= until
        ]
        return ActivityPoll(tuple(found), ())

    def lag_seconds(self) -> int | None:
        return None


@dataclass
class Mode:
    """Rules that say in which mode the system runs."""

    mode: TriggerMode = "both"

    def rules_for(self, leader: str) -> CopyRules:
        return CopyRules()

    def system(self) -> SystemRules:
        return SystemRules(trigger_mode=self.mode)


class Measured(System):
    """A system with a record to be measured against, two minutes into an hour."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.record, self.mode = Record(), Mode()
        self.measure = MeasureCompleteness(
            self.store, self.record, self.queue, self.clock, self.metrics, self.mode
        )
        self.follow()
        self.clock.advance(HOUR + 2 * MINUTE_MS - self.clock.now_ms())

    def happens(
        self,
        number: int,
        at: int,
        *,
        seen_after: int | None = 2_000,
        shares: int = 10 * M,
        recorded: bool = True,
        wallet: str = LEADER,
        side: Side = "BUY",
    ) -> None:
        """A trade in the block of `at`, seen by the chain that much later, and recorded."""
        if recorded:
            self.record.rows.append(event(number, at, shares, wallet, side))
        if seen_after is not None:
            part = leg(shares, 515_000, ts_block=at, index=number, block=number)
            seen = at + seen_after
            self.services.ingest(
                chain([part], number=number, side=side, ts_seen=seen, leader=wallet)
            )

    def deliver(self) -> None:
        """Let ingestion take what was sent."""
        messages, self.queue.messages = self.queue.messages, []
        for message in messages:
            self.services.ingest(message)

    def tally(self, hour: int = HOUR, leader: str = LEADER) -> HourTally:
        found = self.store.get(HourTally, hour_key(leader, hour))
        assert found is not None
        return found

    def until(self, ts: int) -> None:
        self.clock.advance(ts - self.clock.now_ms())

    def proof(self) -> Heartbeat:
        found = self.store.get(Heartbeat, heartbeat_key(SOURCE))
        assert found is not None
        return found


def event(
    number: int, at: int, shares: int = 10 * M, wallet: str = LEADER, side: Side = "BUY"
) -> ActivityEvent:
    return ActivityEvent(
        kind=TRADE,
        wallet=wallet,
        tx_hash=tx(number),
        timestamp=at // 1000,
        condition_id=CONDITION,
        token_id=TOKEN,
        side=side,
        shares=shares,
        cash=shares // 2,
        price_e10=5_000_000_000,
        fee=None,
        role=None,
    )


@pytest.fixture
def system() -> Measured:
    return Measured()


def verdicts(tally: HourTally) -> tuple[int, int, int, int]:
    return tally.live, tally.recovered, tally.missed, tally.duplicated


def test_live_recovered_missed_and_duplicated_are_told_apart(system: Measured) -> None:
    system.happens(1, HOUR + 1_000)
    system.happens(2, HOUR + 2_000, seen_after=90_000)
    system.happens(3, HOUR + 3_000, seen_after=None)
    system.happens(4, HOUR + 4_000)
    system.record.rows[-1] = event(4, HOUR + 4_000, shares=6 * M)
    system.happens(5, HOUR + 5_000, recorded=False)
    system.until(HOUR + 10 * MINUTE_MS)
    system.measure()
    tally = system.tally()
    assert verdicts(tally) == (1, 1, 1, 1)
    assert (tally.unconfirmed, tally.chain_first, tally.api_first) == (1, 4, 0)
    assert (tally.ts_from, tally.ts_until) == (HOUR, HOUR + 8 * MINUTE_MS)


def test_what_is_missing_is_handed_to_ingestion_and_then_found_recovered(
    system: Measured,
) -> None:
    system.happens(1, HOUR + 1_000)
    system.happens(2, HOUR + 2_000, seen_after=None)
    system.until(HOUR + 5 * MINUTE_MS)
    system.measure()
    assert verdicts(system.tally()) == (1, 0, 1, 0)
    (message,) = system.queue.messages
    assert [e.tx_hash for e in message.api] == [tx(2)]
    assert (message.leader, message.wallet, message.backfill) == (LEADER, LEADER, False)
    assert not system.proof().up and "1 of the venue's trades are missing" in system.proof().detail
    system.deliver()
    system.until(HOUR + 10 * MINUTE_MS)
    system.measure()
    assert verdicts(system.tally()) == (1, 1, 0, 0)
    assert system.queue.messages == [] and system.proof().up
    counted = system.metrics.snapshot()
    assert counted["fills_missed"] == counted["fills_resent"] == 1


def test_a_part_of_a_trade_is_missing_too(system: Measured) -> None:
    system.happens(1, HOUR + 1_000, shares=4 * M)
    system.record.rows[:] = [event(1, HOUR + 1_000, 4 * M), event(1, HOUR + 1_000, 5 * M)]
    system.until(HOUR + 5 * MINUTE_MS)
    system.measure()
    assert verdicts(system.tally()) == (0, 0, 1, 0)
    system.deliver()
    system.until(HOUR + 10 * MINUTE_MS)
    system.measure()
    assert system.tally().missed == 0
    assert system.tally().disagreeing == 1


def test_only_trades_older_than_two_minutes_are_judged(system: Measured) -> None:
    system.happens(1, HOUR + 60_000, seen_after=None)
    system.until(HOUR + 3 * MINUTE_MS)
    system.measure()
    assert verdicts(system.tally()) == (0, 0, 0, 0)
    assert system.queue.messages == []
    system.until(HOUR + 3 * MINUTE_MS + 1_000)
    system.measure()
    assert system.tally().missed == 1


def test_nothing_before_following_is_measured(system: Measured) -> None:
    system.happens(1, T0 - 1_000, seen_after=None)
    system.happens(2, T0 + 1_000)
    system.until(HOUR + 5 * MINUTE_MS)
    system.measure()
    first = system.tally(hour_of(T0))
    assert (verdicts(first), first.ts_from, first.final) == ((1, 0, 0, 0), T0, True)
    assert min(since for _, since, _ in system.record.asked) == T0 // 1000
    assert system.queue.messages == []


def test_a_measurement_without_news_writes_nothing_for_a_while(system: Measured) -> None:
    system.happens(1, HOUR + 1_000)
    system.until(HOUR + 5 * MINUTE_MS)
    system.measure()
    before = system.tally().version
    system.clock.advance(20_000)
    system.measure()
    assert system.tally().version == before
    system.clock.advance(5 * MINUTE_MS)
    system.measure()
    assert system.tally().version == before + 1


def test_a_finished_hour_stays_final_and_is_not_asked_for_again(system: Measured) -> None:
    system.happens(1, HOUR + 1_000)
    for hours in range(1, 5):
        system.until(HOUR + hours * HOUR_MS + 5 * MINUTE_MS)
        system.measure()
    assert system.tally().final and verdicts(system.tally()) == (1, 0, 0, 0)
    system.record.asked.clear()
    system.measure()
    assert [since for _, since, _ in system.record.asked] == [(HOUR + 3 * HOUR_MS) // 1000]


def test_hours_lost_to_an_outage_of_ours_are_measured_afterwards(system: Measured) -> None:
    system.happens(1, HOUR + 1_000, seen_after=None)
    system.until(HOUR + 7 * HOUR_MS)
    system.measure()
    assert system.tally().missed == 1
    system.deliver()
    system.measure()
    assert verdicts(system.tally()) == (0, 1, 0, 0)


def test_what_is_older_than_a_day_comes_back_as_history(system: Measured) -> None:
    system.happens(1, HOUR + 1_000, seen_after=None)
    system.until(HOUR + 30 * HOUR_MS)
    (tally,) = system.measure.reconcile(LEADER, HOUR, HOUR + HOUR_MS)
    assert tally.missed == 1
    (message,) = system.queue.messages
    assert message.backfill
    system.deliver()
    system.run_workflows()
    assert system.attempts() == []


def test_one_leaders_failure_keeps_no_other_from_being_measured(system: Measured) -> None:
    system.follow(OTHER, "bea")
    system.happens(1, HOUR + 180_000, wallet=OTHER)
    system.record.down.add(LEADER)
    system.until(HOUR + 10 * MINUTE_MS)
    system.measure()
    assert system.tally(leader=OTHER).live == 1
    assert system.store.get(HourTally, hour_key(LEADER, HOUR)) is None
    assert "ada: the venue does not answer" in system.proof().detail
    assert system.metrics.snapshot()["measurements_failed"] == 1


def test_a_leader_that_is_off_is_not_measured(system: Measured) -> None:
    leader = system.store.get(Leader, leader_key(LEADER))
    assert leader is not None
    system.store.commit([Put(replace(leader, state="off"))])
    assert system.measure() == []
    with pytest.raises(InvalidInput, match="leader"):
        system.measure.reconcile(LEADER, HOUR, HOUR + 1)


def test_in_mode_polygon_the_whole_day_is_measured_once_a_day(system: Measured) -> None:
    system.mode.mode = "polygon"
    system.happens(1, HOUR + 1_000, seen_after=None)
    system.until(HOUR + 6 * HOUR_MS)
    system.measure()
    assert system.tally().missed == 1
    system.deliver()
    system.record.asked.clear()
    system.clock.advance(23 * HOUR_MS)
    assert system.measure() == [] and system.record.asked == []
    system.clock.advance(HOUR_MS)
    assert len(system.measure()) == 24
    assert len(system.record.asked) == 1


def test_a_failed_daily_measurement_is_tried_again(system: Measured) -> None:
    system.mode.mode = "polygon"
    system.record.down.add(LEADER)
    system.until(HOUR + 5 * HOUR_MS)
    system.measure()
    system.record.down.clear()
    system.clock.advance(5 * MINUTE_MS)
    assert len(system.measure()) > 1


def test_a_listing_that_lags_makes_nothing_missed(
    system: Measured, monkeypatch: pytest.MonkeyPatch
) -> None:
    system.happens(1, HOUR + 1_000)
    monkeypatch.setattr(system.store, "feed", lambda *_, **__: [])
    system.until(HOUR + 5 * MINUTE_MS)
    system.measure()
    assert verdicts(system.tally()) == (1, 0, 0, 0)


def test_a_queue_that_is_down_leaves_the_rest_for_the_next_time(system: Measured) -> None:
    system.happens(1, HOUR + 1_000, seen_after=None)
    system.until(HOUR + 5 * MINUTE_MS)
    system.queue.down = True
    system.measure()
    assert "the queue does not answer" in system.proof().detail
    system.queue.down = False
    system.measure()
    assert len(system.queue.messages) == 1


def test_the_way_of_a_copy_is_timed_from_the_block(system: Measured) -> None:
    at = HOUR + 180_000
    system.until(at + 2_000)
    system.happens(1, at, shares=10_000 * M)
    system.run_workflows()
    attempt = system.attempt()
    system.until(HOUR + 10 * MINUTE_MS)
    system.measure()
    lags = system.tally().lags
    assert attempt.order and attempt.outcome
    for counts, ts in (
        (lags.chain, at + 2_000),
        (lags.decided, attempt.decision.ts_decided),
        (lags.placed, attempt.order.ts_placed),
        (lags.first_fill, attempt.outcome.slices[0].ts),
        (lags.done, attempt.outcome.ts_done),
    ):
        assert sum(counts) == 1
        shown = percentile(counts, 50)
        assert shown is not None and shown * 100 < 128 * (ts - at) <= 128 * shown


@pytest.mark.parametrize(("start", "end"), [(HOUR, HOUR), (HOUR + HOUR_MS, HOUR), (0, HOUR)])
def test_a_reconcile_over_no_or_too_many_hours_is_refused(
    system: Measured, start: int, end: int
) -> None:
    with pytest.raises(InvalidInput, match="from"):
        system.measure.reconcile(LEADER, start, end)
