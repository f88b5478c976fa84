"""Each fault does what it says, is counted, and leaves the truth as it should be."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest

from simulator.ids import EXCHANGE_V3, EXCHANGES
from simulator.logs import ORDER_FILLED, topic_of_address
from simulator.other_logs import UPGRADED

ACTIVITY = "/data/v2/activity"


def leader_filter(session, **extra):
    wallets = [topic_of_address(wallet) for wallet in sorted(session.venue.world.leader_wallets)]
    return {"address": sorted(EXCHANGES), "topics": [ORDER_FILLED, None, wallets], **extra}


async def subscribe(socket, *params):
    await socket.send_json({"jsonrpc": "2.0", "id": 1, "method": "eth_subscribe",
                            "params": list(params)})  # fmt: skip
    while True:
        answer = await socket.receive_json()
        if "result" in answer:
            return answer["result"]


async def fault(session, **switches):
    return await session.post("/control/faults", switches)


async def acted(session, name):
    return (await session.get("/control/counters")).get(f"fault {name}", 0)


def key(log):
    return log["transactionHash"], int(log["logIndex"], 16)


def truth_key(row):
    return row["tx_hash"], row["log_index"]


async def every_row(session, **params):
    rows = []
    for wallet in sorted(session.venue.world.leader_wallets):
        page = await session.get(ACTIVITY, user=wallet, limit=1_000, _=session.venue.now, **params)
        assert not page["pagination"]["has_more"]
        rows += page["data"]
    return rows


def test_stalled_subscriptions_stay_silent_until_made_anew(serve):
    async def scenario(session):
        async with session.client.ws_connect("/polygon") as socket:
            names = [await subscribe(socket, "logs", leader_filter(session)) for _ in range(4)]
            heads = await subscribe(socket, "newHeads")
            await fault(session, ws_stall_subscriptions=0.5)
            fresh = await subscribe(socket, "logs", leader_filter(session))
            session.move(30_000)
            heard = {f["params"]["subscription"] for f in await session.frames(socket)}
            assert heads in heard and fresh in heard
            silent = set(names) - heard
            assert len(silent) == 2
            assert await acted(session, "ws_stall_subscriptions") == 2
            await fault(session, ws_stall_subscriptions=0)
            session.move(30_000)
            heard = {f["params"]["subscription"] for f in await session.frames(socket)}
            assert heard == {*names, heads, fresh}
            await fault(session, ws_stall_subscriptions="one")
            session.move(30_000)
            heard = {f["params"]["subscription"] for f in await session.frames(socket)}
            assert len({*names, fresh} - heard) == 1
        await session.post("/control/faults", {"ws_stall_subscriptions": "two"}, status=400)

    serve(scenario, blocks=20, fills_per_minute=120)


def test_reordered_logs_all_arrive_within_the_bound(serve):
    async def scenario(session):
        before = len(await session.truth())
        async with session.client.ws_connect("/polygon") as socket:
            await subscribe(socket, "logs", leader_filter(session))
            await fault(session, reorder_logs=3_000)
            session.move(60_000)
            await session.post("/control/stop_leaders", {})
            session.move(12_000)
            pushed = [f["params"]["result"] for f in await session.frames(socket)]
        wanted = [truth_key(row) for row in (await session.truth())[before:]]
        assert sorted(map(key, pushed)) == sorted(wanted)
        assert list(map(key, pushed)) != wanted
        places = [int(log["blockNumber"], 16) for log in pushed]
        assert any(a > b for a, b in pairwise(places))
        # 3 s are two blocks: nothing is overtaken by a log more than two blocks younger.
        newest = 0
        for place in places:
            newest = max(newest, place)
            assert newest - place <= 2
        assert await acted(session, "reorder_logs") == len(pushed)

    serve(scenario, blocks=20, fills_per_minute=120)


def test_a_silent_reorg_sends_no_removed(serve):
    async def scenario(session):
        async with session.client.ws_connect("/polygon") as socket:
            await subscribe(socket, "logs", leader_filter(session))
            assert (await fault(session, reorg_silent=12))["reorg_silent"] == 12
            pushed = [f["params"]["result"] for f in await session.frames(socket)]
        assert pushed and not any(log["removed"] for log in pushed)
        head = session.venue.head.number
        assert [key(log) for log in pushed] == [
            truth_key(row) for row in await session.truth() if row["block_number"] > head - 12
        ]

    serve(scenario, blocks=200, fills_per_minute=90)


def test_a_stalled_socket_hears_nothing_of_a_reorg(serve):
    async def scenario(session):
        async with session.client.ws_connect("/polygon") as socket:
            await subscribe(socket, "logs", leader_filter(session))
            before = await session.truth()
            await fault(session, ws_stall=True)
            await fault(session, reorg=12)
            assert await session.frames(socket) == []
            assert [truth_key(row) for row in await session.truth()] != list(map(truth_key, before))

    serve(scenario, blocks=200, fills_per_minute=90)


@pytest.mark.parametrize("seed", [7, 8, 9])
def test_dropped_transactions_leave_truth_positions_chain_and_feed(serve, seed):
    async def scenario(session):
        before = await session.truth()
        positions = await session.get("/control/positions")
        shown = Counter(row["transaction_hash"] for row in await every_row(session))
        async with session.client.ws_connect("/polygon") as socket:
            await subscribe(socket, "logs", leader_filter(session))
            await fault(session, reorg_drop=16)
            pushed = [f["params"]["result"] for f in await session.frames(socket)]
        after = await session.truth()
        gone = {row["n"]: row for row in before if row["n"] not in {r["n"] for r in after}}
        assert gone and len(after) == len(before) - len(gone)
        total = (await session.get("/control/truth", limit=1))["total"]
        assert total == len(after)
        hashes = {row["tx_hash"] for row in gone.values()}
        removed = {log["transactionHash"] for log in pushed if log["removed"]}
        assert hashes <= removed
        assert hashes.isdisjoint(log["transactionHash"] for log in pushed if not log["removed"])
        for tx_hash in hashes:
            assert (await session.rpc("eth_getTransactionReceipt", tx_hash))["result"] is None
        held = await session.get("/control/positions")
        for wallet, tokens in positions.items():
            for token, position in tokens.items():
                taken = sum(
                    row["shares_micros"] * (1 if row["side"] == "BUY" else -1)
                    for row in gone.values()
                    if (row["wallet"], row["token_id"]) == (wallet, token)
                )
                now = held[wallet].get(token, {"shares_micros": 0})["shares_micros"]
                assert now == position["shares_micros"] - taken >= 0
        # The feed keeps showing what it showed until it refreshes.
        still = Counter(row["transaction_hash"] for row in await every_row(session))
        assert all(still[tx_hash] == shown[tx_hash] for tx_hash in hashes)
        session.move(12_000)
        later = {row["transaction_hash"] for row in await every_row(session)}
        assert hashes.isdisjoint(later)
        for _ in range(20):
            session.move(6_000)
            held = await session.get("/control/positions")
            assert all(p["shares_micros"] >= 0 for t in held.values() for p in t.values())

    serve(scenario, blocks=200, fills_per_minute=120, seed=seed)


@pytest.mark.parametrize("seed", range(4))
def test_dropping_never_leaves_a_wallet_owing_shares(venue_at, seed):
    venue = venue_at(60, seed=seed, fills_per_minute=400, oddities_per_minute=20,
                     other_activity_per_minute=40, leaders=2)  # fmt: skip
    dropped = 0
    for _ in range(12):
        venue.reorganise(40, drop=True)
        venue.clock.now += 20 * 1_500
        while not venue.advance():
            pass
        for book in (venue.positions, venue.custody.book):
            held = [p.shares for tokens in book.held.values() for p in tokens.values()]
            assert min(held) >= 0
        assert venue.world.fills_dropped > dropped
        dropped = venue.world.fills_dropped
    for tokens in (leader.holdings_of for leader in venue.world.leaders):
        assert all(shares >= 0 for held in tokens.values() for shares in held.values())


def test_truth_pages_over_the_gaps_of_dropped_fills(serve):
    async def scenario(session):
        await fault(session, reorg_drop=30)
        session.move(30_000)
        whole, paged, after = await session.truth(), [], 0
        while page := (await session.get("/control/truth", after=after, limit=5))["fills"]:
            paged += page
            after = page[-1]["n"]
        assert paged == whole
        assert [row["n"] for row in whole] != list(range(1, len(whole) + 1))

    serve(scenario, blocks=200, fills_per_minute=120)


def test_a_reorg_keeps_positions_and_events(serve):
    async def scenario(session):
        before = await session.get("/control/positions")
        events = (await session.get("/control/activity", limit=10_000))["activity"]
        await fault(session, reorg=30)
        after = await session.get("/control/positions")
        assert after == before
        again = (await session.get("/control/activity", limit=10_000))["activity"]
        assert [(e["n"], e["tx_hash"]) for e in again] == [(e["n"], e["tx_hash"]) for e in events]
        assert [e["block_hash"] for e in again] != [e["block_hash"] for e in events]

    serve(scenario, blocks=200, fills_per_minute=60, other_activity_per_minute=60)


def test_the_edge_serves_a_stale_page_to_a_new_nonce(serve):
    async def scenario(session):
        user = session.venue.world.leaders[0].wallet
        first = await session.client.get(f"{ACTIVITY}?user={user}&_=1")
        await fault(session, stale_cache=True, stale_ms=20_000)
        session.move(18_000)
        again = await session.client.get(f"{ACTIVITY}?_=2&user={user}")
        assert again.headers["x-cache"] == "Hit"
        assert await again.text() == await first.text()
        other = await session.client.get(f"{ACTIVITY}?user={user}&_=2&limit=3")
        assert other.headers["x-cache"] == "Miss"
        session.move(3_000)
        late = await session.client.get(f"{ACTIVITY}?user={user}&_=3")
        assert late.headers["x-cache"] == "Miss"
        assert await late.text() != await first.text()
        assert await acted(session, "stale_cache") == 1

    serve(scenario, fills_per_minute=120)


def test_rows_lose_optional_fields_only(serve):
    async def scenario(session):
        whole = await every_row(session)
        await fault(session, missing_fields_rate=1)
        session.move(250)
        rows = await every_row(session)
        for row in rows:
            assert len(row) == len(whole[0]) - 1
            assert {"proxy_wallet", "timestamp", "type", "size", "price", "side", "token_id",
                    "transaction_hash", "condition_id"} <= row.keys()  # fmt: skip
        assert len({frozenset(row) for row in rows}) > 4
        assert await acted(session, "missing_fields_rate") == len(rows)

    serve(scenario)


def test_a_broken_row_is_right_in_the_next_poll(serve):
    async def scenario(session):
        await session.post("/control/stop_leaders", {})
        session.move(20_000)
        whole = Counter(map(repr, await every_row(session)))
        await fault(session, broken_rows_rate=1)
        session.move(250)
        broken = Counter(map(repr, await every_row(session)))
        # Equal rows of one transaction count as one: only the first is broken.
        assert sum((whole & broken).values()) < sum(whole.values()) / 5
        assert sum(broken.values()) == sum(whole.values())
        session.move(250)
        assert Counter(map(repr, await every_row(session))) == whole

    serve(scenario, blocks=200, fills_max=60)


@pytest.mark.parametrize("direction", ["ASC", "DESC"])
def test_unknown_types_stand_beside_real_rows(serve, direction):
    async def scenario(session):
        whole = await every_row(session, sort_direction=direction)
        await fault(session, unknown_types_rate=0.5)
        session.move(0)
        session.venue.now += 1
        rows = await every_row(session, sort_direction=direction)
        strange = [row for row in rows if row["type"] == "SNAPSHOT_V9"]
        assert strange and [row for row in rows if row["type"] == "TRADE"] == whole
        assert {tuple(row) for row in strange} == {tuple(whole[0])}
        user = session.venue.world.leaders[0].wallet
        paged, cursor = [], None
        while True:
            extra = {"cursor": cursor} if cursor else {}
            page = await session.get(ACTIVITY, user=user, limit=3, sort_direction=direction,
                                     **extra)  # fmt: skip
            assert len(page["data"]) <= 3
            paged += page["data"]
            cursor = page["pagination"]["next_cursor"]
            if cursor is None:
                break
        assert paged == [row for row in rows if row["proxy_wallet"] == user]
        only = await every_row(session, type="TRADE", sort_direction=direction)
        assert only == whole

    serve(scenario)


def test_an_upgrade_reaches_who_watches_the_proxy(serve):
    async def scenario(session):
        async with session.client.ws_connect("/polygon") as socket:
            wanted = {"address": EXCHANGE_V3, "topics": [UPGRADED]}
            name = await subscribe(socket, "logs", wanted)
            done = (await fault(session, rotate_exchange="v3"))["rotate_exchange"]
            session.move(60_000)
            (frame,) = await session.frames(socket)
            assert frame["params"]["subscription"] == name
            log = frame["params"]["result"]
        assert log["topics"] == [UPGRADED, topic_of_address(done["implementation"])]
        assert log["address"] == EXCHANGE_V3 and log["data"] == "0x"
        assert list(done["moved"]) == [EXCHANGE_V3]
        receipt = (await session.rpc("eth_getTransactionReceipt", done["tx_hash"]))["result"]
        assert receipt["logs"] == [log]
        moved = done["moved"][EXCHANGE_V3]
        latest = [row for row in (await session.truth())[-40:] if row["generation"] == "v3"]
        assert latest and latest[-1]["exchange"] == moved
        filled = {"address": moved, "topics": [ORDER_FILLED], "fromBlock": "earliest"}
        logs = (await session.rpc("eth_getLogs", filled))["result"]
        assert truth_key(latest[-1]) in map(key, logs)
        counters = await session.get("/control/counters")
        assert counters["polygon unfiltered subscriptions"] == 0
        plain = (await fault(session, rotate_exchange=True))["rotate_exchange"]
        assert plain["moved"] == {}

    serve(scenario, blocks=20, fills_per_minute=200)


def test_a_leader_moves_to_another_wallet(serve):
    async def scenario(session):
        leader = session.venue.world.leaders[0]
        source, target = leader.wallet, "0x" + "ab" * 20
        other = session.venue.world.leaders[1].wallet
        answer = await fault(session, rotate_wallet={"from": source.upper().replace("0X", "0x"),
                                                     "to": target})  # fmt: skip
        assert answer["rotate_wallet"] == target
        count = len(await session.truth())
        session.move(90_000)
        fresh = Counter(row["wallet"] for row in (await session.truth())[count + 8 :])
        assert fresh[target] > 5 and fresh[source] == 0
        listed = (await session.get("/control/leaders"))[0]
        assert listed["wallet"] == source and listed["wallets"] == [source, target]
        assert listed["active"] == target
        held = await session.get("/control/positions")
        assert held[target] and all(p["shares_micros"] >= 0 for p in held[target].values())
        rows = (await session.get(ACTIVITY, user=target))["data"]
        assert rows and {row["name"] for row in rows} == {leader.name}
        back = await fault(session, rotate_wallet={"from": target})
        assert back["rotate_wallet"] not in (source, target)
        for body in ({"from": "0x12"}, {"from": "0x" + "cd" * 20}, {"to": target},
                     {"from": source, "to": other}):  # fmt: skip
            await session.post("/control/faults", {"rotate_wallet": body}, status=400)

    serve(scenario, blocks=40, fills_per_minute=120)


def test_logs_may_lack_the_block_timestamp(serve):
    async def scenario(session):
        await fault(session, omit_block_timestamp=True)
        async with session.client.ws_connect("/polygon") as socket:
            await subscribe(socket, "logs", leader_filter(session))
            session.move(30_000)
            pushed = [f["params"]["result"] for f in await session.frames(socket)]
        wanted = leader_filter(session, fromBlock="earliest")
        logs = (await session.rpc("eth_getLogs", wanted))["result"]
        receipt = await session.rpc("eth_getTransactionReceipt", logs[0]["transactionHash"])
        for log in (*pushed, *logs, *receipt["result"]["logs"]):
            assert "blockTimestamp" not in log
        assert pushed and await acted(session, "omit_block_timestamp") == len(pushed)

    serve(scenario, blocks=40, fills_per_minute=120)


def test_the_http_node_is_behind_the_socket(serve):
    async def scenario(session):
        await fault(session, http_head_lag_blocks=5)
        head = session.venue.head.number
        assert int((await session.rpc("eth_blockNumber"))["result"], 16) == head - 5
        assert (await session.rpc("eth_getBlockByNumber", hex(head), False))["result"] is None
        early = await session.rpc("eth_getLogs", {"fromBlock": hex(head), "toBlock": hex(head)})
        assert "invalid block range" in early["error"]["message"]
        async with session.client.ws_connect("/polygon") as socket:
            await socket.send_json({"id": 1, "method": "eth_blockNumber", "params": []})
            assert int((await socket.receive_json())["result"], 16) == head
        counters = await session.get("/control/counters")
        assert counters["rpc invalid block range"] == 1 and counters["rpc http calls"] == 3
        assert counters["http polygon calls"] == 3 and counters["rpc eth_blockNumber"] == 2

    serve(scenario, blocks=40)


def test_receipts_are_missing_for_a_while(serve):
    async def scenario(session):
        await fault(session, receipt_missing_rate=1)
        tx_hash = (await session.truth())[-1]["tx_hash"]
        assert (await session.rpc("eth_getTransactionReceipt", tx_hash))["result"] is None
        session.move(2_000)
        assert (await session.rpc("eth_getTransactionReceipt", tx_hash))["result"] is None
        session.move(4_000)
        assert (await session.rpc("eth_getTransactionReceipt", tx_hash))["result"]["logs"]
        assert await acted(session, "receipt_missing_rate") == 2

    serve(scenario, blocks=40, fills_per_minute=120)


def test_calls_and_refusals_are_counted_by_scope(serve):
    async def scenario(session):
        await fault(session, http_429_rate=1, http_scope="data")
        for path in ("/data/v2/status", "/data/v2/status", "/clob/time"):
            await session.client.get(path)
        counters = await session.get("/control/counters")
        assert counters["http data calls"] == counters["http data 429"] == 2
        assert counters["http clob calls"] == 1 and counters["http clob 429"] == 0
        assert counters["http calls"] == 3 and counters["fault http_429_rate"] == 2

    serve(scenario, blocks=5)


def test_maintenance_answers_in_each_apis_own_words(serve):
    async def scenario(session):
        await fault(session, maintenance_rate=1)
        body = await session.get("/data/v2/status", status=503)
        assert body["code"] == "dependency_unavailable" and body["retryable"] is True
        statuses = {(await session.client.get("/clob/time")).status for _ in range(30)}
        assert statuses == {425, 503}
        assert await acted(session, "maintenance_rate") == 31

    serve(scenario, blocks=5)


def test_stalled_assets_speak_again_once_subscribed_anew(serve):
    async def scenario(session):
        markets = session.venue.world.listed.all[:6]
        assets = [market.tokens[0].id for market in markets]
        by_condition = {market.condition_id: market.tokens[0].id for market in markets}

        async def heard(socket):
            session.move(20_000)
            frames = await session.frames(socket)
            return {by_condition[frame["market"]] for frame in frames}

        async with session.client.ws_connect("/clob-ws/ws/market") as socket:
            await socket.send_json({"assets_ids": assets, "type": "market"})
            await session.frames(socket)
            await fault(session, clob_ws_stall_assets=0.5)
            silent = set(assets) - await heard(socket)
            assert len(silent) == 3
            again = {"assets_ids": sorted(silent), "operation": "unsubscribe"}
            await socket.send_json(again)
            await socket.send_json(again | {"operation": "subscribe"})
            books = await session.frames(socket)
            assert {book["asset_id"] for book in books} == silent
            assert await heard(socket) == set(assets)

    serve(scenario, blocks=5)


def test_impossible_values_name_their_switch(serve):
    async def scenario(session):
        for body in ({"reorder_logs": 60_000}, {"http_head_lag_blocks": -1}, {"reorg_drop": 0},
                     {"reorg_silent": True}, {"rotate_exchange": "v9"}, {"stale_cache": 1},
                     {"broken_rows_rate": 2}, {"rotate_wallet": "0x12"}):  # fmt: skip
            answer = await session.post("/control/faults", body, status=400)
            assert next(iter(body)) in answer["error"]
        assert not any((await session.get("/control/faults")).values())

    serve(scenario, blocks=5)
