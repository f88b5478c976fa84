"""The store as one SQLite file: what one machine runs on, and what survives its process.

Write-ahead log with synchronous=NORMAL: a killed process loses nothing that was committed, a
power cut may lose the last commits but never a part of one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import RLock

from chalicelib.adapters.embedded.sqlite_errors import translated
from chalicelib.adapters.rows import Row, record_of, row_of
from chalicelib.domain.errors import Conflict, PapercopyError, Permanent
from chalicelib.keyspace import Key, Table
from chalicelib.ports import Delete, Put, R, Write, check_limit, check_writes

SCHEMA_VERSION = 1
BUSY_MS_MAX = 5_000
"""How long a commit waits for another process before it is Retryable."""
SWEEP_ROWS_MAX = 500
"""Rows one sweep transaction removes: keeps other writers waiting for milliseconds."""
SWEEP_BATCHES_MAX = 200

_SCHEMA = (
    "CREATE TABLE items (tbl TEXT NOT NULL, pk TEXT NOT NULL, sk TEXT NOT NULL,"
    " version INTEGER NOT NULL, feed_pk TEXT, feed_sk TEXT, ttl INTEGER, body TEXT NOT NULL,"
    " PRIMARY KEY (tbl, pk, sk)) WITHOUT ROWID",
    "CREATE INDEX items_feed ON items (tbl, feed_pk, feed_sk) WHERE feed_pk IS NOT NULL",
    "CREATE INDEX items_ttl ON items (ttl) WHERE ttl IS NOT NULL",
)
_LAST = "\U0010ffff"
_AT = "tbl = ? AND pk = ? AND sk = ?"
_GET = f"SELECT body FROM items WHERE {_AT}"  # noqa: S608 constants only
_VERSION = f"SELECT version FROM items WHERE {_AT}"  # noqa: S608
_INSERT = (
    "INSERT INTO items (version, feed_pk, feed_sk, ttl, body, tbl, pk, sk)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
)
_UPDATE = (
    "UPDATE items SET version = ?, feed_pk = ?, feed_sk = ?, ttl = ?, body = ?"  # noqa: S608
    f" WHERE {_AT} AND version = ?"
)
_DELETE = f"DELETE FROM items WHERE {_AT} AND version = ?"  # noqa: S608
_QUERY = "SELECT sk, body FROM items WHERE tbl = ? AND pk = ? AND sk >= ? AND sk < ? ORDER BY sk"
_FEED = (
    "SELECT feed_sk, body FROM items WHERE tbl = ? AND feed_pk = ?"
    " AND feed_sk < ? ORDER BY feed_sk DESC LIMIT ?"
)
_SWEEP = (
    "DELETE FROM items WHERE (tbl, pk, sk) IN"
    " (SELECT tbl, pk, sk FROM items WHERE ttl IS NOT NULL AND ttl < ? ORDER BY ttl LIMIT ?)"
)


class SqliteStore:
    """One connection behind a lock; several processes may open the same file.

    Raises Permanent when the file is not ours or a newer papercopy wrote it.
    """

    def __init__(self, path: str | Path, *, busy_ms_max: int = BUSY_MS_MAX) -> None:
        self._lock = RLock()
        self._path = str(path)
        with self._translating("open"):
            # Transactions are begun and ended by this class alone, hence no isolation level.
            self._connection = sqlite3.connect(
                self._path, isolation_level=None, check_same_thread=False, timeout=busy_ms_max / 1e3
            )
            try:
                self._prepare()
            except BaseException:
                self._connection.close()
                raise

    def _prepare(self) -> None:
        run = self._connection.execute
        self._check_schema()
        run("PRAGMA journal_mode = WAL")
        run("PRAGMA synchronous = NORMAL")
        with self._transaction():
            if self._check_schema() == 0:
                for statement in _SCHEMA:
                    run(statement)
                run(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def _check_schema(self) -> int:
        """The file's schema version, 0 for an empty file."""
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        if version > SCHEMA_VERSION:
            raise Permanent(
                f"{self._path} was written by a newer papercopy (schema {version}, this one reads"
                f" up to {SCHEMA_VERSION}): upgrade, or point it at another file"
            )
        (tables,) = self._connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if version == 0 and tables:
            raise Permanent(f"{self._path} is an SQLite file of another program")
        return int(version)

    def close(self) -> None:
        """Give the file back. Nothing is lost without it; calls after it raise Permanent."""
        with self._lock, self._translating("close"):
            self._connection.close()

    def get(self, kind: type[R], key: Key) -> R | None:
        """The record at `key`, or None."""
        with self._lock, self._translating("get"):
            found = self._connection.execute(_GET, (key.table, key.pk, key.sk)).fetchone()
        return None if found is None else record_of(kind, found[0], f"{key.pk} {key.sk}")

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
        """Records of one partition with start ≤ sort key < end, in key order."""
        check_limit(limit)
        statement = f"{_QUERY} {'DESC' if newest_first else 'ASC'} LIMIT ?"
        with self._lock, self._translating("query"):
            found = self._connection.execute(statement, (table, pk, start, end, limit)).fetchall()
        return [record_of(kind, body, f"{pk} {sk}") for sk, body in found]

    def feed(
        self, kind: type[R], table: Table, feed_pk: str, *, before: str | None, limit: int
    ) -> list[tuple[str, R]]:
        """(feed sort key, record) newest first, strictly below `before` if given."""
        check_limit(limit)
        below = _LAST if before is None else before
        with self._lock, self._translating("feed"):
            found = self._connection.execute(_FEED, (table, feed_pk, below, limit)).fetchall()
        return [(sk, record_of(kind, body, f"{feed_pk} {sk}")) for sk, body in found]

    def commit(self, writes: Sequence[Write]) -> None:
        """All of `writes` or none. Raises Conflict or Retryable."""
        keys = check_writes(writes)
        rows = [row_of(w.record) if isinstance(w, Put) else None for w in writes]
        with self._lock, self._translating("commit"), self._transaction():
            for key, write, row in zip(keys, writes, rows, strict=True):
                expected = write.record.version if isinstance(write, Put) else write.version
                if not self._apply(key, write, row, expected):
                    raise Conflict(f"{key.pk} {key.sk}: expected version {expected}")

    def _apply(self, key: Key, write: Write, row: Row | None, expected: int) -> bool:
        """Carry out one write; False when the stored version is not the expected one."""
        run, at = self._connection.execute, (key.table, key.pk, key.sk)
        if row is not None:
            values = (row.version, row.feed_pk, row.feed_sk, row.ttl, row.body, *at)
            if expected == 0:
                return run(_INSERT, values).rowcount == 1
            return run(_UPDATE, (*values, expected)).rowcount == 1
        if isinstance(write, Delete) and expected > 0:
            return run(_DELETE, (*at, expected)).rowcount == 1
        stored = run(_VERSION, at).fetchone()
        return (stored[0] if stored else 0) == expected

    def sweep_expired(self, now_seconds: int) -> int:
        """Remove rows past their ttl, oldest first, and return how many.

        Works in batches that let other writers in between; one call removes at most
        SWEEP_ROWS_MAX × SWEEP_BATCHES_MAX rows and leaves the rest to the next.
        """
        removed = 0
        for _ in range(SWEEP_BATCHES_MAX):
            with self._lock, self._translating("sweep"), self._transaction():
                swept = self._connection.execute(_SWEEP, (now_seconds, SWEEP_ROWS_MAX)).rowcount
            removed += swept
            if swept < SWEEP_ROWS_MAX:
                break
        return removed

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        # IMMEDIATE waits for the write lock before anything is read. A deferred transaction that
        # begins with a read fails at its first write, without waiting, once another process wrote.
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    @contextmanager
    def _translating(self, doing: str) -> Iterator[None]:
        try:
            yield
        except PapercopyError:
            raise
        except (sqlite3.Error, UnicodeEncodeError, OverflowError) as error:
            raise translated(error, f"{doing} {self._path}") from error
