"""The store on DynamoDB, through pynamodb."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any
from uuid import uuid4

from botocore.exceptions import ClientError
from pynamodb.connection import Connection
from pynamodb.exceptions import AttributeDeserializationError, PynamoDBException
from pynamodb.expressions.condition import Condition
from pynamodb.transactions import TransactWrite

from chalicelib.adapters.aws import (
    ATTEMPTS_MAX,
    AWS_ERRORS,
    CONNECT_SECONDS_MAX,
    POOL_CONNECTIONS_MAX,
    READ_SECONDS_MAX,
    translated,
)
from chalicelib.adapters.dynamo.models import FEED_INDEX, Item, body_of, item_model, item_of
from chalicelib.adapters.rows import record_of, row_of
from chalicelib.domain.errors import PapercopyError, Permanent, Retryable
from chalicelib.keyspace import TABLES, Key, Table
from chalicelib.ports import Delete, Put, R, Write, check_limit, check_writes

BATCH_KEYS_MAX = 100
"""Keys of one BatchGetItem, DynamoDB's own bound."""
BATCH_ATTEMPTS_MAX = 5
BATCH_BACKOFF_MS = 50
FEED_MISSING_MAX = 100
"""Index entries without an item that one page skips over before it comes out short."""


def _failure(error: Exception, doing: str) -> PapercopyError:
    """pynamodb wraps botocore's error, twice for refusals; the innermost one knows the status."""
    cause = error.cause if isinstance(error, PynamoDBException) else error
    if isinstance(cause, ClientError) and isinstance(cause.__cause__, ClientError):
        cause = cause.__cause__
    if cause is None:
        return Permanent(f"{doing}: {error}")
    return translated(cause, doing)


@contextmanager
def _translating(doing: str) -> Iterator[None]:
    try:
        yield
    except AttributeDeserializationError as error:
        raise Permanent(f"{doing}: an item of foreign shape: {error}") from error
    except (PynamoDBException, *AWS_ERRORS) as error:
        raise _failure(error, doing) from error


