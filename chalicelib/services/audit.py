"""The audit log: one row per change, written in the same commit as the change."""

from __future__ import annotations

import json
from dataclasses import asdict
from hashlib import sha256

from chalicelib.domain.registry import AUDIT_TEXT_MAX, AuditRow
from chalicelib.keyspace import Record
from chalicelib.ports import Put
from chalicelib.services.portfolios import ACCOUNT

OPERATOR = "operator"
"""Whoever changes something from the command line, where he gave no name."""
SYSTEM = "system"
"""What papercopy changes by itself."""


def audited(
    actor: str,
    action: str,
    subject: str,
    before: str,
    after: str,
    *,
    ts: int,
    revision: int = 0,
    account_id: str = ACCOUNT,
) -> Put:
    """The write that records a change, for the commit that makes it.

    `revision` is the version of the record that was replaced: it tells equal changes within one
    millisecond apart. Who repeats a commit whose outcome he does not know reads the record again
    first, so the same change is never audited twice.
    """
    parts = (account_id, ts, actor, action, subject, before, after, revision)
    minted = sha256("|".join(["audit1", *map(str, parts)]).encode()).hexdigest()[:32]
    row = AuditRow(
        ts=ts,
        actor=actor[:200],
        action=action,
        subject=subject[:500],
        before=_bounded(before),
        after=_bounded(after),
        id=minted,
        account_id=account_id,
    )
    return Put(row)


def told(record: Record | None) -> str:
    """A record as JSON text without its version, empty for none."""
    if record is None:
        return ""
    plain = asdict(record)
    plain.pop("version", None)
    return json.dumps(plain, separators=(",", ":"), ensure_ascii=False)


def _bounded(text: str) -> str:
    if len(text) <= AUDIT_TEXT_MAX:
        return text
    digest = sha256(text.encode()).hexdigest()
    return f"{text[: AUDIT_TEXT_MAX - 100]}… cut, {len(text)} characters, sha256 {digest}"
