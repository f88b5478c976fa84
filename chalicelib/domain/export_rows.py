"""What an export shows of a record: documented columns, exact values, CSV and JSON lines.

Amounts are decimal text with six places, exact to the micro; times are ISO 8601 UTC with
milliseconds. Nothing becomes a float on the way.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Generic, Literal, TypeVar

from chalicelib.domain.lane import Attempt
from chalicelib.domain.ledger import Entry
from chalicelib.domain.money import MICROS, price_nearest
from chalicelib.domain.trade import Trade, effective, role_of, state_of, ts_block_of

ExportKind = Literal["trades", "attempts", "fills", "ledger"]
ExportFormat = Literal["csv", "json"]
Unit = Literal["text", "shares", "collateral", "price", "time", "number", "flag"]
Value = str | int | bool | None
Row = tuple[Value, ...]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "'")
"""A text cell that begins so could be taken for a formula, or for a guarded one."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Column:
    """One column; `text` is never absent, everything else may be (null, or an empty cell)."""

    name: str
    unit: Unit
    about: str


@dataclass(frozen=True, slots=True)
class Sheet(Generic[T]):
    """The columns of one kind of export and how a record fills them."""

    columns: tuple[Column, ...]
    row: Callable[[T], Row]


@dataclass(frozen=True, slots=True)
class PaperFill:
    """One TRADE_FILL entry and the fee that went with it."""

    entry: Entry
    fee: int


def amount(micros: int | None) -> str | None:
    """Micros as decimal text with six places."""
    if micros is None:
        return None
    whole, part = divmod(abs(micros), MICROS)
    return f"{'-' if micros < 0 else ''}{whole}.{part:06d}"


def moment(ts_ms: int | None) -> str | None:
    """Milliseconds as ISO 8601 in UTC."""
    if ts_ms is None:
        return None
    at = _EPOCH + timedelta(milliseconds=ts_ms)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{ts_ms % 1000:03d}Z"


def _columns(*rows: tuple[str, Unit, str]) -> tuple[Column, ...]:
    return tuple(Column(*row) for row in rows)


_PORTFOLIO: tuple[tuple[str, Unit, str], ...] = (
    ("portfolio_id", "text", "the portfolio"),
    ("epoch", "number", "its epoch; a reset begins the next one"),
)

_LEDGER = _columns(
    *_PORTFOLIO,
    ("seq", "number", "place in the portfolio's own order, from 0"),
    ("time", "time", "when the entry takes effect"),
    ("order", "number", "breaks ties within a millisecond"),
    ("kind", "text", "OPENING, TRADE_FILL, FEE, SETTLEMENT and so on"),
    ("reference", "text", "what caused it, unique with its kind"),
    ("token_id", "text", "asset id, decimal text of a 256-bit number"),
    ("leader", "text", "whose trade was copied"),
    ("wallet", "text", "whose doing it is, in shadows"),
    ("shares", "shares", "signed change of shares"),
    ("cash", "collateral", "signed change of cash"),
    ("value", "collateral", "worth of shares that came or went without cash"),
    ("pre_sell", "shares", "what the leader held before a sell, in shadows"),
)


def _ledger(e: Entry) -> Row:
    return (
        e.portfolio_id,
        e.epoch,
        e.seq,
        moment(e.ts_effective),
        e.order,
        e.kind,
        e.reference,
        e.token_id,
        e.leader,
        e.wallet,
        amount(e.shares),
        amount(e.cash),
        amount(e.value),
        amount(e.pre_sell),
    )


_FILLS = _columns(
    *_PORTFOLIO,
    ("source_id", "text", "the attempt, or in a shadow the trade, that it belongs to"),
    ("number", "text", "which of its fills, from 0"),
    ("time", "time", "when it was filled"),
    ("leader", "text", "whose trade was copied"),
    ("token_id", "text", "asset id, decimal text of a 256-bit number"),
    ("side", "text", "BUY or SELL"),
    ("shares", "shares", "filled shares"),
    ("price", "price", "cash by shares, to the nearest micro"),
    ("cash", "collateral", "paid or received before the fee"),
    ("fee", "collateral", "fee of this fill"),
)


