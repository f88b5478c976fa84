"""The Polygon double: logs decode to the truth, queries and subscriptions filter exactly."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest
from hexbytes import HexBytes
from web3 import Web3

from simulator.ids import EXCHANGES
from simulator.logs import FEE_CHARGED, ORDER_FILLED, ORDERS_MATCHED, topic_of_address

ORDER_FILLED_ABI = {
    "type": "event",
    "name": "OrderFilled",
    "anonymous": False,
    "inputs": [
        {"name": "orderHash", "type": "bytes32", "indexed": True},
        {"name": "maker", "type": "address", "indexed": True},
        {"name": "taker", "type": "address", "indexed": True},
        {"name": "side", "type": "uint8", "indexed": False},
        {"name": "tokenId", "type": "uint256", "indexed": False},
        {"name": "makerAmountFilled", "type": "uint256", "indexed": False},
        {"name": "takerAmountFilled", "type": "uint256", "indexed": False},
        {"name": "fee", "type": "uint256", "indexed": False},
        {"name": "builder", "type": "bytes32", "indexed": False},
        {"name": "metadata", "type": "bytes32", "indexed": False},
    ],
}


def leader_filter(session, **extra):
    leaders = [topic_of_address(leader.wallet) for leader in session.venue.world.leaders]
    return {"address": sorted(EXCHANGES), "topics": [ORDER_FILLED, None, leaders], **extra}


async def leader_logs(session):
    answer = await session.rpc("eth_getLogs", leader_filter(session, fromBlock="earliest"))
    return answer["result"]


def key(log):
    return log["transactionHash"], int(log["logIndex"], 16)


def test_topics_are_the_hashes_of_their_signatures():
    types = ",".join(entry["type"] for entry in ORDER_FILLED_ABI["inputs"])
    assert Web3.keccak(text=f"OrderFilled({types})").to_0x_hex() == ORDER_FILLED
    matched = "OrdersMatched(bytes32,address,uint8,uint256,uint256,uint256)"
    assert Web3.keccak(text=matched).to_0x_hex() == ORDERS_MATCHED
    assert Web3.keccak(text="FeeCharged(address,uint256)").to_0x_hex() == FEE_CHARGED


def test_leader_logs_decode_to_the_truth(serve):
    async def scenario(session):
        event = Web3().eth.contract(abi=[ORDER_FILLED_ABI]).events.OrderFilled()
        logs, truth = await leader_logs(session), await session.truth()
        assert len(logs) == len(truth) > 200
        for log, fill in zip(logs, truth, strict=True):
            raw = {
                **log,
                "topics": [HexBytes(topic) for topic in log["topics"]],
                "data": HexBytes(log["data"]),
                "logIndex": int(log["logIndex"], 16),
            }
            args = event.process_log(raw)["args"]
            given, got = args["makerAmountFilled"], args["takerAmountFilled"]
            is_buy = args["side"] == 0
            assert log["address"] == fill["exchange"]
            assert key(log) == (fill["tx_hash"], fill["log_index"])
            assert int(log["blockNumber"], 16) == fill["block_number"]
            assert log["blockHash"] == fill["block_hash"]
            assert int(log["blockTimestamp"], 16) * 1_000 == fill["ts_block"]
            assert args["maker"].lower() == fill["wallet"]
            assert ("taker" if args["taker"].lower() == log["address"] else "maker") == fill["role"]
            assert ("BUY" if is_buy else "SELL") == fill["side"]
            assert str(args["tokenId"]) == fill["token_id"]
            assert (got, given) == (fill["shares_micros"], fill["cash_micros"]) or not is_buy
            assert (given, got) == (fill["shares_micros"], fill["cash_micros"]) or is_buy
            assert args["fee"] == fill["fee_micros"]
            assert "0x" + args["orderHash"].hex() == fill["order_hash"]
            assert fill["ts_match"] < fill["ts_published"]

    serve(scenario, fills_per_minute=60)


def test_receipts_hold_the_whole_match(serve):
    async def scenario(session):
        for fill in (await session.truth())[:60]:
            receipt = (await session.rpc("eth_getTransactionReceipt", fill["tx_hash"]))["result"]
            logs = receipt["logs"]
            indexes = [int(log["logIndex"], 16) for log in logs]
            assert indexes == sorted(set(indexes)) and fill["log_index"] in indexes
            assert logs[-1]["topics"][0] == ORDERS_MATCHED
            taker = logs[-2]
            assert taker["topics"][3] == topic_of_address(receipt["to"])
            assert indexes[-1] == indexes[-2] + 1
            assert logs[-1]["topics"][1:] == taker["topics"][1:3]
            for log in logs[:-2]:
                assert log["topics"][0] in (ORDER_FILLED, FEE_CHARGED)
                if log["topics"][0] == ORDER_FILLED:
                    assert log["topics"][3] == taker["topics"][2]

    serve(scenario)


def test_log_queries_agree_however_they_are_cut(serve):
    async def scenario(session):
        everything = await leader_logs(session)
        head, first = session.venue.head.number, next(iter(session.venue.world.blocks))
        pieces = []
        for start in range(first, head + 1, 37):
            wanted = leader_filter(session, fromBlock=hex(start), toBlock=hex(start + 36))
            pieces += (await session.rpc("eth_getLogs", wanted))["result"]
        assert pieces == everything
        by_hash = leader_filter(session, blockHash=everything[-1]["blockHash"])
        number = everything[-1]["blockNumber"]
        expected = [log for log in everything if log["blockNumber"] == number]
        assert (await session.rpc("eth_getLogs", by_hash))["result"] == expected
        beyond = {"fromBlock": hex(head + 5), "toBlock": "latest"}
        assert (
            "invalid block range" in (await session.rpc("eth_getLogs", beyond))["error"]["message"]
        )

    serve(scenario)


def test_json_rpc_errors_and_batches(serve):
    async def scenario(session):
        assert (await session.rpc("eth_sign"))["error"]["code"] == -32601
        assert (await session.rpc("eth_getLogs"))["error"]["code"] == -32602
        bad_topic = {"topics": ["0x12"]}
        assert (await session.rpc("eth_getLogs", bad_topic))["error"]["code"] == -32602
        batch = [
            {"jsonrpc": "2.0", "id": n, "method": method, "params": []}
            for n, method in enumerate(("eth_chainId", "net_version", "eth_blockNumber", "nope"))
        ]
        answers = await session.post("/polygon", batch)
        assert [a.get("result") for a in answers[:2]] == ["0x89", "137"]
        assert answers[3]["error"]["code"] == -32601
        head = (await session.rpc("eth_getBlockByNumber", "latest", False))["result"]
        final = (await session.rpc("eth_getBlockByNumber", "finalized", False))["result"]
        assert 0 < int(head["number"], 16) - int(final["number"], 16) < 20
        parent = (await session.rpc("eth_getBlockByHash", head["parentHash"], False))["result"]
        assert int(parent["number"], 16) + 1 == int(head["number"], 16)
        assert len(head["extraData"]) == 66
        future = hex(int(head["number"], 16) + 1)
        assert (await session.rpc("eth_getBlockByNumber", future, False))["result"] is None

    serve(scenario)


async def subscribe(socket, *params):
    await socket.send_json({"jsonrpc": "2.0", "id": 1, "method": "eth_subscribe",
                            "params": list(params)})  # fmt: skip
    return (await socket.receive_json())["result"]


def test_subscription_delivers_exactly_the_leaders_fills(serve):
    async def scenario(session):
        before = len(await session.truth())
        async with session.client.ws_connect("/polygon") as socket:
            logs = await subscribe(socket, "logs", leader_filter(session))
            heads = await subscribe(socket, "newHeads")
            session.move(60_000)
            frames = [f["params"] for f in await session.frames(socket)]
            pushed = [f["result"] for f in frames if f["subscription"] == logs]
            fresh = (await session.truth())[before:]
            assert [key(log) for log in pushed] == [(f["tx_hash"], f["log_index"]) for f in fresh]
            assert len(fresh) > 10
            numbers = [int(f["result"]["number"], 16) for f in frames if f["subscription"] == heads]
            assert len(numbers) == 40 and numbers == sorted(numbers)
            await socket.send_json({"id": 9, "method": "eth_unsubscribe", "params": [logs]})
            assert (await socket.receive_json())["result"] is True
            session.move(30_000)
            left = {f["params"]["subscription"] for f in await session.frames(socket)}
            assert left == {heads}
        counters = await session.get("/control/counters")
        assert counters["polygon subscriptions"] == 2
        assert counters["polygon unfiltered subscriptions"] == 0
        assert counters["polygon logs pushed"] == len(fresh)

    serve(scenario)


def test_faults_stall_duplicate_and_drop_sockets(serve):
    async def scenario(session):
        async with session.client.ws_connect("/polygon") as socket:
            await subscribe(socket, "logs", leader_filter(session))
            await session.post("/control/faults", {"ws_stall": True})
            session.move(30_000)
            assert await session.frames(socket) == []
            await socket.send_json({"id": 2, "method": "eth_blockNumber", "params": []})
            assert int((await socket.receive_json())["result"], 16) == session.venue.head.number
            await session.post("/control/faults", {"ws_stall": False, "duplicate_logs": True})
            session.move(30_000)
            pushed = [key(f["params"]["result"]) for f in await session.frames(socket)]
            assert pushed and pushed[::2] == pushed[1::2]
            await session.post("/control/faults", {"duplicate_logs": False, "logs_drop_rate": 0.5})
            before = len(await session.truth())
            session.move(60_000)
            left = len(await session.frames(socket))
            assert 0 < left < len(await session.truth()) - before
            dropped = await session.post("/control/faults", {"disconnect": True})
            assert dropped["disconnect"] == 1
            message = await asyncio.wait_for(socket.receive(), 2)
            assert message.type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR,
                                    aiohttp.WSMsgType.CLOSE)  # fmt: skip

    serve(scenario)


def test_a_reorg_moves_logs_and_keeps_the_fills(serve):
    async def scenario(session):
        before = await session.truth()
        head = session.venue.head.number
        async with session.client.ws_connect("/polygon") as socket:
            await subscribe(socket, "logs", leader_filter(session))
            old = [(f["tx_hash"], f["log_index"]) for f in before if f["block_number"] > head - 12]
            assert (await session.post("/control/faults", {"reorg": 12}))["reorg"] == 12
            pushed = [f["params"]["result"] for f in await session.frames(socket)]
        after = await session.truth()
        new = [(f["tx_hash"], f["log_index"]) for f in after if f["block_number"] > head - 12]
        assert [key(log) for log in pushed if log["removed"]] == old
        assert [key(log) for log in pushed if not log["removed"]] == new
        assert [tx for tx, _ in new] == [tx for tx, _ in old] and new != old
        changing = {"block_hash", "block_number", "log_index", "ts_block", "ts_published"}
        for left, right in zip(before, after, strict=True):
            assert {n for n in left if left[n] != right[n]} <= changing
        session.move(3_000)
        fresh = await leader_logs(session)
        assert [key(log) for log in fresh] == [
            (f["tx_hash"], f["log_index"]) for f in await session.truth()
        ]
        parent = None
        for number in range(head - 14, session.venue.head.number + 1):
            block = (await session.rpc("eth_getBlockByNumber", hex(number), False))["result"]
            assert parent in (None, block["parentHash"])
            parent = block["hash"]
        too_deep = await session.post("/control/faults", {"reorg": 65}, status=400)
        assert "reorg" in too_deep["error"]

    serve(scenario, blocks=200, fills_per_minute=90)


def test_the_feed_follows_a_reorg(serve):
    async def scenario(session):
        await session.post("/control/faults", {"reorg": 20})
        session.move(9_000)
        truth = [f for f in await session.truth() if f["ts_api_visible"] <= session.venue.now]
        rows = []
        for leader in session.venue.world.leaders:
            page = await session.get("/data/v2/activity", user=leader.wallet, limit=1_000)
            assert not page["pagination"]["has_more"]
            rows += [(row["transaction_hash"], row["timestamp"]) for row in page["data"]]
        assert sorted(rows) == sorted((f["tx_hash"], f["ts_block"] // 1_000) for f in truth)

    serve(scenario, blocks=200, fills_per_minute=60)


@pytest.mark.parametrize("generation", ["v2", "v3"])
def test_position_ids_belong_to_their_ledger(venue_at, generation):
    for market in venue_at(0).world.listed.all:
        if market.generation == generation:
            reserved = [int(token.id) >> 40 & (2**64 - 1) for token in market.tokens]
            assert all((bits == 0) == (generation == "v3") for bits in reserved)
            assert len(market.feed_condition_id) == (64 if generation == "v3" else 66)
