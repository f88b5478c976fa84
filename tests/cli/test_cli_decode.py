"""`decode` on everything a node hands out."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.running import EVENTS, ROOT, Result, as_process, assert_refused, run
from tests.unit.wire import LEADER, MAKER_1, TAKER, V2_EXCHANGE, YES, order_filled

LOGS = json.loads((EVENTS / "polygon_logs.json").read_text())
EXPECTED = (EVENTS / "polygon_logs.decoded.jsonl").read_text()


def decode(content: object, *wallets: str) -> Result:
    named = [part for wallet in wallets or (LEADER,) for part in ("--wallet", wallet)]
    text = content if isinstance(content, str | bytes) else json.dumps(content)
    return run("decode", *named, "-", stdin=text)


def notification(log: object) -> dict[str, object]:
    return {
        "jsonrpc": "2.0",
        "method": "eth_subscription",
        "params": {"subscription": "0x1f", "result": log},
    }


def lines(values: list[Any]) -> str:
    return "\n".join(map(json.dumps, values))


def test_as_a_process_from_a_file_and_from_standard_input() -> None:
    path = EVENTS / "polygon_logs.json"
    from_file = as_process("decode", "--wallet", LEADER, str(path))
    assert (from_file.code, from_file.err) == (0, "")
    assert from_file.out == EXPECTED
    assert as_process("decode", "--wallet", LEADER, "-", stdin=path.read_bytes()) == from_file


@pytest.mark.parametrize(
    "shape",
    [
        json.dumps,
        lambda logs: json.dumps(logs, indent=2),
        lines,
        lambda logs: lines(logs) + "\n\n",
        lambda logs: lines(logs).replace("\n", "\r\n"),
        lambda logs: "\ufeff" + json.dumps(logs),
        lambda logs: json.dumps({"jsonrpc": "2.0", "id": 1, "result": logs}),
        lambda logs: json.dumps([notification(log) for log in logs]),
        lambda logs: lines([notification(log) for log in logs]),
        lambda logs: lines([{"jsonrpc": "2.0", "id": 1, "result": "0x1f"}, *logs]),
        lambda logs: lines([{"id": n, "result": [log]} for n, log in enumerate(logs)]),
        lambda logs: json.dumps([{"jsonrpc": "2.0", "id": 1, "result": logs[:3]}, *logs[3:]]),
    ],
)
def test_every_shape_gives_the_same_lines(shape: Callable[[list[Any]], str]) -> None:
    result = decode(shape(LOGS))
    assert (result.code, result.err) == (0, "")
    assert result.out == EXPECTED


def test_a_single_log_is_enough() -> None:
    assert len(decode(LOGS[2]).lines) == 1
    assert len(decode(notification(LOGS[2])).lines) == 1


def test_removed_logs_say_so_and_others_do_not() -> None:
    recorded = (EVENTS / "polygon_subscription.jsonl").read_text()
    result = decode(recorded)
    assert result.out == (EVENTS / "polygon_subscription.decoded.jsonl").read_text()
    assert [line.get("removed") for line in result.lines] == [None, None, True, None]


def test_the_fields_of_a_line() -> None:
    (line,) = decode([LOGS[2]]).lines
    assert list(line) == [
        "wallet", "tx_hash", "block_number", "block_hash", "log_index", "exchange", "generation",
        "role", "side", "token_id", "shares_micros", "cash_micros", "fee_micros", "fee_asset",
        "price_micros", "order_hash",
    ]  # fmt: skip
    assert (line["shares_micros"], line["cash_micros"], line["price_micros"]) == (
        50_000_000, 21_200_000, 424_000,
    )  # fmt: skip
    assert isinstance(line["token_id"], str)


def test_block_fields_are_null_where_the_log_lacks_them() -> None:
    log = {k: v for k, v in LOGS[2].items() if k in ("address", "topics", "data")}
    (line,) = decode([log]).lines
    missing = ("tx_hash", "block_number", "block_hash", "log_index")
    assert [line[name] for name in missing] == [None] * 4


def test_several_wallets_and_any_case() -> None:
    both = decode(LOGS, LEADER.upper().replace("0X", "0x"), MAKER_1)
    assert [line["wallet"] for line in both.lines] == [MAKER_1] + [LEADER] * 6
    assert decode(LOGS, TAKER).out == ""
    assert decode([], LEADER) == Result(0, "", "")
    assert decode(LOGS, LEADER, LEADER).out == EXPECTED


def test_other_events_and_other_emitters_are_ignored() -> None:
    other = {"address": MAKER_1, "topics": ["0x" + "12" * 32], "data": "0x"}
    fake = order_filled(LEADER, TAKER, "BUY", YES, 1, 2, exchange=MAKER_1)
    assert decode([other, fake, {"topics": []}]) == Result(0, "", "")


GOOD = order_filled(LEADER, V2_EXCHANGE, "BUY", YES, 1, 2)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", ["empty"]),
        (" \n ", ["empty"]),
        ("nonsense", ["not JSON"]),
        ("[1, 2", ["not JSON"]),
        (b"\xff\xfe", ["UTF-8"]),
        ("5", ["element 1", "log"]),
        ("null", ["element 1"]),
        ('"0x12"', ["element 1"]),
        ("{}", ["element 1", "topics"]),
        ([GOOD, 5], ["element 2", "log"]),
        ([GOOD, None], ["element 2"]),
        ([GOOD, [GOOD]], ["element 2"]),
        ([GOOD, GOOD | {"data": "0x12"}, GOOD], ["element 2", "data"]),
        ([GOOD, GOOD | {"blockNumber": "x"}], ["element 2", "blockNumber"]),
        ([GOOD, notification(None)], ["element 2", "params.result"]),
        ([GOOD, notification(GOOD) | {"params": 3}], ["element 2", "params"]),
        ([GOOD, notification(GOOD | {"logIndex": -1})], ["element 2", "logIndex"]),
        (lines([GOOD, GOOD | {"topics": 1}]), ["element 2", "topics"]),
        (lines([GOOD]) + "\n{", ["line 2", "not JSON"]),
        (lines([GOOD]) + "\n\n" + lines([GOOD])[:-9], ["line 3", "not JSON"]),
        ({"result": [GOOD, {}]}, ["element 2", "topics"]),
        ({"jsonrpc": "2.0", "id": 1, "result": None}, ["element 1"]),
        ({"jsonrpc": "2.0", "id": 1, "error": {"code": -32005}}, ["element 1", "error", "-32005"]),
        ('{"address": 1, "address": 2}', ["address", "twice"]),
        ('[{"topics": [], "logIndex": NaN}]', ["NaN"]),
        ('[{"topics": [], "logIndex": -Infinity}]', ["-Infinity"]),
        ('[{"logIndex": ' + "9" * 5000 + "}]", ["digits"]),
        ('[{"logIndex": 1e99999999999}]', ["exponent"]),
    ],
)  # fmt: skip
def test_unusable_input_is_refused_whole(content: object, words: list[str]) -> None:
    assert_refused(decode(content), *words)


@pytest.mark.parametrize(
    "argv",
    [
        (),
        ("decode",),
        ("decode", "-"),
        ("decode", "--wallet", LEADER),
        ("decode", "--wallet"),
        ("decode", "--wallet", "0x12", "-"),
        ("decode", "--wallet", "", "-"),
        ("decode", "--wallet", LEADER + "\n", "-"),
        ("decode", "--wal", LEADER, "-"),
        ("decode", "--wallet", LEADER, "-", "-"),
        ("decode", "--wallet", LEADER, "--unknown", "-"),
        ("decode", "--wallet", LEADER, "no such file"),
        ("decode", "--wallet", LEADER, "."),
        ("decode", "--wallet", LEADER, "a\0b"),
        ("decode", "--wallet", LEADER, "two\nlines"),
        ("decode", "--wallet", LEADER, "x" * 5000),
        ("launch", "-"),
        ("--wallet", LEADER, "decode"),
    ],
)
def test_wrong_arguments_take_one_line(argv: tuple[str, ...]) -> None:
    result = run(*argv, stdin="[]")
    assert (result.code, result.out) == (2, "")
    assert len(result.err.splitlines()) == 1
    assert "Traceback" not in result.err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"a":' * 100_000, ["nested"]),
        ("[" * 100_000 + "]" * 100_000, ["nested"]),
        (lines([GOOD]) + "\n" + "[" * 100_000, ["line 2", "nested"]),
        ('[{"topics": [], "data": ' + "[" * 900 + "]" * 900 + "}]", []),
        ('[{"topics": ' + "[" * 900 + "]" * 900 + "}]", ["topics"]),
        (json.dumps([GOOD]).replace('"0x7"', "[" * 960 + "]" * 960), ["element 1"]),
    ],
)
def test_deep_nesting_ends_no_process(text: str, words: list[str]) -> None:
    """In a process of its own: some test libraries raise the interpreter's recursion limit."""
    result = as_process("decode", "--wallet", LEADER, "-", stdin=text.encode())
    if words:
        assert_refused(result, *words)
    else:
        assert result == Result(0, "", "")


def test_errors_of_a_process() -> None:
    assert_refused(as_process("decode", "--wallet", LEADER, "missing.json"), "missing.json")
    assert_refused(as_process("decode"), "--wallet")
    assert_refused(as_process(), "COMMAND")
    assert_refused(as_process("decode", "--wallet", LEADER, "-", stdin=b"[{}]"), "element 1")


def test_help_explains_itself() -> None:
    for argv in (("--help",), ("decode", "--help"), ("activity", "-h"), ("walk", "--help")):
        result = run(*argv)
        assert (result.code, result.err) == (0, "")
        assert "FILE" in result.out or "COMMAND" in result.out


def test_a_reader_that_leaves_early_is_no_noise(tmp_path: Path) -> None:
    path = tmp_path / "logs.json"
    path.write_text(json.dumps(LOGS * 2_000))
    with subprocess.Popen(
        [sys.executable, "-m", "chalicelib", "decode", "--wallet", LEADER, str(path)],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(30) == 141
