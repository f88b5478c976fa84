"""Rows of one complete poll, counted: API rows carry no index and may be equal yet both real."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from chalicelib.domain.activity import TRADE, ActivityEvent
from chalicelib.domain.evidence import ApiEvidence
from chalicelib.domain.exchange_log import Side
from chalicelib.domain.trade import ApiRow

_TradeKey = tuple[str, str, Side]


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
    for event in events:
        if event.kind != TRADE or event.side is None:
            continue
        rows = trades.setdefault((event.tx_hash, event.token_id, event.side), {})
        row = _row(event)
        key = (row.shares, row.price_e10)
        known = rows.get(key)
        rows[key] = row if known is None else _merged(known, row)
    return tuple(
        ApiEvidence(tx_hash, token, side, tuple(rows.values()))
        for (tx_hash, token, side), rows in trades.items()
    )
