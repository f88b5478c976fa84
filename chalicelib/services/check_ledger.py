"""Prove that portfolios equal their ledgers: on schedule a bounded piece at a time, or at once."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TypeVar

from chalicelib.domain.errors import Conflict, PapercopyError, Permanent
from chalicelib.domain.ledger_check import (
    WRONG_MAX,
    LedgerCheck,
    LedgerFold,
    LedgerPass,
    unpacked,
)
from chalicelib.domain.portfolio import Head
from chalicelib.domain.registry import Heartbeat, PortfolioRef
from chalicelib.keyspace import (
    head_key,
    key_of,
    ledger_check_key,
    ledger_pass_key,
    portfolio_pk,
)
from chalicelib.ports import QUERY_LIMIT_MAX, Clock, Delete, Metrics, Put, Store, Write
from chalicelib.services.heartbeats import beat
from chalicelib.services.portfolios import (
    PAGES_MAX,
    all_portfolios,
    entry_page,
    opening_head,
    positions_of,
)

log = logging.getLogger(__name__)

C = TypeVar("C", LedgerCheck, LedgerPass)

SOURCE = "ledgers"
ENTRIES_PER_RUN = 20_000
"""Entries read by one scheduled run; a longer ledger takes several."""
ENTRIES_MAX = PAGES_MAX * QUERY_LIMIT_MAX
CALL_MS_MAX = 20_000
PACKED_CHARS_MAX = 300_000
"""A pass whose state is larger is not put off: it goes on to its end in the run that began it."""
CHECK_EVERY_MS = 3_600_000
SMALL_ENTRIES = 5_000
CHECK_LARGE_EVERY_MS = 86_400_000
"""How often a ledger that changed is proven again; one read of a large one is not free."""
UNCHANGED_EVERY_MS = 7 * 86_400_000


@dataclass(slots=True)
class _Pass:
    """A ledger being read: the head it is held against, its fold, and where it stands."""

    ref: PortfolioRef
    head: Head
    fold: LedgerFold
    ts: int
    after: str = "entry#"
    version: int = 0


class CheckLedgers:
    """Fold every ledger from its first entry and compare, those first that were not for longest.

    A difference is stored, counted as `ledger_mismatch` and told by the heartbeat until a later
    pass finds none.
    """

    def __init__(self, store: Store, clock: Clock, metrics: Metrics) -> None:
        self._store = store
        self._clock = clock
        self._metrics = metrics

    def __call__(self, entries_max: int = ENTRIES_PER_RUN) -> int:
        """How many passes ended, reading about `entries_max` entries.

        One portfolio's failure keeps no other from being checked. Raises the first failure.
        """
        until = self._clock.now_ms() + CALL_MS_MAX
        refs = all_portfolios(self._store)
        left, done, failures = entries_max, 0, list[PapercopyError]()
        for ref in self._due(refs):
            if left <= 0 or self._clock.now_ms() >= until:
                break
            try:
                under_way = self._resumed(ref) or self._begun(ref)
                left -= self._read(under_way, left)
                if under_way.after and not self._put_off(under_way):
                    self._read_on(under_way)
                if not under_way.after:
                    self._verdict(under_way)
                    done += 1
            except PapercopyError as error:
                failures.append(error)
        self._tell()
        if failures:
            raise failures[0]
        return done

    def check(self, ref: PortfolioRef) -> LedgerCheck:
        """The verdict on one portfolio, now and in one go. Raises Retryable or Permanent."""
        under_way = self._begun(ref)
        self._read_on(under_way)
        return self._verdict(under_way)

    def _checks(self) -> list[LedgerCheck]:
        return self._store.query(LedgerCheck, "registry", "ledger_checks", limit=QUERY_LIMIT_MAX)

    def _due(self, refs: Sequence[PortfolioRef]) -> list[PortfolioRef]:
        """Portfolios whose time has come, passes under way first."""
        under_way = self._store.query(
            LedgerPass, "registry", "ledger_passes", limit=QUERY_LIMIT_MAX
        )
        passes = self._current(refs, under_way)
        checks = self._current(refs, self._checks())
        due: list[tuple[bool, int, str, PortfolioRef]] = []
        for ref in refs:
            name = (ref.portfolio_id, ref.epoch)
            check, begun = checks.get(name), name in passes
            if begun or self._is_due(ref, check):
                due.append((not begun, check.ts if check else 0, ref.portfolio_id, ref))
        return [ref for *_, ref in sorted(due, key=lambda row: row[:3])]

    def _current(self, refs: Sequence[PortfolioRef], rows: Sequence[C]) -> dict[tuple[str, int], C]:
        """Rows by portfolio and epoch; those of epochs that a reset has ended go."""
        names = {(ref.portfolio_id, ref.epoch) for ref in refs}
        found: dict[tuple[str, int], C] = {}
        for row in rows:
            name = (row.portfolio_id, row.epoch)
            if name in names:
                found[name] = row
                continue
            with suppress(Conflict):
                self._store.commit([Delete(key_of(row), row.version)])
        return found

    def _is_due(self, ref: PortfolioRef, check: LedgerCheck | None) -> bool:
        if check is None:
            return True
        age = self._clock.now_ms() - check.ts
        every = CHECK_EVERY_MS if check.entries < SMALL_ENTRIES else CHECK_LARGE_EVERY_MS
        if age < every or age >= UNCHANGED_EVERY_MS:
            return age >= every
        head = self._store.get(Head, head_key(ref.portfolio_id, ref.epoch))
        return head is not None and head.version != check.head_version

    def _begun(self, ref: PortfolioRef) -> _Pass:
        head = self._store.get(Head, head_key(ref.portfolio_id, ref.epoch))
        if head is None:
            raise Conflict(f"{portfolio_pk(ref.portfolio_id, ref.epoch)} has no head")
        cash, epoch = head.starting_cash, head.epoch
        blank = opening_head(head.portfolio_id, head.kind, head.leader, cash, epoch)
        return _Pass(ref, head, LedgerFold(blank, head.entries), self._clock.now_ms())

    def _resumed(self, ref: PortfolioRef) -> _Pass | None:
        row = self._store.get(LedgerPass, ledger_pass_key(ref.portfolio_id, ref.epoch))
        if row is None:
            return None
        head, cash = row.head, row.head.starting_cash
        blank = opening_head(head.portfolio_id, head.kind, head.leader, cash, head.epoch)
        fold = unpacked(blank, head.entries, row.packed)
        return _Pass(ref, head, fold, row.ts, row.after, row.version)

    def _read(self, under_way: _Pass, entries_max: int) -> int:
        """Read on; how many entries came. At the end of the ledger `after` is empty."""
        read = 0
        while under_way.after and read < entries_max:
            page = entry_page(self._store, under_way.ref, under_way.after)
            for entry in page:
                under_way.fold.take(entry)
            read += len(page)
            is_last = len(page) < QUERY_LIMIT_MAX
            under_way.after = "" if is_last else key_of(page[-1]).sk + "\x00"
        return read

    def _read_on(self, under_way: _Pass) -> None:
        """Read to the end. Raises Permanent beyond ENTRIES_MAX: a part proves nothing."""
        self._read(under_way, ENTRIES_MAX)
        if under_way.after:
            name = under_way.ref.portfolio_id
            raise Permanent(
                f"the ledger of {name} has more than {ENTRIES_MAX} entries left to read"
            )

    def _put_off(self, under_way: _Pass) -> bool:
        """Keep where the pass stands for a later run; False when it is too large to keep."""
        packed = under_way.fold.packed()
        if len(packed) > PACKED_CHARS_MAX:
            return False
        ref, version = under_way.ref, under_way.version
        row = LedgerPass(
            ref.portfolio_id,
            ref.epoch,
            under_way.ts,
            under_way.after,
            under_way.head,
            packed,
            version,
        )
        self._store.commit([Put(row)])
        under_way.version = version + 1
        return True

    def _verdict(self, under_way: _Pass) -> LedgerCheck:
        ref, head = under_way.ref, under_way.head
        rows = positions_of(self._store, ref.portfolio_id, ref.epoch)
        wrong = under_way.fold.verdict(head, rows)
        key = ledger_check_key(ref.portfolio_id, ref.epoch)
        known = self._store.get(LedgerCheck, key)
        check = LedgerCheck(
            portfolio_id=ref.portfolio_id,
            epoch=ref.epoch,
            ts=under_way.ts,
            entries=head.entries,
            head_version=head.version,
            wrong=tuple(wrong[:WRONG_MAX]),
            unordered=sum(row.unordered for row in rows),
            version=known.version if known else 0,
        )
        writes: list[Write] = [Put(check)]
        if under_way.version:
            writes.append(Delete(ledger_pass_key(ref.portfolio_id, ref.epoch), under_way.version))
        self._store.commit(writes)
        self._metrics.count("ledgers_checked")
        if wrong:
            self._metrics.count("ledger_mismatch")
            log.error("%s is not the fold of its ledger: %s", ref.portfolio_id, "; ".join(wrong))
        return replace(check, version=check.version + 1)

    def _tell(self) -> None:
        wrong = [check for check in self._checks() if check.wrong]
        detail = "; ".join(f"{check.portfolio_id}: {check.wrong[0]}" for check in wrong)[:500]
        beat(self._store, Heartbeat(SOURCE, self._clock.now_ms(), not wrong, detail))
