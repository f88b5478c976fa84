"""Proofs of life, one row per source."""

from __future__ import annotations

from dataclasses import replace

from chalicelib.domain.errors import Conflict
from chalicelib.domain.registry import Heartbeat
from chalicelib.keyspace import heartbeat_key
from chalicelib.ports import Put, Store

SOURCES_MAX = 100


def beat(store: Store, heartbeat: Heartbeat) -> None:
    """Record a proof of life; an older one never replaces a newer one."""
    known = store.get(Heartbeat, heartbeat_key(heartbeat.source))
    if known and known.ts > heartbeat.ts:
        return
    try:
        store.commit([Put(replace(heartbeat, version=known.version if known else 0))])
    except Conflict:
        return


class Beats:
    """`beat` for a source that one process proves: its row is read only when somebody else wrote.

    One thread per source at a time.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._versions: dict[str, int] = {}

    def __call__(self, heartbeat: Heartbeat) -> None:
        """Record a proof of life. Raises Retryable when the store cannot answer."""
        version = self._versions.pop(heartbeat.source, None)
        if version is None:
            known = self._store.get(Heartbeat, heartbeat_key(heartbeat.source))
            if known and known.ts > heartbeat.ts:
                return
            version = known.version if known else 0
        try:
            self._store.commit([Put(replace(heartbeat, version=version))])
        except Conflict:
            return
        self._versions[heartbeat.source] = version + 1


def heartbeats(store: Store) -> dict[str, Heartbeat]:
    """Every source's last proof of life."""
    rows = store.query(Heartbeat, "registry", "heartbeats", limit=SOURCES_MAX)
    return {row.source: row for row in rows}
