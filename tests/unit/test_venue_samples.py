"""Real payloads of the venue, where the reference pack lies beside the checkout."""

from __future__ import annotations

import json
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from chalicelib.adapters.polymarket.book_shape import hash_matches, parse_book
from chalicelib.domain.activity import SECOND_GENERATION_TS, parse_activity
from chalicelib.domain.exchange_log import decode_order_filled
from chalicelib.domain.fee import FeeSchedule, taker_fee
from chalicelib.domain.orderbook import walk_cash, walk_shares
from chalicelib.domain.position_log import decode_position_change

SAMPLES = Path(__file__).parents[2].parent / "shared" / "venue" / "samples"

pytestmark = pytest.mark.skipif(
    not SAMPLES.is_dir(), reason="the venue's real samples are not part of the repository"
)

LIVE_RATES = (40_000, 50_000, 70_000, 30_000)


def load(name: str) -> Any:
    return json.loads((SAMPLES / name).read_text(encoding="utf-8"), parse_float=Decimal)


def files(folder: str, pattern: str) -> list[str]:
    found = sorted((SAMPLES / folder).glob(pattern)) if SAMPLES.is_dir() else []
    return [f"{folder}/{path.name}" for path in found]


def rows_of(name: str) -> list[dict[str, Any]]:
    answer = load(name)
    return list(answer["data"] if isinstance(answer, dict) else answer)


# --- logs


@pytest.mark.parametrize(
    "name",
    [name for name in files("chain", "*.json") if name[6:7] == "v"],
)
def test_every_fill_decodes_as_expected(name: str) -> None:
    expected = load("chain/decoded.json")[Path(name).name]
    logs = load(name)
    assert len(logs) == len(expected)
    for log, row in zip(logs, expected, strict=True):
        fill = decode_order_filled(log, {row["wallet"]})
        assert fill is not None
        assert (fill.generation, fill.role) == (row["generation"].lower(), row["role"].lower())
        assert (fill.side, fill.token_id) == (row["side"], row["token_id"])
        assert [fill.shares, fill.cash, fill.fee] == [
            int(row[f"{amount}_raw"]) for amount in ("shares", "cash", "fee")
        ]
        assert fill.fee_asset == ("token" if "token" in row["fee_unit"] else "collateral")
        assert fill.price == round(Fraction(row["price"]) * 10**6)
        assert (fill.order_hash, fill.wallet) == (row["order_hash"], row["wallet"])
        assert (fill.tx_hash, fill.block_number, fill.log_index) == (
            row.get("tx"), row.get("block"), row.get("log_index"),
        )  # fmt: skip
        if fill.ts_block is not None:
            assert fill.ts_block == row["block_time"] * 1000
        if row["counterparty"]:
            assert decode_order_filled(log, {row["counterparty"]}) is None
        if fill.role == "taker" and fill.fee and "synthetic" not in row:
            charged = {taker_fee(FeeSchedule(r), fill.shares, fill.cash) for r in LIVE_RATES}
            assert fill.fee in charged


def test_position_changes_decode_as_expected() -> None:
    kinds = {
        "PositionSplit": "SPLIT",
        "PositionsMerge": "MERGE",
        "PositionsConverted": "CONVERSION",
    }
    expected = load("chain/decoded.json")["split_merge_convert.json"]
    for log, row in zip(load("chain/split_merge_convert.json"), expected, strict=True):
        change = decode_position_change(log)
        assert change is not None
        assert (change.kind, change.stakeholder) == (kinds[row["event"]], row["stakeholder"])
        assert change.subject == row.get("condition_id", row.get("market_id"))
        assert (change.amount, change.index_set) == (
            int(row["amount_raw"]), row.get("index_set", 0),
        )  # fmt: skip
        assert (change.tx_hash, change.block_number, change.log_index) == (
            row["tx"], row["block"], row["log_index"],
        )  # fmt: skip
        assert decode_order_filled(log, {row["stakeholder"]}) is None


# --- activity

ACTIVITY = files("data-v2", "*activity*.json") + files("data-v1", "activity*.json")


@pytest.mark.parametrize("name", ACTIVITY)
def test_every_activity_row_parses(name: str) -> None:
    rows = rows_of(name)
    assert rows
    for row in rows:
        event = parse_activity(row)
        assert event.kind == row["type"]
        assert event.timestamp == row["timestamp"]
        if event.kind != "TRADE":
            continue
        size, price = Fraction(row["size"]), Fraction(row["price"])
        total = Fraction(row.get("usdc_size", row.get("usdcSize")))
        assert event.shares == round(size * 10**6)
        if event.timestamp < SECOND_GENERATION_TS:
            assert event.cash == round(total * 10**6)
            assert size * price <= total + Fraction(1, 10**4), "shares are net of the fee"
        else:
            assert event.cash == round(size * price * 10**6)
            if event.side == "BUY":
                assert event.fee is not None
                assert abs(event.cash + event.fee - total * 10**6) <= 1


