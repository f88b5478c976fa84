"""Records as the persistent stores keep them: one row with its address, version and JSON body."""

from __future__ import annotations

from dataclasses import dataclass, replace

from chalicelib.adapters import codec
from chalicelib.domain.errors import InvalidInput, Permanent
from chalicelib.keyspace import Key, Record, place_of
from chalicelib.ports import R


@dataclass(frozen=True, slots=True)
class Row:
    """One stored record; `ttl` in epoch seconds, `kind` the record's class, `body` its JSON."""

    key: Key
    version: int
    feed_pk: str | None
    feed_sk: str | None
    ttl: int | None
    kind: str
    body: str


def row_of(record: Record) -> Row:
    """The row a Put leaves behind; its version is one above the record's.

    Raises InvalidInput for text that cannot be stored.
    """
    place = place_of(record)
    feed_pk, feed_sk = place.feed or (None, None)
    stored = replace(record, version=record.version + 1)
    return Row(
        key=place.key,
        version=stored.version,
        feed_pk=feed_pk,
        feed_sk=feed_sk,
        ttl=place.ttl,
        kind=type(record).__name__,
        body=codec.to_text(stored),
    )


def record_of(kind: type[R], body: str, where: str) -> R:
    """The record in a stored body; `where` names the row for people.

    Raises Permanent, not InvalidInput, when it does not parse: the store is at fault, and whoever
    quarantines invalid input must not throw away the message that led here.
    """
    try:
        return codec.from_text(kind, body)
    except InvalidInput as error:
        raise Permanent(f"{where} does not hold a {kind.__name__}: {error}") from error
