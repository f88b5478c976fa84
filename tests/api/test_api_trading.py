"""The global portfolio, markets, lists, gains and pausing, as the pages read and change them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chalicelib.domain.registry import PortfolioRef
from chalicelib.keyspace import key_of
from chalicelib.ports import Put
from chalicelib.services.market_directory import store_market
from chalicelib.services.portfolios import head_of, portfolio_ref
from chalicelib.services.read_models.markets import BOOK_MS, COLLECT_MS
from tests.api.calling import trading
from tests.api.office import Office
from tests.workflow.harness import CONDITION, LEADER, OTHER, TOKEN, M, System, book, market

UNKNOWN = "0x" + "d" * 64


@pytest.fixture
def api() -> Office:
    system = trading(days=1, trades_per_day=6)
    system.services.mark_portfolios()
    return Office(system)


def test_the_global_portfolio_adds_up(api: Office) -> None:
    body = api.get("/api/portfolio/global").body
    assert body["positions"] and not body["positions_more"]
    held = sum(row["value_micros"] for row in body["positions"])
    assert body["equity_micros"] == body["cash_micros"] + held
    assert body["positions_value_micros"] == held
    exposure = body["exposure"]
    assert exposure["total_micros"] >= held
    for parts in ("markets", "events", "categories", "leaders"):
        assert sum(part["cash_micros"] for part in exposure[parts]) == exposure["total_micros"]
    assert exposure["markets"][0]["title"] == "Will it rain?"
    assert {part["name"] for part in exposure["leaders"]} == {LEADER, OTHER}
    limits = {limit["limit"]: limit for limit in body["limits"]}
    assert limits["exposure"]["used_micros"] == exposure["total_micros"]
    assert limits["exposure"]["max_micros"] == body["equity_micros"] * 7 // 10
    assert limits["open_positions"] == {"limit": "open_positions", "used": 1, "max": 100}
    assert {"daily_cash", "hourly_fills", "daily_loss", "weekly_loss", "drawdown"} <= set(limits)


def test_there_is_no_global_portfolio_before_somebody_was_followed() -> None:
    api = Office(System())
    assert api.get("/api/portfolio/global").status == 404
    assert api.get("/api/pnl").status == 404
    assert api.get("/api/markets").items == []


def test_gains_by_day_are_those_of_the_snapshots(api: Office) -> None:
    body = api.get("/api/pnl").body
    rows = {row["portfolio_id"]: row for row in body["portfolios"]}
    assert set(rows) == {"main/global", f"main/leader/{LEADER}", f"main/leader/{OTHER}"}
    together = rows["main/global"]
    assert together["gain_micros"] == together["equity_micros"] - 10_000 * M
    assert sum(day["gain_micros"] for day in body["days"]) == together["gain_micros"]
    assert len(body["days"]) == 1
    for name, status in (("shadow." + LEADER, 404), ("main.none", 404), ("x", 400)):
        assert api.get(f"/api/pnl?portfolio={name}").status == status
    assert api.get("/api/pnl?days=31").status == 400


def test_a_market_shows_spread_depth_and_how_we_fared(api: Office) -> None:
    (row,) = api.get("/api/markets").items
    assert (row["condition_id"], row["status"], row["list_refusal"]) == (CONDITION, "held", None)
    assert row["shares_micros"] > 0 and row["leaders"] == 2
    quote = next(one for one in row["outcomes"] if one["token_id"] == TOKEN)
    assert (quote["bid_micros"], quote["ask_micros"]) == (510_000, 520_000)
    assert quote["spread_micros"] == 10_000
    assert quote["buy_depth_micros"] == quote["sell_depth_micros"] == 1_000 * M
    attempts = [a for a in api.get("/api/copy-attempts").items if a["filled_shares_micros"]]
    lost = sum(a["filled_shares_micros"] * a["slippage_leader_micros"] for a in attempts)
    shares = sum(a["filled_shares_micros"] for a in attempts)
    assert quote["own_fills"] == len(attempts)
    assert quote["own_slippage_micros"] == lost // shares
    other = next(one for one in row["outcomes"] if one["token_id"] != TOKEN)
    assert other["book_at"] is other["spread_micros"] is None


def test_a_page_of_markets_asks_the_venue_once_and_not_again_at_once(api: Office) -> None:
    api.get("/api/markets")
    api.get("/api/markets")
    assert api.books.requests == 1
    api.system.clock.advance(BOOK_MS)
    api.get("/api/markets")
    assert api.books.requests == 2


def test_markets_are_shown_without_books_while_the_venue_is_silent(api: Office) -> None:
    api.system.venue.down = True
    (row,) = api.get("/api/markets").items
    assert all(one["spread_micros"] is None for one in row["outcomes"])


def test_one_market_shows_who_holds_it(api: Office) -> None:
    body = api.get(f"/api/markets/{CONDITION}").body
    holders = {(row["portfolio_id"], row["leader"]) for row in body["positions"]}
    for leader in (LEADER, OTHER):
        assert {(f"shadow/{leader}", leader), ("main/global", leader)} <= holders
    assert body["fills"] and body["fills"][0]["slippage_leader_micros"] is not None
    assert body["books"][0]["bids"] == [{"price_micros": 510_000, "shares_micros": 1_000 * M}]
    assert api.get(f"/api/markets/{UNKNOWN}").status == 404
    assert api.get("/api/markets/rain").status == 400


def test_a_listed_market_is_shown_although_nobody_trades_it(api: Office) -> None:
    other = replace(market(condition_id=UNKNOWN, tokens=("77", "78")), slug="snow")
    store_market(api.system.store, other)
    ask = {"action": "add", "listing": "blacklist", "kind": "market", "value": UNKNOWN}
    lists = api.post("/api/market-lists", {**ask, "note": "unclear"}).body
    (entry,) = lists["entries"]
    assert (entry["value"], entry["by"], entry["note"]) == (UNKNOWN, "local:owner", "unclear")
    api.system.clock.advance(COLLECT_MS)
    rows = {row["condition_id"]: row for row in api.get("/api/markets").items}
    assert rows[UNKNOWN]["status"] == "listed"
    assert rows[UNKNOWN]["list_refusal"] == "MARKET_BLACKLISTED"
    assert [row["condition_id"] for row in api.get("/api/markets?status=listed").items] == [UNKNOWN]
    first = api.get("/api/markets?limit=1").body
    second = api.get(f"/api/markets?limit=1&cursor={first['next_cursor']}").body
    assert [first["items"][0]["condition_id"], second["items"][0]["condition_id"]] == [
        CONDITION,
        UNKNOWN,
    ]
    assert second["next_cursor"] is None
    assert api.post("/api/market-lists", {**ask, "action": "remove"}).body["entries"] == []
    actions = [row["action"] for row in api.get("/api/audit").items]
    assert actions[:2] == ["market_lists.remove", "market_lists.add"]


def test_pausing_stops_every_portfolio_and_resuming_starts_it(api: Office) -> None:
    paused = api.post("/api/control/pause", {"action": "pause"}).body
    assert len(paused["changed"]) == 3
    assert all(row["paused"] and row["paused_since"] for row in paused["portfolios"])
    assert api.get("/api/portfolio/global").body["paused"]
    again = api.post("/api/control/pause", {"action": "pause"}).body
    assert again["changed"] == []
    one = {"action": "resume", "portfolio": "main/global"}
    resumed = api.post("/api/control/pause", one).body
    assert resumed["changed"] == ["main/global"]
    assert sum(row["paused"] for row in resumed["portfolios"]) == 2
    assert {row["actor"] for row in api.audited("portfolio.pause")} == {"local:owner"}


@pytest.mark.parametrize("name", [f"shadow/{LEADER}", "main/none", "other/global", "\x00"])
def test_what_is_no_executable_portfolio_of_ours_is_not_paused(api: Office, name: str) -> None:
    answer = api.post("/api/control/pause", {"action": "pause", "portfolio": name})
    assert answer.status == 400
    assert api.audited("portfolio.pause") == []


def test_nothing_of_another_account_is_shown(api: Office) -> None:
    store = api.system.store
    ref = portfolio_ref(store, "main/global")
    assert ref is not None
    theirs = PortfolioRef("other/global", "other", "global", "", 1)
    head = replace(head_of(store, ref), portfolio_id="other/global", version=0)
    store.commit([Put(theirs), Put(head)])
    assert key_of(theirs).sk == "other/global"
    for path in ("overview", "pnl", "markets", f"markets/{CONDITION}", "live", "portfolio/global"):
        assert "other/" not in str(api.get(f"/api/{path}").body), path
    assert api.get("/api/pnl?portfolio=other.global").status == 404
    api.post("/api/control/pause", {"action": "pause"})
    assert not head_of(store, theirs).pauses


def test_the_book_of_a_wide_market_has_no_depth_in_the_band(api: Office) -> None:
    api.system.venue.books[TOKEN] = book(bid=100_000, ask=900_000)
    (row,) = api.get("/api/markets").items
    quote = next(one for one in row["outcomes"] if one["token_id"] == TOKEN)
    # The guard stands at the middle: half a dollar and 0.015 up.
    assert quote["buy_depth_micros"] == 0
    assert quote["spread_micros"] == 800_000
