"""What the emitter logs, read back from the node and decoded by papercopy and by web3."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from web3 import Web3

from chalicelib.adapters.metrics import CountingMetrics
from chalicelib.adapters.polygon.rpc import PolygonRpc
from chalicelib.adapters.polymarket.http import HttpClient
from chalicelib.domain.errors import Retryable
from chalicelib.domain.exchange_log import (
    EXCHANGES,
    LIVE_EXCHANGES,
    TOPIC_V1,
    TOPIC_V2,
    decode_order_filled,
)
from tests.chain.anvil import Anvil
from tests.chain.chain import Chain
from tests.chain.clock import ShiftedClock
from tests.chain.matches import (
    ORDERS_MATCHED_V1,
    ORDERS_MATCHED_V2,
    V1_EXCHANGE,
    Fill,
    M,
    Market,
    Match,
    complementary,
    minting,
    with_dust,
    with_twin,
)

LEADER, MAKER, THIRD = (f"0x{digit * 40}" for digit in "abc")
YES, NO = str(2**255 + 77), str(2**254 + 78)
ARGUMENTS_V1 = ["makerAssetId", "takerAssetId", "makerAmountFilled", "takerAmountFilled", "fee"]
ARGUMENTS_V2 = ["tokenId", "makerAmountFilled", "takerAmountFilled", "fee"]


def event(inputs: list[tuple[str, str, bool]]) -> dict[str, Any]:
    fields = [{"type": kind, "name": name, "indexed": topic} for kind, name, topic in inputs]
    return {"type": "event", "name": "OrderFilled", "anonymous": False, "inputs": fields}


TOPICS = [("bytes32", "orderHash", True), ("address", "maker", True), ("address", "taker", True)]
EVENTS = {
    TOPIC_V1: event([*TOPICS, *(("uint256", name, False) for name in ARGUMENTS_V1)]),
    TOPIC_V2: event(
        [
            *TOPICS,
            ("uint8", "side", False),
            *(("uint256", name, False) for name in ARGUMENTS_V2),
            ("bytes32", "builder", False),
            ("bytes32", "metadata", False),
        ]
    ),
}


@pytest.fixture(scope="module")
def node() -> Iterator[Anvil]:
    with Anvil(ShiftedClock().now_ms() // 1000) as started:
        yield started


@pytest.fixture(scope="module")
def chain(node: Anvil) -> Chain:
    return Chain(node, random.Random(1), ShiftedClock())


def every_kind(exchange: str) -> list[Match]:
    """Matches of every kind on one exchange, the leader once on every side."""
    market = Market(exchange, YES, NO)
    bought = complementary(market, LEADER, "BUY", [(MAKER, 60 * M), (THIRD, 41 * M + 7)], 48, fee=9)
    return [
        bought,
        complementary(market, MAKER, "SELL", [(LEADER, 3 * M)], 91, fee=4),
        complementary(market, LEADER, "SELL", [(LEADER, 5 * M)], 50),
        minting(market, LEADER, [(MAKER, 10 * M), (THIRD, 1_000_001)], 37, fee=2),
        minting(market, LEADER, [(MAKER, 10 * M)], 63, side="SELL"),
        with_twin(minting(market, MAKER, [(LEADER, 8 * M)], 12)),
        with_dust(bought, LEADER),
    ]


def by_web3(log: Mapping[str, Any]) -> Fill:
    """The reference decoder's reading of a log."""
    web3 = Web3()
    abi = EVENTS[log["topics"][0]]
    topics = [bytes.fromhex(topic[2:]) for topic in log["topics"]]
    raw = dict(log, topics=topics, data=bytes.fromhex(log["data"][2:]))
    found = web3.eth.contract(abi=[abi]).events.OrderFilled().process_log(raw)["args"]
    given, got = found["makerAmountFilled"], found["takerAmountFilled"]
    if "side" in found:
        token, buys = found["tokenId"], found["side"] == 0
    else:
        buys = found["makerAssetId"] == 0
        token = found["takerAssetId"] if buys else found["makerAssetId"]
    return Fill(
        wallet=found["maker"].lower(),
        side="BUY" if buys else "SELL",
        token_id=str(token),
        shares=got if buys else given,
        cash=given if buys else got,
        fee=found["fee"],
        role="taker" if found["taker"].lower() == log["address"] else "maker",
        order_hash="0x" + found["orderHash"].hex(),
    )


