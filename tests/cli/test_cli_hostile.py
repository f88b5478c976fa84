"""Hostile input: an answer or a refusal, never a trace, never half an answer."""

from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.cli.running import EVENTS, assert_clean, run
from tests.unit.wire import LEADER

PAYLOADS = {
    ("decode", "--wallet", LEADER, "-"): [
        json.loads((EVENTS / "polygon_logs.json").read_text())[2:5],
        [json.loads(line) for line in (EVENTS / "polygon_subscription.jsonl").open()],
    ],
    ("activity", "-"): [
        json.loads((EVENTS / "data_api_activity.json").read_text()),
        json.loads((EVENTS / "data_api_activity_retired.json").read_text()),
    ],
    ("walk", "--side", "BUY", "--cash", "9.5", "-"): [
        json.loads((EVENTS / "clob_book.json").read_text())
    ],
}

NASTY = st.sampled_from(
    (
        None, True, False, 0, -1, 1, 2**64, 10**99, -(10**99), 1.5, 1e308, 5e-324, "", " ", "0x",
        "0x0", "0x" + "f" * 64, "0x" + "f" * 40, "-1", "1e400", "NaN", "1_0", "\n", "\ud800",
        "\0", "BUY", "TRADE", "9" * 5000, [], {}, [[]], [{}], {"result": []}, {"method": 1},
        {"method": "eth_subscription"}, {"result": "0x"}, {"jsonrpc": "2.0"}, {"data": []},
    )
)  # fmt: skip
JUNK = st.recursive(
    NASTY | st.text(max_size=5) | st.integers() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


def paths(value: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every node of a JSON value."""
    children = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    return [here] + [path for key, child in children for path in paths(child, (*here, key))]


@st.composite
def spoiled(draw: st.DrawFn) -> tuple[tuple[str, ...], str]:
    """A command and a valid payload of its own with up to two nodes replaced or removed."""
    argv = draw(st.sampled_from(sorted(PAYLOADS)))
    value = [copy.deepcopy(draw(st.sampled_from(PAYLOADS[argv])))]
    for _ in range(draw(st.integers(1, 2))):
        *way, last = draw(st.sampled_from(paths(value)[1:]))
        node: Any = value
        for step in way:
            node = node[step]
        if draw(st.integers(0, 3)) and way:
            node[last] = copy.deepcopy(draw(JUNK))
        elif way:
            del node[last]
    return argv, json.dumps(value[0])


@settings(max_examples=1_000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(spoiled())
def test_wrong_types_anywhere(case: tuple[tuple[str, ...], str]) -> None:
    argv, text = case
    assert_clean(run(*argv, stdin=text))


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(PAYLOADS)), JUNK)
def test_any_json(argv: tuple[str, ...], value: object) -> None:
    assert_clean(run(*argv, stdin=json.dumps(value)))


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(PAYLOADS)), st.binary(max_size=40))
def test_any_bytes(argv: tuple[str, ...], content: bytes) -> None:
    assert_clean(run(*argv, stdin=content))


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(PAYLOADS)), st.data())
def test_a_payload_cut_anywhere_is_refused(argv: tuple[str, ...], data: st.DataObject) -> None:
    text = json.dumps(data.draw(st.sampled_from(PAYLOADS[argv])))
    cut = data.draw(st.integers(0, len(text) - 1))
    result = run(*argv, stdin=text[:cut])
    assert_clean(result)
    assert result.code == 2


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(max_size=8) | st.sampled_from(("decode", "walk", "--side", "BUY", "-"))))
def test_any_arguments(argv: list[str]) -> None:
    result = run(*argv, stdin="[]")
    assert result.code in (0, 2)
    if result.code == 2:
        assert result.out == ""
        assert len(result.err.split("\n")) == 2


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=12), st.text(max_size=12), st.text(max_size=12))
def test_any_amounts(amount: str, limit: str, rate: str) -> None:
    book = json.dumps(PAYLOADS["walk", "--side", "BUY", "--cash", "9.5", "-"][0])
    argv = (
        "walk",
        "--side",
        "SELL",
        f"--shares={amount}",
        f"--limit={limit}",
        f"--fee-rate={rate}",
    )
    assert_clean(run(*argv, "-", stdin=book))
