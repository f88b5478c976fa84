"""Rows of one complete poll, counted: API rows carry no index and may be equal yet both real."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from chalicelib.domain.activity import TRADE, ActivityEvent
from chalicelib.domain.activity_raw import raw_weight
from chalicelib.domain.evidence import ActivityEvidence, ApiEvidence
from chalicelib.domain.exchange_log import Side
from chalicelib.domain.trade import ApiRow

RAW_TRADE_CHARS_MAX = 100_000
"""Raw text kept of one trade's rows, as a message quotes it; rows beyond it are only counted."""

_TradeKey = tuple[str, str, Side]
_EventKey = tuple[str, str, str, str, int, int]


@dataclass(slots=True)
class _RawRows:
    """The texts of some rows, each different one once, as long as there is room."""

    texts: dict[str, None] = field(default_factory=dict)
    chars: int = 2

    def add(self, text: str) -> None:
        weight = raw_weight(text) + 1
        if text and text not in self.texts and self.chars + weight <= RAW_TRADE_CHARS_MAX:
            self.texts[text] = None
            self.chars += weight

    @property
    def text(self) -> str:
        return f"[{','.join(self.texts)}]" if self.texts else ""


def _row(event: ActivityEvent) -> ApiRow:
    return ApiRow(
        shares=event.shares,
        price_e10=event.price_e10,
        cash=event.cash,
        fee=event.fee,
        role=event.role,
        ts_block=event.timestamp * 1000,
    )


def _merged(known: ApiRow, row: ApiRow) -> ApiRow:
    """One more equal row. What only one of them proves, the count as a whole does not."""
    return replace(
        known,
        count=known.count + 1,
        fee=known.fee if known.fee == row.fee else None,
        role=known.role if known.role == row.role else None,
    )


def api_evidence(events: Iterable[ActivityEvent]) -> tuple[ApiEvidence, ...]:
    """The trades among `events` of one wallet and one complete poll, in order of appearance.

    Rows of one trade are counted per distinct (shares, price); other activity is left out.
    """
    trades: dict[_TradeKey, dict[tuple[int, int], ApiRow]] = {}
    raw: dict[_TradeKey, _RawRows] = {}
    for event in events:
        if event.kind != TRADE or event.side is None:
            continue
        trade = (event.tx_hash, event.token_id, event.side)
        rows = trades.setdefault(trade, {})
        row = _row(event)
        key = (row.shares, row.price_e10)
        known = rows.get(key)
        rows[key] = row if known is None else _merged(known, row)
        raw.setdefault(trade, _RawRows()).add(event.raw)
    return tuple(
        ApiEvidence(*trade, tuple(rows.values()), raw[trade].text) for trade, rows in trades.items()
    )


def activity_evidence(events: Iterable[ActivityEvent]) -> tuple[ActivityEvidence, ...]:
    """What is no trade among `events` of one wallet and one complete poll, counted likewise.

    Equal rows are those of one type, transaction, condition and token with the same amounts. The
    outcome tells no rows apart, because the venue completes it later; it is stated where they
    agree on it.
    """
    counted: dict[_EventKey, ActivityEvidence] = {}
    raw: dict[_EventKey, _RawRows] = {}
    for event in events:
        if event.kind == TRADE:
            continue
        ids = (event.kind, event.tx_hash, event.condition_id, event.token_id)
        key = (*ids, event.shares, event.cash)
        known = counted.get(key)
        raw.setdefault(key, _RawRows()).add(event.raw)
        if known is None:
            known = ActivityEvidence(
                *ids, event.shares, event.cash, event.timestamp * 1000, 0, event.outcome_index
            )
        agreed = known.outcome_index if known.outcome_index == event.outcome_index else None
        counted[key] = replace(known, count=known.count + 1, outcome_index=agreed)
    return tuple(replace(evidence, raw=raw[key].text) for key, evidence in counted.items())
