"""Shadows against what the venue says their leaders hold: compared, confirmed, corrected."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from chalicelib.domain.errors import Conflict, PapercopyError, Retryable
from chalicelib.domain.identifiers import is_combo
from chalicelib.domain.leader_event import LeaderEvent, WaitingEvent
from chalicelib.domain.ledger import EntryKind
from chalicelib.domain.registry import (
    DRIFTS_MAX,
    Check,
    Drift,
    HoldingsCheck,
    Leader,
    PortfolioRef,
)
from chalicelib.keyspace import event_key
from chalicelib.ports import Clock, Holding, Holdings, HoldingsFeed, Metrics, Put, Rules, Store
from chalicelib.services.holdings import (
    READINGS_PER_CALL,
    Reading,
    added_up,
    in_turn,
    time_limit,
)
from chalicelib.services.holdings_checks import holdings_check
from chalicelib.services.holdings_sheets import keep_sheets, sheets_of
from chalicelib.services.manage_leaders import leaders
from chalicelib.services.market_directory import MarketDirectory
from chalicelib.services.portfolios import entries_from
from chalicelib.services.post_holdings import (
    book_difference,
    finish_holdings,
    held_at,
    shadow_ref,
    tolerance,
)

log = logging.getLogger(__name__)

ROUNDS_MAX = 8
CHECK_EVERY_MS = 300_000
CHECK_DAILY_MS = 86_400_000
CONFIRM_MS = 60_000
CONVERSION_EVERY_MS = 30_000
CONVERSION_OPEN_MS = 600_000
QUIET_MS = 600_000
"""A token without an entry for this long is compared: whatever moved it has reached both sides."""
SETTLED_MS = 60_000
"""The same after a conversion, which is expected to differ."""
EVENTS_AWAITED_MS = 3_600_000
"""Differences wait this long for events whose market nobody knows yet."""
QUESTIONS_MAX = 1_000
RESUMED_MS_MAX = 600_000
"""Wallets read longer ago than this are read again with the others."""


class CheckHoldings:
    """Compare shadows with what the venue says their leaders hold, and book what differs."""

    def __init__(
        self,
        store: Store,
        feed: HoldingsFeed,
        directory: MarketDirectory,
        rules: Rules,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._store = store
        self._feed = feed
        self._directory = directory
        self._rules = rules
        self._clock = clock
        self._metrics = metrics

    def __call__(self) -> int:
        """How many leaders were compared, at most READINGS_PER_CALL and as time allows.

        One leader's failure keeps no other from being compared. Raises the first failure.
        """
        is_over = time_limit(self._clock)
        every = CHECK_EVERY_MS
        if self._rules.system().trigger_mode == "polygon":
            every = CHECK_DAILY_MS
        now = self._clock.now_ms()
        known = [
            leader
            for leader in leaders(self._store)
            if leader.state != "off" and leader.holdings_as_of is not None
        ]
        checks = {leader.leader: holdings_check(self._store, leader.leader) for leader in known}
        due = [
            leader
            for leader in known
            for check in [checks[leader.leader]]
            if now - check.ts_checked >= _interval(check, every)
        ]
        done, failures = 0, list[PapercopyError]()
        for leader in in_turn(due, now)[:READINGS_PER_CALL]:
            if (done or failures) and is_over():
                break
            try:
                self._check(leader, checks[leader.leader], is_over)
                done += 1
            except PapercopyError as error:
                self._metrics.count("holdings_checks_failed")
                failures.append(error)
        if failures:
            raise failures[0]
        return done

    def _check(self, leader: Leader, check: HoldingsCheck, is_over: Callable[[], bool]) -> None:
        leader = finish_holdings(self._store, leader, is_over)
        if leader.holdings_posted < leader.holdings_read:
            return
        reading, check = self._read(leader, check, is_over)
        if reading is None:
            return
        if leader.holdings_as_of is None or reading.as_of < leader.holdings_as_of:
            # Older than what the shadow already stands for: says nothing about it.
            self._note(check, check)
            return
        ref = shadow_ref(self._store, leader.leader)
        moving = self._moving(leader, ref, reading.as_of, QUIET_MS)
        shadow = held_at(self._store, ref, reading.as_of)
        if self._owes_events(leader, reading.as_of):
            moving |= {*reading.held, *shadow}
        differing = {
            token: shares
            for token, shares in _differing(reading, shadow, tolerance(leader.wallets)).items()
            if token in reading.held or shares > 0 or not self._is_over(token)
        }
        converting = 0 < check.ts_conversion <= reading.as_of
        settling = self._moving(leader, ref, reading.as_of, SETTLED_MS) if converting else set()
        known = {drift.token_id: drift for drift in check.drifting}
        drifting: list[Drift] = []
        booked = check.ts_booked
        for token, shares in sorted(differing.items()):
            converted = converting and self._convertible(token)
            if token in (settling if converted else moving):
                continue
            drift = known.get(token)
            if drift is None or drift.shares != shares:
                drift = Drift(token, shares, reading.latest)
            elif reading.as_of - drift.ts_since >= CONFIRM_MS:
                self._book(leader, drift, reading, "CONVERSION" if converted else "CORRECTION")
                booked = max(booked, reading.as_of)
            drifting.append(drift)
        tokens = {t for t in {*reading.held, *shadow} if not is_combo(t)}
        # Nothing to compare is no agreement, unless even what moves is equal.
        agreed = not drifting and bool(tokens - moving or not differing)
        self._note(
            check,
            replace(
                check,
                ts_agreed=max(check.ts_agreed, reading.as_of) if agreed else check.ts_agreed,
                compared=len(tokens - moving),
                moving=len(tokens & moving),
                drifting=tuple(drifting[:DRIFTS_MAX]),
                ts_conversion=_still_open(check.ts_conversion, reading.as_of),
                ts_booked=booked,
            ),
        )

    def _read(
        self, leader: Leader, check: HoldingsCheck, is_over: Callable[[], bool]
    ) -> tuple[Reading | None, HoldingsCheck]:
        """What all wallets hold; None when time ended first, with what was read kept until then.

        Wallets that an earlier call read are not read again.
        """
        known = check.read if _is_fresh(check, self._clock.now_ms()) else ()
        parts = [
            _holdings(self._store, leader, wallet, as_of)
            for wallet, as_of in zip(leader.wallets, known, strict=False)
        ]
        began = len(parts)
        for wallet in leader.wallets[began:]:
            if len(parts) > began and is_over():
                for kept, part in zip(leader.wallets[began:], parts[began:], strict=False):
                    keep_sheets(self._store, leader.leader, kept, 0, part)
                read = tuple(part.as_of for part in parts)
                # Somebody else's note is no harm: then these wallets are read again.
                with suppress(Conflict):
                    self._store.commit([Put(replace(check, read=read))])
                return None, check
            parts.append(self._feed.holdings(wallet))
        return added_up(parts), replace(check, read=())

    def _moving(self, leader: Leader, ref: PortfolioRef, as_of: int, quiet_ms: int) -> set[str]:
        """Tokens with an entry less than `quiet_ms` before the reading, or an open question."""
        start = f"entry#{max(0, as_of - quiet_ms):013d}"
        recent = entries_from(self._store, ref.portfolio_id, ref.epoch, start)
        # A correction is no movement of his; without this a second one would wait for the first.
        moved = {
            entry.token_id
            for entry in recent
            if entry.kind != "MARK" and not _is_booked(entry.reference)
        }
        asked = self._store.query(Check, "activity", "checks", limit=QUESTIONS_MAX)
        return moved | {check.token_id for check in asked if check.leader == leader.leader}

    def _owes_events(self, leader: Leader, as_of: int) -> bool:
        """Whether something young is known of him that his shadow does not contain yet."""
        rows = self._store.query(WaitingEvent, "activity", "waiting_events", limit=QUESTIONS_MAX)
        events = [
            self._store.get(LeaderEvent, event_key(row.event_id))
            for row in rows
            if row.leader == leader.leader
        ]
        return any(event and event.ts_block > as_of - EVENTS_AWAITED_MS for event in events)

    def _is_over(self, token: str) -> bool:
        """Whether a token may be gone because its market is: redeemed, or worthless and left out.

        The shadow keeps it until his redemption is known. What cannot be asked is no drift yet.
        """
        try:
            market = self._directory.lookup(token, suspect=True)
        except Retryable:
            return True
        return market is not None and (market.closed or market.resolution.final)

    def _convertible(self, token: str) -> bool:
        """Whether a conversion can have moved a token: only neg-risk markets have them."""
        try:
            market = self._directory.lookup(token)
        except Retryable:
            return False
        return market is not None and market.neg_risk

    def _book(self, leader: Leader, drift: Drift, reading: Reading, kind: EntryKind) -> None:
        """Book a difference that two readings agree on."""
        reference = f"{'conversion' if kind == 'CONVERSION' else 'drift'}/{reading.as_of}"
        if kind == "CORRECTION":
            self._metrics.count("holdings_drift")
            log.error(
                "the shadow of %s differs from the venue: token %s by %d micros since %d",
                leader.leader,
                drift.token_id,
                drift.shares,
                drift.ts_since,
            )
        held = reading.held.get(drift.token_id)
        book_difference(self._store, leader, drift.token_id, held, reading.as_of, kind, reference)

    def _note(self, before: HoldingsCheck, after: HoldingsCheck) -> None:
        """Store what a check found; what others asked for meanwhile is still to be done."""
        now = self._clock.now_ms()
        for _ in range(ROUNDS_MAX):
            try:
                self._store.commit([Put(replace(after, ts_checked=now))])
            except Conflict:
                current = holdings_check(self._store, before.leader)
                if current.ts_checked == 0 < before.ts_checked:
                    now = 0
                if current.ts_conversion > before.ts_conversion:
                    after = replace(after, ts_conversion=current.ts_conversion)
                after = replace(after, version=current.version)
                continue
            return
        raise Retryable(f"the holdings check of {before.leader} stayed contended")


def _is_fresh(check: HoldingsCheck, now_ms: int) -> bool:
    """Whether a reading that was begun may go on."""
    return all(as_of > now_ms - RESUMED_MS_MAX for as_of in check.read)


def _holdings(store: Store, leader: Leader, wallet: str, as_of: int) -> Holdings:
    """A wallet's holdings as an earlier call read them."""
    sheets = sheets_of(store, leader.leader, wallet, 0, as_of)
    held = [Holding(row.token_id, row.shares, row.price) for s in sheets for row in s.held]
    return Holdings(as_of, tuple(held), refused=sheets[0].refused)


def _is_booked(reference: str) -> bool:
    return reference.startswith(("drift/", "conversion/", "holdings/"))


def _interval(check: HoldingsCheck, every_ms: int) -> int:
    """Milliseconds until the next check: soon while something has to be made sure of."""
    if check.ts_conversion:
        return min(every_ms, CONVERSION_EVERY_MS)
    return min(every_ms, CONFIRM_MS) if check.drifting else every_ms


def _still_open(ts_conversion: int, as_of: int) -> int:
    return 0 if as_of >= ts_conversion + CONVERSION_OPEN_MS else ts_conversion


def _differing(reading: Reading, shadow: dict[str, int], least: int) -> dict[str, int]:
    """Shares held beyond the shadow's per token; where a row was refused, nothing is missing."""
    found: dict[str, int] = {}
    for token in {*reading.held, *shadow}:
        row = reading.held.get(token)
        if is_combo(token) or (row is None and reading.refused):
            continue
        shares = (row.shares if row else 0) - shadow.get(token, 0)
        if abs(shares) >= least:
            found[token] = shares
    return found
