"""A receipt's logs give a wallet's legs, with the cash the other side of the match really got."""

from __future__ import annotations

import pytest

from chalicelib.domain.errors import InvalidInput
from chalicelib.domain.receipt import reading_of
from tests.unit.wire import (
    LEADER,
    MAKER_1,
    MAKER_2,
    NO,
    NOW_MS,
    V2_EXCHANGE,
    V3_EXCHANGE,
    YES,
    hash_of,
    order_filled,
)

M = 1_000_000


def read(logs: list[dict[str, object]], token: str = YES, side: str = "BUY"):
    return reading_of(logs, LEADER, token, side, ts_read=NOW_MS, ts_block=NOW_MS)  # type: ignore[arg-type]


def mixed_match(passed: int, exchange: str = V2_EXCHANGE) -> list[dict[str, object]]:
    """The leader takes 100 YES: 50 from a seller at 0.59, 50 minted with a buyer of NO at 0.41."""
    return [
        order_filled(MAKER_1, LEADER, "SELL", YES, 50 * M, 29_500_000, exchange=exchange, index=1),
        order_filled(MAKER_2, LEADER, "BUY", NO, 20_500_000, 50 * M, exchange=exchange, index=2),
        order_filled(
            LEADER, exchange, "BUY", YES, passed, 100 * M, 960_000, exchange=exchange, index=3
        ),
    ]


def test_what_an_operator_passed_too_much_is_not_cash_the_taker_paid() -> None:
    (leg,) = read(mixed_match(62_000_000)).legs
    assert (leg.shares, leg.cash, leg.fee, leg.role) == (100 * M, 59_000_000, 960_000, "taker")


def test_an_exact_log_stays_as_it_is() -> None:
    (leg,) = read(mixed_match(59_000_000)).legs
    assert leg.cash == 59_000_000


def test_the_third_generation_states_what_was_paid_and_is_not_recomputed() -> None:
    (leg,) = read(mixed_match(60_000_000, V3_EXCHANGE)).legs
    assert leg.cash == 60_000_000


def test_every_match_of_a_transaction_is_checked_against_its_own_makers() -> None:
    first = [
        order_filled(MAKER_1, LEADER, "SELL", YES, 10 * M, 5 * M, index=1),
        order_filled(LEADER, V2_EXCHANGE, "BUY", YES, 6 * M, 10 * M, index=2),
    ]
    second = [
        order_filled(MAKER_2, LEADER, "SELL", YES, 10 * M, 7 * M, index=3),
        order_filled(LEADER, V2_EXCHANGE, "BUY", YES, 7 * M, 10 * M, index=4),
    ]
    assert [leg.cash for leg in read([*second, *first]).legs] == [5 * M, 7 * M]


def test_makers_that_do_not_add_up_prove_nothing() -> None:
    logs = mixed_match(62_000_000)[1:]
    (leg,) = read(logs).legs
    assert leg.cash == 62_000_000


def test_equal_logs_of_one_order_are_two_fills_and_other_trades_none() -> None:
    logs = [
        order_filled(LEADER, MAKER_1, "SELL", YES, 5 * M, 2 * M, index=1),
        order_filled(LEADER, MAKER_1, "SELL", YES, 5 * M, 2 * M, index=2),
        order_filled(LEADER, MAKER_1, "SELL", NO, 5 * M, 2 * M, index=3),
        order_filled(MAKER_1, V2_EXCHANGE, "BUY", YES, 4 * M, 10 * M, index=4),
    ]
    assert [leg.shares for leg in read(logs, side="SELL").legs] == [5 * M, 5 * M]
    assert read(logs, side="BUY").legs == ()


def test_a_missing_block_time_is_the_one_that_was_known() -> None:
    (leg,) = read(mixed_match(59_000_000)).legs
    assert leg.ts_block == NOW_MS
    stated = [log | {"blockTimestamp": hex(1_795_000_123)} for log in mixed_match(59_000_000)]
    (leg,) = read(stated).legs
    assert leg.ts_block == 1_795_000_123_000


def test_somebody_elses_malformed_log_hurts_nobody_and_the_wallets_own_is_refused() -> None:
    logs = mixed_match(59_000_000)
    logs[0]["data"] = "0x12"
    (leg,) = read(logs).legs
    assert leg.cash == 59_000_000
    logs[2]["data"] = "0x12"
    with pytest.raises(InvalidInput, match="data"):
        read(logs)


def test_logs_without_any_fill_of_the_wallet_are_refused_and_no_logs_are_none() -> None:
    with pytest.raises(InvalidInput, match="logs"):
        read([order_filled(MAKER_1, MAKER_2, "SELL", YES, 5 * M, 2 * M)])
    assert read([]).legs == ()


def test_his_fill_of_another_token_leaves_this_trade_empty_and_names_the_block() -> None:
    reading = read([order_filled(LEADER, MAKER_2, "SELL", NO, 5 * M, 2 * M)])
    assert reading.legs == ()
    assert reading.block_hash == hash_of("block97000000")
