"""Items as pynamodb models. Each store has its own classes, because pynamodb keeps a model's
table name and connection on the class, and one process may hold stores of several stages.
"""

from __future__ import annotations

from typing import Any

from pynamodb.attributes import BinaryAttribute, NumberAttribute, UnicodeAttribute
from pynamodb.connection import Connection
from pynamodb.indexes import GlobalSecondaryIndex, KeysOnlyProjection
from pynamodb.models import Model

from chalicelib.adapters.dynamo.packed import packed, unpacked
from chalicelib.adapters.rows import Row
from chalicelib.domain.errors import Permanent
from chalicelib.keyspace import FEED_TABLES, Table

FEED_INDEX = "feed"


class Item(Model):
    """One record. `ttl` in epoch seconds, `kind` its class, `body` its JSON text.

    A long body stands in `packed` instead (see `packed`), which saves an attempt two write units
    of three and a trade one of two.

    The body is text and not a native map by measurement (median of three runs, one core): an
    attempt is 1,639 bytes as text and 1,288 as a map, a trade of one leg 1,306 and 1,008, every
    other frequent record under 450; all of them cost the same write units either way (a trade of
    three legs 3 against 2). Writing an attempt takes 9 µs of CPU as text and 127 µs as a map,
    reading 17 and 97; a trade of 400 legs 0.4 ms and 12 ms. In the console, kind, version, keys
    and expiry are attributes of their own and the body is JSON to copy.
    """

    pk = UnicodeAttribute(hash_key=True)
    sk = UnicodeAttribute(range_key=True)
    version = NumberAttribute()
    kind = UnicodeAttribute()
    body = UnicodeAttribute(null=True)
    packed = BinaryAttribute(null=True, legacy_encoding=False)
    ttl = NumberAttribute(null=True)
    feed_pk = UnicodeAttribute(null=True)
    feed_sk = UnicodeAttribute(null=True)


def _feed_index() -> GlobalSecondaryIndex[Any]:
    class Feed(GlobalSecondaryIndex[Any]):  # type: ignore[no-untyped-call]
        """Records by time across partitions; keys only, bodies are fetched by key."""

        class Meta:
            index_name = FEED_INDEX
            projection = KeysOnlyProjection()

        feed_pk = UnicodeAttribute(hash_key=True)
        feed_sk = UnicodeAttribute(range_key=True)

    return Feed()


def table_name(stage: str, table: Table) -> str:
    """The table's name in a stage."""
    return f"papercopy-{stage}-{table}"


def item_model(connection: Connection, stage: str, table: Table) -> type[Item]:
    """A model of one table that talks through `connection`, shared by all tables of a store."""
    meta = type("Meta", (), {"table_name": table_name(stage, table)})
    members: dict[str, Any] = {"Meta": meta}
    if table in FEED_TABLES:
        members["feed"] = _feed_index()
    metaclass: Any = type(Item)
    model: type[Item] = metaclass(f"{table.capitalize()}Item", (Item,), members)
    # Left alone, each model would make a client of its own (about 60 ms each in a cold start),
    # and a transaction over several tables needs one connection that knows them all. pynamodb
    # has no public way to hand one in.
    own = model._get_connection()
    connection.add_meta_table(own.get_meta_table())
    own.connection = connection
    return model


def item_of(model: type[Item], row: Row) -> Item:
    """A row as an item of its table's model."""
    short = packed(row.body)
    return model(
        row.key.pk,
        row.key.sk,
        version=row.version,
        kind=row.kind,
        body=row.body if short is None else None,
        packed=short,
        ttl=row.ttl,
        feed_pk=row.feed_pk,
        feed_sk=row.feed_sk,
    )


def body_of(body: str | None, short: bytes | None, where: str) -> str:
    """The JSON text of an item. Raises Permanent where it has none that can be read."""
    if body is not None:
        return body
    try:
        return unpacked(short or b"")
    except ValueError as error:
        raise Permanent(f"{where}: an item of foreign shape: {error}") from error
