"""How much the tables hold, as DynamoDB states it: a count of its own that is some hours old."""

from __future__ import annotations

from typing import Any

from chalicelib.adapters.aws import translating
from chalicelib.keyspace import TABLES
from chalicelib.ports import Clock

CACHE_MS = 600_000


class TableSizes:
    """Items and bytes per table, asked for at most every CACHE_MS."""

    def __init__(self, stage: str, client: Any, clock: Clock) -> None:
        self._stage = stage
        self._client = client
        self._clock = clock
        self._known: tuple[int, list[dict[str, Any]]] | None = None

    def __call__(self) -> list[dict[str, Any]]:
        """`table`, `items`, `bytes`. Raises Retryable or Permanent."""
        now = self._clock.now_ms()
        if self._known is None or now - self._known[0] > CACHE_MS:
            self._known = (now, [self._size(table) for table in TABLES])
        return self._known[1]

    def _size(self, table: str) -> dict[str, Any]:
        with translating(f"describe the table {table}"):
            told = self._client.describe_table(TableName=f"papercopy-{self._stage}-{table}")
        described = told["Table"]
        return {
            "table": table,
            "items": int(described.get("ItemCount", 0)),
            "bytes": int(described.get("TableSizeBytes", 0)),
        }
