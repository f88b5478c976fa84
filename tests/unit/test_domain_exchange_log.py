"""OrderFilled logs: against the reference decoder, the worked match types, and malformed logs."""

from __future__ import annotations

import json
import random
import sys
from dataclasses import FrozenInstanceError, fields, replace
from pathlib import Path
from typing import Any

import pytest

from chalicelib.domain.errors import InvalidInput
from chalicelib.domain.exchange_log import EXCHANGES, LeaderFill, decode_order_filled, quantity
from tests.unit.plain_decoder import decode_plainly
from tests.unit.wire import (
    LEADER,
    MAKER_1,
    MAKER_2,
    NO,
    TAKER,
    V1_EXCHANGE,
    V2_EXCHANGE,
    V2_NEG_RISK,
    V3_EXCHANGE,
    YES,
    hash_of,
    order_filled,
    random_log,
    topic,
    word,
)

LOGS_PER_EXCHANGE = 600
MALFORMED_PER_EXCHANGE = 6_000
TESTS = Path(__file__).resolve().parents[1]


def decode(log: dict[str, object]) -> LeaderFill | None:
    return decode_order_filled(log, {LEADER})


def _abi(*fields: str) -> dict[str, object]:
    inputs = [
        {"name": name, "type": kind, "indexed": i < 3}
        for i, (kind, name) in enumerate(field.split() for field in fields)
    ]
    return {"type": "event", "name": "OrderFilled", "anonymous": False, "inputs": inputs}


ORDER = ("bytes32 orderHash", "address maker", "address taker")
FIRST = _abi(
    *ORDER,
    "uint256 makerAssetId",
    "uint256 takerAssetId",
    "uint256 makerAmountFilled",
    "uint256 takerAmountFilled",
    "uint256 fee",
)
SECOND = _abi(
    *ORDER,
    "uint8 side",
    "uint256 tokenId",
    "uint256 makerAmountFilled",
    "uint256 takerAmountFilled",
    "uint256 fee",
    "bytes32 builder",
    "bytes32 metadata",
)
"""The third generation has the event of the second."""
ABIS = {e: FIRST if generation == "v1" else SECOND for e, generation in EXCHANGES.items()}


@pytest.fixture(scope="module")
def web3() -> Any:
    """The reference decoder; a dependency of it raises the recursion limit, which is undone."""
    limit = sys.getrecursionlimit()
    from web3 import Web3

    sys.setrecursionlimit(limit)
    return Web3()


def log_of(source: random.Random, exchange: str) -> dict[str, Any]:
    """A well-formed fill of LEADER on any exchange, also the other one of the first generation."""
    if EXCHANGES[exchange] != "v1":
        return random_log(source, exchange)
    log: dict[str, Any] = random_log(source, V1_EXCHANGE)
    topics = [topic(exchange) if t == topic(V1_EXCHANGE) else t for t in log["topics"]]
    return log | {"address": exchange, "topics": topics}


def check_against(web3: Any, log: dict[str, Any], fill: LeaderFill) -> None:
    """The fill states what the reference decoder finds in the log."""
    event = web3.eth.contract(abi=[ABIS[fill.exchange]]).events.OrderFilled()
    # Samples that were published without their block are completed for the reference decoder.
    whole = {"blockHash": hash_of(""), "transactionHash": hash_of("")} | log
    binary = {
        name: bytes.fromhex(whole[name][2:]) for name in ("data", "blockHash", "transactionHash")
    }
    quantities = {
        name: int(log.get(name, "0x0"), 16)
        for name in ("blockNumber", "logIndex", "transactionIndex")
    }
    topics = [bytes.fromhex(t[2:]) for t in log["topics"]]
    found = event.process_log(whole | quantities | binary | {"topics": topics})
    args = found["args"]
    making, taking = args["makerAmountFilled"], args["takerAmountFilled"]
    is_buy = args["side"] == 0 if "side" in args else args["makerAssetId"] == 0
    token = args["tokenId"] if "side" in args else args["makerAssetId"] + args["takerAssetId"]
    assert (fill.side, fill.token_id) == ("BUY" if is_buy else "SELL", str(token))
    assert (fill.shares, fill.cash) == ((taking, making) if is_buy else (making, taking))
    assert fill.fee == args["fee"]
    assert fill.wallet == args["maker"].lower()
    assert fill.order_hash == "0x" + args["orderHash"].hex()
    assert fill.exchange == found["address"].lower()
    assert fill.role == ("taker" if args["taker"].lower() == fill.exchange else "maker")
    if "blockHash" in log:
        assert (fill.block_number, fill.log_index) == (found["blockNumber"], found["logIndex"])
        assert fill.block_hash == "0x" + found["blockHash"].hex()
    if "transactionHash" in log:
        assert fill.tx_hash == "0x" + found["transactionHash"].hex()


