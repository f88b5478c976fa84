"""Bodies of the fills queue: round trips with both encoders, both versions, malformed bodies."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chalicelib.adapters import fill_wire
from chalicelib.adapters.fill_wire import encode, parse_fill_message
from chalicelib.domain.errors import InvalidInput
from chalicelib.domain.evidence import ActivityEvidence, ApiEvidence, ChainEvidence, FillMessage
from chalicelib.domain.trade import ApiRow, ChainLeg
from tests.unit.wire import LEADER, MAKER_1, YES, hash_of, order_filled

EVENTS = Path(__file__).resolve().parents[1] / "events"

# A surrogate is not text; everything else may stand in a payload.
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
numbers = st.integers() | st.integers(2**63 - 2, 2**64 + 2)
sides = st.sampled_from(("BUY", "SELL"))
roles = st.sampled_from(("maker", "taker"))
legs = st.builds(
    ChainLeg,
    *(texts, numbers, numbers, numbers, numbers, numbers, numbers),
    st.sampled_from(("collateral", "token")),
    roles,
    texts,
    removed=st.booleans(),
)
api_rows = st.builds(
    ApiRow,
    *(numbers, numbers, numbers, st.none() | numbers, st.none() | roles, numbers, numbers),
)
messages = st.builds(
    FillMessage,
    *(texts, texts, numbers, st.booleans()),
    chain=st.lists(st.builds(ChainEvidence, texts, texts, sides, legs, raw=texts), max_size=3).map(
        tuple
    ),
    api=st.lists(
        st.builds(
            ApiEvidence, texts, texts, sides, st.lists(api_rows, max_size=3).map(tuple), raw=texts
        ),
        max_size=2,
    ).map(tuple),
    events=st.lists(
        st.builds(
            ActivityEvidence,
            *(texts, texts, texts, texts, numbers, numbers, numbers, numbers),
            outcome_index=st.none() | numbers,
            raw=texts,
        ),
        max_size=2,
    ).map(tuple),
)

LEG = ChainLeg(hash_of("block"), 84_000_123, 7, 1_786_195_459_000, 2_560_000, 1_280_000, 44_800,
               "collateral", "taker", hash_of("order"))  # fmt: skip
ROW = ApiRow(2_560_000, 5_000_000_000, 1_280_000, None, "maker", 1_786_195_459_000, 2)
BOUGHT = FillMessage(
    LEADER,
    MAKER_1,
    1_786_195_460_250,
    chain=(ChainEvidence(hash_of("tx"), YES, "BUY", LEG),),
)
POLLED = FillMessage(
    "ada é",
    LEADER,
    1_786_195_465_000,
    backfill=True,
    api=(ApiEvidence(hash_of("tx"), YES, "SELL", (ROW,)),),
)
SPLIT = FillMessage(
    LEADER,
    LEADER,
    1_786_195_465_000,
    events=(
        ActivityEvidence(
            "SPLIT", hash_of("split"), hash_of("condition"), "", 5_000_000, 5_000_000,
            1_786_195_459_000, raw='{"type":"SPLIT"}',
        ),
    ),
)  # fmt: skip


@pytest.fixture(params=["orjson", "json"])
def encoder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways to write: with the compiled encoder, and where it is not installed."""
    if request.param == "json":
        monkeypatch.setattr(fill_wire, "orjson", None)
    else:
        assert fill_wire.orjson is not None
    return str(request.param)


@pytest.mark.usefixtures("encoder")
@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(message=messages)
def test_what_is_written_is_read(message: FillMessage) -> None:
    body = encode(message)
    assert parse_fill_message(body) == message
    assert parse_fill_message(body.decode()) == message


@settings(max_examples=400)
@given(message=messages)
def test_both_encoders_write_the_same_meaning(message: FillMessage) -> None:
    fast = encode(message)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fill_wire, "orjson", None)
        assert json.loads(encode(message)) == json.loads(fast)


def _other(value: object) -> Any:
    """Another value of the same kind, so that a field that is not written shows."""
    match value:
        case bool():
            return not value
        case "BUY" | "SELL":
            return "SELL" if value == "BUY" else "BUY"
        case "maker" | "taker":
            return "taker" if value == "maker" else "maker"
        case "collateral":
            return "token"
        case str():
            return value + "x"
        case int():
            return value + 1
        case None:
            return 1
        case _:
            return value


def _paths(value: Any) -> list[tuple[Any, ...]]:
    """The way to every plain field in nested dataclasses and tuples."""
    if is_dataclass(value) and not isinstance(value, type):
        return [(f.name, *p) for f in fields(value) for p in _paths(getattr(value, f.name))]
    if isinstance(value, tuple):
        return [(i, *p) for i, item in enumerate(value) for p in _paths(item)]
    return [()]


def _changed(value: Any, path: tuple[Any, ...]) -> Any:
    if not path:
        return _other(value)
    first, *rest = path
    if isinstance(value, tuple):
        return (*value[:first], _changed(value[first], tuple(rest)), *value[first + 1 :])
    return replace(value, **{first: _changed(getattr(value, first), tuple(rest))})


