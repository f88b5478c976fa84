"""Make moto's DynamoDB atomic under threads, and its transactions affordable.

moto serves requests on many threads without a lock, so two conditional writes can both see the
old item. And it prepares a transaction's rollback by deep-copying every table it touches. Here
one lock covers each request, and a rollback restores only the partitions that were touched.
"""

import copy
import threading
from typing import Any

from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.dynamo_type import DynamoType, Item
from moto.dynamodb.models.table import Table
from moto.dynamodb.responses import DynamoHandler

from infra.local.patching import Patches

_Partition = tuple[Table, DynamoType, Any]

_lock = threading.RLock()
_in_transaction = False


def _touched_partitions(backend: DynamoDBBackend, transact_items: list[Any]) -> list[_Partition]:
    """Copies of the partitions that the transaction can write; malformed parts are left to moto."""
    saved: dict[tuple[str, str, str], _Partition] = {}
    for transact_item in transact_items:
        for operation in transact_item.values():
            table = backend.tables.get(operation.get("TableName", ""))
            key = operation.get("Key") or operation.get("Item") or {}
            if table is None or table.hash_key_attr not in key:
                continue
            hash_key = DynamoType(key[table.hash_key_attr])
            name = (table.name, hash_key.type, str(hash_key.value))
            if name not in saved:
                saved[name] = (table, hash_key, _shallow(table, hash_key))
            rows = saved[name][2]
            if isinstance(rows, dict) and table.range_key_attr in key:
                range_key = DynamoType(key[table.range_key_attr])
                if range_key in rows:
                    rows[range_key] = copy.deepcopy(rows[range_key])
    return list(saved.values())


def _shallow(table: Table, hash_key: DynamoType) -> Any:
    if hash_key not in table.items:
        return None
    rows = table.items[hash_key]
    # Updates change an item in place, so the rows a transaction names are copied deeply later.
    return copy.deepcopy(rows) if isinstance(rows, Item) else dict(rows)


def _restore(saved: list[_Partition]) -> None:
    for table, hash_key, rows in saved:
        if rows is None:
            table.items.pop(hash_key, None)
        else:
            table.items[hash_key] = rows


def _deepcopy_table(table: Table, memo: dict[int, Any]) -> Table:
    """Inside a transaction moto's backup of a table is the table itself: we roll back instead."""
    if _in_transaction:
        return table
    clone: Table = object.__new__(type(table))
    memo[id(table)] = clone
    clone.__dict__.update(copy.deepcopy(table.__dict__, memo))
    return clone


def patch_dynamodb(patches: Patches) -> None:
    call_action = DynamoHandler.call_action
    transact_write_items = DynamoDBBackend.transact_write_items

    def locked_call_action(handler: DynamoHandler) -> Any:
        with _lock:
            return call_action(handler)

    def transact(backend: DynamoDBBackend, transact_items: list[dict[str, Any]]) -> None:
        global _in_transaction
        with _lock:
            saved = _touched_partitions(backend, transact_items)
            _in_transaction = True
            try:
                transact_write_items(backend, transact_items)
            except BaseException:
                _restore(saved)
                raise
            finally:
                _in_transaction = False

    patches.replace(DynamoHandler, "call_action", locked_call_action)
    patches.replace(DynamoDBBackend, "transact_write_items", transact)
    patches.replace(Table, "__deepcopy__", _deepcopy_table)
