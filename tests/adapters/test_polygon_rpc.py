"""The node client: answers, errors, and queries it refuses to send."""

import pytest
from venue_fakes import FakeHttp

from chalicelib.adapters.polygon.rpc import BlockHeader, PolygonRpc
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
