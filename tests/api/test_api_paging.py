"""Listings are complete, without repeats, newest first, over days, filters and page sizes."""

from __future__ import annotations

from typing import Any

import pytest

from chalicelib.domain.trade import Trade
from chalicelib.keyspace import day
from tests.api.calling import Api, trading
from tests.workflow.harness import LEADER, OTHER, M, System, chain, leg

DAY_MS = 86_400_000


@pytest.fixture(scope="module")
def system() -> System:
    return trading(days=4, trades_per_day=12)


@pytest.fixture
def api(system: System) -> Api:
    return Api(system)


def stored(system: System) -> list[str]:
    """Trade ids newest first, straight from the store."""
    found: list[str] = []
    for back in range(7):
        feed = f"trades#{day(system.clock.now_ms() - back * DAY_MS)}"
        rows = system.store.feed(Trade, "activity", feed, before=None, limit=1000)
        found += [trade.trade_id for _, trade in rows]
    return found


def ids(rows: list[dict[str, Any]], name: str) -> list[str]:
    return [row[name] for row in rows]


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 7, 11, 12, 13, 24, 47, 48, 49, 200])
def test_trades_are_complete_and_in_order_at_every_page_size(
    api: Api, system: System, limit: int
) -> None:
    rows = api.pages("/api/trades", limit)
    assert ids(rows, "trade_id") == stored(system)
    assert len(rows) == 48
    assert ids(rows, "ts_block") == sorted(ids(rows, "ts_block"), reverse=True)


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5, 8, 13, 50])
@pytest.mark.parametrize("leader", [LEADER, OTHER])
def test_one_leaders_trades_are_complete(api: Api, leader: str, limit: int) -> None:
    every = [row for row in api.pages("/api/trades", 200) if row["leader"] == leader]
    assert every
    # Addresses are accepted as people copy them, in any case.
    shown = leader.upper().replace("0X", "0x")
    assert ids(api.pages(f"/api/trades?leader={shown}", limit), "trade_id") == ids(
        every, "trade_id"
    )


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 9, 50])
@pytest.mark.parametrize(
    "wanted",
    [
        {"portfolio_id": "main/global"},
        {"portfolio_id": f"main/{OTHER}"},
        {"decision": "SKIP"},
        {"decision": "EXECUTE", "portfolio_id": f"main/{LEADER}"},
        {"portfolio_id": "nobody"},
    ],
)
def test_filtered_attempts_are_complete(api: Api, wanted: dict[str, str], limit: int) -> None:
    every = api.pages("/api/copy-attempts", 200)
    matching = [row for row in every if all(row[k] == v for k, v in wanted.items())]
    query = "&".join(f"{name.removesuffix('_id')}={value}" for name, value in wanted.items())
    found = api.pages(f"/api/copy-attempts?{query}", limit)
    assert ids(found, "attempt_id") == ids(matching, "attempt_id")


def test_a_cursor_goes_on_below_it_while_new_trades_arrive() -> None:
    system = trading(days=1, trades_per_day=10)
    api = Api(system)
    first = api.get("/api/trades?limit=4")
    known = ids(first.items, "trade_id")
    more = trading(days=1, trades_per_day=14)
    rest = Api(more).get(f"/api/trades?limit=200&cursor={first.body['next_cursor']}")
    everything = known + ids(rest.items, "trade_id")
    assert len(everything) == len(set(everything)) == 10


def test_the_page_size_is_fifty_when_nothing_is_said() -> None:
    api = Api(trading(days=1, trades_per_day=55))
    assert len(api.get("/api/trades").items) == 50


def test_what_is_older_than_a_week_is_not_listed(system: System) -> None:
    late = trading(days=1, trades_per_day=2)
    late.clock.advance(8 * DAY_MS)
    assert Api(late).get("/api/trades").body == {"items": [], "next_cursor": None}


def test_a_search_that_ends_in_an_empty_day_goes_on_behind_it() -> None:
    system = trading(days=1, trades_per_day=1, other_every=1)
    system.clock.advance(2 * DAY_MS)
    later(system, 18)
    found = Api(system).pages(f"/api/trades?leader={OTHER}", 1)
    assert len(found) == 1


def test_a_search_that_ends_in_the_middle_of_a_read_repeats_nothing() -> None:
    system = trading(days=1, trades_per_day=1, other_every=1)
    later(system, 38)
    found = Api(system).pages(f"/api/trades?leader={OTHER}", 2)
    assert len(found) == 1


def later(system: System, trades: int) -> None:
    """Trades of the first leader after what is there already."""
    for number in range(1_000, 1_000 + trades):
        system.clock.advance(1_000)
        ts = system.clock.now_ms()
        part = leg(10_000 * M, 510_000, ts_block=ts - 2_000, index=number, block=number)
        system.services.ingest(chain([part], number=number, ts_seen=ts))
