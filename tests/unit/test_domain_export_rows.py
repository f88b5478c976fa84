"""Exports tell what is stored, to the micro and the millisecond, and harm no spreadsheet."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chalicelib.domain.export_rows import (
    ATTEMPTS,
    COLUMNS,
    FILLS,
    LEDGER,
    TRADES,
    Column,
    ExportFormat,
    ExportKind,
    Row,
    amount,
    moment,
    paper_fills,
    text_of,
)
from chalicelib.domain.lane import Attempt
from chalicelib.domain.ledger import Entry
from chalicelib.domain.trade import Trade, effective
from tests.contract.records import records_of

FORMATS: tuple[ExportFormat, ...] = ("csv", "json")
UNTIMED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""How loaded the machine is decides nothing."""
SHEETS = {"trades": TRADES, "attempts": ATTEMPTS, "fills": FILLS, "ledger": LEDGER}


def parsed(kind: ExportKind, format_: ExportFormat, text: str) -> list[dict[str, Any]]:
    """Micros, milliseconds, numbers, flags and texts again, by column."""
    columns = COLUMNS[kind]
    if format_ == "json":
        found = [json.loads(line) for line in text.split("\n")[:-1]]
    else:
        header, *lines = list(csv.reader(io.StringIO(text, newline="")))
        assert header == [column.name for column in columns]
        found = [dict(zip(header, line, strict=True)) for line in lines]
    return [{c.name: _value(c, row[c.name], format_) for c in columns} for row in found]


def _value(column: Column, cell: Any, format_: ExportFormat) -> Any:
    if column.unit == "text":
        return cell.removeprefix("'") if format_ == "csv" else cell
    if cell is None or cell == "":
        return None
    if column.unit == "flag":
        return cell in (True, "true")
    if column.unit == "number":
        return int(cell)
    if column.unit == "time":
        assert cell.endswith("Z")
        at = datetime.fromisoformat(cell)
        since = at - datetime.fromisoformat("1970-01-01T00:00:00Z")
        return (since.days * 86_400 + since.seconds) * 1000 + since.microseconds // 1000
    assert isinstance(cell, str)
    micros = Fraction(cell) * 1_000_000
    assert micros == int(micros)
    return int(micros)


@UNTIMED
@given(entries=st.lists(records_of(Entry), max_size=5), format_=st.sampled_from(FORMATS))
def test_ledger_entries_come_back_whole(entries: list[Entry], format_: ExportFormat) -> None:
    text = text_of("ledger", format_, [LEDGER.row(entry) for entry in entries])
    again = [
        Entry(
            portfolio_id=row["portfolio_id"],
            epoch=row["epoch"],
            seq=row["seq"],
            kind=row["kind"],
            reference=row["reference"],
            token_id=row["token_id"],
            leader=row["leader"],
            shares=row["shares"],
            cash=row["cash"],
            ts_effective=row["time"],
            order=row["order"],
            pre_sell=row["pre_sell"],
            value=row["value"],
            wallet=row["wallet"],
        )
        for row in parsed("ledger", format_, text)
    ]
    assert again == entries


@UNTIMED
@given(attempt=records_of(Attempt), format_=st.sampled_from(FORMATS))
def test_attempts_come_back_with_every_figure(attempt: Attempt, format_: ExportFormat) -> None:
    text = text_of("attempts", format_, [ATTEMPTS.row(attempt)])
    (row,) = parsed("attempts", format_, text)
    decision, order, outcome = attempt.decision, attempt.order, attempt.outcome
    assert row["attempt_id"] == attempt.attempt_id
    assert row["reasons"].split() == [reason.value for reason in attempt.reasons]
    assert (row["opened"], row["decided"]) == (attempt.ts_opened, decision.ts_decided)
    assert row["placed"] == (order.ts_placed if order else None)
    assert row["done"] == (outcome.ts_done if outcome else None)
    assert row["leader_cash"] == decision.leader_cash
    assert (row["target_shares"], row["limit"]) == (decision.target_shares, decision.limit)
    assert row["filled_shares"] == (outcome.shares if outcome else 0)
    assert (row["cash"], row["fee"]) == ((outcome.cash, outcome.fee) if outcome else (0, 0))
    assert (row["vwap"], row["reserved"]) == (attempt.vwap, attempt.reserved)
    assert (row["equity"], row["exit_debt"]) == (decision.equity, decision.exit_debt)
    assert row["late_by_ms"] == attempt.late_by_ms


