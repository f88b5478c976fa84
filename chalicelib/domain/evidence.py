"""What producers send: who saw which fills of one wallet, and when. Nothing is decided here."""

from __future__ import annotations

from dataclasses import dataclass

from chalicelib.domain.exchange_log import Side
from chalicelib.domain.trade import ApiRow, ChainLeg

EVIDENCE_MAX = 50
"""Items per message. With ROWS_MAX it keeps the largest message far below the queue's 256 KB."""

ROWS_MAX = 200
"""API rows per message: the most one trade may have."""


@dataclass(frozen=True, slots=True)
class ChainEvidence:
    """One log of one trade."""

    tx_hash: str
    token_id: str
    side: Side
    leg: ChainLeg


@dataclass(frozen=True, slots=True)
class ApiEvidence:
    """All rows of one trade that one complete poll showed."""

    tx_hash: str
    token_id: str
    side: Side
    rows: tuple[ApiRow, ...]


@dataclass(frozen=True, slots=True)
class FillMessage:
    """Evidence about one wallet, at most EVIDENCE_MAX items.

    `ts_seen` is the producer's stamp in milliseconds (venue clock); `backfill` marks history that
    must never trade.
    """

    leader: str
    wallet: str
    ts_seen: int
    backfill: bool = False
    chain: tuple[ChainEvidence, ...] = ()
    api: tuple[ApiEvidence, ...] = ()
