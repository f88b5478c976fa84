"""Poll a leader's activity and hand over what is new.

A cursor moves only after the last send succeeded, and a poll that did not reach its last page is
no evidence. Rows appear late and in any order within some seconds, so every poll reaches back by
an overlap, and as far as the earliest open catch-up; what was already handed over is remembered by
digest and not sent again. When more came than one poll may read, the present is read too, in the
same poll while there is time and otherwise first in the next one; the rest follows in turns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from chalicelib.domain.activity import KINDS
from chalicelib.domain.errors import Conflict, PapercopyError, Permanent
from chalicelib.domain.evidence import ActivityEvidence
from chalicelib.domain.poll_memory import (
    Evidence,
    digest_of,
    evidence_digest,
    remembered,
    ts_of,
    unsent,
)
from chalicelib.domain.poll_messages import poll_messages
from chalicelib.domain.poll_reach import Reach, rewound
from chalicelib.domain.poll_tally import activity_evidence, api_evidence
from chalicelib.domain.registry import CatchUp, Cursor, Leader
from chalicelib.keyspace import cursor_key, leader_key
from chalicelib.ports import (
    ActivityFeed,
    ActivityPoll,
    Clock,
    FillQueue,
    Metrics,
    Put,
    Quarantine,
    Store,
)
from chalicelib.services.catch_up import close_catch_ups, open_catch_ups, shorten_catch_ups
from chalicelib.services.feed_pulse import FeedPulse
from chalicelib.services.manage_leaders import leaders
from chalicelib.services.source_health import API_SOURCE

OVERLAP_SECONDS = 120
OVERLAP_SECONDS_MAX = 86_400
LAG_MARGIN_SECONDS = 60
UNREADABLE_HOLD_SECONDS = 900
"""How long the cursor waits for a row that could not be read to become readable."""
POLL_MS_MAX = 25_000
"""No wallet's poll begins later than this after the first one's: half of the function's time."""


@dataclass(frozen=True, slots=True)
class Polled:
    """What one poll of a leader came to.

    `sent` items were handed over. `complete` says whether every wallet's activity was read up to
    now and handed over; `failure` is the first thing that went wrong, if anything did.
    """

    sent: int
    complete: bool
    failure: str = ""


@dataclass(slots=True)
class _Reading:
    """What the reads of one wallet in one poll came to; `whole` says that they reached now.

    `cursor` is where the wallet stands with them, not stored yet.
    """

    before: Cursor
    cursor: Cursor
    shown: list[Evidence] = field(default_factory=list)
    refused: dict[str, tuple[str, str]] = field(default_factory=dict)
    new: int = 0
    whole: bool = True
    failure: str = ""