class DynamoStore:
    """The four tables of one stage. Safe to share between threads.

    A commit whose answer was lost is repeated by the client. A transaction carries a token, so the
    repetition counts once; a single write has none, so the repetition may raise Conflict against
    itself. Both are within the port: the caller reads again.
    """

    def __init__(
        self, stage: str, endpoint_url: str | None = None, region: str | None = None
    ) -> None:
        self._connection = Connection(
            region=region,
            host=endpoint_url,
            connect_timeout_seconds=CONNECT_SECONDS_MAX,
            read_timeout_seconds=READ_SECONDS_MAX,
            max_retry_attempts=ATTEMPTS_MAX - 1,
            max_pool_connections=POOL_CONNECTIONS_MAX,
        )
        self._models: dict[Table, type[Item]] = {
            table: item_model(self._connection, stage, table) for table in TABLES
        }
        with _translating("connect to DynamoDB"):
            # Made here, because making a client is the one thing threads must not do at once.
            _ = self._connection.client

    def get(self, kind: type[R], key: Key) -> R | None:
        """The record at `key`, or None. Strongly consistent."""
        where = f"{key.pk} {key.sk}"
        model = self._models[key.table]
        with _translating(f"get {where}"):
            try:
                item = model.get(key.pk, key.sk, consistent_read=True)
            except model.DoesNotExist:
                return None
        return record_of(kind, body_of(item.body, item.packed, where), where)

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
        """Records of one partition with start ≤ sort key < end, in key order.

        Strongly consistent. Without a filter every page but the last holds an item, so `limit`
        bounds the pages too.
        """
        check_limit(limit)
        if start >= end:
            return []
        model = self._models[table]
        # DynamoDB has one condition on the sort key: BETWEEN takes the end in, and an empty text
        # is no key at all. Hence one item more, and the end dropped here.
        within = model.sk.between(start, end) if start else model.sk < end
        with _translating(f"query {pk}"):
            found = model.query(
                pk,
                within,
                consistent_read=True,
                scan_index_forward=not newest_first,
                limit=limit + 1,
                page_size=limit + 1,
            )
            items = [item for item in found if item.sk != end][:limit]
        return [
            record_of(kind, body_of(item.body, item.packed, where := f"{pk} {item.sk}"), where)
            for item in items
        ]

    def feed(
        self, kind: type[R], table: Table, feed_pk: str, *, before: str | None, limit: int
    ) -> list[tuple[str, R]]:
        """(feed sort key, record) newest first, strictly below `before` if given.

        The index lags; the bodies are read strongly consistent, so that what it names is found.
        """
        check_limit(limit)
        if before == "":
            return []
        model = self._models[table]
        page: list[tuple[str, R]] = []
        with _translating(f"feed {feed_pk}"):
            entries = model.query(
                feed_pk,
                None if before is None else model.feed_sk < before,
                index_name=FEED_INDEX,
                scan_index_forward=False,
                limit=limit + FEED_MISSING_MAX,
                page_size=limit,
            )
            while len(page) < limit:
                chunk = list(islice(entries, min(BATCH_KEYS_MAX, limit - len(page))))
                if not chunk:
                    break
                bodies = self._bodies(model, chunk)
                page += [
                    (str(e.feed_sk), record_of(kind, bodies[e.pk, e.sk], f"{e.pk} {e.sk}"))
                    for e in chunk
                    if (e.pk, e.sk) in bodies
                ]
        return page

    def _bodies(self, model: type[Item], entries: Sequence[Item]) -> dict[tuple[str, str], str]:
        """Bodies by key of the entries that still exist. Raises Retryable when some are held back
        BATCH_ATTEMPTS_MAX times.
        """
        name = model.Meta.table_name
        bodies: dict[tuple[str, str], str] = {}
        wanted: list[Any] = [{"pk": entry.pk, "sk": entry.sk} for entry in entries]
        for attempt in range(BATCH_ATTEMPTS_MAX):
            if attempt:
                time.sleep(BATCH_BACKOFF_MS * 2 ** (attempt - 1) / 1000)
            answer = self._connection.batch_get_item(
                name, wanted, consistent_read=True, attributes_to_get=["pk", "sk", "body", "packed"]
            )
            for item in answer["Responses"].get(name, []):
                pk, sk = item["pk"]["S"], item["sk"]["S"]
                text, short = item.get("body", {}).get("S"), item.get("packed", {}).get("B")
                bodies[pk, sk] = body_of(text, short, f"{pk} {sk}")
            left = answer.get("UnprocessedKeys", {}).get(name, {}).get("Keys", [])
            if not left:
                return bodies
            wanted = [{"pk": key["pk"]["S"], "sk": key["sk"]["S"]} for key in left]
        raise Retryable(f"feed: {name} held back {len(wanted)} of {len(entries)} items")

    def commit(self, writes: Sequence[Write]) -> None:
        """All of `writes` or none. Raises Conflict, Retryable or Permanent."""
        keys = check_writes(writes)
        doing = f"commit of {len(writes)} from {keys[0].pk:.100} {keys[0].sk:.100}"
        with _translating(doing):
            if len(writes) == 1 and isinstance(writes[0], Put | Delete):
                self._write_alone(writes[0], keys[0])
            else:
                self._transact(writes, keys)

    def _write_alone(self, write: Put | Delete, key: Key) -> None:
        """A conditional write outside a transaction costs half."""
        model = self._models[key.table]
        if isinstance(write, Put):
            item_of(model, row_of(write.record)).save(_stored(model, write.record.version))
        else:
            model(key.pk, key.sk).delete(_stored(model, write.version))

    def _transact(self, writes: Sequence[Write], keys: Sequence[Key]) -> None:
        with TransactWrite(
            connection=self._connection, client_request_token=uuid4().hex
        ) as transaction:
            for write, key in zip(writes, keys, strict=True):
                model = self._models[key.table]
                if isinstance(write, Put):
                    condition = _stored(model, write.record.version)
                    transaction.save(item_of(model, row_of(write.record)), condition)
                elif isinstance(write, Delete):
                    transaction.delete(model(key.pk, key.sk), _stored(model, write.version))
                else:
                    condition = _stored(model, write.version)
                    transaction.condition_check(model, key.pk, key.sk, condition=condition)


def _stored(model: type[Item], version: int) -> Condition:
    """The condition that exactly `version` is stored; 0 means that nothing is."""
    return model.pk.does_not_exist() if version == 0 else model.version == version