def _fill(fill: PaperFill) -> Row:
    e, shares = fill.entry, abs(fill.entry.shares)
    source, _, number = e.reference.rpartition(":")
    return (
        e.portfolio_id,
        e.epoch,
        source,
        number,
        moment(e.ts_effective),
        e.leader,
        e.token_id,
        "BUY" if e.shares > 0 else "SELL",
        amount(shares),
        amount(price_nearest(abs(e.cash), shares)) if shares else None,
        amount(abs(e.cash)),
        amount(fill.fee),
    )


_ATTEMPTS = _columns(
    *_PORTFOLIO,
    ("attempt_id", "text", "the attempt"),
    ("group_id", "text", "the leader's fills it answers"),
    ("leader", "text", "whose trade was to be copied"),
    ("token_id", "text", "asset id, decimal text of a 256-bit number"),
    ("side", "text", "BUY or SELL"),
    ("verdict", "text", "EXECUTE or SKIP"),
    ("status", "text", "SKIPPED, SUBMITTED, PARTIAL, FILLED, CANCELLED or FAILED"),
    ("reasons", "text", "codes, separated by spaces"),
    ("opened", "time", "when the first fill of the group was seen"),
    ("decided", "time", "when it was decided"),
    ("placed", "time", "when the order was placed"),
    ("first_fill", "time", "when something was filled first"),
    ("done", "time", "up to when its fate is known"),
    ("leader_price", "price", "the leader's average price"),
    ("leader_shares", "shares", "the leader's shares"),
    ("leader_cash", "collateral", "the leader's cash"),
    ("target_shares", "shares", "what sizing asked for"),
    ("limit", "price", "the worst price allowed"),
    ("best", "price", "best price at the decision"),
    ("mid", "price", "midpoint at the decision"),
    ("order_shares", "shares", "size of the order"),
    ("filled_shares", "shares", "what was filled"),
    ("cash", "collateral", "cash of the fills before fees"),
    ("fee", "collateral", "fees of the fills"),
    ("vwap", "price", "average price of the fills"),
    ("reserved", "collateral", "cash still held back for it"),
    ("equity", "collateral", "equity the decision counted with, 0 for a SELL"),
    ("free_cash", "collateral", "cash less reservations at the decision"),
    ("held", "shares", "our shares of this leader in this token"),
    ("exit_debt", "shares", "what sells still owed us"),
    ("book_source", "text", "tape or rest, empty when nothing was placed"),
    ("rules_digest", "text", "the settings it was decided under"),
    ("late_by_ms", "number", "how late the deciding step ran, milliseconds"),
    ("retracted_shares", "shares", "leader shares the chain took back afterwards"),
)


def _attempt(a: Attempt) -> Row:
    decision, order, outcome = a.decision, a.order, a.outcome
    return (
        a.portfolio_id,
        a.epoch,
        a.attempt_id,
        a.group_id,
        a.leader,
        a.token_id,
        a.side,
        decision.verdict,
        a.status,
        " ".join(reason.value for reason in a.reasons),
        moment(a.ts_opened),
        moment(decision.ts_decided),
        moment(order.ts_placed) if order else None,
        moment(outcome.slices[0].ts) if outcome and outcome.slices else None,
        moment(outcome.ts_done) if outcome else None,
        amount(decision.leader_price),
        amount(decision.leader_shares),
        amount(decision.leader_cash),
        amount(decision.target_shares),
        amount(decision.limit),
        amount(decision.best),
        amount(decision.mid),
        amount(order.shares) if order else None,
        amount(outcome.shares if outcome else 0),
        amount(outcome.cash if outcome else 0),
        amount(outcome.fee if outcome else 0),
        amount(a.vwap),
        amount(a.reserved),
        amount(decision.equity),
        amount(decision.free_cash),
        amount(decision.held),
        amount(decision.exit_debt),
        outcome.book_source if outcome else "",
        decision.rules_digest,
        a.late_by_ms,
        amount(a.retracted_shares),
    )