def history_start(leader: Leader) -> int:
    """The second before which nothing of a leader is read."""
    if leader.history_from:
        return leader.history_from // 1000
    return max(0, leader.followed_from // 1000 - OVERLAP_SECONDS)


def overlap_seconds(lag_seconds: int | None) -> int:
    """How far polls reach back before their cursor while the feed says it lags that much."""
    lagging = (lag_seconds or 0) + LAG_MARGIN_SECONDS
    return min(max(OVERLAP_SECONDS, lagging), OVERLAP_SECONDS_MAX)


class PollLeader:
    """One poll of every wallet of one leader. Asked out of turn, it is the API's word right now."""

    def __init__(
        self,
        store: Store,
        feed: ActivityFeed,
        queue: FillQueue,
        quarantine: Quarantine,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._store = store
        self._feed = feed
        self._queue = queue
        self._quarantine = quarantine
        self._clock = clock
        self._metrics = metrics
        self._pulse = FeedPulse(store, clock)
        self._polled: dict[str, int] = {}
        self._first: dict[str, str] = {}

    def __call__(self, leader_address: str) -> Polled:
        """Poll his wallets; one wallet's failure is part of the answer and stops no other.

        Raises Retryable when the store cannot say who he is or what is open.
        """
        leader = self._store.get(Leader, leader_key(leader_address))
        if leader is None or leader.state == "off":
            return Polled(0, complete=True)
        reach = self._reach(leader)
        readings, failures, refused = dict[str, _Reading](), list[str](), list[str]()
        for wallet in self._in_turn(leader, reach.now):
            if not self._has_time(reach):
                failures.append("the time of one poll is used up")
                self._first[leader.leader] = wallet
                break
            try:
                reading = readings[wallet] = self._poll(leader, wallet, reach)
            except PapercopyError as error:
                failures.append(str(error))
                self._metrics.count("wallet_polls_failed")
                continue
            self._metrics.count("polls_cut", int(not reading.whole and not reading.failure))
            if not reading.failure:
                continue
            if reach.is_given_up(reading.cursor):
                self._metrics.count("wallets_refused")
                refused.append(reading.failure)
            else:
                self._metrics.count("wallet_polls_failed")
                failures.append(reading.failure)
        if len(refused) == len(leader.wallets):
            # With nobody left to read, the leader's poll has failed after all.
            failures = refused
        if reach.catch_ups:
            self._settle(leader, reach, {w: done.cursor for w, done in readings.items()})
        if not failures:
            self._polled[leader.leader] = reach.began_ms
        whole = len(readings) == len(leader.wallets) and all(r.whole for r in readings.values())
        sent = sum(reading.new for reading in readings.values())
        return Polled(sent, whole and not failures, next(iter(failures), ""))

    def polled_since(self, leader: str, ts: int) -> bool:
        """Whether a poll that this object began at or after `ts` (milliseconds) found no failure.

        Other processes' polls are not known here: that would cost a write with every poll.
        """
        return self._polled.get(leader, -1) >= ts

    def _reach(self, leader: Leader) -> Reach:
        began = self._clock.now_ms()
        try:
            lag = self._feed.lag_seconds()
        except PapercopyError:
            lag = None
        catch_ups = tuple(open_catch_ups(self._store, leader.leader))
        return Reach(began, history_start(leader), overlap_seconds(lag), catch_ups)

    def _has_time(self, reach: Reach) -> bool:
        return self._clock.now_ms() - reach.began_ms <= POLL_MS_MAX

    def _in_turn(self, leader: Leader, now: int) -> list[str]:
        """Another wallet first each time, so that a slow one is not always before the same ones.

        After a poll that ran out of time it is the one that came too late.
        """
        wallets = leader.wallets
        kept = self._first.pop(leader.leader, "")
        first = wallets.index(kept) if kept in wallets else now % max(1, len(wallets))
        return [*wallets[first:], *wallets[:first]]

    def _cursor(self, leader: Leader, wallet: str, reach: Reach) -> Cursor:
        known = self._store.get(Cursor, cursor_key(leader.leader, wallet))
        return known or Cursor(leader.leader, wallet, reach.start)

    def _poll(self, leader: Leader, wallet: str, reach: Reach) -> _Reading:
        """Read and hand over what one wallet did, then remember it.

        What a read fails with is in the answer. Raises what the store fails with.
        """
        cursor = self._cursor(leader, wallet, reach)
        reading = _Reading(cursor, cursor)
        try:
            if reach.is_behind(cursor):
                self._read_behind(leader, reading, reach)
            else:
                self._read_on(leader, reading, reach)
        except PapercopyError as error:
            reading.failure, reading.whole = str(error), False
        self._remember(reading, reach)
        return reading

    def _read_on(self, leader: Leader, reading: _Reading, reach: Reach) -> None:
        """All there is in one read; if that is too much, the present as well."""
        since = reach.since(reading.cursor)
        poll = self._read(leader, reading, since)
        cut = not poll.complete
        end = _newest(poll, since) if cut else reach.now
        reading.cursor = reach.after_read(reading.cursor, since, end, cut=cut)
        reading.whole = not cut
        live = reach.live_since(reading.cursor)
        if cut and end < live and self._has_time(reach):
            again = self._read(leader, reading, live)
            if not again.complete:
                reading.cursor = reach.after_cut_present(reading.cursor, _newest(again, live))

    def _read_behind(self, leader: Leader, reading: _Reading, reach: Reach) -> None:
        """The present first, then from where the last poll ended."""
        since, live = reach.since(reading.cursor), reach.live_since(reading.cursor)
        reading.whole = False
        present = self._read(leader, reading, live)
        end = reach.now
        if not present.complete:
            end = _newest(present, live)
            reading.cursor = reach.after_cut_present(reading.cursor, end)
        if self._has_time(reach):
            poll = self._read(leader, reading, since, live)
            whole = present.complete and poll.complete
            end = end if poll.complete else _newest(poll, since)
            reading.cursor = reach.after_read(reading.cursor, since, end, cut=not whole)
            reading.whole = whole

    def _read(
        self, leader: Leader, reading: _Reading, since: int, until: int | None = None
    ) -> ActivityPoll:
        """Read one stretch, send what is new of it and let the cursor follow its rows."""
        poll = self._ask(leader, reading, since, until)
        ts_seen = self._clock.now_ms()
        shown: list[Evidence] = [*api_evidence(poll.events), *activity_evidence(poll.events)]
        known = {*reading.before.sent, *map(evidence_digest, reading.shown)}
        fresh = sorted(unsent(shown, known), key=ts_of)
        refused = {digest_of(payload): (payload, error) for payload, error in poll.refused}
        newly_refused = [
            kept
            for name, kept in refused.items()
            if name not in known and name not in reading.refused
        ]
        wallet = reading.before.wallet
        messages = list(poll_messages(leader.leader, wallet, ts_seen, fresh))
        if messages:
            self._queue.send(messages)
        for payload, error in newly_refused:
            self._quarantine.keep(API_SOURCE, payload, error)
        self._count(fresh, len(newly_refused))
        reading.new += len(fresh)
        reading.refused |= refused
        here = set(map(evidence_digest, reading.shown))
        reading.shown += [item for item in shown if evidence_digest(item) not in here]
        if poll.complete:
            newest = _next_second(reading.cursor, poll, ts_seen)
            reading.cursor = replace(reading.cursor, ts_seconds=newest)
        return poll

    def _ask(
        self, leader: Leader, reading: _Reading, since: int, until: int | None
    ) -> ActivityPoll:
        wallet = reading.before.wallet
        try:
            poll = self._feed.poll(wallet, since, until)
        except Permanent as error:
            # The venue answered; it is this wallet that it refuses.
            since_when = reading.cursor.refused_since or self._clock.now_ms() // 1000
            reading.cursor = replace(reading.cursor, refused_since=since_when)
            self._pulse.refused(leader.leader, wallet, str(error))
            raise
        except PapercopyError as error:
            self._pulse.unheard(leader.leader, str(error))
            raise
        reading.cursor = replace(reading.cursor, refused_since=0)
        self._pulse.heard(leader.leader, wallet)
        return poll

    def _remember(self, reading: _Reading, reach: Reach) -> None:
        before, cursor = reading.before, reading.cursor
        if not reading.new and cursor == before and not reading.refused.keys() - set(before.sent):
            return
        if not reach.catch_ups and not cursor.live_from:
            # Nobody asks any more; what is asked for later is read, whatever was read before.
            cursor = replace(cursor, read_from=0, read_until=0)
        if reading.shown or reading.refused:
            settled = cursor.ts_seconds - reach.overlap
            cursor = replace(cursor, sent=remembered(reading.shown, reading.refused, settled))
        self._move(cursor)

    def _count(self, fresh: Sequence[Evidence], refused: int) -> None:
        events = [item for item in fresh if isinstance(item, ActivityEvidence)]
        self._metrics.count("api_trades_sent", len(fresh) - len(events))
        self._metrics.count("api_events_sent", len(events))
        self._metrics.count("api_kinds_unknown", sum(e.kind not in KINDS for e in events))
        self._metrics.count("api_rows_refused", refused)

    def _move(self, cursor: Cursor) -> None:
        try:
            self._store.commit([Put(cursor)])
        except Conflict:
            # Another poll of this wallet finished first; at worst the next one sends again.
            self._metrics.count("cursor_conflicts")

    def _settle(self, leader: Leader, reach: Reach, known: Mapping[str, Cursor]) -> None:
        """Close the catch-ups that were read to their end after late rows had their time.

        Each wallet counts that the venue does not refuse for good, but one at least.
        """
        cursors = [known.get(w) or self._cursor(leader, w, reach) for w in leader.wallets]
        waited_for = [cursor for cursor in cursors if not reach.is_given_up(cursor)]
        if not waited_for:
            return
        done = list[CatchUp]()
        for row in reach.catch_ups:
            if all(reach.covers(cursor, row) for cursor in waited_for):
                done.append(row)
            elif len(waited_for) == len(cursors):
                read_until = min(reach.progress_ms(cursor, row) for cursor in cursors)
                shorten_catch_ups(self._store, [row], read_until)
        if done:
            self._send_back(reach, done[0], cursors)
            self._metrics.count("catch_ups_closed", close_catch_ups(self._store, done))

    def _send_back(self, reach: Reach, row: CatchUp, cursors: Sequence[Cursor]) -> None:
        """Let wallets that are given up be read from `row` on, should they ever be again."""
        for cursor in cursors:
            if reach.is_given_up(cursor) and (back := reach.back_to(cursor, row)) != cursor:
                fresh = self._store.get(Cursor, cursor_key(cursor.leader, cursor.wallet))
                self._move(replace(back, version=fresh.version if fresh else 0))


def _newest(poll: ActivityPoll, otherwise: int) -> int:
    return max((event.timestamp for event in poll.events), default=otherwise)


def _next_second(cursor: Cursor, poll: ActivityPoll, ts_seen: int) -> int:
    """Where the cursor goes after `poll`.

    A row from the future must not move it past everything that comes before that. While rows could
    not be read it waits, for a while, because they may be readable in a later answer.
    """
    now = ts_seen // 1000
    if poll.refused and poll.complete and cursor.ts_seconds > now - UNREADABLE_HOLD_SECONDS:
        return cursor.ts_seconds
    seconds = [min(event.timestamp, now) for event in poll.events]
    return max([cursor.ts_seconds, *seconds])


def rewind_cursors(store: Store, seconds: int) -> None:
    """Let the next polls reach back further and send again what they see there.

    For a start after a crash: evidence that was handed over but not ingested comes again, and what
    was ingested counts once anyway.
    """
    for leader in leaders(store):
        for wallet in leader.wallets:
            cursor = store.get(Cursor, cursor_key(leader.leader, wallet))
            if cursor:
                store.commit([Put(rewound(cursor, seconds))])