@pytest.mark.parametrize("name", ACTIVITY)
def test_fees_of_taker_buys_fit_a_live_schedule(name: str) -> None:
    for row in rows_of(name):
        event = parse_activity(row)
        if event.role == "taker":
            charged = {taker_fee(FeeSchedule(r), event.shares, event.cash) for r in LIVE_RATES}
            assert event.fee in charged


def test_old_rows_state_shares_net_of_the_fee() -> None:
    """fee shares = rate × gross × (1 − p), cut to five decimals; gross = cash ÷ price."""
    matched = 0
    for row in rows_of("data-v1/activity_fee_in_shares_2026-04.json"):
        event = parse_activity(row)
        if event.kind != "TRADE" or event.side != "BUY":
            continue
        price = Fraction(row["price"])
        gross = round(Fraction(event.cash) / price)
        fee = Fraction(3, 100) * gross * (1 - price) // 10 * 10
        matched += bool(gross - event.shares) and abs(gross - event.shares - fee) <= 10
    assert matched >= 3


def test_the_same_fills_read_the_same_through_both_interfaces() -> None:
    new = [parse_activity(row) for row in rows_of("data-v2/activity_maker_no_fee.json")]
    old = [parse_activity(row) for row in rows_of("data-v1/activity_same_rows_as_v2.json")]
    assert new == old


@pytest.mark.parametrize(
    "name", ["data-v2/trades_by_market.json", "data-v1/trades_same_rows_as_v2.json"]
)
def test_trade_rows_without_type_and_total_parse(name: str) -> None:
    for row in rows_of(name):
        event = parse_activity(row)
        assert (event.kind, event.fee, event.role) == ("TRADE", None, None)
        assert event.cash == round(Fraction(row["size"]) * Fraction(row["price"]) * 10**6)


# --- books


def reference_walk(
    raw: dict[str, Any], side: str, unit: str, wanted: Fraction, limit: Fraction | None
) -> tuple[list[tuple[Fraction, Fraction, Fraction]], Fraction]:
    """(price, shares, cash) per level and what is left; whole units, straight from the payload."""
    levels = [
        (Fraction(level["price"]), Fraction(level["size"]))
        for level in raw["asks" if side == "BUY" else "bids"]
    ]
    fills, left = [], wanted
    for price, size in sorted(levels, reverse=side == "SELL"):
        if limit is not None and (price > limit if side == "BUY" else price < limit):
            break
        affordable = left if unit == "shares" else Fraction(left * 10**6 // price, 10**6)
        taken = min(size, affordable)
        cash = Fraction((taken * price * 10**6).__floor__(), 10**6)
        if taken:
            fills.append((price, taken, cash))
        left -= taken if unit == "shares" else cash
        if taken < size:
            break
    return fills, left


def test_real_books_hash_and_walk_as_the_reference() -> None:
    raws = load("clob/books_3_pairs_fed_2026-05.json")
    assert len(raws) == 6
    for raw in raws:
        assert hash_matches(raw) is True
        assert hash_matches(raw | {"timestamp": "1"}) is False
        book = parse_book(raw, 0)
        assert book.spread is not None
        assert book.spread > 0
        for side, limits in (("BUY", (None, "0.99", "0.5")), ("SELL", (None, "0.01", "0.5"))):
            for limit in limits:
                micros = None if limit is None else int(Fraction(limit) * 10**6)
                for wanted in ("0.01", "1", "333.333333", "50000", "1000000", "90000000"):
                    for unit, walk in (("shares", walk_shares), ("cash", walk_cash)):
                        fills, left = reference_walk(
                            raw, side, unit, Fraction(wanted), limit and Fraction(limit)
                        )
                        found = walk(book, side, int(Fraction(wanted) * 10**6), micros)  # type: ignore[arg-type]
                        assert [(f.price, f.shares) for f in found.fills] == [
                            (price * 10**6, shares * 10**6) for price, shares, _ in fills
                        ]
                        assert found.cash == sum(cash for *_, cash in fills) * 10**6
                        assert found.unfilled == left * 10**6


def test_both_books_of_a_market_mirror_each_other() -> None:
    books = [parse_book(raw, 0) for raw in load("clob/books_3_pairs_fed_2026-05.json")]
    mirrored = {tuple((10**6 - b.price, b.shares) for b in book.bids) for book in books}
    assert all(tuple((a.price, a.shares) for a in book.asks) in mirrored for book in books)
