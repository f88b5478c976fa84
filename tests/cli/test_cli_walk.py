"""`walk` through a recorded book."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cli.running import EVENTS, Result, as_process, assert_refused, run

BOOK = json.loads((EVENTS / "clob_book.json").read_text())


def walk(*argv: str, book: object = BOOK) -> Result:
    text = book if isinstance(book, str | bytes) else json.dumps(book)
    return run("walk", *argv, "-", stdin=text)


def test_a_buy_by_shares() -> None:
    argv = ("--side", "BUY", "--shares", "130", "--limit", "0.44", "--fee-rate", "0.05")
    (line,) = walk(*argv).lines
    assert line == {
        "side": "BUY",
        "fills": [
            {"price_micros": 430_000, "shares_micros": 25_500_000, "cash_micros": 10_965_000},
            {"price_micros": 440_000, "shares_micros": 100_000_000, "cash_micros": 44_000_000},
        ],
        "shares_micros": 125_500_000,
        "vwap_micros": 437_968,
        "cash_micros": 54_965_000,
        "fee_micros": 1_544_600,
        "unfilled_micros": 4_500_000,
        "best": 430_000,
        "mid": 425_000,
        "spread": 10_000,
        "hash_matches": True,
    }
    process = as_process("walk", *argv, str(EVENTS / "clob_book.json"))
    assert (process.code, process.err, process.lines) == (0, "", [line])


def test_a_sell_by_cash_floors_each_level() -> None:
    (line,) = walk("--side", "SELL", "--cash", "20").lines
    assert [(f["price_micros"], f["shares_micros"], f["cash_micros"]) for f in line["fills"]] == [
        (420_000, 33_333_333, 13_999_999),
        (400_000, 15_000_002, 6_000_000),
    ]
    assert (line["cash_micros"], line["unfilled_micros"], line["fee_micros"]) == (19_999_999, 1, 0)
    assert line["best"] == 420_000


def test_beyond_the_book_the_rest_is_unfilled() -> None:
    (line,) = walk("--side", "SELL", "--shares", "1000000").lines
    assert line["shares_micros"] + line["unfilled_micros"] == 10**12
    assert len(line["fills"]) == 3


def test_nothing_inside_the_limit() -> None:
    (line,) = walk("--side", "BUY", "--cash", "5", "--limit", "0.42").lines
    assert line["fills"] == []
    assert (line["shares_micros"], line["cash_micros"], line["fee_micros"]) == (0, 0, 0)
    assert (line["vwap_micros"], line["unfilled_micros"], line["best"]) == (
        None,
        5_000_000,
        430_000,
    )


def test_empty_sides_are_null() -> None:
    (line,) = walk("--side", "BUY", "--shares", "1", book=BOOK | {"asks": []}).lines
    assert (line["best"], line["mid"], line["spread"]) == (None, None, None)
    (line,) = walk("--side", "SELL", "--shares", "1", book=BOOK | {"asks": []}).lines
    assert (line["best"], line["mid"], line["spread"]) == (420_000, None, None)


def test_the_books_own_hash() -> None:
    def verdict(book: dict[str, Any]) -> object:
        return walk("--side", "BUY", "--shares", "1", book=book).lines[0]["hash_matches"]

    assert verdict(BOOK) is True
    assert verdict(BOOK | {"last_trade_price": "0.43"}) is False
    assert verdict({k: v for k, v in BOOK.items() if k != "hash"}) is None


@pytest.mark.parametrize(
    "argv",
    [
        ("--side", "BUY"),
        ("--shares", "1"),
        ("--side", "buy", "--shares", "1"),
        ("--side", "HOLD", "--shares", "1"),
        ("--side", "BUY", "--shares", "1", "--cash", "1"),
        *(
            ("--side", "BUY", option, amount)
            for option in ("--shares", "--cash")
            for amount in (
                "0", "-1", "-0.5", "NaN", "nan", "inf", "Infinity", "1_0", "", " ", "x", "1,5",
                "0.0000001", "0.0000000", "1e13", "1e999999999999", "1" * 5000, "٣", "1 ", "0x10",
            )
        ),
        ("--side", "BUY", "--shares=-1"),
        ("--side", "BUY", "--cash=-Infinity"),
        *(
            ("--side", "BUY", "--shares", "1", "--limit", price)
            for price in ("0", "1", "1.0", "1.5", "-0.1", "NaN", "", "half", "0.0000001")
        ),
        *(
            ("--side", "BUY", "--shares", "1", "--fee-rate", rate)
            for rate in ("-0.01", "NaN", "x", "1.01", "", "0.0000001")
        ),
    ],
)  # fmt: skip
def test_wrong_arguments_take_one_line(argv: tuple[str, ...]) -> None:
    assert_refused(walk(*argv))


@pytest.mark.parametrize("amount", ["0.000001", "1e-6", "1e3", "1000000000000"])
def test_amounts_up_to_a_million_millions_and_down_to_a_micro(amount: str) -> None:
    assert walk("--side", "BUY", "--shares", amount, "--fee-rate", "0").code == 0


@pytest.mark.parametrize(
    ("book", "words"),
    [
        ("", ["empty"]),
        ("[]", ["object"]),
        ([BOOK], ["object"]),
        ("5", ["object"]),
        ({"error": "No orderbook exists for the requested token id"}, []),
        ({}, []),
        (BOOK | {"bids": None}, ["bids"]),
        (BOOK | {"asks": {}}, ["asks"]),
        (BOOK | {"asks": [5]}, ["asks[0]"]),
        (BOOK | {"bids": [{"price": "0.4"}]}, ["bids[0].size"]),
        (BOOK | {"bids": [{"price": 0.4, "size": "1"}]}, ["bids[0].price"]),
        (BOOK | {"bids": [{"price": "1.4", "size": "1"}]}, ["bids[0].price"]),
        (BOOK | {"bids": [{"price": "0.4", "size": "-1"}]}, ["bids[0].size"]),
        (BOOK | {"bids": [{"price": "0.5", "size": "1"}]}, ["crossed"]),
        (BOOK | {"asset_id": 5}, ["asset_id"]),
        (BOOK | {"timestamp": None}, ["timestamp"]),
        (BOOK | {"market": "\ud800"}, ["Unicode"]),
        ('{"bids": [], "bids": []}', ["bids", "twice"]),
        ('{"bids": NaN}', ["NaN"]),
    ],
)
def test_unusable_books_are_refused(book: object, words: list[str]) -> None:
    assert_refused(walk("--side", "BUY", "--shares", "1", book=book), *words)


def test_deep_nesting_ends_no_process() -> None:
    for text in ('{"bids":' * 100_000, '{"bids":' + "[" * 950 + "]" * 950 + "}"):
        result = as_process("walk", "--side", "BUY", "--shares", "1", "-", stdin=text.encode())
        assert_refused(result)
