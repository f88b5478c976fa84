"""The store as dictionaries: for unit tests and replay, where nothing must outlive the process."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence
from threading import RLock
from typing import Any

from chalicelib.domain.errors import Conflict
from chalicelib.domain.records import replace
from chalicelib.keyspace import Key, Place, Record, Table, place_of
from chalicelib.ports import (
    QUERY_LIMIT_MAX,
    Put,
    R,
    Require,
    Write,
    check_keys,
    check_limit,
)


class _Partition:
    """Records by sort key, and the sort keys in order."""

    __slots__ = ("keys", "records")

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.records: dict[str, Any] = {}


class MemoryStore:
    """Partitions by table and key. Records are kept as they are: nobody can change them."""

    def __init__(self) -> None:
        self._partitions: dict[tuple[Table, str], _Partition] = {}
        self._feeds: dict[tuple[Table, str], list[tuple[str, Key]]] = {}
        self._listed: dict[Key, tuple[str, str]] = {}
        self._lock = RLock()

    def get(self, kind: type[R], key: Key) -> R | None:
        with self._lock:
            partition = self._partitions.get(key[:2])
            found: R | None = partition.records.get(key[2]) if partition else None
            return found

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
        if not 1 <= limit <= QUERY_LIMIT_MAX:
            check_limit(limit)
        with self._lock:
            partition = self._partitions.get((table, pk))
            if partition is None:
                return []
            keys, records = partition.keys, partition.records
            low, high = bisect_left(keys, start), bisect_left(keys, end)
            if newest_first:
                wanted = keys[max(low, high - limit) : high][::-1]
            else:
                wanted = keys[low : min(high, low + limit)]
            return [records[sk] for sk in wanted]

    def feed(
        self, kind: type[R], table: Table, feed_pk: str, *, before: str | None, limit: int
    ) -> list[tuple[str, R]]:
        check_limit(limit)
        with self._lock:
            rows = self._feeds.get((table, feed_pk), [])
            high = len(rows) if before is None else bisect_left(rows, before, key=lambda r: r[0])
            wanted = rows[max(0, high - limit) : high][::-1]
            return [(sk, self._partitions[key[:2]].records[key[2]]) for sk, key in wanted]

    def commit(self, writes: Sequence[Write]) -> None:
        places = [place_of(w.record) if type(w) is Put else Place(w.key) for w in writes]  # type: ignore[union-attr]
        check_keys([place.key for place in places], writes)
        with self._lock:
            for place, write in zip(places, writes, strict=True):
                expected = write.record.version if type(write) is Put else write.version  # type: ignore[union-attr]
                table, pk, sk = place.key
                partition = self._partitions.get((table, pk))
                stored = partition.records.get(sk) if partition else None
                if (stored.version if stored else 0) != expected:
                    raise Conflict(f"{pk} {sk}: expected version {expected}")
            for place, write in zip(places, writes, strict=True):
                if type(write) is Put:
                    self._put(place, write.record)
                elif type(write) is not Require:
                    self._remove(place.key)

    def _put(self, place: Place, record: Record) -> None:
        key, feed, _ = place
        partition = self._partitions.get(key[:2])
        if partition is None:
            partition = self._partitions[key[:2]] = _Partition()
        records, sk = partition.records, key[2]
        if sk not in records:
            keys = partition.keys
            if keys and sk < keys[-1]:
                insort(keys, sk)
            else:
                keys.append(sk)
        if feed != self._listed.get(key):
            self._list(key, feed)
        records[sk] = replace(record, version=record.version + 1)

    def _remove(self, key: Key) -> None:
        partition = self._partitions.get(key[:2])
        stored = partition.records.pop(key[2], None) if partition else None
        if partition is None or stored is None:
            return
        del partition.keys[bisect_left(partition.keys, key[2])]
        if key in self._listed:
            self._list(key, None)

    def _list(self, key: Key, feed: tuple[str, str] | None) -> None:
        """Move a record from the listing it is in to another one, or out of all."""
        before = self._listed.pop(key, None)
        if before:
            rows = self._feeds[key.table, before[0]]
            del rows[bisect_left(rows, (before[1], key))]
        if feed:
            insort(self._feeds.setdefault((key.table, feed[0]), []), (feed[1], key))
            self._listed[key] = feed
