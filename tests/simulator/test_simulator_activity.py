"""What wallets do besides trading, holdings from before the genesis, resolutions and combos."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

import jsonschema
import pytest
from web3 import Web3

from simulator import ids
from simulator.logs import block_logs, topic_of_address
from simulator.other_logs import (
    CONDITION_RESOLUTION,
    CONDITION_RESOLVED,
    POSITIONS_CONVERTED,
    TRANSFER_BATCH,
    UPGRADED,
)
from simulator.positions import PositionBook
from simulator.resolutions import ResolutionError, parse_resolutions
from simulator.world import World, WorldConfig

GENESIS_MS = 1_795_132_800_000
EVERYTHING = WorldConfig(
    fills_per_minute=120, other_activity_per_minute=60, combos_per_minute=20,
    oddities_per_minute=40, holdings=True,
    resolutions=parse_resolutions("60:harbour-mayor-brandt:1,200:hoops-cap-riv:draw"),
)  # fmt: skip
BUSY = {"other_activity_per_minute": 90, "holdings": True, "fills_per_minute": 60}
ACTIVITY = "/data/v2/activity"


async def quiet(session):
    """Stop the leaders and wait until feed and custody show everything."""
    await session.post("/control/stop_leaders", {})
    for _ in range(20):
        session.move(6_000)
        if (await session.get("/control/truth", limit=1))["done"]:
            return
    raise AssertionError("the leaders never became quiet")


def test_topics_are_the_hashes_of_their_signatures():
    for signature, topic in (
        ("Upgraded(address)", UPGRADED),
        ("TransferBatch(address,address,address,uint256[],uint256[])", TRANSFER_BATCH),
        ("PositionsConverted(address,bytes32,uint256,uint256)", POSITIONS_CONVERTED),
        ("ConditionResolution(bytes32,address,bytes32,uint256,uint256[])", CONDITION_RESOLUTION),
        ("ConditionResolved(bytes31,uint256[])", CONDITION_RESOLVED),
    ):
        assert Web3.keccak(text=signature).to_0x_hex() == topic


def test_everything_at_once_is_deterministic_and_never_oversold():
    worlds = [World(9, GENESIS_MS, EVERYTHING) for _ in range(2)]
    books = [PositionBook(world.leader_wallets, world.openings) for world in worlds]
    for _ in range(600):
        blocks = [world.step().block for world in worlds]
        logs = [list(block_logs(block)) for block in blocks]
        assert logs[0] == logs[1]
        places = [int(log["logIndex"], 16) for log in logs[0]]
        assert places == sorted(set(places))
        for book, block in zip(books, blocks, strict=True):
            book.apply(block)
        for tokens in books[0].held.values():
            assert all(position.shares >= 0 for position in tokens.values())
    world = worlds[0]
    assert books[0].held == books[1].held
    assert {row.type for row in world.activity} == {
        "SPLIT", "MERGE", "REDEEM", "CONVERSION", "MAKER_REBATE", "REWARD"
    }  # fmt: skip
    for wallet, tokens in books[0].held.items():
        leader = world.desk.of_wallet(wallet)
        pending = {
            move.token_id for entry in world.exchange.unsettled for move in world.desk.moves
            if move.tx_hash == entry.tx_hash
        }  # fmt: skip
        for token_id, position in tokens.items():
            if token_id not in pending:
                assert position.shares == leader.holdings_of[wallet][token_id]


def test_rows_of_the_feed_are_the_true_events(serve):
    async def scenario(session):
        await quiet(session)
        truth = (await session.get("/control/activity", limit=10_000))["activity"]
        assert [row["n"] for row in truth] == list(range(1, len(truth) + 1))
        rows = []
        for wallet in session.venue.world.leader_wallets:
            page = await session.get(ACTIVITY, user=wallet, limit=1_000)
            assert not page["pagination"]["has_more"]
            rows += [row for row in page["data"] if row["type"] != "TRADE"]
            only = await session.get(ACTIVITY, user=wallet, limit=1_000, type="SPLIT,MERGE")
            assert {row["type"] for row in only["data"]} <= {"SPLIT", "MERGE"}

        def key(row):
            return (row["type"], row["proxy_wallet"], row["transaction_hash"],
                    row["condition_id"], round(row["size"] * 10**6))  # fmt: skip

        assert Counter(map(key, rows)) == Counter(
            (t["type"], t["wallet"], t["tx_hash"], t["condition_id"], t["size_micros"])
            for t in truth
        )
        assert all(row["outcome_index"] == 999 and row["token_id"] == "" for row in rows)
        payments = [row for row in rows if row["type"] in ("MAKER_REBATE", "REWARD")]
        assert payments and all(row["condition_id"] == "" for row in payments)
        assert all(row["usdc_size"] == row["size"] > 0 for row in payments)

    serve(scenario, blocks=300, **BUSY)


def test_positions_are_openings_plus_fills_plus_events(serve):
    async def scenario(session):
        await quiet(session)
        held = await session.get("/control/positions")
        total = {w: Counter() for w in held}
        for wallet, tokens in held.items():
            total[wallet].update({t: p["opening_micros"] for t, p in tokens.items()})
        for fill in await session.truth():
            sign = 1 if fill["side"] == "BUY" else -1
            total[fill["wallet"]][fill["token_id"]] += sign * fill["shares_micros"]
        for event in (await session.get("/control/activity", limit=10_000))["activity"]:
            for delta in event["deltas"]:
                total[event["wallet"]][delta["token_id"]] += delta["shares_micros"]
        for wallet, tokens in held.items():
            assert {t: p["shares_micros"] for t, p in tokens.items()} == dict(total[wallet])
            rows = (await session.get("/data/v2/positions", user=wallet, filter_amount=0,
                                      limit=1_000))["data"]  # fmt: skip
            assert {row["token_id"]: round(row["current_size"] * 10**4) for row in rows} == {
                t: round(n / 100) for t, n in total[wallet].items() if n > 0
            }

    serve(scenario, blocks=300, **BUSY)


def test_openings_are_there_at_the_genesis_with_dust_hidden(serve):
    async def scenario(session):
        held = await session.get("/control/positions")
        for leader in session.venue.world.leaders:
            tokens = held[leader.wallet]
            assert tokens and all(p["opening_micros"] == p["shares_micros"] > 0
                                  for p in tokens.values())  # fmt: skip
            shown = (await session.get("/data/v2/positions", user=leader.wallet))["data"]
            every = await session.get("/data/v2/positions", user=leader.wallet, filter_amount=0)
            assert len(every["data"]) == len(tokens) == len(shown) + 1
            assert all(row["first_entry_at"] < GENESIS_MS // 1_000 for row in shown)
            rich = await session.get("/data/v2/positions", user=leader.wallet, filter_type="CASH",
                                     filter_amount=1_000)  # fmt: skip
            assert {row["token_id"] for row in rich["data"]} == {
                row["token_id"] for row in shown if row["current_value"] >= 1_000
            }
            pages, cursor = [], None
            while True:
                extra = {"cursor": cursor} if cursor else {}
                page = await session.get("/data/v2/positions", user=leader.wallet, limit=2, **extra)
                assert len(page["data"]) <= 2
                pages += page["data"]
                cursor = page["pagination"]["next_cursor"]
                if cursor is None:
                    break
            assert pages == shown

    serve(scenario, blocks=0, holdings=True)


def test_positions_are_as_of_the_block_the_status_names(serve):
    async def scenario(session):
        await session.post("/control/faults", {"positions_lag_blocks": 30})
        session.move(60_000)
        status = (await session.get("/data/v2/status"))["data"]
        synced = status["ingestion"]["max_synced_block"]
        behind = {m["name"]: m for m in status["serving"]["mechanisms"]}["custody_balances"]
        assert behind["blocks_behind"] == 30
        assert 0 < session.venue.head.number - synced <= 3
        total = Counter()
        leader = session.venue.world.leaders[0].wallet
        for fill in await session.truth():
            if fill["block_number"] <= synced - 30 and fill["wallet"] == leader:
                sign = 1 if fill["side"] == "BUY" else -1
                total[fill["token_id"]] += sign * fill["shares_micros"]
        rows = (await session.get("/data/v2/positions", user=leader, filter_amount=0))["data"]
        assert {row["token_id"]: round(row["current_size"] * 10**4) for row in rows} == {
            token: round(shares / 100) for token, shares in total.items() if shares
        }

    serve(scenario, blocks=100, fills_per_minute=120)


@pytest.mark.parametrize("winner", [0, 1, "draw"])
def test_a_resolution_shows_on_every_wire_and_is_redeemed(serve, winner):
    async def scenario(session):
        market = session.venue.world.listed.all[0]
        held = await session.get("/control/positions")
        holders = {
            w for w, tokens in held.items()
            if any(tokens.get(t.id, {}).get("shares_micros", 0) for t in market.tokens)
        }  # fmt: skip
        async with session.client.ws_connect("/clob-ws/ws/market") as socket:
            assets = [token.id for token in market.tokens]
            await socket.send_json({"assets_ids": assets, "custom_feature_enabled": True})
            await session.frames(socket)
            body = {"condition_id": market.condition_id, "winner": winner}
            await session.post("/control/resolve", body)
            await session.post("/control/resolve", body | {"winner": 2}, status=400)
            session.move(6_000)
            frames = [f for f in await session.frames(socket)
                      if f["event_type"] == "market_resolved"]  # fmt: skip
        assert len(frames) == 1
        assert frames[0]["winning_asset_id"] == ("" if winner == "draw" else assets[winner])
        await session.post("/control/resolve", body, status=400)
        await session.get("/clob/book", status=404, token_id=assets[0])
        page = await session.get("/gamma/markets/keyset", condition_ids=market.condition_id,
                                 closed="true")  # fmt: skip
        payouts = {0: '["1", "0"]', 1: '["0", "1"]', "draw": '["0.5", "0.5"]'}[winner]
        assert page["markets"][0]["outcomePrices"] == payouts
        session.move(60_000)
        row = (await session.get("/data/v2/resolutions", condition=market.condition_id))["data"][0]
        assert row["status"] == "resolved"
        assert row["payouts"] == {0: [10**6, 0], 1: [0, 10**6], "draw": [500_000] * 2}[winner]
        logs = (await session.rpc("eth_getLogs", {
            "fromBlock": "earliest", "topics": [CONDITION_RESOLUTION, market.condition_id],
        }))["result"]  # fmt: skip
        assert len(logs) == 1
        redeems = (await session.get("/control/activity", limit=10_000))["activity"]
        assert {r["type"] for r in redeems} == {"REDEEM"}
        assert holders and holders <= {r["wallet"] for r in redeems}
        held = await session.get("/control/positions")
        for tokens in held.values():
            assert not any(tokens.get(token, {}).get("shares_micros", 0) for token in assets)

    serve(scenario, blocks=300, fills_per_minute=120)


def test_an_oracle_row_tells_the_outcome_without_payouts(serve):
    async def scenario(session):
        market = session.venue.world.listed.all[1]
        path = "/data/v2/resolutions"
        row = (await session.get(path, condition=market.condition_id))["data"][0]
        assert row["status"] == "proposed" and "payouts" not in row and "price" not in row
        session.move(12_000)
        row = (await session.get(path, condition=market.condition_id))["data"][0]
        assert row["status"] == "resolved" and "payouts" not in row
        assert row["price"] == "0" and row["last_update_timestamp"].isdigit()

    plan = parse_resolutions("14:harbour-mayor-brandt:1")
    serve(scenario, blocks=10, resolutions=plan)


def test_bad_resolution_plans_are_refused():
    for text, word in (("x:hoops-cap-riv:1", "x:"), ("5:hoops-cap-riv:2", "winner")):
        with pytest.raises(ResolutionError, match=word):
            parse_resolutions(text)
    with pytest.raises(ResolutionError, match="no-such"):
        World(7, GENESIS_MS, WorldConfig(resolutions=parse_resolutions("5:no-such:1")))


def test_combos_settle_on_the_v3_exchange_and_have_no_book(serve):
    async def scenario(session):
        fills = [fill for fill in await session.truth() if fill["is_combo"]]
        assert {fill["side"] for fill in fills} == {"BUY", "SELL"}
        for fill in fills:
            assert int(fill["token_id"]) >> 248 == 3
            assert fill["exchange"] == ids.EXCHANGE_V3
        wallet = fills[0]["wallet"]
        rows = (await session.get(ACTIVITY, user=wallet, limit=1_000))["data"]
        combos = [row for row in rows if row.get("is_combo")]
        assert combos and all(" AND " in row["title"] for row in combos)
        assert all(row["slug"] == row["outcome"] == "" for row in combos)
        assert all(len(row["condition_id"]) == 64 for row in combos)
        tokens = {row["token_id"] for row in combos}
        held = (await session.get("/data/v2/positions", user=wallet, filter_amount=0))["data"]
        assert tokens.isdisjoint(row["token_id"] for row in held)
        await session.get("/clob/book", status=404, token_id=next(iter(tokens)))
        listed = (await session.get("/gamma/markets/keyset", limit=100, version="v2"))["markets"]
        assert all(" AND " not in market["question"] for market in listed)

    serve(scenario, blocks=400, combos_per_minute=60)


def fills_by_transaction(world):
    groups = {}
    for fill in world.truth:
        groups.setdefault(fill.tx.hash, []).append(fill)
    return groups.values()


def test_every_oddity_happens():
    world = World(7, GENESIS_MS, WorldConfig(oddities_per_minute=60, fills_per_minute=10))
    for _ in range(800):
        world.step()
    groups = list(fills_by_transaction(world))
    pairs = [group for group in groups if len(group) == 2]
    assert any(a.wallet == b.wallet and a.token is b.token and a.side != b.side for a, b in pairs)
    owners = {wallet: leader for leader in world.leaders for wallet in leader.wallets}
    assert any(a.wallet != b.wallet and owners[a.wallet] is owners[b.wallet] for a, b in pairs)
    assert any(a.order_hash == b.order_hash and a.shares == b.shares for a, b in pairs)
    several = [tx for tx in world.transactions.values() if len(tx.parts) == 2]
    assert several and all(tx.parts[0].match is not tx.parts[1].match for tx in several)
    refunds = [fill for fill in world.truth if fill.logged_cash > fill.cash]
    assert refunds and all(f.role == "taker" and f.match.market.generation == "v2" for f in refunds)
    for fill in refunds:
        *makers, _ = fill.tx.parts[0].fills
        paid = sum(m.cash if m.side == "SELL" else m.shares - m.cash for m in makers)
        assert fill.cash == paid


def test_receipts_of_oddities_are_complete(serve):
    async def scenario(session):
        world = session.venue.world
        matched = "0x174b3811690657c217184f89418266767c87e4805d09680c39fc9c031c0cab7c"
        head = session.venue.head.number
        several = [tx for tx in world.transactions.values()
                   if len(tx.parts) == 2 and tx.block.number <= head]  # fmt: skip
        assert several
        for tx in several:
            logs = (await session.rpc("eth_getTransactionReceipt", tx.hash))["result"]["logs"]
            topics = [log["topics"][0] for log in logs]
            assert topics.count(matched) == 2
            makers = {log["topics"][2] for log in logs if len(log["topics"]) == 4}
            assert makers == {topic_of_address(fill.wallet) for fill in tx.fills}

    serve(scenario, blocks=400, oddities_per_minute=60)


def test_new_rows_satisfy_the_published_contract(serve, samples):
    contract = json.loads((samples / "openapi-data-v2.json").read_text())

    def check(name, body):
        schema = {"$ref": f"#/components/schemas/{name}", "components": contract["components"]}
        jsonschema.Draft202012Validator(schema).validate(body)

    async def scenario(session):
        session.move(30_000)
        seen = set()
        for wallet in session.venue.world.leader_wallets:
            page = await session.get(ACTIVITY, user=wallet, limit=1_000)
            check("ActivityPage", page)
            seen |= {row["type"] for row in page["data"]}
            seen |= {"combo" for row in page["data"] if row.get("is_combo")}
            check("PositionsPage", await session.get("/data/v2/positions", user=wallet))
            trades = await session.get("/data/v2/trades", user=wallet, taker_only="false")
            check("TradesPage", trades)
        assert {"TRADE", "SPLIT", "MERGE", "REDEEM", "MAKER_REBATE", "combo"} <= seen
        check("Envelope_ServiceStatus", await session.get("/data/v2/status"))
        for market in session.venue.world.listed.all[:2]:
            answer = await session.get("/data/v2/resolutions", condition=market.condition_id)
            check("Envelope_Vec_Resolution", answer)

    plan = parse_resolutions("20:harbour-mayor-brandt:1,20:harbour-mayor-alder:0")
    serve(scenario, resolutions=plan, combos_per_minute=30, oddities_per_minute=20, **BUSY)


def test_history_with_everything_is_bounded():
    world = World(7, GENESIS_MS, replace(EVERYTHING, retention_blocks=500))
    for _ in range(1_400):
        world.step()
    oldest = next(iter(world.blocks))
    for rows in world.all_rows():
        assert all(row.tx.block.number >= oldest for row in rows)
    kept = {other.hash for block in world.blocks.values() for other in block.others}
    assert set(world.others) == kept
    assert world.activity[-1].n == world.activity_total > len(world.activity)
