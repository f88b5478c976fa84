"""How leaders' shadows compared with the venue last, and what asks for another look."""

from __future__ import annotations

from dataclasses import replace

from chalicelib.domain.errors import Conflict, Retryable
from chalicelib.domain.registry import HoldingsCheck
from chalicelib.keyspace import holdings_check_key
from chalicelib.ports import Put, Store

ROUNDS_MAX = 8


def holdings_check(store: Store, leader: str) -> HoldingsCheck:
    """How the leader's shadow compared with the venue last."""
    return store.get(HoldingsCheck, holdings_check_key(leader)) or HoldingsCheck(leader)


def positions_agreed_at(store: Store, leader: str) -> int | None:
    """Block time in milliseconds at which his positions last agreed with the venue's, or None."""
    return holdings_check(store, leader).ts_agreed or None


def mark_conversion(store: Store, leader: str, ts_block: int) -> None:
    """Let the next checks account for a conversion. Raises Retryable under lasting contention."""
    for _ in range(ROUNDS_MAX):
        check = holdings_check(store, leader)
        if check.ts_conversion >= ts_block:
            return
        try:
            store.commit([Put(replace(check, ts_conversion=ts_block))])
        except Conflict:
            continue
        return
    raise Retryable(f"the holdings check of {leader} stayed contended")


def doubt_booked(store: Store, leader: str, ts_block: int) -> None:
    """Have the shadow compared soon when something moved it that a booked difference may contain.

    Raises Retryable under lasting contention.
    """
    for _ in range(ROUNDS_MAX):
        check = holdings_check(store, leader)
        if ts_block > check.ts_booked or check.ts_checked == 0:
            return
        try:
            store.commit([Put(replace(check, ts_checked=0))])
        except Conflict:
            continue
        return
    raise Retryable(f"the holdings check of {leader} stayed contended")
