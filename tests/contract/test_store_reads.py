"""What every store must show when it is queried, whatever it stands on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from chalicelib.domain.lane import Attempt
from chalicelib.domain.ledger import Entry
from chalicelib.domain.portfolio import Position
from chalicelib.domain.registry import Heartbeat, SettingsRow, TokenPointer
from chalicelib.domain.trade import Trade
from chalicelib.keyspace import (
    Key,
    key_of,
    open_positions_feed,
    portfolio_pk,
    settings_key,
    token_key,
    trade_key,
)
from chalicelib.ports import QUERY_LIMIT_MAX, WRITES_MAX, Delete, Put, Store

from .records import DAY_MS, TOKEN, WALLET, attempt, entry, trade

ENTRIES = portfolio_pk("acc/global", 1)
FEED = "trades#2026-11-20"


def beat(source: str, ts: int = 1) -> Heartbeat:
    return Heartbeat(source, ts, True)


def seqs(entries: list[Entry]) -> list[int]:
    return [e.seq for e in entries]


def test_query_takes_the_start_in_and_leaves_the_end_out(store: Store) -> None:
    store.commit([Put(entry(n)) for n in (3, 1, 4, 0, 2)])
    keys = [key_of(entry(n)).sk for n in range(5)]

    def found(start: str, end: str) -> list[int]:
        return seqs(store.query(Entry, "portfolio", ENTRIES, start=start, end=end))

    assert found("", "\U0010ffff") == [0, 1, 2, 3, 4]
    assert found("entry#", "entry$") == [0, 1, 2, 3, 4]
    assert found(keys[1], keys[3]) == [1, 2]
    assert found(keys[1], keys[3] + "\x00") == [1, 2, 3]
    assert found("", keys[2]) == [0, 1]
    assert found(keys[3], "\U0010ffff") == [3, 4]
    assert found(keys[2], keys[2]) == []
    assert found(keys[3], keys[1]) == []
    assert found("", "") == []
    assert found("work#", "work$") == []


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5, 6])
def test_query_limits_from_either_side(store: Store, limit: int) -> None:
    store.commit([Put(entry(n)) for n in range(6)])
    start, end = key_of(entry(1)).sk, key_of(entry(5)).sk

    def found(newest_first: bool) -> list[int]:
        return seqs(
            store.query(
                Entry,
                "portfolio",
                ENTRIES,
                start=start,
                end=end,
                limit=limit,
                newest_first=newest_first,
            )
        )

    assert found(False) == [1, 2, 3, 4][:limit]
    assert found(True) == [4, 3, 2, 1][:limit]


def test_query_sees_its_partition_and_table_only(store: Store) -> None:
    store.commit([Put(entry(1)), Put(entry(2, portfolio_id="acc/global2")), Put(beat("a"))])
    assert seqs(store.query(Entry, "portfolio", ENTRIES)) == [1]
    assert store.query(Entry, "activity", ENTRIES) == []


def test_query_reads_what_was_just_written(store: Store) -> None:
    store.commit([Put(entry(1))])
    (found,) = store.query(Entry, "portfolio", ENTRIES)
    store.commit([Put(replace(found, cash=77))])
    assert [(e.cash, e.version) for e in store.query(Entry, "portfolio", ENTRIES)] == [(77, 2)]


def test_sort_keys_order_by_code_point(store: Store) -> None:
    scopes = ["a", "B", "é", "Z", "漢", "🂡", "\uffee", "a#", "a\x00"]
    store.commit([Put(SettingsRow(scope, "x")) for scope in scopes])
    found = store.query(SettingsRow, "registry", "settings")
    assert [row.scope for row in found] == sorted(scopes)
    found = store.query(SettingsRow, "registry", "settings", start="é", end="🂡")
    assert [row.scope for row in found] == ["é", "漢", "\uffee"]


@pytest.mark.parametrize("limit", [0, -1, QUERY_LIMIT_MAX + 1])
def test_a_page_outside_its_bounds_is_refused(store: Store, limit: int) -> None:
    with pytest.raises(ValueError):
        store.query(Entry, "portfolio", ENTRIES, limit=limit)
    with pytest.raises(ValueError):
        store.feed(Trade, "activity", FEED, before=None, limit=limit)


def test_a_query_of_many_records(store: Store) -> None:
    for first in range(0, 150, WRITES_MAX):
        store.commit([Put(entry(n)) for n in range(first, first + WRITES_MAX)])
    found = store.query(Entry, "portfolio", ENTRIES, limit=QUERY_LIMIT_MAX)
    assert seqs(found) == list(range(150))
    assert seqs(store.query(Entry, "portfolio", ENTRIES)) == list(range(100))


def feed_pages(store: Store, limit: int) -> list[list[int]]:
    pages: list[list[int]] = []
    before = None
    while True:
        page = store.feed(Trade, "activity", FEED, before=before, limit=limit)
        if not page:
            return pages
        for sort_key, record in page:
            assert sort_key == f"{record.ts_listed:013d}#{record.trade_id}"
        pages.append([record.ts_listed - DAY_MS for _, record in page])
        before = page[-1][0]


def test_the_feed_pages_newest_first(store: Store) -> None:
    order = [3, 0, 6, 1, 5, 2, 4]
    for n in order:
        store.commit([Put(trade(n, ts_listed=DAY_MS + n))])
    store.commit([Put(trade(99, ts_listed=DAY_MS + 86_400_000))])
    assert feed_pages(store, 10) == [[6, 5, 4, 3, 2, 1, 0]]
    assert feed_pages(store, 3) == [[6, 5, 4], [3, 2, 1], [0]]
    assert store.feed(Trade, "activity", FEED, before="", limit=5) == []


def test_the_feed_pages_over_more_than_one_batch(store: Store) -> None:
    for first in (0, 50, 100):
        store.commit([Put(trade(n, ts_listed=DAY_MS + n)) for n in range(first, first + 50)])
    assert feed_pages(store, 120) == [list(range(149, 29, -1)), list(range(29, -1, -1))]


def test_the_feed_shows_the_latest_version_and_forgets_what_is_deleted(store: Store) -> None:
    store.commit([Put(trade(n, ts_listed=DAY_MS + n)) for n in range(3)])
    key = trade_key(trade(1, ts_listed=DAY_MS + 1).trade_id)
    found = store.get(Trade, key)
    assert found is not None
    store.commit([Put(replace(found, next_seq=8))])
    page = store.feed(Trade, "activity", FEED, before=None, limit=5)
    assert [(t.next_seq, t.version) for _, t in page] == [(0, 1), (8, 2), (0, 1)]
    store.commit([Delete(key, 2)])
    assert feed_pages(store, 5) == [[2, 0]]


def test_a_record_leaves_its_listing_and_comes_back(store: Store) -> None:
    """Open positions are listed; the index must not keep what was closed."""
    position = Position("acc/global", 1, TOKEN, WALLET, shares=5)
    listing = open_positions_feed("acc/global", 1)

    def listed() -> list[int]:
        page = store.feed(Position, "portfolio", listing, before=None, limit=10)
        return [row.shares for _, row in page]

    store.commit([Put(position)])
    assert listed() == [5]
    store.commit([Put(replace(position, shares=0, version=1))])
    assert listed() == []
    store.commit([Put(replace(position, shares=7, version=2)), Put(beat_of("also", 1))])
    assert listed() == [7]
    store.commit([Put(replace(position, shares=0, version=3)), Put(beat_of("too", 1))])
    assert listed() == []
    store.commit([Delete(key_of(position), 4)])
    assert listed() == []


def beat_of(source: str, ts: int) -> Heartbeat:
    return Heartbeat(source, ts, True)


def test_records_of_the_same_moment_are_ordered_by_id(store: Store) -> None:
    trades = [trade(n) for n in range(4)]
    store.commit([Put(t) for t in trades])
    page = store.feed(Trade, "activity", FEED, before=None, limit=9)
    ids = [t.trade_id for _, t in page]
    assert ids == sorted((t.trade_id for t in trades), reverse=True)


def test_feeds_of_accounts_are_apart(store: Store) -> None:
    store.commit([Put(attempt(1)), Put(attempt(2, account="other")), Put(entry(1))])
    feed_pk = "attempts#other#2026-11-20"
    page = store.feed(Attempt, "portfolio", feed_pk, before=None, limit=5)
    assert [a.attempt_id for _, a in page] == ["attempt0002"]


def test_text_survives(store: Store) -> None:
    text = 'Zürich 漢字 🂡 \x00 \x7f \u2028 \u200b " \\ \n\r\t ﷽ e\u0301'
    store.commit([Put(SettingsRow("global", text))])
    assert store.get(SettingsRow, settings_key("global")) == SettingsRow("global", text, 1)


def test_a_token_of_256_bits_survives(store: Store) -> None:
    store.commit([Put(TokenPointer(TOKEN, "0xc"))])
    found = store.get(TokenPointer, token_key(TOKEN))
    assert found is not None
    assert found.token_id == TOKEN
    assert int(found.token_id) == 2**256 - 1


def test_large_integers_survive(store: Store) -> None:
    store.commit([Put(replace(entry(1), shares=-(10**18) - 1, cash=2**63 + 1))])
    (found,) = store.query(Entry, "portfolio", ENTRIES)
    assert (found.shares, found.cash) == (-(10**18) - 1, 2**63 + 1)


def test_keys_are_exact(store: Store) -> None:
    store.commit([Put(beat("a")), Put(beat("A")), Put(beat("a "))])
    read: Callable[[str], Heartbeat | None] = lambda s: store.get(  # noqa: E731
        Heartbeat, Key("registry", "heartbeats", s)
    )
    assert [b.source if (b := read(s)) else None for s in ("a", "A", "a ", "á")] == [
        "a",
        "A",
        "a ",
        None,
    ]
