"""The Data API double: rows agree with the truth, pages are complete, the edge caches."""

from __future__ import annotations

import json
from collections import Counter

import jsonschema
import pytest

ACTIVITY = "/data/v2/activity"


def row_key(row):
    return (row["transaction_hash"], row["proxy_wallet"], row["token_id"], row["side"],
            round(row["size"] * 10**6), round(row["size"] * row["price"] * 10**6))  # fmt: skip


def truth_key(fill):
    return (fill["tx_hash"], fill["wallet"], fill["token_id"], fill["side"],
            fill["shares_micros"], fill["cash_micros"])  # fmt: skip


async def walk(session, path, **params):
    """Every row of a feed, following the cursors."""
    rows, cursor = [], None
    while True:
        page = await session.get(path, **params, **({"cursor": cursor} if cursor else {}))
        assert page["pagination"]["offset"] == len(rows)
        rows += page["data"]
        cursor = page["pagination"]["next_cursor"]
        assert page["pagination"]["has_more"] == (cursor is not None)
        if cursor is None:
            return rows


async def all_leader_rows(session, path=ACTIVITY, **params):
    leaders = [leader.wallet for leader in session.venue.world.leaders]
    return [row for user in leaders for row in await walk(session, path, user=user, **params)]


def test_rows_are_the_truth_one_by_one(serve):
    async def scenario(session):
        truth = await session.get("/control/truth", limit=10_000)
        assert truth["done"] and truth["total"] == 400
        rows = await all_leader_rows(session, limit=1_000, type="TRADE")
        assert Counter(map(row_key, rows)) == Counter(map(truth_key, truth["fills"]))
        fees = {truth_key(f): f["fee_micros"] for f in truth["fills"]}
        for row in rows:
            cash = round(row["size"] * row["price"] * 10**6)
            fee = fees[row_key(row)] if row["side"] == "BUY" else 0
            assert round(row["usdc_size"] * 10**6) == cash + fee
            assert row["price"] == round(row["price"], 10)

    serve(scenario, blocks=600, fills_max=400, fills_per_minute=60)


def test_trades_show_makers_only_when_asked(serve):
    async def scenario(session):
        truth = await session.truth()
        default = await all_leader_rows(session, "/data/v2/trades", limit=1_000)
        both = await all_leader_rows(session, "/data/v2/trades", limit=1_000, takerOnly="false")
        takers = [f for f in truth if f["role"] == "taker"]
        assert Counter(map(row_key, default)) == Counter(map(truth_key, takers))
        assert Counter(map(row_key, both)) == Counter(map(truth_key, truth))
        assert 0 < len(takers) < len(truth)

    serve(scenario, blocks=400, fills_max=150, fills_per_minute=60)


@pytest.mark.parametrize("direction", ["ASC", "DESC"])
@pytest.mark.parametrize("limit", [1, 3, 50])
def test_paging_is_complete_under_ties(serve, direction, limit):
    async def scenario(session):
        user = session.venue.world.leaders[1].wallet
        whole = await walk(session, ACTIVITY, user=user, limit=1_000, sort_direction=direction)
        paged = await walk(session, ACTIVITY, user=user, limit=limit, sort_direction=direction)
        assert paged == whole
        times = [row["timestamp"] for row in whole]
        assert times == sorted(times, reverse=direction == "DESC")
        assert len(times) > len(set(times))

    serve(scenario, blocks=300, fills_per_minute=120)


def test_pages_stay_stable_while_rows_arrive(serve):
    async def scenario(session):
        user = session.venue.world.leaders[0].wallet
        first = await session.get(ACTIVITY, user=user, limit=10)
        session.move(30_000)
        cursor = first["pagination"]["next_cursor"]
        second = await session.get(ACTIVITY, user=user, limit=10, cursor=cursor)
        whole = await session.get(ACTIVITY, user=user, limit=1_000)
        keys = [row_key(row) for row in whole["data"]]
        start = keys.index(row_key(first["data"][0]))
        assert start > 0
        seen = [row_key(row) for row in (*first["data"], *second["data"])]
        assert seen == keys[start : start + 20]

    serve(scenario, fills_per_minute=120)


def test_window_ends_are_inclusive(serve):
    async def scenario(session):
        user = session.venue.world.leaders[0].wallet
        whole = await walk(session, ACTIVITY, user=user)
        end, start = whole[3]["timestamp"], whole[20]["timestamp"]
        cut = await walk(session, ACTIVITY, user=user, start=start, end=end)
        assert cut == [row for row in whole if start <= row["timestamp"] <= end]
        buys = await walk(session, ACTIVITY, user=user, side="BUY")
        assert buys == [row for row in whole if row["side"] == "BUY"]

    serve(scenario)


@pytest.mark.parametrize(
    ("params", "parameter"),
    [
        ({"offset": 0}, "offset"),
        ({"limit": 1_001}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"cursor": "bm9uc2Vuc2U"}, "cursor"),
        ({"sort_by": "CASH"}, "sort_by"),
        ({"condition": "0x12"}, "condition"),
        ({"user": ""}, "user"),
        ({"user": "0x12"}, "user"),
        ({"user": "0xe111180000d2663c0091e4f400237545b87b996b"}, "user"),
    ],
)
def test_bad_requests_name_the_parameter(serve, params, parameter):
    async def scenario(session):
        user = session.venue.world.leaders[0].wallet
        body = await session.get(ACTIVITY, status=400, **({"user": user} | params))
        assert body["code"] == "invalid_request" and body["parameter"] == parameter
        assert body["retryable"] is False and body["trace_id"]

    serve(scenario, blocks=10)


