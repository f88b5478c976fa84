"""Data API rows: what cash, shares and fee they prove, in every shape the venue has used."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain.activity import SECOND_GENERATION_TS, parse_activity
from chalicelib.domain.activity_raw import RAW_ROW_CHARS_MAX
from chalicelib.domain.errors import InvalidInput
from chalicelib.domain.fee import FeeSchedule, taker_fee
from tests.unit.wire import CONDITION, LEADER, YES, hash_of

LATER = SECOND_GENERATION_TS + 86_400


def row(**changes: object) -> dict[str, object]:
    fields: dict[str, object] = {
        "proxy_wallet": LEADER,
        "timestamp": LATER,
        "condition_id": CONDITION,
        "type": "TRADE",
        "size": Decimal("40"),
        "usdc_size": Decimal("12.42"),
        "transaction_hash": hash_of("tx"),
        "price": Decimal("0.3"),
        "token_id": YES,
        "side": "BUY",
        "outcome_index": 0,
        "title": "Will it rain?",
    }
    return fields | changes


def retired(row: dict[str, object]) -> dict[str, object]:
    """The same row under the names of the retired interface."""
    names = {
        "proxy_wallet": "proxyWallet",
        "condition_id": "conditionId",
        "usdc_size": "usdcSize",
        "transaction_hash": "transactionHash",
        "token_id": "asset",
        "outcome_index": "outcomeIndex",
    }
    return {names.get(name, name): value for name, value in row.items()}


def test_a_taker_buy_proves_its_fee_and_its_role() -> None:
    event = parse_activity(row())
    assert (event.shares, event.cash, event.fee, event.role) == (
        40_000_000, 12_000_000, 420_000, "taker",
    )  # fmt: skip
    assert event.price_e10 == 3_000_000_000


def test_a_buy_without_surplus_had_no_fee_and_proves_no_role() -> None:
    event = parse_activity(row(usdc_size=12))
    assert (event.cash, event.fee, event.role) == (12_000_000, 0, None)


def test_a_buy_whose_total_is_below_its_cash_proves_nothing() -> None:
    assert parse_activity(row(usdc_size=11)).fee is None


def test_a_sell_proves_neither_fee_nor_role() -> None:
    event = parse_activity(row(side="SELL", usdc_size=Decimal("11.58")))
    assert (event.side, event.cash, event.fee, event.role) == ("SELL", 12_000_000, None, None)


def test_rows_before_the_second_generation_state_cash_and_net_shares() -> None:
    old = row(
        timestamp=SECOND_GENERATION_TS - 1,
        size=Decimal("20.5"), usdc_size=Decimal("8.4"), price=Decimal("0.4"),
    )  # fmt: skip
    event = parse_activity(old)
    assert (event.shares, event.cash, event.fee) == (20_500_000, 8_400_000, None)
    assert parse_activity(old | {"timestamp": SECOND_GENERATION_TS}).cash == 8_200_000


def test_rows_without_a_total_use_size_times_price() -> None:
    without = row()
    del without["usdc_size"], without["type"]
    event = parse_activity(without)
    assert (event.kind, event.cash, event.fee, event.role) == ("TRADE", 12_000_000, None, None)


def test_both_interfaces_mean_the_same() -> None:
    assert parse_activity(retired(row())) == parse_activity(row())


def test_redemptions_rebates_and_unknown_types_are_kept() -> None:
    blank = {"token_id": "", "side": "", "outcome_index": 999, "price": 0}
    redeem = parse_activity(row(type="REDEEM", usdc_size=40, **blank))
    assert (redeem.kind, redeem.token_id, redeem.side, redeem.cash) == (
        "REDEEM", "", None, 40_000_000,
    )  # fmt: skip
    loser = parse_activity(row(type="REDEEM", size=0, usdc_size=0, **blank))
    assert (loser.shares, loser.cash) == (0, 0)
    rebate = parse_activity(row(type="MAKER_REBATE", condition_id="", usdc_size=40, **blank))
    assert rebate.condition_id == ""
    future = parse_activity(row(type="AIRDROP_2027", side="IN", price=Decimal("7.5")))
    assert (future.kind, future.side) == ("AIRDROP_2027", None)


def test_the_outcome_is_known_or_it_is_not() -> None:
    given_ = [0, 1, 999, None, "1", True, -1]
    found = [parse_activity(row(outcome_index=value)).outcome_index for value in given_]
    assert found == [0, 1, None, None, None, None, None]
    assert parse_activity(retired(row(outcome_index=1))).outcome_index == 1


def test_what_is_no_trade_may_state_neither_size_nor_price() -> None:
    bare = row(type="DEPOSIT", token_id="", side="IN", condition_id="", usdc_size=7)
    del bare["size"], bare["price"]
    event = parse_activity(bare)
    assert (event.kind, event.shares, event.cash) == ("DEPOSIT", 0, 7_000_000)
    assert parse_activity(row(type="TIP", size=None, price=None, side="OUT")).shares == 0
    with pytest.raises(InvalidInput, match="size"):
        parse_activity(row(type="DEPOSIT", size="x"))


def test_the_kept_row_is_exact_and_carries_no_presentation() -> None:
    shown = row(
        price=Decimal("0.4800000008"), name="Ada", pseudonym="A", bio="\n", profile_image="x",
        slug="s", event_slug="e", icon="i", outcome="Yes",
        extra={"a": [None, True, Decimal("1.50")]},
    )  # fmt: skip
    raw = parse_activity(shown).raw
    kept = json.loads(raw, parse_float=Decimal)
    assert "0.4800000008" in raw
    assert '"extra":{"a":[null,true,1.50]}' in raw
    hidden = {"name", "pseudonym", "bio", "profile_image", "slug", "event_slug", "icon", "title"}
    assert kept == {k: v for k, v in shown.items() if k not in hidden}
    assert not hidden & json.loads(parse_activity(retired(shown)).raw).keys()


@given(
    extra=st.dictionaries(
        st.text(max_size=20),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=900) | st.decimals(),
            lambda inner: (
                st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
            ),
            max_leaves=8,
        ),
        max_size=8,
    )
)
def test_the_kept_row_is_always_json_and_bounded(extra: dict[str, object]) -> None:
    raw = parse_activity(extra | row()).raw
    assert len(raw) <= RAW_ROW_CHARS_MAX
    assert isinstance(json.loads(raw), dict)


def test_combo_events_state_what_was_paid() -> None:
    combo = {
        "type": "REDEEM",
        "proxy_wallet": LEADER,
        "combo_condition_id": "0x03" + "ab" * 30,
        "combo_position_id": str(3 << 248 | 1 << 120),
        "amount_usdc": None,
        "payout_usdc": Decimal("12.5"),
        "timestamp": LATER,
        "transaction_hash": hash_of("tx"),
    }
    event = parse_activity(combo)
    assert (event.cash, event.shares, event.condition_id) == (12_500_000, 0, "0x03" + "ab" * 30)
    assert parse_activity(combo | {"amount_usdc": 2}).cash == 2_000_000
    with pytest.raises(InvalidInput, match="combo_condition_id"):
        parse_activity(combo | {"combo_condition_id": CONDITION})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("type", None), ("type", ""), ("type", 5), ("type", "T" * 65), ("type", "T\ud800"),
        ("type", "T\n"),
        ("proxy_wallet", None), ("proxy_wallet", ""), ("proxy_wallet", "0x12"),
        ("transaction_hash", ""), ("transaction_hash", 5),
        ("token_id", ""), ("token_id", 12), ("token_id", "0x12"), ("token_id", "1e5"),
        ("condition_id", "0x12"), ("condition_id", 5),
        ("timestamp", None), ("timestamp", "1795000000"), ("timestamp", 0), ("timestamp", True),
        ("timestamp", 1_795_000_000_000), ("timestamp", Decimal(LATER)),
        ("size", None), ("size", "x"), ("size", -1), ("size", 0), ("size", 1.5),
        ("size", Decimal("1e13")), ("size", Decimal("NaN")),
        ("price", 0), ("price", Decimal("1.01")), ("price", -1), ("price", Decimal("1e999999")),
        ("usdc_size", -1), ("usdc_size", "x"), ("usdc_size", Decimal("1e300")),
        ("side", ""), ("side", "buy"), ("side", None), ("side", []),
    ],
)  # fmt: skip
def test_malformed_trades_are_refused_by_field(field: str, value: object) -> None:
    with pytest.raises(InvalidInput) as refusal:
        parse_activity(row(**{field: value}))
    assert refusal.value.field == field


@pytest.mark.parametrize("field", ["proxy_wallet", "transaction_hash", "timestamp", "size"])
def test_missing_fields_are_named_as_the_venue_names_them(field: str) -> None:
    missing = row()
    del missing[field]
    with pytest.raises(InvalidInput) as refusal:
        parse_activity(missing)
    assert refusal.value.field == field


def test_an_absurd_price_of_another_type_is_refused_not_computed() -> None:
    with pytest.raises(InvalidInput, match="price"):
        parse_activity(row(type="REWARD", price=Decimal("1e999990")))


@given(
    shares=st.integers(10_000, 10**13),
    price=st.integers(1, 9_999),
    rate=st.sampled_from((0, 40_000, 50_000, 70_000)),
)
def test_cash_and_fee_come_back_from_a_row_of_an_exact_fill(
    shares: int, price: int, rate: int
) -> None:
    """Shares in micros, price in 0.0001: the venue states their exact product plus the fee."""
    cash = shares * price // 10_000
    fee = taker_fee(FeeSchedule(rate), shares, cash)
    stated = round(Decimal(cash) / Decimal(shares), 10)
    if stated == 0:
        return
    event = parse_activity(
        row(size=Decimal(shares) / 10**6, price=stated, usdc_size=Decimal(cash + fee) / 10**6)
    )
    tolerance = shares * 5 // 10**11 + 1
    assert abs(event.cash - cash) <= tolerance
    assert event.fee is not None
    assert abs(event.fee - fee) <= tolerance
    if fee > 2 * tolerance:
        assert event.role == "taker"
    if fee == 0:
        assert (event.fee, event.role) == (0, None)
