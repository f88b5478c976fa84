"""Compute snapshots again from the ledger and the marks kept of their minutes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from chalicelib.domain.ledger import Entry
from chalicelib.domain.portfolio import Head, Position, fold
from chalicelib.domain.registry import KeptSheet, MarkScope, PortfolioRef
from chalicelib.domain.snapshot import Snapshot, minute_of, series_begun, snapshot_of
from chalicelib.keyspace import portfolio_pk, snapshot_key
from chalicelib.ports import Put, Store, Write
from chalicelib.services.kept_marks import marks_at, sheets_between
from chalicelib.services.portfolios import any_head_of, entries_from, opening_head
from chalicelib.services.snapshot_portfolios import latest_snapshots

SHEETS_PER_PAGE = 200
PAGES_MAX = 300


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """Minutes compared: equal to what is stored, different from it, and not stored at all."""

    equal: int = 0
    differing: int = 0
    missing: int = 0


def rebuild_snapshots(
    store: Store, ref: PortfolioRef, ts_from: int, ts_until: int, *, write: bool
) -> Rebuilt:
    """Compare a portfolio's snapshots of ts_from ≤ time < ts_until with what they should be.

    With `write`, what differs or is missing is stored. A stored snapshot says how much of the
    ledger it knew; a missing one gets what had taken effect by then. What unfinished orders held
    back is in no ledger: a stored figure is kept, a missing one is 0. Minutes without a kept sheet
    are left alone. Raises Conflict when somebody else writes snapshots of the past.
    """
    head = any_head_of(store, ref)
    entries = sorted(entries_from(store, ref.portfolio_id, ref.epoch), key=lambda e: e.seq)
    before = latest_snapshots(
        store, ref.portfolio_id, ref.epoch, before=minute_of(ts_from), limit=1
    )
    last = before[0] if before else None
    ts_from = max(ts_from, _opened(store, ref, entries))
    ts_until = min(ts_until, head.ts_closed or ts_until)
    state = _State(
        opening_head(ref.portfolio_id, ref.kind, ref.leader, head.starting_cash, ref.epoch)
    )
    told = Rebuilt()
    for sheet in _sheets(store, ref, ts_from, ts_until):
        minute = minute_of(sheet.ts)
        known = store.get(Snapshot, snapshot_key(ref.portfolio_id, ref.epoch, "1m", minute))
        length = known.entries if known else _in_effect(entries, last, sheet.ts)
        at, positions = state.after(entries, length)
        made = snapshot_of(
            replace(at, reserved=known.reserved if known else 0),
            positions,
            marks_at(store, sheet.ts),
            sheet.ts,
            last.gain_max if last else 0,
        )
        if known and replace(known, version=0) == made:
            told = replace(told, equal=told.equal + 1)
        else:
            found = {"differing": told.differing + 1} if known else {"missing": told.missing + 1}
            told = replace(told, **found)
            if write:
                store.commit(_writes(store, made, last))
        last = made
    return told


class _State:
    """A portfolio after the first so many entries; asked with growing numbers."""

    def __init__(self, opening: Head) -> None:
        self._opening = opening
        self._length = -1
        self._state: tuple[Head, Sequence[Position]] = (opening, ())

    def after(self, entries: Sequence[Entry], length: int) -> tuple[Head, Sequence[Position]]:
        if length != self._length:
            head, positions = fold(self._opening, entries[:length])
            self._length, self._state = length, (head, tuple(positions.values()))
        return self._state


def _opened(store: Store, ref: PortfolioRef, entries: Sequence[Entry]) -> int:
    """When there was something to value: its first entry, a shadow's first snapshot.

    A shadow's first entries are older than itself.
    """
    if ref.kind != "shadow":
        return entries[0].ts_effective if entries else 0
    prefix = "snapshot#1m"
    pk = portfolio_pk(ref.portfolio_id, ref.epoch)
    first = store.query(Snapshot, "portfolio", pk, start=f"{prefix}#", end=f"{prefix}$", limit=1)
    return first[0].ts_marks if first else 10**13


def _sheets(store: Store, ref: PortfolioRef, t0: int, t1: int) -> Iterator[KeptSheet]:
    scope: MarkScope = "shadows" if ref.kind == "shadow" else "latest"
    for _ in range(PAGES_MAX):
        page = sheets_between(store, scope, t0, t1, SHEETS_PER_PAGE)
        yield from (sheet for sheet in page if sheet.ts >= t0)
        if len(page) < SHEETS_PER_PAGE:
            return
        t0 = minute_of(page[-1].ts) + 60_000


def _in_effect(entries: Sequence[Entry], last: Snapshot | None, ts: int) -> int:
    """How many entries had been made when all that took effect by `ts` had been."""
    length = last.entries if last else 0
    while length < len(entries) and entries[length].ts_effective <= ts:
        length += 1
    return length


def _writes(store: Store, made: Snapshot, last: Snapshot | None) -> list[Write]:
    """The minute in every series that it belongs to."""
    writes: list[Write] = []
    for grain in series_begun(last.ts if last else None, made.ts):
        key = snapshot_key(made.portfolio_id, made.epoch, grain, made.ts)
        known = store.get(Snapshot, key)
        version = known.version if known else 0
        writes.append(Put(replace(made, grain=grain, version=version)))
    return writes
