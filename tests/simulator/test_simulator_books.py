"""CLOB and Gamma doubles: hashes, mirrors, folding the socket, keyset lists."""

from __future__ import annotations

import hashlib
import json
from decimal import Decimal

BOOK_KEYS = ("market", "asset_id", "timestamp", "hash", "bids", "asks", "min_order_size",
             "tick_size", "neg_risk", "last_trade_price")  # fmt: skip


def pairs(session):
    return [[t.id for t in m.tokens] for m in session.venue.world.listed.all if not m.closed]


def levels(side):
    return [(Decimal(level["price"]), Decimal(level["size"])) for level in side]


def book_hash(book):
    packed = json.dumps({**book, "hash": ""}, separators=(",", ":"))
    return hashlib.sha1(packed.encode()).hexdigest()


def test_the_recorded_books_prove_the_hash_formula(samples):
    for book in json.loads((samples / "clob" / "books_3_pairs_fed_2026-05.json").read_text()):
        assert book_hash(book) == book["hash"]


def test_books_hash_and_mirror(serve):
    async def scenario(session):
        for pair in pairs(session):
            yes, no = [await session.get("/clob/book", token_id=token) for token in pair]
            for book in (yes, no):
                assert tuple(book) == BOOK_KEYS and book_hash(book) == book["hash"]
                bids, asks = levels(book["bids"]), levels(book["asks"])
                assert bids == sorted(bids) and asks == sorted(asks, reverse=True)
                assert bids[-1][0] < asks[-1][0]
                assert len(bids) >= 3 and len(asks) >= 3
            assert yes["timestamp"] == no["timestamp"]
            assert yes["last_trade_price"] == no["last_trade_price"]
            assert levels(no["asks"]) == [(1 - p, s) for p, s in levels(yes["bids"])]
            assert levels(no["bids"]) == [(1 - p, s) for p, s in levels(yes["asks"])]
            tokens = [{"token_id": token} for token in (*pair, "12345")]
            books = await session.post("/clob/books", tokens)
            assert sorted(map(str, books)) == sorted(map(str, (yes, no)))
            best = await session.get("/clob/price", token_id=pair[0], side="BUY")
            assert best["price"] == yes["bids"][-1]["price"]
            mids = await session.post("/clob/midpoints", tokens)
            mid = await session.get("/clob/midpoint", token_id=pair[0])
            assert mids[pair[0]] == mid["mid"]
            assert Decimal(mids[pair[0]]) + Decimal(mids[pair[1]]) == 1

    serve(scenario)


def test_closed_and_unknown_tokens_have_no_book(serve):
    async def scenario(session):
        closed = session.venue.world.listed.all[-1].tokens[0].id
        for token in (closed, "99"):
            body = await session.get("/clob/book", status=404, token_id=token)
            assert "No orderbook exists" in body["error"]
        assert (await session.get("/clob/time")) == session.venue.now // 1_000

    serve(scenario, blocks=5)


def test_market_rules_tell_tick_fee_and_delay(serve):
    async def scenario(session):
        for market in session.venue.world.listed.all:
            rules = await session.get(f"/clob/clob-markets/{market.condition_id}")
            assert rules["mts"] == market.tick / 10**6
            assert rules.get("fd", {"r": 0})["r"] == market.fee_rate
            assert rules.get("sd", 0) == market.seconds_delay
            found = await session.get(f"/clob/markets-by-token/{market.tokens[1].id}")
            assert found["primary_token_id"] == market.tokens[0].id
            if market.version == "v2":
                await session.get(f"/clob/clob-markets/{market.feed_condition_id}", status=404)

    serve(scenario, blocks=5)


def fold(books, frame):
    for change in frame["price_changes"]:
        side = books[change["asset_id"]]["bids" if change["side"] == "BUY" else "asks"]
        side[change["price"]] = change["size"]
        if change["size"] == "0":
            del side[change["price"]]
    for change in frame["price_changes"]:
        book = books[change["asset_id"]]
        book["hash"] = change["hash"]
        assert max(book["bids"], key=Decimal) == change["best_bid"]
        assert min(book["asks"], key=Decimal) == change["best_ask"]


def test_folding_the_socket_gives_the_rest_book(serve):
    async def scenario(session):
        assets = [token for pair in pairs(session)[:4] for token in pair]
        async with session.client.ws_connect("/clob-ws/ws/market") as socket:
            await socket.send_json({"type": "market", "assets_ids": assets,
                                    "custom_feature_enabled": True})  # fmt: skip
            dump = await session.frames(socket)
            assert {frame["asset_id"] for frame in dump} == set(assets)
            assert not {"min_order_size", "neg_risk"} & set(dump[0])
            books = {
                frame["asset_id"]: {
                    side: {level["price"]: level["size"] for level in frame[side]}
                    for side in ("bids", "asks")
                }
                for frame in dump
            }
            session.move(40_000)
            frames = await session.frames(socket)
            kinds = {frame["event_type"] for frame in frames}
            assert kinds == {"price_change", "last_trade_price", "best_bid_ask"}
            for frame in frames:
                if frame["event_type"] == "price_change":
                    fold(books, frame)
            for asset in assets:
                rest = await session.get("/clob/book", token_id=asset)
                for side in ("bids", "asks"):
                    assert {x["price"]: x["size"] for x in rest[side]} == books[asset][side]
            trade = next(f for f in frames if f["event_type"] == "last_trade_price")
            assert trade["asset_id"] in assets and trade["transaction_hash"].startswith("0x")

    serve(scenario)