@pytest.mark.parametrize("exchange", ABIS)
def test_same_values_as_the_reference_decoder(exchange: str, web3: Any) -> None:
    source = random.Random(f"logs of {exchange}")
    for _ in range(LOGS_PER_EXCHANGE):
        log = log_of(source, exchange)
        fill = decode(log)
        assert fill is not None
        check_against(web3, log, fill)


def _recorded() -> list[dict[str, Any]]:
    """Every recorded log: the project's own, and the venue's where they lie beside the checkout."""
    logs = json.loads((TESTS / "events" / "polygon_logs.json").read_text(encoding="utf-8"))
    for line in (TESTS / "events" / "polygon_subscription.jsonl").read_text().splitlines():
        result = json.loads(line).get("params", {}).get("result", {})
        logs += [result] if "topics" in result else []
    samples = TESTS.parents[1] / "shared" / "venue" / "samples" / "chain"
    for path in sorted(samples.glob("v[123]_*.json")):
        logs += json.loads(path.read_text(encoding="utf-8"))
    return logs


def test_recorded_logs_have_the_same_values_as_the_reference_decoder(web3: Any) -> None:
    fills = 0
    for log in _recorded():
        maker = "0x" + log["topics"][2][26:].lower() if len(log["topics"]) > 2 else ""
        assert outcome(decode_order_filled, log, {maker}) == outcome(decode_plainly, log, {maker})
        fill = outcome(decode_order_filled, log, {maker})
        if isinstance(fill, LeaderFill):
            fills += 1
            check_against(web3, log, fill)
    assert fills > 10


def outcome(decoder: Any, log: Any, wallets: Any) -> LeaderFill | str | None:
    """The fill, None, or the name of the refused field."""
    try:
        found: LeaderFill | None = decoder(log, wallets)
    except InvalidInput as refusal:
        return refusal.field
    return found


JUNK: tuple[Any, ...] = (
    *(None, True, False, 0, 5, -1, 1.5, [], {}, "", "0x", "0X1", "0x1", "0x0", "x", "0x 1", "0x1 "),
    *("0x_1", "0x1\n", "٣", "0x٣", "0xK", "0x" + "f" * 64, "0x" + "f" * 65, 10**10, 10**10 + 1),
    *(
        hash_of("junk"),
        hash_of("junk").upper(),
        LEADER,
        LEADER.upper(),
        V2_EXCHANGE,
        "0x" + "g" * 64,
    ),
    *("0x" + "0" * 448, "0x" + "0" * 447 + " ", "0x" + "1" * 320, ["0x1"], b"0x1"),
)
CHARACTERS = "0123456789abcdefABCDEFxXgG _-+\n\té٣\x00"


def _hurt(source: random.Random, value: Any) -> Any:
    """A value like `value` with something changed."""
    if isinstance(value, list) and value and source.random() < 0.9:
        at = source.randrange(len(value))
        return [*value[:at], _hurt(source, value[at]), *value[at + 1 :]]
    if isinstance(value, list) and value:
        return source.choice((value[1:], value[:-1], [*value, value[0]]))
    if not isinstance(value, str) or not value or source.random() < 0.2:
        return source.choice(JUNK)
    # Beginnings and word borders are where widths, signs and paddings are decided.
    at = source.choice((0, 1, 2, 3, 25, 26, 65, len(value) - 1, source.randrange(len(value))))
    at = min(at, len(value) - 1)
    match source.randrange(6):
        case 0:
            return value.upper()
        case 1:
            return value[:at] + value[at + 1 :]
        case 2:
            return value[:at] + source.choice(CHARACTERS) + value[at:]
        case 3:
            return value[:2] + value[2:].upper()
        case 4:
            return value + source.choice(CHARACTERS)
        case _:
            return value[:at] + source.choice(CHARACTERS) + value[at + 1 :]


