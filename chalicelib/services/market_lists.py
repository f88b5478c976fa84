"""Read and change which markets may be copied."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from chalicelib.domain.errors import Conflict
from chalicelib.domain.market import Market
from chalicelib.domain.market_lists import (
    ListEntry,
    MarketLists,
    list_entry,
    listed,
    with_entry,
    without_entry,
)
from chalicelib.domain.reasons import Reason
from chalicelib.keyspace import market_lists_key
from chalicelib.ports import Clock, Put, Store, stored
from chalicelib.services.audit import audited, told
from chalicelib.services.portfolios import ACCOUNT

REFRESH_MS = 5_000
ROUNDS_MAX = 5


@dataclass(frozen=True, slots=True)
class ListChange:
    """What a change did, for the audit log; equal lists mean that nothing had to be done."""

    who: str
    ts: int
    before: MarketLists
    after: MarketLists


class ReadMarketLists:
    """The lists of an account, read again every REFRESH_MS."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._known: dict[str, tuple[int, MarketLists]] = {}

    def __call__(self, account_id: str = ACCOUNT) -> MarketLists:
        """The lists as stored, empty ones before the first change.

        Raises Retryable when the store cannot answer.
        """
        now = self._clock.now_ms()
        known = self._known.get(account_id)
        if known and now - known[0] < REFRESH_MS:
            return known[1]
        lists = stored_lists(self._store, account_id)
        self._known[account_id] = (now, lists)
        return lists

    def refusal(self, market: Market, account_id: str = ACCOUNT) -> Reason | None:
        """Why the account opens no position in a market, None where it may."""
        return listed(market, self(account_id))


class ChangeMarketLists:
    """Put markets and categories on the lists or take them off; safe to repeat."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def add(
        self,
        listing: str,
        kind: str,
        value: str,
        *,
        who: str,
        note: str = "",
        account_id: str = ACCOUNT,
    ) -> ListChange:
        """Raises InvalidInput naming the field, Conflict when others keep changing the lists."""
        entry = list_entry(listing, kind, value, by=who, ts=self._clock.now_ms(), note=note)
        return self._change(entry, account_id, with_entry, "market_lists.add")

    def remove(
        self, listing: str, kind: str, value: str, *, who: str, account_id: str = ACCOUNT
    ) -> ListChange:
        """Raises InvalidInput naming the field, Conflict when others keep changing the lists."""
        entry = list_entry(listing, kind, value, by=who, ts=self._clock.now_ms())
        return self._change(entry, account_id, without_entry, "market_lists.remove")

    def _change(
        self,
        entry: ListEntry,
        account_id: str,
        change: Callable[[MarketLists, ListEntry], MarketLists],
        action: str,
    ) -> ListChange:
        for _ in range(ROUNDS_MAX):
            before = stored_lists(self._store, account_id)
            after = change(before, entry)
            if after == before:
                return ListChange(entry.by, entry.ts, before, before)
            try:
                self._store.commit([Put(after), _audited(before, after, entry, action)])
            except Conflict:
                continue
            return ListChange(entry.by, entry.ts, before, stored(after))
        raise Conflict("the lists of markets keep changing")


def stored_lists(store: Store, account_id: str = ACCOUNT) -> MarketLists:
    """An account's lists, empty ones where nothing is stored."""
    return store.get(MarketLists, market_lists_key(account_id)) or MarketLists(account_id)


def _audited(before: MarketLists, after: MarketLists, entry: ListEntry, action: str) -> Put:
    """What a change did to one entry; the lists may be long."""
    subject = f"{entry.listing} {entry.kind} {entry.value}"
    gone = tuple(one for one in before.entries if one not in after.entries)
    new = tuple(one for one in after.entries if one not in before.entries)
    return audited(
        entry.by,
        action,
        subject,
        told(replace(before, entries=gone)) if gone else "",
        told(replace(after, entries=new)) if new else "",
        ts=entry.ts,
        revision=before.version,
        account_id=before.account_id,
    )
