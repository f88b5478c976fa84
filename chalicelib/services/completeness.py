"""Measure what was detected against the venue's own record, hour by hour, and heal what is missing.

The record is one complete poll of the hour per wallet. What it shows and we lack goes to the fill
queue as evidence like any other; the next measurement then finds it recovered. What the feed once
showed and no longer does is a question for the chain.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from chalicelib.domain.completeness import (
    HOUR_MS,
    SETTLED_MS,
    HourTally,
    Shown,
    hour_of,
    judge,
    shown_by,
    tally_hour,
)
from chalicelib.domain.errors import Conflict, InvalidInput, PapercopyError, Retryable
from chalicelib.domain.evidence import ApiEvidence
from chalicelib.domain.open_questions import is_open
from chalicelib.domain.poll_messages import poll_messages
from chalicelib.domain.poll_tally import api_evidence
from chalicelib.domain.registry import Heartbeat, Leader, first_second
from chalicelib.domain.trade import Question, Trade, effective, ts_block_of
from chalicelib.keyspace import heartbeat_key, hour_key, hours_pk, trade_key
from chalicelib.ports import ActivityFeed, Clock, FillQueue, Metrics, Put, Rules, Store
from chalicelib.services.heartbeats import beat
from chalicelib.services.ingest_fill import raise_question
from chalicelib.services.manage_leaders import leaders
from chalicelib.services.stored_hours import StoredHours

SOURCE = "completeness"
HOURS_BACK = 2
DAY_HOURS = 24
RECONCILE_HOURS_MAX = 7 * DAY_HOURS
REWRITE_MS = 300_000
"""An unchanged tally of the running hour is written again after this long, to say how far it is."""
RECONSIDER_MS = HOUR_MS
_DAY_MS = DAY_HOURS * HOUR_MS
_SENTENCE_CHARS_MAX = 300


class MeasureCompleteness:
    """Tally the latest hours of every leader; in mode `polygon` once a day, all hours of the day.

    There the Data API is no source, but it stays the record to be held against.
    """

    def __init__(
        self,
        store: Store,
        feed: ActivityFeed,
        queue: FillQueue,
        clock: Clock,
        metrics: Metrics,
        rules: Rules,
    ) -> None:
        self._store = store
        self._feed = feed
        self._queue = queue
        self._clock = clock
        self._metrics = metrics
        self._rules = rules

    def __call__(self) -> list[HourTally]:
        """The tallies measured. One leader's failure keeps no other from being measured."""
        now = self._clock.now_ms()
        daily = self._rules.system().trigger_mode == "polygon"
        if daily and self._measured_within(now, _DAY_MS):
            return []
        last = hour_of(now - SETTLED_MS)
        first = last - ((DAY_HOURS if daily else HOURS_BACK) - 1) * HOUR_MS
        ours = StoredHours(self._store)
        tallies: list[HourTally] = []
        failures: list[str] = []
        for leader in leaders(self._store):
            if leader.state == "off":
                continue
            try:
                hours = self._hours(leader, first, last)
                tallies += self._measure(leader, hours, now, ours)
            except PapercopyError as error:
                failures.append(f"{leader.name}: {error}")
        self._report(tallies, failures, now)
        return tallies

    def reconcile(self, leader_address: str, from_ms: int, to_ms: int) -> list[HourTally]:
        """Measure every hour of one leader that overlaps from_ms..to_ms, and heal what is missing.

        Raises InvalidInput for an unknown leader or more than RECONCILE_HOURS_MAX hours, Retryable
        when the venue did not answer.
        """
        found = [one for one in leaders(self._store) if one.leader == leader_address]
        if not found or found[0].state == "off":
            raise InvalidInput("leader", f"{leader_address} is not followed")
        now = self._clock.now_ms()
        until = min(to_ms, now - SETTLED_MS)
        hours = list(range(hour_of(from_ms), until, HOUR_MS))
        if not 0 < len(hours) <= RECONCILE_HOURS_MAX:
            raise InvalidInput("from", f"1 to {RECONCILE_HOURS_MAX} past hours were expected")
        return self._measure(found[0], hours, now, StoredHours(self._store))

    def _measured_within(self, now: int, age_ms: int) -> bool:
        """Whether every leader was measured that lately."""
        known = self._store.get(Heartbeat, heartbeat_key(SOURCE))
        return known is not None and known.ts_last_event > now - age_ms

    def _hours(self, leader: Leader, first: int, last: int) -> list[int]:
        """The hours to measure: `first` to `last`, and those of the last day left unfinished."""
        wanted = set(range(first, last + 1, HOUR_MS))
        oldest = last - (DAY_HOURS - 1) * HOUR_MS
        known = self._store.query(
            HourTally,
            "activity",
            hours_pk(leader.leader),
            start=f"{oldest:013d}",
            limit=DAY_HOURS,
        )
        done = {tally.ts_hour for tally in known if tally.final and tally.clean}
        wanted |= set(range(oldest, first, HOUR_MS)) - done
        return sorted(wanted)

    def _measure(
        self, leader: Leader, hours: Sequence[int], now: int, ours: StoredHours
    ) -> list[HourTally]:
        """Tallies of these hours; neighbouring hours share one poll per wallet."""
        began = first_second(leader)
        measurable = [h for h in hours if h + HOUR_MS > began and h < now - SETTLED_MS]
        tallies = []
        for span in _spans(measurable):
            ts_from = max(span[0], began)
            ts_until = min(span[-1] + HOUR_MS, now - SETTLED_MS)
            if ts_from >= ts_until:
                continue
            unreadable: set[str] = set()
            record = {
                wallet: self._record(wallet, ts_from, ts_until, unreadable)
                for wallet in leader.wallets
            }
            shown = {s.trade_id: s for rows in record.values() for s, _ in rows}
            known = {
                trade.trade_id: trade
                for hour in span
                for trade in ours.of(hour).trades.get(leader.leader, [])
            }
            known |= self._overlooked(shown, known)
            attempts = {
                attempt.attempt_id: attempt
                for hour in span
                for attempt in ours.of(hour).attempts.get(leader.leader, [])
            }
            for hour in span:
                tally = tally_hour(
                    leader.leader,
                    hour,
                    max(hour, ts_from),
                    min(hour + HOUR_MS, ts_until),
                    shown,
                    known,
                    attempts.values(),
                )
                tallies.append(self._keep(tally))
            self._heal(leader, record, known, now)
            doubted = {k: trade for k, trade in known.items() if trade.wallet not in unreadable}
            self._doubt(shown, doubted, ts_from, ts_until)
        return tallies

    def _record(
        self, wallet: str, ts_from: int, ts_until: int, unreadable: set[str]
    ) -> list[tuple[Shown, ApiEvidence]]:
        """The venue's record of one wallet, per trade; rows that do not parse are noted."""
        poll = self._feed.poll(wallet, ts_from // 1000, (ts_until - 1) // 1000)
        if not poll.complete:
            raise Retryable(f"the record of {wallet} was cut: a part of it measures nothing")
        if poll.refused:
            unreadable.add(wallet)
        return [(shown_by(wallet, evidence), evidence) for evidence in api_evidence(poll.events)]

    def _overlooked(
        self, shown: Mapping[str, Shown], known: Mapping[str, Trade]
    ) -> dict[str, Trade]:
        """Trades the listing did not show or showed as they were: it may lag, the row does not."""
        found = {}
        for key, one in shown.items():
            if judge(known.get(key), one) in ("missed", "duplicated"):
                trade = self._store.get(Trade, trade_key(key))
                if trade:
                    found[key] = trade
        return found

    def _heal(
        self,
        leader: Leader,
        record: Mapping[str, list[tuple[Shown, ApiEvidence]]],
        known: Mapping[str, Trade],
        now: int,
    ) -> None:
        """Hand what is missing to ingestion, exactly as a poll would have."""
        for wallet, rows in record.items():
            missing = [
                evidence
                for s, evidence in rows
                if judge(known.get(s.trade_id), s) == "missed" or _unfinished(known, s)
            ]
            messages = list(poll_messages(leader.leader, wallet, now, missing))
            if messages:
                self._queue.send(messages)
                self._metrics.count("fills_resent", len(missing))

    def _doubt(
        self, shown: Mapping[str, Shown], known: Mapping[str, Trade], ts_from: int, ts_until: int
    ) -> None:
        """Rows that the feed once showed and takes back may never have been: the chain knows."""
        now = self._clock.now_ms()
        for trade in known.values():
            there = shown[trade.trade_id].shares if trade.trade_id in shown else 0
            judged = ts_from <= ts_block_of(trade) < ts_until
            if trade.backfill or not judged or effective(trade).shares <= there:
                continue
            if is_open(trade, "unshown"):
                raised = raise_question(self._store, trade, Question("unshown", now), now)
                self._metrics.count("trades_doubted", int(raised))
        for key in shown.keys() & known.keys():
            trade = known[key]
            read = trade.receipt.ts_read if trade.receipt else now
            # A node may have been wrong about a transaction that the venue goes on showing.
            if is_open(trade, "still_shown") and now - read >= RECONSIDER_MS:
                raised = raise_question(self._store, trade, Question("still_shown", now), now)
                self._metrics.count("trades_doubted", int(raised))

    def _keep(self, tally: HourTally) -> HourTally:
        """Store a tally that says something new."""
        known = self._store.get(HourTally, hour_key(tally.leader, tally.ts_hour))
        if known is None:
            fresh = tally
        else:
            fresh = replace(tally, version=known.version)
            same = replace(fresh, ts_until=known.ts_until) == known
            due = fresh.final != known.final or fresh.ts_until - known.ts_until >= REWRITE_MS
            if same and not due:
                return known
        try:
            self._store.commit([Put(fresh)])
        except Conflict:
            # Another measurement of the same hour finished first; the next one sees both.
            self._metrics.count("tally_conflicts")
        return tally

    def _report(self, tallies: Sequence[HourTally], failures: list[str], now: int) -> None:
        missed = sum(t.missed for t in tallies)
        duplicated = sum(t.duplicated for t in tallies)
        disagreeing = sum(t.disagreeing for t in tallies)
        self._metrics.count("fills_missed", missed)
        self._metrics.count("fills_duplicated", duplicated)
        self._metrics.count("trades_disagreeing", disagreeing)
        self._metrics.count("measurements_failed", len(failures))
        sentences = [
            *([f"{missed} of the venue's trades are missing here"] if missed else []),
            *([f"{duplicated} have more shares here than there"] if duplicated else []),
            *([f"the sources disagree about {disagreeing}"] if disagreeing else []),
            *([f"not measured: {'; '.join(failures)}"] if failures else []),
        ]
        known = self._store.get(Heartbeat, heartbeat_key(SOURCE))
        complete = now if not failures else known.ts_last_event if known else 0
        detail = ", ".join(sentences)[:_SENTENCE_CHARS_MAX]
        beat(self._store, Heartbeat(SOURCE, now, not sentences, detail, ts_last_event=complete))


def _unfinished(known: Mapping[str, Trade], shown: Shown) -> bool:
    """Whether a trade still waits for somebody to hand on what it grew by; any evidence does."""
    trade = known.get(shown.trade_id)
    return trade is not None and bool(trade.pending)


def _spans(hours: Sequence[int]) -> list[list[int]]:
    """Runs of consecutive hours."""
    spans: list[list[int]] = []
    for hour in hours:
        if spans and spans[-1][-1] + HOUR_MS == hour:
            spans[-1].append(hour)
        else:
            spans.append([hour])
    return spans
