"""The audit log of an account, newest first."""

from __future__ import annotations

import re

from chalicelib.domain.errors import InvalidInput
from chalicelib.domain.registry import AuditRow
from chalicelib.keyspace import audit_pk, key_of, month
from chalicelib.ports import Store
from chalicelib.services.portfolios import ACCOUNT
from chalicelib.services.read_models.listing import Json

READS_PER_PAGE_MAX = 20
FIRST_MONTH = "2026-01"
"""Nothing was audited before."""
_CURSOR = re.compile(r"([0-9]{4}-(?:0[1-9]|1[0-2]))~([0-9a-f#]{0,80})")
_LAST = "~"
"""Behind every sort key of digits, hex and `#`."""


def list_audit(
    store: Store, now: int, cursor: str | None, limit: int, account_id: str = ACCOUNT
) -> Json:
    """One page of changes. Raises InvalidInput for a cursor that is not ours."""
    month_, end = (month(now), _LAST) if cursor is None else _parsed(cursor)
    found: list[AuditRow] = []
    for _ in range(READS_PER_PAGE_MAX):
        if month_ < FIRST_MONTH:
            return _page(found, None)
        rows = store.query(
            AuditRow,
            "audit",
            audit_pk(account_id, month_),
            end=end or _LAST,
            limit=limit - len(found),
            newest_first=True,
        )
        found += rows
        if len(found) == limit:
            return _page(found, f"{month_}~{key_of(rows[-1]).sk}")
        month_, end = _before(month_), _LAST
    return _page(found, f"{month_}~")


def _page(rows: list[AuditRow], cursor: str | None) -> Json:
    return {"items": [_row(row) for row in rows], "next_cursor": cursor}


def _row(row: AuditRow) -> Json:
    return {
        "id": row.id,
        "ts": row.ts,
        "actor": row.actor,
        "action": row.action,
        "subject": row.subject,
        "before": row.before,
        "after": row.after,
    }


def _before(month_: str) -> str:
    year, number = int(month_[:4]), int(month_[5:])
    return f"{year - 1:04d}-12" if number == 1 else f"{year:04d}-{number - 1:02d}"


def _parsed(cursor: str) -> tuple[str, str]:
    found = _CURSOR.fullmatch(cursor)
    if found is None:
        raise InvalidInput("cursor", "is not a cursor of this listing")
    return found[1], found[2]