def _hurt_words(source: random.Random, data: Any) -> Any:
    """Data with one word replaced by a number near a bound."""
    if not isinstance(data, str):
        return data
    at = 2 + 64 * source.randrange(7)
    number = source.choice((0, 1, 2, 10**18, 10**18 + 1, 2**64, 2**255, 2**256 - 1))
    return data[:at] + word(number) + data[at + 64 :]


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_malformed_logs_are_judged_as_by_the_plain_decoder(exchange: str) -> None:
    source = random.Random(f"malformed logs of {exchange}")
    seen: set[object] = set()
    for _ in range(MALFORMED_PER_EXCHANGE):
        log = log_of(source, exchange)
        if source.random() < 0.5:
            log["blockTimestamp"] = hex(source.randrange(2**34))
        for _ in range(source.choice((0, 1, 1, 1, 2, 3))):
            name = source.choice((*log, "topics", "data"))
            if name == "data" and source.random() < 0.5:
                log[name] = _hurt_words(source, log.get(name))
            elif source.random() < 0.05:
                log.pop(name, None)
            else:
                log[name] = _hurt(source, log.get(name))
        wallets = source.choice(({LEADER}, {LEADER: "leader"}, {MAKER_1}, set()))
        expected = outcome(decode_plainly, log, wallets)
        found = outcome(decode_order_filled, log, wallets)
        assert found == expected, log
        assert type(found) is type(expected)
        if isinstance(found, LeaderFill):
            assert vars(found) == vars(expected), "every field is set, and no other"
        seen.add(found if isinstance(found, str) else type(found))
    refused = {"topics", "topics[1]", "topics[2]", "topics[3]", "address", "data", "removed"}
    refused |= {"transactionHash", "blockHash", "blockNumber", "logIndex", "blockTimestamp"}
    assert seen == {LeaderFill, type(None), *refused}, "the sample is too small"


def test_a_decoded_fill_is_like_any_other_and_cannot_be_changed() -> None:
    fill = decode(order_filled(LEADER, MAKER_1, "BUY", YES, 1, 1))
    assert fill is not None
    assert replace(fill) == fill
    assert hash(replace(fill)) == hash(fill)
    assert list(vars(fill)) == [field.name for field in fields(LeaderFill)]
    with pytest.raises(FrozenInstanceError):
        fill.shares = 2  # type: ignore[misc]