@UNTIMED
@given(trade=records_of(Trade), format_=st.sampled_from(FORMATS))
def test_trades_come_back_with_what_counts(trade: Trade, format_: ExportFormat) -> None:
    (row,) = parsed("trades", format_, text_of("trades", format_, [TRADES.row(trade)]))
    totals = effective(trade)
    assert (row["shares"], row["cash"], row["fee"]) == (totals.shares, totals.cash, totals.fee)
    assert (row["trade_id"], row["wallet"]) == (trade.trade_id, trade.wallet)
    assert (row["seen_chain"], row["seen_api"]) == (trade.ts_seen_chain, trade.ts_seen_api)
    assert (row["listed"], row["backfill"]) == (trade.ts_listed, trade.backfill)


FILL = Entry("main/global", 1, 3, "TRADE_FILL", "a1:0", "7", "0x1", -2_500_000, 1_250_001, 5_000)


def test_a_fill_takes_the_fee_that_stands_before_it() -> None:
    fee = replace(FILL, seq=4, kind="FEE", shares=0, cash=-17)
    other = replace(FILL, reference="a1:1", ts_effective=6_000)
    settled = replace(FILL, kind="SETTLEMENT", reference="s")
    fills = paper_fills([settled, fee, FILL, other])
    assert [(fill.entry.reference, fill.fee) for fill in fills] == [("a1:0", 17), ("a1:1", 0)]
    (row,) = parsed("fills", "csv", text_of("fills", "csv", [FILLS.row(fills[0])]))
    assert (row["source_id"], row["number"], row["side"]) == ("a1", "0", "SELL")
    assert (row["shares"], row["cash"], row["fee"]) == (2_500_000, 1_250_001, 17)
    assert row["price"] == 500_000


@pytest.mark.parametrize(
    "evil", ["=1+1", "+1", "-1", "@sum(A1)", "\tx", "\rx", "\n=x", "'=1", "''", '=HYPERLINK("x")']
)
def test_text_that_looks_like_a_formula_is_none(evil: str) -> None:
    entry = replace(FILL, reference=evil)
    text = text_of("ledger", "csv", [LEDGER.row(entry)], header=False)
    (cells,) = list(csv.reader(io.StringIO(text, newline="")))
    assert cells[6] == f"'{evil}"
    # Amounts are numbers, also negative ones.
    assert cells[10] == "-2.500000"
    assert all(not c.startswith(("=", "+", "@", "\t", "\r", "\n")) for c in cells)


@given(st.integers(-(10**20), 10**20))
def test_amounts_are_exact(micros: int) -> None:
    assert Decimal(amount(micros) or "") * 1_000_000 == micros


def test_moments_are_utc_with_milliseconds() -> None:
    assert moment(1_795_000_000_007) == "2026-11-18T11:06:40.007Z"
    assert moment(None) is None


@pytest.mark.parametrize("kind", COLUMNS)
def test_every_column_is_explained_once(kind: ExportKind) -> None:
    names = [column.name for column in COLUMNS[kind]]
    assert len(set(names)) == len(names)
    assert all(column.about for column in COLUMNS[kind])
    assert set(SHEETS) == set(COLUMNS)


def test_a_page_without_rows_is_its_header_or_nothing() -> None:
    none: list[Row] = []
    assert text_of("fills", "csv", none).startswith("portfolio_id,epoch,")
    assert text_of("fills", "csv", none, header=False) == ""
    assert text_of("fills", "json", none) == ""
