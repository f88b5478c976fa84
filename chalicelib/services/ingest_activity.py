"""Activity that is not a trade: kept, and what moves positions brought into the shadow once.

1. the event row with its tallies, by version, with a waiting row and the payload that was news;
2. per additional row one transaction of entries, positions and head, guarded by their absence;
3. the event row with what is dealt with, and the waiting row gone.

A crash between them leaves the waiting row; whoever comes next goes on, with the same result.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

from chalicelib.domain.complete_set import SetChange
from chalicelib.domain.errors import Conflict, InvalidInput, PapercopyError, Permanent, Retryable
from chalicelib.domain.evidence import ROWS_MAX, ActivityEvidence, FillMessage
from chalicelib.domain.exchange_log import TIMESTAMP_MAX
from chalicelib.domain.identifiers import condition_id, event_id, hash32, is_combo, token_id
from chalicelib.domain.leader_event import (
    CONVERSION,
    MOVES,
    REBATES,
    RECORDED,
    EventRow,
    EventState,
    LeaderEvent,
    WaitingEvent,
    effects,
    fold_rows,
    order_of,
    settled,
)
from chalicelib.domain.ledger import Entry
from chalicelib.domain.money import AMOUNT_MAX
from chalicelib.domain.portfolio import Head, Position
from chalicelib.domain.registry import Leader, is_in_holdings
from chalicelib.keyspace import (
    Key,
    entry_key,
    event_key,
    key_of,
    leader_key,
    set_change_key,
    waiting_event_key,
)
from chalicelib.ports import Clock, Delete, Metrics, Put, Require, Store, Write, stored
from chalicelib.services.copy_sets import handed_over
from chalicelib.services.fold_shadow import folded_in
from chalicelib.services.holdings_checks import doubt_booked, mark_conversion
from chalicelib.services.market_directory import MarketDirectory
from chalicelib.services.portfolios import head_of, position_of
from chalicelib.services.post_holdings import finish_tokens, later_shares, shadow_ref
from chalicelib.services.raw_payloads import raw_payload

KIND_LENGTH_MAX = 64
ROUNDS_MAX = 8
RETRY_MS = 30_000
RETRY_MS_MAX = 3_600_000
COMBO_CONDITION = "0x03"
COPIED = frozenset({"SPLIT", "MERGE"})
"""What executable portfolios may do as well; conversions they are only told of."""


class IngestActivity:
    """The events of a message into the record and the shadow."""

    def __init__(
        self, store: Store, directory: MarketDirectory, clock: Clock, metrics: Metrics
    ) -> None:
        self._store = store
        self._directory = directory
        self._clock = clock
        self._metrics = metrics

    def __call__(self, leader: Leader, message: FillMessage) -> None:
        """Make the message's events count, once.

        Raises InvalidInput for what no event can be, before anything is written, or, once all
        others count, for an event with too many rows; Retryable when the message should be
        delivered again.
        """
        for evidence in message.events:
            _check(evidence)
        refused: InvalidInput | None = None
        for named, items in _by_event(message):
            try:
                self._ingest(_new(leader, message, named, items), items, message.ts_seen)
            except InvalidInput as error:
                refused = refused or error
        if refused:
            raise refused

    def retry_waiting(self, limit: int) -> int:
        """Try the events that are due again, at most `limit`; how many are waiting no longer.

        One event's failure keeps no other from being tried: it waits longer. Raises the first
        failure.
        """
        end = f"{self._clock.now_ms() + 1:013d}"
        rows = self._store.query(WaitingEvent, "activity", "waiting_events", end=end, limit=limit)
        done, failures = 0, list[PapercopyError]()
        for row in rows:
            try:
                done += self._retry(row)
            except PapercopyError as error:
                failures.append(error)
        if failures:
            raise failures[0]
        return done

    def _retry(self, row: WaitingEvent) -> bool:
        """Whether the event is waiting no longer. Raises what trying it did, once it is due later.

        A row that stands for no waiting event goes.
        """
        event = self._store.get(LeaderEvent, event_key(row.event_id))
        if event is None or event.state != "waiting" or event.ts_due != row.ts_due:
            with suppress(Conflict):
                self._store.commit([Delete(key_of(row), row.version)])
            return True
        try:
            return self._finish(event)
        except PapercopyError:
            with suppress(PapercopyError):
                self._postpone(event)
            raise

    def _ingest(self, new: LeaderEvent, items: list[ActivityEvidence], ts_seen: int) -> None:
        rows = [EventRow(item.shares, item.cash, item.count) for item in items]
        for _ in range(ROUNDS_MAX):
            before = self._store.get(LeaderEvent, event_key(new.event_id))
            event = fold_rows(before or new, rows)
            if before and event.rows == before.rows:
                self._metrics.count("events_repeated")
                if before.state == "waiting":
                    self._finish(before)
                return
            writes: list[Write] = []
            if event.kind not in MOVES | REBATES | {CONVERSION}:
                known = event.kind in RECORDED
                event = settled(event, "recorded" if known else "unknown")
            elif before is None or before.state != "waiting":
                due = self._clock.now_ms() + RETRY_MS
                event = replace(event, state="waiting", ts_due=due, tries=0)
                writes.append(Put(WaitingEvent(event.event_id, event.leader, due)))
            raw = raw_payload(
                event.event_id, event.version + 1, "api", ts_seen, [item.raw for item in items]
            )
            writes += [Put(event), *([Put(raw)] if raw else [])]
            try:
                self._store.commit(writes)
            except Conflict:
                continue
            self._metrics.count("events_unknown" if event.state == "unknown" else "events_new")
            if event.state == "waiting":
                self._finish(stored(event))
            return
        raise Retryable(f"event {new.event_id} stayed contended for {ROUNDS_MAX} rounds")

    def _finish(self, event: LeaderEvent) -> bool:
        """Whether the event is waiting no longer. Raises Retryable under lasting contention."""
        for _ in range(ROUNDS_MAX):
            if event.state != "waiting":
                return True
            tokens = self._tokens(event)
            if tokens is None or self._too_early(event):
                self._postpone(event)
                return False
            state = self._apply(event, tokens)
            try:
                self._store.commit([Put(settled(event, state)), Delete(_waiting(event), 1)])
            except Conflict:
                current = self._store.get(LeaderEvent, event_key(event.event_id))
                if current is None:
                    return True
                event = current
                continue
            self._metrics.count(f"events_{state}")
            return True
        raise Retryable(f"event {event.event_id} stayed contended for {ROUNDS_MAX} rounds")

    def _too_early(self, event: LeaderEvent) -> bool:
        """Whether it takes away everything he held while nobody knows yet what that was."""
        if event.kind != "REDEEM":
            return False
        leader = self._store.get(Leader, leader_key(event.leader))
        return leader is not None and leader.holdings_as_of is None

    def _tokens(self, event: LeaderEvent) -> tuple[str, ...] | None:
        """The tokens an event may move in outcome order, None while nobody knows its market."""
        if event.kind not in MOVES:
            return ()
        if event.condition_id.startswith(COMBO_CONDITION) or (
            event.token_id and is_combo(event.token_id)
        ):
            # A combo's legs are not known; its redemption names the one token it ends.
            return (event.token_id,) if event.token_id and event.kind == "REDEEM" else ()
        try:
            if event.condition_id:
                market = self._directory.of_condition(event.condition_id)
            elif event.token_id:
                market = self._directory.lookup(event.token_id)
            else:
                return ()
        except (Retryable, Permanent):
            return None
        return market.tokens if market else None

    def _postpone(self, event: LeaderEvent) -> None:
        wait_ms = min(RETRY_MS_MAX, RETRY_MS * 2 ** min(event.tries, 10))
        due = self._clock.now_ms() + wait_ms
        later = replace(event, ts_due=max(due, event.ts_due + 1), tries=event.tries + 1)
        waiting = WaitingEvent(event.event_id, event.leader, later.ts_due)
        try:
            self._store.commit([Put(later), Delete(_waiting(event), 1), Put(waiting)])
        except Conflict:
            # Somebody else tried it too, or more of it came: that one decides when it is due.
            return
        self._metrics.count("events_waiting")

    def _apply(self, event: LeaderEvent, tokens: tuple[str, ...]) -> EventState:
        if event.kind == CONVERSION:
            leader = self._store.get(Leader, leader_key(event.leader))
            if leader is None or is_in_holdings(leader, event.wallet, event.ts_block):
                return "recorded"
            mark_conversion(self._store, event.leader, event.ts_block)
            self._tell_of_conversion(leader, event)
            return "applied"
        if not tokens and event.kind in MOVES:
            return "recorded"
        moved = [
            self._apply_one(event, row, number, tokens)
            for row in event.rows
            for number in range(row.applied, row.count)
        ]
        if any(moved):
            doubt_booked(self._store, event.leader, event.ts_block)
        return "applied" if any(moved) else "recorded"

    def _apply_one(
        self, event: LeaderEvent, row: EventRow, number: int, tokens: tuple[str, ...]
    ) -> bool:
        """One of equal rows into the shadow; False when his holdings contain it already."""
        kind = "FEE" if event.kind in REBATES else event.kind
        order = order_of(event.kind)
        name = f"{event.event_id}/{row.shares}/{row.cash}/{number}"
        for _ in range(ROUNDS_MAX):
            leader = self._store.get(Leader, leader_key(event.leader))
            if leader is None:
                return False
            # What a reading still owes the shadow is part of what an event takes away.
            finish_tokens(self._store, leader, tokens)
            ref = shadow_ref(self._store, event.leader)
            keys = [
                entry_key(ref.portfolio_id, ref.epoch, event.ts_block, order, f"{name}/{t}", kind)
                for t in tokens or ("",)
            ]
            if any(self._store.get(Entry, key) for key in keys):
                return True
            if is_in_holdings(leader, event.wallet, event.ts_block):
                return False
            head = head_of(self._store, ref)
            # Other rows of the same place are before this one: they were applied first.
            later = later_shares(self._store, ref, f"entry#{event.ts_block:013d}#{order + 1:08d}")
            positions = {t: position_of(self._store, head, t, event.leader) for t in tokens}
            held = {t: p.shares - later.get(t, 0) for t, p in positions.items()}
            entries = _entries(event, row, name, order, tokens, held, head)
            if not entries:
                return True
            after, moved = folded_in(self._store, head, positions, entries)
            writes: list[Write] = [*moved, Put(after)]
            if event.kind in COPIED:
                now = {p.token_id: p.shares + _change(entries, p) for p in positions.values()}
                writes += handed_over(self._store, leader, event, row, name, tokens, held, now)
            try:
                self._store.commit([*writes, Require(key_of(leader), leader.version)])
            except Conflict:
                continue
            return True
        raise Retryable(f"shadow of {event.leader} stayed contended for {ROUNDS_MAX} rounds")

    def _tell_of_conversion(self, leader: Leader, event: LeaderEvent) -> None:
        """Once, the portfolios that follow are told of what they cannot copy."""
        row = EventRow(0, 0, 1)
        if self._store.get(SetChange, set_change_key(event.event_id)):
            return
        writes = handed_over(self._store, leader, event, row, event.event_id, (), {}, {})
        if writes:
            # Whoever was faster told them.
            with suppress(Conflict):
                self._store.commit(writes)


def _change(entries: list[Entry], position: Position) -> int:
    return sum(entry.shares for entry in entries if entry.token_id == position.token_id)


def _entries(
    event: LeaderEvent,
    row: EventRow,
    name: str,
    order: int,
    tokens: tuple[str, ...],
    held: dict[str, int],
    head: Head,
) -> list[Entry]:
    """Entries of one row in the shadow; nothing when nothing moves."""
    return [
        Entry(
            portfolio_id=head.portfolio_id,
            epoch=head.epoch,
            seq=head.entries + number,
            kind=effect.kind,
            reference=f"{name}/{effect.token_id}",
            token_id=effect.token_id,
            leader=event.leader,
            shares=effect.shares,
            cash=effect.cash,
            ts_effective=event.ts_block,
            order=order,
            wallet=event.wallet,
        )
        for number, effect in enumerate(effects(event, row, tokens, held))
    ]


def _waiting(event: LeaderEvent) -> Key:
    return waiting_event_key(event.ts_due, event.event_id)


def _check(evidence: ActivityEvidence) -> None:
    """Raises InvalidInput naming the field of what no event can have."""
    if not 0 < len(evidence.kind) <= KIND_LENGTH_MAX:
        raise InvalidInput("kind", f"1 to {KIND_LENGTH_MAX} characters were expected")
    hash32(evidence.tx_hash, "tx_hash")
    if evidence.condition_id:
        condition_id(evidence.condition_id)
    if evidence.token_id:
        token_id(evidence.token_id)
    if not 0 <= evidence.shares <= AMOUNT_MAX or not 0 <= evidence.cash <= AMOUNT_MAX:
        raise InvalidInput("shares", f"0 to {AMOUNT_MAX} was expected, as for cash")
    if not 0 < evidence.ts_block <= TIMESTAMP_MAX * 1000:
        raise InvalidInput("ts_block", "a time in milliseconds was expected")
    if not 0 < evidence.count <= ROWS_MAX:
        raise InvalidInput("count", f"1 to {ROWS_MAX} was expected")


_Named = tuple[str, str, str, str]


def _by_event(message: FillMessage) -> Iterator[tuple[_Named, list[ActivityEvidence]]]:
    found: dict[_Named, list[ActivityEvidence]] = {}
    for item in message.events:
        named = (item.tx_hash, item.kind, item.condition_id, item.token_id)
        found.setdefault(named, []).append(item)
    yield from found.items()


def _new(
    leader: Leader, message: FillMessage, named: _Named, items: list[ActivityEvidence]
) -> LeaderEvent:
    tx_hash, kind, condition, token = named
    indices = [item.outcome_index for item in items if item.outcome_index is not None]
    return LeaderEvent(
        event_id=event_id(message.wallet, tx_hash, kind, condition, token),
        leader=leader.leader,
        wallet=message.wallet,
        kind=kind,
        tx_hash=tx_hash,
        condition_id=condition,
        token_id=token,
        outcome_index=indices[0] if len(set(indices)) == 1 else None,
        rows=(),
        ts_block=min(item.ts_block for item in items),
        ts_seen=message.ts_seen,
        state="waiting",
    )
