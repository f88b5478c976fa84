"""Poll a leader's activity and hand over what is new.

A cursor moves only after the last send succeeded, and a poll that did not reach its last page is
no evidence. Rows appear late and in any order within some seconds, so every poll reaches back
OVERLAP_SECONDS; what was already handed over is remembered by digest and not sent again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from hashlib import sha256

from chalicelib.domain.activity import TRADE, ActivityEvent
from chalicelib.domain.errors import Conflict, Retryable
from chalicelib.domain.evidence import EVIDENCE_MAX, ROWS_MAX, ApiEvidence, FillMessage
from chalicelib.domain.poll_tally import api_evidence
from chalicelib.domain.registry import Cursor, Heartbeat, Leader
from chalicelib.keyspace import cursor_key, leader_key
from chalicelib.ports import ActivityFeed, Clock, FillQueue, Metrics, Put, Quarantine, Store
from chalicelib.services.heartbeats import beat
from chalicelib.services.manage_leaders import leaders

OVERLAP_SECONDS = 120
SENT_MAX = 500


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
        """The number of trades handed over. Raises Retryable when the venue did not answer."""
        leader = self._store.get(Leader, leader_key(leader_address))
        if leader is None or leader.state == "off":
            return 0
        try:
            sent = sum(self._poll_wallet(leader, wallet) for wallet in leader.wallets)
        except Retryable as error:
            self._beat(False, str(error))
            raise
        self._beat(True, "")
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
        fresh = [(d, e) for d, e in _digested(trades) if d not in cursor.sent]
        refused = [r for r in poll.refused if _refusal_digest(r) not in cursor.sent]
        for payload, error in refused:
            self._quarantine.keep("data_api", payload, error)
        self._send(leader, wallet, ts_seen, [evidence for _, evidence in fresh])
        self._metrics.count("api_trades_sent", len(fresh))
        self._metrics.count("api_rows_refused", len(refused))
        digests = [d for d, _ in fresh] + [_refusal_digest(r) for r in refused]
        self._move(cursor, trades, digests)
        return len(fresh)

    def _send(self, leader: Leader, wallet: str, ts_seen: int, evidence: list[ApiEvidence]) -> None:
        messages = [
            FillMessage(leader.leader, wallet, ts_seen, api=part) for part in _parts(evidence)
        ]
        if messages:
            self._queue.send(messages)

    def _move(self, cursor: Cursor, trades: list[ActivityEvent], digests: list[str]) -> None:
        """Write the cursor only when it moved or has more to remember."""
        newest = max([cursor.ts_seconds, *(e.timestamp for e in trades)])
        if newest == cursor.ts_seconds and not digests:
            return
        sent = (*cursor.sent, *digests)[-SENT_MAX:]
        try:
            self._store.commit([Put(replace(cursor, ts_seconds=newest, sent=sent))])
        except Conflict:
            # Another poll of this wallet finished first; its cursor covers what both saw.
            self._metrics.count("cursor_conflicts")


def _digested(trades: Iterable[ActivityEvent]) -> list[tuple[str, ApiEvidence]]:
    return [(_digest(evidence), evidence) for evidence in api_evidence(trades)]


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
