"""Split, merge and conversion logs."""

from __future__ import annotations

import pytest

from chalicelib.domain.errors import InvalidInput
from chalicelib.domain.position_log import decode_position_change
from tests.unit.wire import LEADER, hash_of, topic, word

SPLIT = "0x2e6bb91f8cbcda0c93623c54d0403a43514fabc40084ec96b6d5379a74786298"
CONVERT = "0xb03d19dddbc72a87e735ff0ea3b57bef133ebe44e1894284916a84044deb367e"


def log_of(topics: list[str], *words: int) -> dict[str, object]:
    return {
        "topics": topics,
        "data": "0x" + "".join(map(word, words)),
        "transactionHash": hash_of("tx"),
        "blockNumber": "0x10",
        "logIndex": "0x2",
    }


SPLIT_LOG = log_of(
    [SPLIT, topic(LEADER), hash_of("parent"), hash_of("condition")], 5, 96, 7_000_000, 2, 1, 2
)
CONVERT_LOG = log_of([CONVERT, topic(LEADER), hash_of("market"), "0x" + word(6)], 3_000_000)


def test_a_split_states_condition_and_amount() -> None:
    change = decode_position_change(SPLIT_LOG)
    assert change is not None
    assert (change.kind, change.stakeholder, change.subject, change.amount, change.index_set) == (
        "SPLIT", LEADER, hash_of("condition"), 7_000_000, 0,
    )  # fmt: skip
    assert (change.block_number, change.log_index) == (16, 2)


def test_a_conversion_states_market_and_index_set() -> None:
    change = decode_position_change(CONVERT_LOG)
    assert change is not None
    assert (change.kind, change.subject, change.index_set, change.amount) == (
        "CONVERSION", hash_of("market"), 6, 3_000_000,
    )  # fmt: skip


def test_other_events_are_none() -> None:
    assert decode_position_change(log_of([hash_of("other")])) is None


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("topics", {"topics": None}),
        ("topics", {"topics": []}),
        ("topics", {"topics": [5]}),
        ("topics", {"topics": [SPLIT, topic(LEADER), hash_of(1)]}),
        ("topics[1]", {"topics": [SPLIT, "0x1" + topic(LEADER)[3:], hash_of(1), hash_of(2)]}),
        ("topics[1]", {"topics": [SPLIT, LEADER, hash_of(1), hash_of(2)]}),
        ("topics[1]", {"topics": [SPLIT, None, hash_of(1), hash_of(2)]}),
        ("topics[3]", {"topics": [SPLIT, topic(LEADER), hash_of(1), "0x"]}),
        ("data", {"data": None}),
        ("data", {"data": "0x"}),
        ("data", {"data": "0x" + word(1)}),
        ("data", {"data": "  " + word(1) * 3}),
        ("data", {"data": "0x" + "_" * 64 * 3}),
        ("transactionHash", {"transactionHash": None}),
        ("blockNumber", {"blockNumber": None}),
        ("logIndex", {"logIndex": "2"}),
    ],
)
def test_malformed_logs_are_refused_by_field(field: str, change: dict[str, object]) -> None:
    with pytest.raises(InvalidInput) as refusal:
        decode_position_change(SPLIT_LOG | change)
    assert refusal.value.field == field