def test_socket_protocol(serve):
    async def scenario(session):
        (yes, no), (other, _) = pairs(session)[:2]
        async with session.client.ws_connect("/clob-ws/ws/market") as socket:
            await socket.send_str("PING")
            assert (await socket.receive()).data == "PONG"
            await socket.send_str("not json")
            await socket.send_json({"type": "market", "assets_ids": [yes, yes]})
            assert len(await session.frames(socket)) == 1
            session.move(20_000)
            frames = await session.frames(socket)
            assert {f["event_type"] for f in frames} <= {"price_change", "last_trade_price"}
            changed = [f for f in frames if f["event_type"] == "price_change"]
            assert {c["asset_id"] for f in changed for c in f["price_changes"]} == {yes, no}
            await socket.send_json({"operation": "unsubscribe", "assets_ids": [yes]})
            await socket.send_json({"operation": "subscribe", "assets_ids": [other]})
            assert [f["asset_id"] for f in await session.frames(socket)] == [other]
            body = {"token_id": other, "tick_size": "0.0001"}
            await session.post("/control/tick_size", body)
            (frame,) = await session.frames(socket)
            assert frame["event_type"] == "tick_size_change"
            assert (frame["old_tick_size"], frame["new_tick_size"]) == ("0.001", "0.0001")
            assert (await session.get("/clob/book", token_id=other))["tick_size"] == "0.0001"

    serve(scenario, blocks=20)


async def keyset(session, name, **params):
    """All entries of a keyset list, page by page, and the page lengths."""
    found, sizes, cursor = [], [], None
    while True:
        extra = {"after_cursor": cursor} if cursor else {}
        page = await session.get(f"/gamma/{name}/keyset", **params, **extra)
        found += page[name]
        sizes.append(len(page[name]))
        cursor = page.get("next_cursor")
        if cursor is None:
            return found, sizes


def test_gamma_lists_page_and_filter(serve):
    async def scenario(session):
        listed = session.venue.world.listed.all
        v1 = [m.id for m in listed if m.version == "v1" and not m.closed]
        found, sizes = await keyset(session, "markets", limit=4)
        assert [m["id"] for m in found] == v1 and max(sizes) == 4 and len(sizes) == 3
        closed, _ = await keyset(session, "markets", closed="true")
        assert [m["id"] for m in closed] == [listed[-1].id]
        both = await session.client.get("/gamma/markets/keyset?version=v1&version=v2&limit=1000")
        markets = (await both.json())["markets"]
        assert len(markets) == len(listed) - 1
        for body in markets:
            (market,) = [m for m in listed if m.id == body["id"]]
            asset_ids = [token.id for token in market.tokens]
            if market.version == "v1":
                assert json.loads(body["clobTokenIds"]) == asset_ids
                assert "positionIds" not in body
            else:
                assert body["positionIds"] == asset_ids and body["clobTokenIds"] is None
            assert isinstance(json.loads(body["outcomes"]), list)
            assert ("feeSchedule" in body) == (market.fee_type is not None)
            assert ("secondsDelay" in body) == bool(market.sports_type)
        two = listed[:2]
        url = "/gamma/markets/keyset?" + "&".join(f"condition_ids={m.condition_id}" for m in two)
        assert len((await (await session.client.get(url)).json())["markets"]) == 2
        url = f"/gamma/markets/keyset?clob_token_ids={two[1].tokens[1].id}"
        assert (await (await session.client.get(url)).json())["markets"][0]["id"] == two[1].id
        events, _ = await keyset(session, "events", limit=3)
        assert len(events[0]["markets"]) == 3 and events[0]["negRisk"] is True
        await session.get("/gamma/markets/keyset", status=422, offset=5)
        await session.get(f"/gamma/markets/{listed[0].condition_id}", status=422)
        assert (await session.get(f"/gamma/markets/{listed[5].id}"))["secondsDelay"] == 1

    serve(scenario, blocks=20)


def test_profiles_and_search(serve):
    async def scenario(session):
        leader = session.venue.world.leaders[0]
        profile = await session.get("/gamma/public-profile", address=leader.wallet)
        assert profile["proxyWallet"] == leader.wallet and profile["name"] == leader.name
        await session.get("/gamma/public-profile", status=404, address="0x" + "12" * 20)
        found = await session.get("/gamma/public-search", q=leader.name, search_profiles="true")
        assert found["profiles"][0]["proxyWallet"] == leader.wallet and None in found["profiles"]

    serve(scenario, blocks=5)
