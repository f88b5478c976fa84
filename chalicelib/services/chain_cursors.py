"""How far the logs of each exchange were read by range, across restarts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from chalicelib.domain.errors import Conflict
from chalicelib.domain.registry import ChainCursor
from chalicelib.ports import Put, Store, Write

CURSORS_MAX = 50


def chain_cursors(store: Store) -> dict[str, int]:
    """The last block read, by exchange. Raises Retryable."""
    rows = store.query(ChainCursor, "registry", "chain_cursors", limit=CURSORS_MAX)
    return {row.exchange: row.block for row in rows}


def move_chain_cursors(store: Store, blocks: Mapping[str, int]) -> None:
    """Store later blocks; an earlier one never replaces a later one. Raises Retryable."""
    rows = store.query(ChainCursor, "registry", "chain_cursors", limit=CURSORS_MAX)
    known = {row.exchange: row for row in rows}
    writes: list[Write] = []
    for exchange, block in sorted(blocks.items())[:CURSORS_MAX]:
        row = known.get(exchange) or ChainCursor(exchange, 0)
        if block > row.block:
            writes.append(Put(replace(row, block=block)))
    if not writes:
        return
    try:
        store.commit(writes)
    except Conflict:
        # Another watcher moved them; at worst some blocks are read twice.
        return
