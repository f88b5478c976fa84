"""The store as dictionaries: for unit tests and replay, where nothing must outlive the process."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import replace
from threading import RLock
from typing import cast

from chalicelib.domain.errors import Conflict
from chalicelib.keyspace import Key, Record, Table, place_of
from chalicelib.ports import Delete, Put, R, Write, check_limit, check_writes


class MemoryStore:
    """Partitions as sorted key lists beside one dictionary of records."""

    def __init__(self) -> None:
        self._records: dict[Key, Record] = {}
        self._sort_keys: dict[tuple[Table, str], list[str]] = {}
        self._feeds: dict[tuple[Table, str], list[tuple[str, Key]]] = {}
        self._lock = RLock()

    def get(self, kind: type[R], key: Key) -> R | None:
        with self._lock:
            return cast("R | None", self._records.get(key))

    def query(
        self,
        kind: type[R],
        table: Table,
        pk: str,
        *,
        start: str = "",
        end: str = "\U0010ffff",
        limit: int = 100,
        newest_first: bool = False,
    ) -> list[R]:
        check_limit(limit)
        with self._lock:
            keys = self._sort_keys.get((table, pk), [])
            low, high = bisect_left(keys, start), bisect_left(keys, end)
            if newest_first:
                wanted = keys[max(low, high - limit) : high][::-1]
            else:
                wanted = keys[low : min(high, low + limit)]
            return [cast("R", self._records[Key(table, pk, sk)]) for sk in wanted]

    def feed(
        self, kind: type[R], table: Table, feed_pk: str, *, before: str | None, limit: int
    ) -> list[tuple[str, R]]:
        check_limit(limit)
        with self._lock:
            rows = self._feeds.get((table, feed_pk), [])
            high = len(rows) if before is None else bisect_left(rows, before, key=lambda r: r[0])
            wanted = rows[max(0, high - limit) : high][::-1]
            return [(sk, cast("R", self._records[key])) for sk, key in wanted]

    def commit(self, writes: Sequence[Write]) -> None:
        keys = check_writes(writes)
        with self._lock:
            for key, write in zip(keys, writes, strict=True):
                expected = write.record.version if isinstance(write, Put) else write.version
                stored = self._records.get(key)
                if (stored.version if stored else 0) != expected:
                    raise Conflict(f"{key.pk} {key.sk}: expected version {expected}")
            for key, write in zip(keys, writes, strict=True):
                if isinstance(write, Put):
                    self._put(key, write.record)
                elif isinstance(write, Delete):
                    self._remove(key)

    def _put(self, key: Key, record: Record) -> None:
        stored = self._records.get(key)
        if stored is None:
            insort(self._sort_keys.setdefault((key.table, key.pk), []), key.sk)
            feed = place_of(record).feed
            if feed:
                rows = self._feeds.setdefault((key.table, feed[0]), [])
                insort(rows, (feed[1], key), key=lambda row: row[0])
        self._records[key] = replace(record, version=record.version + 1)

    def _remove(self, key: Key) -> None:
        stored = self._records.pop(key, None)
        if stored is None:
            return
        self._sort_keys[(key.table, key.pk)].remove(key.sk)
        feed = place_of(stored).feed
        if feed:
            self._feeds[(key.table, feed[0])].remove((feed[1], key))