def test_a_cursor_cannot_be_changed_or_moved(serve):
    async def scenario(session):
        user = session.venue.world.leaders[0].wallet
        page = await session.get(ACTIVITY, user=user, limit=2)
        cursor = page["pagination"]["next_cursor"]
        flipped = cursor[:30] + ("A" if cursor[30] != "A" else "B") + cursor[31:]
        await session.get(ACTIVITY, status=400, user=user, cursor=flipped)
        await session.get("/data/v2/trades", status=400, user=user, cursor=cursor)

    serve(scenario)


def test_rows_become_visible_when_the_truth_says_so(serve):
    async def scenario(session):
        for _ in range(40):
            session.move(750)
            visible = {f["n"] for f in await session.truth()
                       if f["ts_api_visible"] <= session.venue.now}  # fmt: skip
            rows = await all_leader_rows(session, limit=1_000, _=session.venue.now)
            assert len(rows) == len(visible)
        for fill in await session.truth():
            assert 2_400 <= fill["ts_api_visible"] - fill["ts_published"] <= 6_000
        await session.post("/control/faults", {"late_rows_ms": 60_000})
        session.move(30_000)
        assert len(await all_leader_rows(session, limit=1_000, _="late")) < len(rows)

    serve(scenario, blocks=20, fills_per_minute=60)


def test_fresh_rows_are_incomplete_for_a_while(serve):
    async def scenario(session):
        rows = await all_leader_rows(session, limit=1_000)
        fresh = [row for row in rows if row["outcome_index"] == 999]
        assert fresh and all(row["event_slug"] == "" and row["outcome"] for row in fresh)
        session.move(120_000)
        later = {row_key(row): row for row in await all_leader_rows(session, limit=1_000)}
        assert all(later[row_key(row)]["outcome_index"] in (0, 1) for row in fresh)

    serve(scenario, fills_per_minute=200)


def test_the_edge_repeats_an_identical_url(serve):
    async def scenario(session):
        user = session.venue.world.leaders[0].wallet
        url = f"{ACTIVITY}?user={user}&limit=5"
        first = await session.client.get(url)
        session.move(14_000)
        again = await session.client.get(url)
        assert again.headers["x-cache"] == "Hit" and first.headers["x-cache"] == "Miss"
        assert again.headers["x-trace-id"] == first.headers["x-trace-id"]
        assert int(again.headers["age"]) == 14
        assert await again.text() == await first.text()
        busted = await session.client.get(f"{url}&_=1")
        assert busted.headers["x-cache"] == "Miss"
        assert await busted.text() != await first.text()
        session.move(2_000)
        assert (await session.client.get(url)).headers["x-cache"] == "Miss"

    serve(scenario, fills_per_minute=120)


def test_positions_are_the_true_positions(serve):
    async def scenario(session):
        # Custody is a few blocks behind, so let the last fills reach it.
        await session.post("/control/stop_leaders", {})
        session.move(20_000)
        truth = await session.get("/control/positions")
        for leader in session.venue.world.leaders:
            rows = await walk(session, "/data/v2/positions", user=leader.wallet, limit=3)
            held = {row["token_id"]: row["current_size"] for row in rows}
            wanted = {
                token: round(p["shares_micros"] / 10**6, 4)
                for token, p in truth[leader.wallet].items()
                if p["shares_micros"] >= 100_000
            }
            assert held == wanted and len(held) > 3
            values = [row["current_value"] for row in rows]
            assert values == sorted(values, reverse=True)
            total = await session.get("/data/v2/value", user=leader.wallet)
            assert total["data"]["value"] == pytest.approx(sum(values), abs=0.1)
        await session.get("/data/v2/positions", status=400)

    serve(scenario)


def test_answers_satisfy_the_published_contract(serve, samples):
    contract = json.loads((samples / "openapi-data-v2.json").read_text())

    def check(name, body):
        schema = {"$ref": f"#/components/schemas/{name}", "components": contract["components"]}
        jsonschema.Draft202012Validator(schema).validate(body)

    async def scenario(session):
        user = session.venue.world.leaders[2].wallet
        markets = session.venue.world.listed.all
        check("ActivityPage", await session.get(ACTIVITY, user=user, limit=50))
        check("TradesPage", await session.get("/data/v2/trades", limit=50))
        check("PositionsPage", await session.get("/data/v2/positions", user=user))
        check("Envelope_PortfolioValue", await session.get("/data/v2/value", user=user))
        check("Envelope_ServiceStatus", await session.get("/data/v2/status"))
        for market in (markets[0], markets[-1]):
            path = "/data/v2/resolutions"
            check("Envelope_Vec_Resolution", await session.get(path, condition=market.condition_id))
        check("ErrorResponse", await session.get(ACTIVITY, status=400))
        row = (await session.get(ACTIVITY, user=user, limit=1))["data"][0]
        recorded = json.loads((samples / "data-v2" / "activity_taker_with_fee.json").read_text())
        assert list(row) == list(recorded["data"][0])
        recorded = json.loads((samples / "data-v2" / "trades_by_market.json").read_text())
        row = (await session.get("/data/v2/trades", user=user, limit=1))["data"][0]
        assert list(row) == list(recorded["data"][0])

    serve(scenario)


def test_closed_market_has_payouts_and_tokens_resolve(serve):
    async def scenario(session):
        closed = session.venue.world.listed.all[-1]
        answer = await session.get("/data/v2/resolutions", condition=closed.condition_id)
        assert answer["data"][0]["payouts"] == [1_000_000, 0]
        short = session.venue.world.listed.all[10].feed_condition_id
        await session.get("/data/v2/resolutions", status=400, condition=short)
        tokens = await session.get("/data/v2/tokens", token_id=closed.tokens[1].id)
        assert tokens["data"][0]["opposite_token_id"] == closed.tokens[0].id
        assert tokens["data"][0]["final_price"] == 0

    serve(scenario, blocks=5)