WHOLE = replace(BOUGHT, api=POLLED.api, events=SPLIT.events)


@pytest.mark.parametrize("path", _paths(WHOLE), ids=lambda p: ".".join(map(str, p)))
def test_no_field_is_left_behind(path: tuple[Any, ...]) -> None:
    changed = _changed(WHOLE, path)
    assert changed != WHOLE
    assert parse_fill_message(encode(changed)) == changed


def test_a_body_of_a_log_is_small_and_names_its_version() -> None:
    raw = json.dumps(order_filled(LEADER, MAKER_1, "BUY", YES, 1, 1), separators=(",", ":"))
    message = replace(BOUGHT, chain=(replace(BOUGHT.chain[0], raw=raw),))
    body = json.loads(encode(message))
    assert set(body) == {"v", "leader", "wallet", "ts_seen", "chain"}
    assert body["v"] == 2
    assert body["chain"][0]["raw"] == raw
    assert len(encode(message)) < 2_048


def test_bodies_of_the_first_version_are_still_read() -> None:
    lines = (EVENTS / "fills_queue_v1.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["v"] for line in lines] == [1, 1]
    assert [parse_fill_message(line) for line in lines] == [BOUGHT, POLLED]


@pytest.mark.usefixtures("encoder")
def test_recorded_bodies_of_the_second_version() -> None:
    lines = (EVENTS / "fills_queue_v2.jsonl").read_bytes().splitlines()
    with_raw = replace(BOUGHT, chain=(replace(BOUGHT.chain[0], raw='{"logIndex":"0x7"}'),))
    recorded = [with_raw, POLLED, SPLIT]
    assert [parse_fill_message(line) for line in lines] == recorded
    assert [encode(message) for message in recorded] == lines


@pytest.mark.usefixtures("encoder")
def test_a_body_holds_only_what_a_queue_takes() -> None:
    message = replace(BOUGHT, leader="".join(map(chr, (0, 9, 10, 31, 127, 0xFFFD, 0xFFFE, 0xFFFF))))
    body = encode(message).decode()
    assert all(c >= " " and c not in "\ufffe\uffff" for c in body)
    assert parse_fill_message(body) == message


@pytest.mark.usefixtures("encoder")
def test_text_that_is_not_unicode_is_refused() -> None:
    with pytest.raises(InvalidInput):
        encode(replace(BOUGHT, leader="\ud800"))


def _body(**change: object) -> str:
    return json.dumps(json.loads(encode(BOUGHT)) | change)


def _body_leg(**change: object) -> str:
    (item,) = json.loads(encode(BOUGHT))["chain"]
    return _body(chain=[item | {"leg": item["leg"] | change}])


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ("", "body"),
        ("no json", "body"),
        ("[]", "body"),
        ("null", "body"),
        ("{}", "v"),
        ('{"message":{}}', "v"),
        ('{"v":3,"message":{}}', "v"),
        ('{"v":0}', "v"),
        ('{"v":"one","message":{}}', "v"),
        ('{"v":1}', "message"),
        ('{"v":1,"message":{"leader":"a"}}', "message.wallet"),
        ('{"v":1,"message":{"leader":"a","wallet":"w","ts_seen":"soon"}}', "message.ts_seen"),
        (
            '{"v":1,"message":{"leader":"a","wallet":"w","ts_seen":1,"chain":[{}]}}',
            "message.chain.0.tx_hash",
        ),
        ('{"v":2}', "leader"),
        ('{"v":2,"message":{}}', "leader"),
        ('{"v":2,"leader":"a"}', "wallet"),
        (_body(leader=5), "leader"),
        (_body(ts_seen="1"), "ts_seen"),
        (_body(ts_seen=1.5), "ts_seen"),
        (_body(ts_seen=True), "ts_seen"),
        (_body(backfill="no"), "backfill"),
        (_body(backfill=None), "backfill"),
        (_body(chain={}), "chain"),
        (_body(chain=[5]), "chain.0"),
        (_body(chain=[{}]), "chain.0.tx_hash"),
        (_body(api=[{"tx_hash": "", "token_id": "", "side": "BUY"}]), "api.0.rows"),
        (_body(events=[{"kind": "SPLIT"}]), "events.0.tx_hash"),
        (_body_leg(shares="1"), "chain.0.leg.shares"),
        (_body_leg(shares=None), "chain.0.leg.shares"),
        (_body_leg(role="both"), "chain.0.leg.role"),
        (_body_leg(fee_asset=""), "chain.0.leg.fee_asset"),
        (_body_leg(removed=0), "chain.0.leg.removed"),
        (_body_leg(block_hash=7), "chain.0.leg.block_hash"),
    ],
)
def test_a_malformed_body_is_refused_by_field(body: str, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_fill_message(body)
    assert caught.value.field == field
