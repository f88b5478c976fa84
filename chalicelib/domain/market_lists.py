"""Which markets may be copied: a blacklist and a whitelist, by market and by category."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal

from chalicelib.domain.errors import InvalidInput
from chalicelib.domain.identifiers import condition_id
from chalicelib.domain.market import Market
from chalicelib.domain.reasons import Reason

Listing = Literal["blacklist", "whitelist"]
ListedKind = Literal["market", "category"]

ENTRIES_MAX = 500
"""Entries of both lists of an account: keeps the record under a quarter of 400 KB."""
WHO_CHARS_MAX = 100
NOTE_CHARS_MAX = 200

_CATEGORY = re.compile(r"[a-z0-9][a-z0-9 &_-]{0,63}\Z")


@dataclass(frozen=True, slots=True)
class ListEntry:
    """One market (by condition id) or category on one list; `by` put it there at `ts`."""

    listing: Listing
    kind: ListedKind
    value: str
    by: str
    ts: int
    note: str = ""


@dataclass(frozen=True, slots=True)
class MarketLists:
    """Both lists of an account. An empty whitelist allows every market."""

    account_id: str
    entries: tuple[ListEntry, ...] = ()
    version: int = 0


def list_entry(
    listing: object, kind: object, value: object, *, by: str, ts: int, note: str = ""
) -> ListEntry:
    """A validated entry. Raises InvalidInput naming the field."""
    if listing not in ("blacklist", "whitelist"):
        raise InvalidInput("listing", "blacklist or whitelist was expected")
    if kind not in ("market", "category"):
        raise InvalidInput("kind", "market or category was expected")
    if not 1 <= len(by) <= WHO_CHARS_MAX:
        raise InvalidInput("by", f"a name of 1 to {WHO_CHARS_MAX} characters was expected")
    if len(note) > NOTE_CHARS_MAX:
        raise InvalidInput("note", f"at most {NOTE_CHARS_MAX} characters were expected")
    named = condition_id(value, "value") if kind == "market" else category_name(value)
    return ListEntry(listing, kind, named, by, ts, note)


def category_name(value: object) -> str:
    """A category or tag as markets carry it. Raises InvalidInput."""
    text = value.strip().lower() if isinstance(value, str) else ""
    if not _CATEGORY.match(text):
        raise InvalidInput("value", "a category was expected, letters, digits and hyphens")
    return text


def with_entry(lists: MarketLists, entry: ListEntry) -> MarketLists:
    """The lists with one entry more; one that is there keeps who put it there and when.

    Raises InvalidInput when the lists are full.
    """
    if any(_same(known, entry) for known in lists.entries):
        return lists
    if len(lists.entries) >= ENTRIES_MAX:
        raise InvalidInput("entries", f"at most {ENTRIES_MAX} fit on the lists")
    return replace(lists, entries=(*lists.entries, entry))


def without_entry(lists: MarketLists, entry: ListEntry) -> MarketLists:
    """The lists without what `entry` names; the same lists where it was not on them."""
    left = tuple(known for known in lists.entries if not _same(known, entry))
    return lists if len(left) == len(lists.entries) else replace(lists, entries=left)


def _same(one: ListEntry, other: ListEntry) -> bool:
    return (one.listing, one.kind, one.value) == (other.listing, other.kind, other.value)


def listed(market: Market, lists: MarketLists) -> Reason | None:
    """Why no position may be opened in a market, None where it may; the blacklist wins.

    Only asked before a position is opened: reductions are allowed whatever the lists say.
    """
    named = {
        listing: any(_names(entry, market) for entry in lists.entries if entry.listing == listing)
        for listing in ("blacklist", "whitelist")
    }
    if named["blacklist"]:
        return Reason.MARKET_BLACKLISTED
    restricted = any(entry.listing == "whitelist" for entry in lists.entries)
    return Reason.NOT_WHITELISTED if restricted and not named["whitelist"] else None


def _names(entry: ListEntry, market: Market) -> bool:
    if entry.kind == "market":
        return entry.value == market.condition_id
    return entry.value == market.category or entry.value in market.tags