_TRADES = _columns(
    ("trade_id", "text", "the trade"),
    ("leader", "text", "whose trade it is"),
    ("wallet", "text", "which of his wallets"),
    ("tx_hash", "text", "the transaction"),
    ("token_id", "text", "asset id, decimal text of a 256-bit number"),
    ("side", "text", "BUY or SELL"),
    ("role", "text", "maker or taker, empty when unknown"),
    ("shares", "shares", "what counts of both sources"),
    ("price", "price", "cash by shares, to the nearest micro"),
    ("cash", "collateral", "paid or received before the fee"),
    ("fee", "collateral", "fee of the trade"),
    ("time", "time", "time of its block"),
    ("listed", "time", "block time the first evidence named; exports go by it"),
    ("seen_chain", "time", "when the chain's log was seen"),
    ("seen_api", "time", "when the Data API showed it"),
    ("first_source", "text", "chain or api"),
    ("state", "text", "how the sources stand to each other"),
    ("backfill", "flag", "history that never trades"),
)


def _trade(t: Trade) -> Row:
    totals = effective(t)
    return (
        t.trade_id,
        t.leader,
        t.wallet,
        t.tx_hash,
        t.token_id,
        t.side,
        role_of(t) or "",
        amount(totals.shares),
        amount(price_nearest(totals.cash, totals.shares)) if totals.shares else None,
        amount(totals.cash),
        amount(totals.fee),
        moment(ts_block_of(t)),
        moment(t.ts_listed),
        moment(t.ts_seen_chain),
        moment(t.ts_seen_api),
        t.first_source,
        state_of(t),
        t.backfill,
    )


LEDGER = Sheet(_LEDGER, _ledger)
FILLS = Sheet(_FILLS, _fill)
ATTEMPTS = Sheet(_ATTEMPTS, _attempt)
TRADES = Sheet(_TRADES, _trade)
COLUMNS: dict[ExportKind, tuple[Column, ...]] = {
    "trades": _TRADES,
    "attempts": _ATTEMPTS,
    "fills": _FILLS,
    "ledger": _LEDGER,
}


def paper_fills(entries: Iterable[Entry]) -> list[PaperFill]:
    """The fills among ledger entries in key order: a fee comes right before its fill there."""
    found: list[PaperFill] = []
    fee: Entry | None = None
    for entry in entries:
        if entry.kind == "TRADE_FILL":
            own = fee is not None and fee.reference == entry.reference
            found.append(PaperFill(entry, -fee.cash if fee and own else 0))
        fee = entry if entry.kind == "FEE" else None
    return found


def text_of(
    kind: ExportKind, format_: ExportFormat, rows: Iterable[Row], *, header: bool = True
) -> str:
    """Rows as CSV (RFC 4180, with a header line if asked for) or as JSON lines."""
    columns = COLUMNS[kind]
    if format_ == "json":
        names = [column.name for column in columns]
        return "".join(
            json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False) + "\n"
            for row in rows
        )
    out = io.StringIO()
    writer = csv.writer(out)
    if header:
        writer.writerow([column.name for column in columns])
    writer.writerows(_cells(columns, row) for row in rows)
    return out.getvalue()


def _cells(columns: Sequence[Column], row: Row) -> list[str]:
    return [_cell(column, value) for column, value in zip(columns, row, strict=True)]


def _cell(column: Column, value: Value) -> str:
    """A cell of CSV; text that a spreadsheet could take for a formula gets an apostrophe."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)
    return f"'{text}" if column.unit == "text" and text.startswith(_FORMULA) else text
