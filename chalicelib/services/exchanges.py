"""The exchange contracts the chain is read for: rows, so that a new one needs no deployment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from chalicelib.domain.errors import Conflict
from chalicelib.domain.exchange_log import EXCHANGES, LIVE_EXCHANGES, Generation
from chalicelib.domain.registry import ExchangeContract
from chalicelib.keyspace import exchange_key
from chalicelib.ports import Put, Store

EXCHANGES_MAX = 50
ROUNDS_MAX = 5

DEFAULTS = tuple(
    ExchangeContract(address, generation, address in LIVE_EXCHANGES)
    for address, generation in EXCHANGES.items()
)


def exchanges(store: Store) -> list[ExchangeContract]:
    """Every exchange contract: the stored rows, and built-in ones that no row speaks about."""
    rows = store.query(ExchangeContract, "registry", "exchanges", limit=EXCHANGES_MAX)
    stored = {row.address: row for row in rows}
    built_in = {contract.address: contract for contract in DEFAULTS}
    return list((built_in | stored).values())


def generations(store: Store) -> Mapping[str, Generation]:
    """Address → generation of every exchange contract, for decoding its logs."""
    return {contract.address: contract.generation for contract in exchanges(store)}


def seed_exchanges(store: Store) -> int:
    """Store the built-in contracts that are missing; rows that exist stay as they are."""
    written = 0
    for contract in DEFAULTS:
        if store.get(ExchangeContract, exchange_key(contract.address)) is not None:
            continue
        try:
            store.commit([Put(contract)])
            written += 1
        except Conflict:
            continue
    return written


def record_upgrade(store: Store, address: str, implementation: str) -> bool:
    """Keep what a proxy was upgraded to; False when that is known. Raises Retryable."""
    for _ in range(ROUNDS_MAX):
        row = store.get(ExchangeContract, exchange_key(address))
        row = row or next((known for known in DEFAULTS if known.address == address), None)
        if row is None or row.implementation == implementation:
            return False
        try:
            store.commit([Put(replace(row, implementation=implementation))])
        except Conflict:
            continue
        return True
    return False
