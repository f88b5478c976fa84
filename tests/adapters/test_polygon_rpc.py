"""The node client: answers, errors, and queries it refuses to send."""

import pytest
from venue_fakes import FakeHttp

from chalicelib.adapters.polygon.rpc import BlockHeader, PolygonRpc, RangeTooWide
from chalicelib.domain.errors import Permanent, RateLimited, Retryable

HASH = "0x" + "ab" * 32
HEADER = {"number": "0x10", "hash": HASH, "timestamp": "0x6a772e03", "parentHash": HASH}


def node(result: object) -> tuple[PolygonRpc, FakeHttp]:
    http = FakeHttp(lambda path, asked: {"jsonrpc": "2.0", "id": asked["id"], "result": result})
    return PolygonRpc(http, range_max=10), http


def failing(answer: object) -> PolygonRpc:
    return PolygonRpc(FakeHttp(lambda path, asked: answer))


def test_head_and_blocks() -> None:
    assert node("0x5769ffe")[0].block_number() == 91_660_286
    rpc, http = node(HEADER)
    assert rpc.block(16) == BlockHeader(16, HASH, 1_786_195_459_000)
    assert rpc.block_time(HASH) == 1_786_195_459_000
    assert node(HEADER)[0].canonical(16) == HASH
    assert node(None)[0].canonical(16) is None
    assert [call[1]["method"] for call in http.calls] == [
        "eth_getBlockByNumber",
        "eth_getBlockByHash",
    ]
    assert http.calls[0][1]["params"] == ["0x10", False]
    assert node(None)[0].block_time(HASH) is None


def test_receipts() -> None:
    assert node(None)[0].receipt_logs(HASH) is None
    assert node({"logs": [{"logIndex": "0x1"}]})[0].receipt_logs(HASH) == ({"logIndex": "0x1"},)
    assert node({"logs": []})[0].receipt_logs(HASH) == ()


def test_log_queries_are_bounded_and_filtered() -> None:
    rpc, http = node([{"logIndex": "0x1"}])
    assert rpc.logs(5, 14, ["0xe1"], [["0xt"], None, ["0xw"]]) == ({"logIndex": "0x1"},)
    assert http.calls[0][1]["params"] == [
        {
            "fromBlock": "0x5",
            "toBlock": "0xe",
            "address": ["0xe1"],
            "topics": [["0xt"], None, ["0xw"]],
        }
    ]
    for first, last, addresses in ((5, 15, ["0xe1"]), (6, 5, ["0xe1"]), (5, 6, [])):
        with pytest.raises(Permanent):
            rpc.logs(first, last, addresses, [])
    assert len(http.calls) == 1


def logs_error(code: int, message: str) -> Exception:
    answer = {"id": 1, "error": {"code": code, "message": message}}
    with pytest.raises((Retryable, Permanent)) as failure:
        failing(answer).logs(1, 10, ["0xe1"], [])
    return failure.value


@pytest.mark.parametrize(
    ("code", "message", "blocks"),
    [
        (-32600, "eth_getLogs is limited to a 10 block range", 10),
        (-32602, "You can make eth_getLogs requests with up to a 5 block range.", 5),
        (-32000, "exceed maximum block range: 10,000 blocks", 10_000),
        (-32614, "eth_getLogs is limited to a 10,000 range", 0),
        (-32005, "query returned more than 10000 results", 0),
        (-32000, "Block range is too large", 0),
        (-32602, "Log response size exceeded.", 0),
    ],
)
def test_a_range_that_is_too_wide_is_told_from_other_refusals(
    code: int, message: str, blocks: int
) -> None:
    error = logs_error(code, message)
    assert isinstance(error, RangeTooWide)
    assert error.blocks == blocks


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (-32000, "invalid block range params"),
        (-32602, "block number 99 is beyond the head"),
        (-32000, "header not found"),
        (-32000, "unknown block"),
    ],
)
def test_blocks_the_node_does_not_have_yet_may_come(code: int, message: str) -> None:
    error = logs_error(code, message)
    assert isinstance(error, Retryable)


def test_a_limit_of_requests_is_no_limit_of_blocks() -> None:
    assert isinstance(logs_error(-32005, "request rate limit exceeded"), RateLimited)
    assert isinstance(logs_error(429, "Your app has exceeded its compute units"), RateLimited)
    assert isinstance(logs_error(-32005, "too many requests per second"), RateLimited)
    assert isinstance(logs_error(-32601, "method not allowed"), Permanent)


@pytest.mark.parametrize(
    ("code", "kind"),
    [(-32602, Permanent), (-32601, Permanent), (-32005, RateLimited), (-32000, Retryable)],
)
def test_errors_by_code(code: int, kind: type[Exception]) -> None:
    with pytest.raises(kind) as failure:
        failing({"id": 1, "error": {"code": code, "message": "no"}}).block_number()
    assert type(failure.value) is kind


@pytest.mark.parametrize(
    "answer", [[], {}, {"id": 2, "result": "0x1"}, {"id": 1, "result": "x"}, {"id": 1, "error": 5}]
)
def test_nonsense_is_retryable(answer: object) -> None:
    with pytest.raises(Retryable):
        failing(answer).block_number()