# (exchange, logs in order, the leader's fill: side, token, shares, cash, fee, role)
MATCHES = {
    "complementary, leader takes a buy": (
        V2_EXCHANGE,
        [
            order_filled(MAKER_1, LEADER, "SELL", YES, 60_000_000, 34_800_000),
            order_filled(MAKER_2, LEADER, "SELL", YES, 40_000_000, 24_000_000),
            order_filled(LEADER, V2_EXCHANGE, "BUY", YES, 58_800_000, 100_000_000, 969_020),
        ],
        ("BUY", YES, 100_000_000, 58_800_000, 969_020, "taker"),
    ),
    "complementary, leader's resting buy is hit": (
        V2_EXCHANGE,
        [
            order_filled(LEADER, TAKER, "BUY", YES, 24_000_000, 40_000_000),
            order_filled(TAKER, V2_EXCHANGE, "SELL", YES, 40_000_000, 24_000_000, 384_000),
        ],
        ("BUY", YES, 40_000_000, 24_000_000, 0, "maker"),
    ),
    "mint, leader takes": (
        V3_EXCHANGE,
        [
            order_filled(MAKER_1, LEADER, "BUY", NO, 40_000_000, 100_000_000, exchange=V3_EXCHANGE),
            order_filled(
                LEADER, V3_EXCHANGE, "BUY", YES, 60_000_000, 100_000_000, 960_000,
                exchange=V3_EXCHANGE,
            ),
        ],
        ("BUY", YES, 100_000_000, 60_000_000, 960_000, "taker"),
    ),
    "mint, leader's resting buy of the other outcome": (
        V2_NEG_RISK,
        [
            order_filled(LEADER, TAKER, "BUY", NO, 40_000_000, 100_000_000, exchange=V2_NEG_RISK),
            order_filled(
                TAKER, V2_NEG_RISK, "BUY", YES, 60_000_000, 100_000_000, 960_000,
                exchange=V2_NEG_RISK,
            ),
        ],
        ("BUY", NO, 100_000_000, 40_000_000, 0, "maker"),
    ),
    "merge, leader takes a sell": (
        V2_EXCHANGE,
        [
            order_filled(MAKER_1, LEADER, "SELL", NO, 100_000_000, 62_000_000),
            order_filled(LEADER, V2_EXCHANGE, "SELL", YES, 100_000_000, 38_000_000, 942_400),
        ],
        ("SELL", YES, 100_000_000, 38_000_000, 942_400, "taker"),
    ),
    "merge, leader's resting sell": (
        V2_EXCHANGE,
        [
            order_filled(LEADER, TAKER, "SELL", NO, 100_000_000, 62_000_000),
            order_filled(TAKER, V2_EXCHANGE, "SELL", YES, 100_000_000, 38_000_000, 942_400),
        ],
        ("SELL", NO, 100_000_000, 62_000_000, 0, "maker"),
    ),
    "mixed, leader takes from both kinds of makers": (
        V3_EXCHANGE,
        [
            order_filled(
                MAKER_1, LEADER, "SELL", YES, 50_000_000, 29_500_000, exchange=V3_EXCHANGE
            ),
            order_filled(MAKER_2, LEADER, "BUY", NO, 20_500_000, 50_000_000, exchange=V3_EXCHANGE),
            order_filled(
                LEADER, V3_EXCHANGE, "BUY", YES, 59_000_000, 100_000_000, 967_600,
                exchange=V3_EXCHANGE,
            ),
        ],
        ("BUY", YES, 100_000_000, 59_000_000, 967_600, "taker"),
    ),
    "complementary, leader sells to two makers": (
        V2_EXCHANGE,
        [
            order_filled(MAKER_1, LEADER, "BUY", YES, 34_800_000, 60_000_000),
            order_filled(MAKER_2, LEADER, "BUY", YES, 22_000_000, 40_000_000),
            order_filled(LEADER, V2_EXCHANGE, "SELL", YES, 100_000_000, 56_800_000, 981_500),
        ],
        ("SELL", YES, 100_000_000, 56_800_000, 981_500, "taker"),
    ),
    "first generation, the fee of a buy is in tokens": (
        V1_EXCHANGE,
        [
            order_filled(
                LEADER, TAKER, "BUY", YES, 8_400_000, 20_000_000, 2_000_000, exchange=V1_EXCHANGE
            )
        ],
        ("BUY", YES, 20_000_000, 8_400_000, 2_000_000, "maker"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MATCHES)
def test_of_a_whole_match_only_the_leaders_own_log_counts(name: str) -> None:
    exchange, logs, expected = MATCHES[name]
    fills = [fill for log in logs if (fill := decode(log)) is not None]
    assert [(f.side, f.token_id, f.shares, f.cash, f.fee, f.role) for f in fills] == [expected]
    assert fills[0].exchange == exchange
    assert fills[0].generation == EXCHANGES[exchange]
    in_tokens = exchange == V1_EXCHANGE and expected[0] == "BUY"
    assert fills[0].fee_asset == ("token" if in_tokens else "collateral")


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_logs_with_the_leader_as_taker_are_never_his(exchange: str) -> None:
    for side in ("BUY", "SELL"):
        log = order_filled(MAKER_1, LEADER, side, YES, 10, 10, exchange=exchange)
        assert decode(log) is None


def test_the_fill_carries_everything_the_log_states() -> None:
    log = order_filled(
        LEADER, MAKER_1, "SELL", YES, 3_000_000, 1_000_000, blockTimestamp="0x6a000000"
    )
    log["address"] = V2_EXCHANGE.upper().replace("0X", "0x")
    fill = decode(log)
    assert fill == LeaderFill(
        wallet=LEADER,
        tx_hash=hash_of("tx"),
        block_number=97_000_000,
        block_hash=hash_of("block97000000"),
        log_index=7,
        ts_block=0x6A000000 * 1000,
        exchange=V2_EXCHANGE,
        generation="v2",
        role="maker",
        side="SELL",
        token_id=YES,
        shares=3_000_000,
        cash=1_000_000,
        fee=0,
        fee_asset="collateral",
        order_hash=hash_of("order7"),
        removed=False,
    )
    assert fill.price == 333_333


def test_block_fields_may_be_missing() -> None:
    log = order_filled(LEADER, MAKER_1, "BUY", YES, 1, 1)
    for name in ("blockNumber", "blockHash", "logIndex", "transactionHash", "removed"):
        del log[name]
    fill = decode(log)
    assert fill is not None
    assert (fill.block_number, fill.block_hash, fill.log_index, fill.tx_hash) == (None,) * 4
    assert fill.removed is False


def test_what_is_not_the_leaders_fill_is_none() -> None:
    log = order_filled(LEADER, MAKER_1, "BUY", YES, 1, 1)
    assert decode(log | {"topics": [hash_of("other event")]}) is None
    assert decode(log | {"topics": []}) is None
    assert decode(log | {"address": MAKER_1}) is None
    assert decode(log | {"address": V1_EXCHANGE}) is None, "signature of another generation"
    assert decode_order_filled(log, {MAKER_1}) is None
    assert decode(order_filled(LEADER, MAKER_1, "BUY", YES, 0, 0)) is None, "dust"


GOOD = order_filled(LEADER, MAKER_1, "BUY", YES, 600_000, 1_000_000)
TOPICS: list[str] = GOOD["topics"]  # type: ignore[assignment]


def _data(*words: int) -> str:
    return "0x" + "".join(map(word, words))


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("topics", {"topics": None}),
        ("topics", {"topics": "0x"}),
        ("topics", {"topics": [*TOPICS[:3], 5]}),
        ("topics", {"topics": TOPICS[:3]}),
        ("topics", {"topics": [*TOPICS, TOPICS[0]]}),
        ("topics[1]", {"topics": [TOPICS[0], "0x12", *TOPICS[2:]]}),
        ("topics[1]", {"topics": [TOPICS[0], "0x" + "z" * 64, *TOPICS[2:]]}),
        ("topics[2]", {"topics": [*TOPICS[:2], "0x1" + TOPICS[2][3:], TOPICS[3]]}),
        ("topics[2]", {"topics": [*TOPICS[:2], LEADER, TOPICS[3]]}),
        ("topics[2]", {"topics": [*TOPICS[:2], "1x" + TOPICS[2][2:], TOPICS[3]]}),
        ("topics[3]", {"topics": [*TOPICS[:3], topic(MAKER_1)[:-2] + "zz"]}),
        ("address", {"address": None}),
        ("address", {"address": 5}),
        ("address", {"address": V2_EXCHANGE[:-1]}),
        ("data", {"data": None}),
        ("data", {"data": "0x"}),
        ("data", {"data": _data(0, 5, 600_000, 1_000_000, 0, 0)}),
        ("data", {"data": _data(0, 5, 600_000, 1_000_000, 0, 0, 0, 0)}),
        ("data", {"data": _data(2, 5, 600_000, 1_000_000, 0, 0, 0)}),
        ("data", {"data": _data(0, 0, 600_000, 1_000_000, 0, 0, 0)}),
        ("data", {"data": _data(0, 5, 1_000_001, 1_000_000, 0, 0, 0)}),
        ("data", {"data": _data(0, 5, 0, 1_000_000, 0, 0, 0)}),
        ("data", {"data": _data(0, 5, 1, 10**18 + 1, 0, 0, 0)}),
        ("data", {"data": _data(0, 5, 1, 10**18, 2**255, 0, 0)}),
        ("data", {"data": "0x" + "-" + str(GOOD["data"])[3:]}),
        ("data", {"data": "0x" + " " + str(GOOD["data"])[3:]}),
        ("data", {"data": "0x" + "0_" + str(GOOD["data"])[4:]}),
        ("data", {"data": str(GOOD["data"])[:-1] + "g"}),
        ("data", {"data": str(GOOD["data"])[:-1] + "\n"}),
        ("transactionHash", {"transactionHash": "0x12"}),
        ("transactionHash", {"transactionHash": 12}),
        ("blockHash", {"blockHash": ""}),
        ("blockNumber", {"blockNumber": "97000000"}),
        ("blockNumber", {"blockNumber": -1}),
        ("blockNumber", {"blockNumber": True}),
        ("blockNumber", {"blockNumber": "0x"}),
        ("logIndex", {"logIndex": "0x1_0"}),
        ("logIndex", {"logIndex": "0x5 "}),
        ("logIndex", {"logIndex": "0x" + "f" * 65}),
        ("logIndex", {"logIndex": [1]}),
        ("blockTimestamp", {"blockTimestamp": "soon"}),
        ("removed", {"removed": "false"}),
        ("removed", {"removed": None}),
        ("removed", {"removed": 0}),
    ],
)
def test_malformed_fills_are_refused_by_field(field: str, change: dict[str, object]) -> None:
    assert decode(GOOD) is not None
    with pytest.raises(InvalidInput) as refusal:
        decode(GOOD | change)
    assert refusal.value.field == field


@pytest.mark.parametrize(("maker_asset", "taker_asset"), [(0, 0), (5, 6)])
def test_a_first_generation_log_names_exactly_one_token(maker_asset: int, taker_asset: int) -> None:
    log = order_filled(LEADER, MAKER_1, "BUY", YES, 1, 1, exchange=V1_EXCHANGE)
    with pytest.raises(InvalidInput, match="data"):
        decode(log | {"data": _data(maker_asset, taker_asset, 1, 1, 0)})


def test_quantities() -> None:
    assert quantity("0x0", "n") == 0
    assert quantity("0xFf", "n") == 255
    assert quantity(12, "n") == 12
