"""Filters let through exactly what they name, and no page reads more rows than it may."""

from __future__ import annotations

from functools import lru_cache
from itertools import product
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.domain.trade import Trade
from chalicelib.services.read_models import Range
from chalicelib.services.read_models.listing import (
    READS_PER_PAGE_MAX,
    ROWS_PER_PAGE_MAX,
    page_of,
)
from tests.api.calling import trading
from tests.api.office import Office
from tests.workflow.harness import CONDITION, LEADER, OTHER

NOWHERE = "0x" + "0" * 64
DAY_MS = 86_400_000


@lru_cache(maxsize=1)
def office() -> Office:
    return Office(trading(days=3, trades_per_day=7, other_every=3))


@lru_cache(maxsize=2)
def every(listing: str) -> list[dict[str, Any]]:
    return pages(listing, 50, {})


def pages(listing: str, limit: int, query: dict[str, str]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    cursor = ""
    tail = "".join(f"&{name}={value}" for name, value in query.items())
    for _ in range(500):
        answer = office().get(f"/api/{listing}?limit={limit}{tail}{cursor}")
        assert answer.status == 200, answer.body
        rows += answer.items
        if answer.body["next_cursor"] is None:
            return rows
        cursor = f"&cursor={quote(answer.body['next_cursor'])}"
    raise AssertionError("the pages never ended")


@pytest.mark.parametrize("limit", [1, 4, 50])
@pytest.mark.parametrize(
    ("leader", "market"), product([None, LEADER, OTHER], [None, CONDITION, NOWHERE])
)
def test_trades_by_leader_and_market(leader: str | None, market: str | None, limit: int) -> None:
    query = {"leader": leader, "market": market}
    found = pages("trades", limit, {name: value for name, value in query.items() if value})
    wanted = [
        row
        for row in every("trades")
        if leader in (None, row["leader"]) and market in (None, CONDITION)
    ]
    assert found == wanted


def test_attempts_by_everything_there_is() -> None:
    rows = every("copy-attempts")
    reasons = {reason["code"] for row in rows for reason in row["reasons"]}
    assert reasons and {row["decision"] for row in rows} == {"EXECUTE", "SKIP"}
    filters = [
        *(("reason", code) for code in sorted(reasons)),
        *(("status", status) for status in sorted({row["status"] for row in rows})),
        *(("portfolio", name) for name in sorted({row["portfolio_id"] for row in rows})),
        *(("decision", verdict) for verdict in ("EXECUTE", "SKIP")),
        *(("leader", leader) for leader in (LEADER, OTHER)),
    ]
    for name, value in filters:
        found = pages("copy-attempts", 5, {name: value})
        assert found == [row for row in rows if names(row, name, value)], (name, value)
        assert 0 < len(found) < len(rows)


def names(row: dict[str, Any], name: str, value: str) -> bool:
    if name == "reason":
        return value in {reason["code"] for reason in row["reasons"]}
    return bool(row[{"portfolio": "portfolio_id"}.get(name, name)] == value)


@given(st.data())
@settings(max_examples=30, deadline=None)
def test_a_range_of_time_is_cut_at_both_ends(data: st.DataObject) -> None:
    rows = every("copy-attempts")
    times = [row["ts_decided"] for row in rows]
    ends = st.sampled_from([*times, *(ts + 1 for ts in times), *(ts - DAY_MS for ts in times)])
    first, second = sorted((data.draw(ends), data.draw(ends)))
    query = {"from": str(first), "until": str(second)}
    found = pages("copy-attempts", data.draw(st.sampled_from([1, 3, 50])), query)
    assert found == [row for row in rows if first <= row["ts_decided"] < second]


def test_what_lies_further_back_is_found_by_naming_when() -> None:
    """A listing by itself goes back a week; a range finds what is older."""
    api = Office(trading(days=1, trades_per_day=3))
    then = api.system.clock.now_ms()
    api.system.clock.advance(30 * DAY_MS)
    assert api.get("/api/trades").items == []
    span = f"from={then - DAY_MS}&until={then + DAY_MS}"
    assert len(api.get(f"/api/trades?{span}").items) == 3
    assert len(api.get(f"/api/trades?until={then + DAY_MS}").items) == 3


class Counting:
    """A feed of equal trades, one row a second, that counts what is read of it."""

    def __init__(self, trade: Trade, rows: int) -> None:
        self._trade, self._left = trade, rows
        self.reads = self.rows = 0

    def feed(self, *_: object, before: str | None, limit: int) -> list[tuple[str, Trade]]:
        self.reads += 1
        first = int(before or 10_000)
        found = [
            (f"{n:013d}", self._trade) for n in range(first - 1, max(0, first - 1 - limit), -1)
        ]
        self.rows += len(found)
        return found


@pytest.mark.parametrize("limit", [1, 50, 200])
def test_a_page_that_finds_nothing_reads_a_bounded_number_of_rows(limit: int) -> None:
    store = office().system.store
    (_, trade), *_ = [
        row
        for back in range(3)
        for row in store.feed(Trade, "activity", f"trades#{day_of(back)}", before=None, limit=1)
    ]
    counting = Counting(trade, 9_999)
    found, cursor = page_of(
        counting,  # type: ignore[arg-type]
        Trade,
        "activity",
        "trades#",
        now=office().system.clock.now_ms(),
        cursor=None,
        limit=limit,
        wanted=lambda _: False,
    )
    assert found == [] and cursor is not None
    assert 900 <= counting.rows <= ROWS_PER_PAGE_MAX
    assert counting.reads <= READS_PER_PAGE_MAX


def day_of(back: int) -> str:
    from chalicelib.keyspace import day

    return day(office().system.clock.now_ms() - back * DAY_MS)


def test_the_days_of_a_range_are_bounded_and_never_in_the_future() -> None:
    now = 1_795_000_000_000
    assert len(Range().days(now)) == 7
    assert len(Range(0, None).days(now)) == 400
    assert Range(now + DAY_MS, now + 2 * DAY_MS).days(now) == []
    assert Range(None, 0).days(now) == []
    assert Range(now - 1, now + DAY_MS * 9).days(now)[0] == "2026-11-18"
