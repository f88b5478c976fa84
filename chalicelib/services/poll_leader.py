"""Poll a leader's activity and hand over what is new.

A cursor moves only after the last send succeeded, and a poll that did not reach its last page is
no evidence. Rows appear late and in any order within some seconds, so every poll reaches back
OVERLAP_SECONDS; what was already handed over is remembered by digest and not sent again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from hashlib import sha256

from chalicelib.domain.activity import TRADE
from chalicelib.domain.errors import Conflict, PapercopyError
from chalicelib.domain.evidence import EVIDENCE_MAX, ROWS_MAX, ApiEvidence, FillMessage
from chalicelib.domain.poll_tally import api_evidence
from chalicelib.domain.registry import Cursor, Heartbeat, Leader
from chalicelib.keyspace import cursor_key, leader_key
from chalicelib.ports import ActivityFeed, Clock, FillQueue, Metrics, Put, Quarantine, Store
from chalicelib.services.heartbeats import beat
from chalicelib.services.manage_leaders import leaders

OVERLAP_SECONDS = 120
SENT_MAX = 2_000


def _digest(evidence: ApiEvidence) -> str:
    rows = ",".join(f"{r.shares}/{r.price_e10}x{r.count}" for r in evidence.rows)
    named = f"{evidence.tx_hash}|{evidence.token_id}|{evidence.side}|{rows}"
    return sha256(named.encode()).hexdigest()[:16]


class PollLeader:
    """One poll of every wallet of one leader."""

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

    def __call__(self, leader_address: str) -> int:
        """The number of trades handed over.

        One wallet's failure keeps no other from being polled. Raises the first failure.
        """
        leader = self._store.get(Leader, leader_key(leader_address))
        if leader is None or leader.state == "off":
            return 0
        sent, failures = 0, []
        for wallet in leader.wallets:
            try:
                sent += self._poll_wallet(leader, wallet)
            except PapercopyError as error:
                failures.append(error)
        self._beat(not failures, str(failures[0]) if failures else "")
        if failures:
            raise failures[0]
        return sent

    def _beat(self, up: bool, detail: str) -> None:
        beat(self._store, Heartbeat("data_api", self._clock.now_ms(), up, detail))

    def _poll_wallet(self, leader: Leader, wallet: str) -> int:
        start = leader.followed_from // 1000
        known = self._store.get(Cursor, cursor_key(leader.leader, wallet))
        cursor = known or Cursor(leader.leader, wallet, start)
        since = max(start, cursor.ts_seconds - OVERLAP_SECONDS)
        poll = self._feed.poll(wallet, since)
        ts_seen = self._clock.now_ms()
        trades = [e for e in poll.events if e.kind == TRADE]
        shown = {_digest(evidence): evidence for evidence in api_evidence(trades)}
        refused = {_refusal_digest(r): r for r in poll.refused}
        fresh = [evidence for name, evidence in shown.items() if name not in cursor.sent]
        newly_refused = [r for name, r in refused.items() if name not in cursor.sent]
        for payload, error in newly_refused:
            self._quarantine.keep("data_api", payload, error)
        self._send(leader, wallet, ts_seen, fresh)
        self._metrics.count("api_trades_sent", len(fresh))
        self._metrics.count("api_rows_refused", len(newly_refused))
        # What this poll did not show lies before the overlap of the next one.
        remembered = (*refused, *shown)[-SENT_MAX:]
        # A row from the future must not move the cursor past everything that comes before it.
        newest = max([cursor.ts_seconds, *(min(e.timestamp, ts_seen // 1000) for e in trades)])
        if fresh or newly_refused or newest != cursor.ts_seconds:
            self._move(replace(cursor, ts_seconds=newest, sent=remembered))
        return len(fresh)

    def _send(self, leader: Leader, wallet: str, ts_seen: int, evidence: list[ApiEvidence]) -> None:
        messages = [
            FillMessage(leader.leader, wallet, ts_seen, api=part) for part in _parts(evidence)
        ]
        if messages:
            self._queue.send(messages)

    def _move(self, cursor: Cursor) -> None:
        try:
            self._store.commit([Put(cursor)])
        except Conflict:
            # Another poll of this wallet finished first; at worst the next one sends again.
            self._metrics.count("cursor_conflicts")


def _parts(evidence: Sequence[ApiEvidence]) -> Iterator[tuple[ApiEvidence, ...]]:
    """Message-sized parts; the rows of one trade are never divided."""
    part: list[ApiEvidence] = []
    rows = 0
    for item in evidence:
        if part and (len(part) == EVIDENCE_MAX or rows + len(item.rows) > ROWS_MAX):
            yield tuple(part)
            part, rows = [], 0
        part.append(item)
        rows += len(item.rows)
    if part:
        yield tuple(part)


def _refusal_digest(refused: tuple[str, str]) -> str:
    return sha256(refused[0].encode()).hexdigest()[:16]


def rewind_cursors(store: Store, seconds: int) -> None:
    """Let the next polls reach back further and send again what they see there.

    For a start after a crash: evidence that was handed over but not ingested comes again, and what
    was ingested counts once anyway.
    """
    for leader in leaders(store):
        for wallet in leader.wallets:
            cursor = store.get(Cursor, cursor_key(leader.leader, wallet))
            if cursor:
                back = max(0, cursor.ts_seconds - seconds)
                store.commit([Put(replace(cursor, ts_seconds=back, sent=()))])