@pytest.mark.parametrize("exchange", [*LIVE_EXCHANGES, V1_EXCHANGE])
def test_logs_read_back_decode_to_the_fills_that_were_emitted(chain: Chain, exchange: str) -> None:
    matches = every_kind(exchange)
    block = chain.mine(*matches)
    logs = chain.logs(block.number, block.number)
    filled = [log for log in logs if log["topics"][0] in (TOPIC_V1, TOPIC_V2)]
    kinds = {log["topics"][0] for log in logs}
    matched = ORDERS_MATCHED_V1 if EXCHANGES[exchange] == "v1" else ORDERS_MATCHED_V2
    assert matched in kinds
    assert [int(log["logIndex"], 16) for log in logs] == list(range(len(logs)))
    assert len(filled) == sum(len(match.makers) + 1 for match in matches)
    everybody = (LEADER, MAKER, THIRD)
    read = [decode_order_filled(log, everybody) for log in filled]
    fills = [fill for match in matches for fill in match.fills]
    assert [
        Fill(f.wallet, f.side, f.token_id, f.shares, f.cash, f.fee, f.role, f.order_hash)
        for f in read
        if f
    ] == fills
    assert [fill for log in filled if (fill := by_web3(log)).shares] == fills
    for seen, log in zip(read, filled, strict=True):
        if seen:
            assert seen.tx_hash == log["transactionHash"]
            assert (seen.block_hash, seen.block_number) == (block.block_hash, block.number)
            assert seen.log_index == int(log["logIndex"], 16)
            assert seen.ts_block == block.timestamp * 1000
            assert not seen.removed


def test_a_counterpartys_log_is_nobody_elses_fill(chain: Chain) -> None:
    match = minting(Market(LIVE_EXCHANGES[0], YES, NO), LEADER, [(MAKER, M), (THIRD, M)], 40)
    block = chain.mine(match)
    logs = chain.logs(block.number, block.number)
    naming_him = [log for log in logs if any(LEADER[2:] in topic for topic in log["topics"])]
    fills = [fill for log in naming_him if (fill := decode_order_filled(log, {LEADER}))]
    assert len(naming_him) == 4
    assert [(f.token_id, f.side, f.shares, f.cash) for f in fills] == [(YES, "BUY", 2 * M, 800_000)]


def test_a_reorganisation_keeps_transactions_and_moves_logs(chain: Chain) -> None:
    market = Market(LIVE_EXCHANGES[1], YES, NO)
    for shares in range(1, 4):
        chain.mine(*(complementary(market, LEADER, "BUY", [(MAKER, shares * M)], 50),) * 3)
    first = chain.head.number - 2
    before = {log["transactionHash"] for log in chain.logs(first, chain.head.number)}
    lost = sorted(before)[0]
    old = chain.reorganise(3, dropped=[lost])
    new = chain.logs(first, chain.head.number)
    assert {log["transactionHash"] for log in new} == before - {lost}
    assert not {log["blockHash"] for log in old} & {log["blockHash"] for log in new}
    places = {(log["transactionHash"], log["logIndex"]) for log in new}
    assert places - {(log["transactionHash"], log["logIndex"]) for log in old}
    assert lost not in {tx_hash for _, tx_hash, _, _ in chain.truth([LEADER])}


@pytest.fixture
def rpc(node: Anvil) -> PolygonRpc:
    return PolygonRpc(HttpClient(node.http_url, CountingMetrics()), range_max=10)


def test_range_queries_and_receipts_state_the_same_logs(chain: Chain, rpc: PolygonRpc) -> None:
    first = chain.head.number + 1
    for kind in every_kind(LIVE_EXCHANGES[2]):
        chain.mine(kind)
    last = chain.head.number
    maker_topic = "0x" + "0" * 24 + LEADER[2:]
    ranged = rpc.logs(first, last, LIVE_EXCHANGES, [[TOPIC_V2], None, [maker_topic]])
    told = [fill for log in ranged if (fill := decode_order_filled(log, {LEADER}))]
    assert [f.order_hash for f in told] == [
        fill.order_hash
        for _, block, fills in chain.mined()
        for fill in fills
        if first <= block.number <= last and fill.wallet == LEADER
    ]
    for tx_hash in {str(fill.tx_hash) for fill in told}:
        logs = rpc.receipt_logs(tx_hash)
        assert logs is not None
        mine = [fill for log in logs if (fill := decode_order_filled(log, {LEADER}))]
        assert mine == [fill for fill in told if fill.tx_hash == tx_hash]
    assert rpc.receipt_logs("0x" + "9" * 64) is None
    assert rpc.block_number() == last


@pytest.mark.parametrize("above", [1, 30])
def test_a_range_beyond_the_head_is_asked_again_later(
    chain: Chain, rpc: PolygonRpc, above: int
) -> None:
    head = chain.head.number
    with pytest.raises(Retryable):
        rpc.logs(head + above, head + above + 1, LIVE_EXCHANGES, [[TOPIC_V2]])
