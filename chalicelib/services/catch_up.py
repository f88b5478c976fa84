"""Stretches of time in which a live source may have missed fills, until a poll has read them.

A stretch is asked for by whoever noticed the gap, once per leader and start; it is closed by the
first complete poll that began late enough for late rows to have come.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from chalicelib.domain.errors import Conflict, InvalidInput, Retryable
from chalicelib.domain.registry import CatchUp
from chalicelib.keyspace import catch_up_key
from chalicelib.ports import QUERY_LIMIT_MAX, Delete, Put, Store, Write

OPEN_MAX = 5
"""Open stretches per leader; one more makes the two that lie next to it into one."""
ROUNDS_MAX = 5
REASON_CHARS_MAX = 200


def open_catch_ups(store: Store, leader: str) -> list[CatchUp]:
    """A leader's open stretches, earliest start first."""
    return store.query(
        CatchUp, "registry", "catch_ups", start=f"{leader}#", end=f"{leader}$", limit=OPEN_MAX * 2
    )


def catch_up_starts(store: Store) -> dict[str, int]:
    """Leader → start of his earliest open stretch in milliseconds, in order of that start."""
    starts: dict[str, int] = {}
    for row in store.query(CatchUp, "registry", "catch_ups", limit=QUERY_LIMIT_MAX):
        starts[row.leader] = min(row.ts_from, starts.get(row.leader, row.ts_from))
    return dict(sorted(starts.items(), key=lambda item: item[1]))


def request_catch_up(store: Store, leader: str, ts_from: int, ts_until: int, reason: str) -> bool:
    """Ask that `leader`'s activity from `ts_from` to `ts_until` (milliseconds) be read again.

    False when all of it is asked for already. Parts older than a day are read as backfill. Raises
    InvalidInput for a stretch that ends before it starts, Retryable when the store is contended.
    """
    if not 0 <= ts_from <= ts_until:
        raise InvalidInput("ts_until", "a time at or after ts_from was expected")
    wanted = CatchUp(leader, ts_from, ts_until, reason[:REASON_CHARS_MAX])
    for _ in range(ROUNDS_MAX):
        known = open_catch_ups(store, leader)
        if any(row.ts_from <= ts_from and ts_until <= row.ts_until for row in known):
            return False
        try:
            store.commit(_joined(known, wanted))
        except Conflict:
            continue
        return True
    raise Retryable(f"catch-ups of {leader} stayed contended for {ROUNDS_MAX} rounds")


def _joined(known: Sequence[CatchUp], wanted: CatchUp) -> list[Write]:
    """The writes that make `wanted` part of what is open: one row per stretch, no two touching."""
    absorbed = [r for r in known if r.ts_from <= wanted.ts_until and wanted.ts_from <= r.ts_until]
    if not absorbed and len(known) >= OPEN_MAX:
        earlier = [row for row in known if row.ts_from < wanted.ts_from]
        absorbed = [earlier[-1] if earlier else known[0]]
    first = min([wanted, *absorbed], key=lambda row: row.ts_from)
    until = max(row.ts_until for row in (wanted, *absorbed))
    gone = [row for row in absorbed if row.ts_from != first.ts_from]
    kept = next((row for row in absorbed if row.ts_from == first.ts_from), wanted)
    return [Put(replace(kept, ts_until=until)), *_deletes(gone)]


def _deletes(rows: Sequence[CatchUp]) -> list[Write]:
    return [Delete(catch_up_key(row.leader, row.ts_from), row.version) for row in rows]


def close_catch_ups(store: Store, rows: Sequence[CatchUp]) -> int:
    """Remove stretches that were read to their end; one that grew meanwhile stays open."""
    closed = 0
    for row in rows:
        try:
            store.commit(_deletes([row]))
        except Conflict:
            continue
        closed += 1
    return closed


def shorten_catch_ups(store: Store, rows: Sequence[CatchUp], read_until: int) -> None:
    """Let the stretches begin at `read_until` (milliseconds), before which all of them was read."""
    for row in rows:
        if not row.ts_from < read_until <= row.ts_until:
            continue
        shorter = CatchUp(row.leader, read_until, row.ts_until, row.reason)
        try:
            store.commit([*_deletes([row]), Put(shorter)])
        except Conflict:
            # It grew, or another poll was first; at worst the same activity is read once more.
            continue
