"""Marks by time: one sheet per scope and minute, so that any past minute can be valued again.

Bytes: 51 per token and sheet. 100 tokens held by executables are 7.3 MB a day, 1,000 more held by
shadows only, every five minutes, 14.7 MB; sheets are kept for 35 days.
"""

from __future__ import annotations

from chalicelib.domain.errors import Conflict
from chalicelib.domain.mark_sheet import marks_on
from chalicelib.domain.registry import KeptSheet, Mark, MarkScope, MarkSheet
from chalicelib.keyspace import kept_sheet_key, kept_sheets_pk
from chalicelib.ports import Put, Store

SCOPES: tuple[MarkScope, ...] = ("shadows", "latest")
"""In the order in which a later one overrules an earlier one."""


def keep_sheet(store: Store, sheet: MarkSheet) -> None:
    """Keep a sheet for its minute unless the minute has one. Raises Retryable."""
    try:
        store.commit([Put(KeptSheet(sheet.packed, sheet.ts, sheet.scope))])
    except Conflict:
        return


def sheet_at(store: Store, scope: MarkScope, ts: int) -> KeptSheet | None:
    """The sheet of one scope in force at `ts` (milliseconds); None before the first one kept."""
    found = store.query(
        KeptSheet,
        "activity",
        kept_sheets_pk(scope),
        end=f"{ts + 1:013d}",
        limit=2,
        newest_first=True,
    )
    # The last one may have been made later in the same minute.
    return next((sheet for sheet in found if sheet.ts <= ts), None)


def sheets_between(store: Store, scope: MarkScope, t0: int, t1: int, limit: int) -> list[KeptSheet]:
    """Sheets made from the minute of `t0` on and before `t1`, oldest first, at most `limit`."""
    start = kept_sheet_key(scope, t0).sk
    pk = kept_sheets_pk(scope)
    return store.query(KeptSheet, "activity", pk, start=start, end=f"{t1:013d}", limit=limit)


def dated_marks_at(store: Store, ts: int) -> dict[str, Mark]:
    """Every mark in force at `ts`, by token."""
    sheets = [sheet_at(store, scope, ts) for scope in SCOPES]
    return {
        mark.token_id: mark
        for sheet in sheets
        if sheet
        for mark in marks_on(MarkSheet(sheet.packed, sheet.ts, sheet.scope))
    }


def marks_at(store: Store, ts: int) -> dict[str, int]:
    """Price in micros per token by the sheets in force at `ts` (milliseconds)."""
    return {token: mark.price for token, mark in dated_marks_at(store, ts).items()}
