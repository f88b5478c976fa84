"""`activity` on both shapes of the Data API."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cli.running import EVENTS, Result, as_process, assert_refused, run

ANSWER = json.loads((EVENTS / "data_api_activity.json").read_text())
ROWS = ANSWER["data"]


def activity(content: object) -> Result:
    text = content if isinstance(content, str | bytes) else json.dumps(content)
    return run("activity", "-", stdin=text)


@pytest.mark.parametrize("name", ["data_api_activity", "data_api_activity_retired"])
def test_recorded_answers(name: str) -> None:
    result = as_process("activity", str(EVENTS / f"{name}.json"))
    assert (result.code, result.err) == (0, "")
    assert result.out == (EVENTS / f"{name}.parsed.jsonl").read_text()


def test_a_plain_array_means_the_same_as_an_envelope() -> None:
    assert activity(ROWS) == activity(ANSWER)
    assert activity([]) == activity({"data": []}) == Result(0, "", "")


def test_the_fields_of_a_line() -> None:
    first, *_, combo = activity(ANSWER).lines
    assert list(first) == [
        "type", "wallet", "tx_hash", "timestamp", "condition_id", "token_id", "side",
        "shares_micros", "cash_micros", "fee_micros", "role",
    ]  # fmt: skip
    assert (first["cash_micros"], first["fee_micros"], first["role"]) == (
        21_200_000, 610_560, "taker",
    )  # fmt: skip
    assert combo["condition_id"].startswith("0x03")


def test_empty_ids_and_sides_are_null_and_unknown_types_keep_their_name() -> None:
    by_type: dict[str, Any] = {line["type"]: line for line in activity(ANSWER).lines}
    assert by_type["REDEEM"]["token_id"] is None
    assert by_type["MAKER_REBATE"]["condition_id"] is None
    assert by_type["LOYALTY_2027"]["side"] is None
    assert by_type["SPLIT"]["fee_micros"] is None


def test_twins_are_two_lines() -> None:
    out = activity([ROWS[1], ROWS[1]]).out.splitlines()
    assert len(out) == 2
    assert out[0] == out[1]


def changed(**fields: object) -> list[Any]:
    return [ROWS[0], ROWS[3] | fields]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", ["empty"]),
        ("{", ["not JSON"]),
        (json.dumps(ROWS[0]) + "\n" + json.dumps(ROWS[0]), ["not JSON"]),
        (ROWS[0], ["array"]),
        ({}, ["array"]),
        ({"data": None}, ["array"]),
        ({"data": {}}, ["array"]),
        ({"error": "bad", "code": "invalid_request"}, ["array"]),
        (5, ["array"]),
        ([5], ["element 1", "row"]),
        ([[]], ["element 1", "row"]),
        ([ROWS[0], None], ["element 2"]),
        (changed(size="many"), ["element 2", "size"]),
        (changed(size=True), ["element 2", "size"]),
        (changed(size=[]), ["element 2", "size"]),
        (changed(size=-1), ["element 2", "size"]),
        (changed(price=2), ["element 2", "price"]),
        (changed(timestamp=1.5), ["element 2", "timestamp"]),
        (changed(timestamp="soon"), ["element 2", "timestamp"]),
        (changed(proxy_wallet="0x1"), ["element 2", "proxy_wallet"]),
        (changed(transaction_hash=None), ["element 2", "transaction_hash"]),
        (changed(token_id=12), ["element 2", "token_id"]),
        (changed(condition_id="0x"), ["element 2", "condition_id"]),
        (changed(side="HOLD"), ["element 2", "side"]),
        (changed(type=7), ["element 2", "type"]),
        (changed(usdc_size="1_0"), ["element 2", "usdc_size"]),
        ('[{"type": "TRADE", "type": "TRADE"}]', ["type", "twice"]),
        ('[{"size": Infinity}]', ["Infinity"]),
        (json.dumps(changed(type="REWARD")).replace("0.4800000008", "1e9999"), ["price"]),
        (json.dumps(changed()).replace("51.923077", "1e-99999"), ["exponent"]),
    ],
)
def test_unusable_input_is_refused_whole(content: object, words: list[str]) -> None:
    assert_refused(activity(content), *words)
