"""The machinery: what lives, what waits, what failed, and how much is stored."""

from __future__ import annotations

from chalicelib.domain.ledger_check import LedgerCheck
from chalicelib.domain.reconciliation import RECENT, Reconciliation
from chalicelib.domain.registry import CatchUp, Heartbeat
from chalicelib.keyspace import RECONCILED_DAYS_FEED, reconciliation_key
from chalicelib.ports import QUERY_LIMIT_MAX, Rules, Store
from chalicelib.services.heartbeats import heartbeats
from chalicelib.services.read_models.health import read_health
from chalicelib.services.read_models.listing import Json, names_of_leaders
from chalicelib.services.source_health import API_SOURCE, CHAIN_SOURCE

CATCH_UPS_SHOWN = 20
DAYS_SHOWN = 20


def read_system(
    store: Store, rules: Rules, now: int, facts: Json, queues: Json, sizes: list[Json]
) -> Json:
    """Health with everything behind it: seven queries, of at most a thousand rows each."""
    beats = heartbeats(store)
    gaps = store.query(CatchUp, "registry", "catch_ups", limit=QUERY_LIMIT_MAX)
    checks = store.query(LedgerCheck, "registry", "ledger_checks", limit=QUERY_LIMIT_MAX)
    names = names_of_leaders(store)
    chain, api = beats.get(CHAIN_SOURCE), beats.get(API_SOURCE)
    return {
        **read_health(store, rules, now, facts, queues),
        "last_event_at": (chain.ts_last_event or None) if chain else None,
        "last_poll_at": api.ts if api else None,
        "backfills": {
            "open": len(gaps),
            "oldest_from": min((gap.ts_from for gap in gaps), default=None),
            "items": [_gap(gap, names) for gap in gaps[:CATCH_UPS_SHOWN]],
        },
        "sources": [_source(beat, now) for _, beat in sorted(beats.items())],
        "errors": _errors(beats, checks, queues),
        "ledgers": {
            "checked": len(checks),
            "wrong": sum(bool(check.wrong) for check in checks),
            "oldest_check_at": min((check.ts for check in checks), default=None),
        },
        "reconciled": _reconciled(store, names),
        "sizes": sizes,
    }


def _reconciled(store: Store, names: dict[str, str]) -> Json:
    """The verdict on the last minutes, and those on leaders' days, newest first."""
    recent = store.get(Reconciliation, reconciliation_key(RECENT, 0))
    days = store.feed(
        Reconciliation, "activity", RECONCILED_DAYS_FEED, before=None, limit=DAYS_SHOWN
    )
    return {
        "recent": _verdict(recent) if recent else None,
        "progress": [
            {"name": one.name, "value": one.value, "since": one.ts_since}
            for one in (recent.progress if recent else ())
        ],
        "days": [
            {"leader": day.scope, "leader_name": names.get(day.scope, ""), **_verdict(day)}
            for _, day in days
        ],
    }


def _verdict(one: Reconciliation) -> Json:
    return {
        "at": one.ts,
        "ts_from": one.ts_from,
        "ts_until": one.ts_until,
        "chain_only": one.chain_only,
        "api_only": one.api_only,
        "both": one.both,
        "found": one.found,
        "findings": [
            {"kind": each.kind, "subject": each.subject, "detail": each.detail}
            for each in one.findings
        ],
    }


def _gap(gap: CatchUp, names: dict[str, str]) -> Json:
    return {
        "leader": gap.leader,
        "leader_name": names.get(gap.leader, ""),
        "ts_from": gap.ts_from,
        "ts_until": gap.ts_until,
        "reason": gap.reason,
    }


def _source(beat: Heartbeat, now: int) -> Json:
    return {
        "source": beat.source,
        "up": beat.up,
        "detail": beat.detail,
        "at": beat.ts,
        "silent_ms": max(0, now - beat.ts),
        "connected_at": beat.ts_connected or None,
        "last_event_at": beat.ts_last_event or None,
        "last_block": beat.last_block or None,
        "last_block_at": beat.ts_last_block or None,
    }


def _errors(beats: dict[str, Heartbeat], checks: list[LedgerCheck], queues: Json) -> list[Json]:
    """What is wrong now, by where it is wrong."""
    found = [(name, beat.detail) for name, beat in sorted(beats.items()) if not beat.up]
    found += [
        (f"ledger {check.portfolio_id}", "; ".join(check.wrong)[:500])
        for check in checks
        if check.wrong
    ]
    if queues["dead"]:
        found.append(("dead letters", f"{queues['dead']} messages could not be processed"))
    if queues["failures"]:
        found.append(("failures", f"{queues['failures']} payloads were refused"))
    return [{"where": where, "detail": detail} for where, detail in found]
