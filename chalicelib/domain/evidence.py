"""What producers send: who saw what of one wallet, and when. Nothing is decided here."""

from __future__ import annotations

from dataclasses import dataclass

from chalicelib.domain.exchange_log import Side
from chalicelib.domain.trade import ApiRow, ChainLeg

EVIDENCE_MAX = 50
"""Items per message. With ROWS_MAX it keeps the largest message far below the queue's 256 KB."""

ROWS_MAX = 200
"""API rows per message: the most one trade may have."""

RAW_CHARS_MAX = 150_000
"""Raw payload characters per message."""


@dataclass(frozen=True, slots=True)
class ChainEvidence:
    """One log of one trade; `raw` is the log as it came, compact JSON, or empty."""

    tx_hash: str
    token_id: str
    side: Side
    leg: ChainLeg
    raw: str = ""


@dataclass(frozen=True, slots=True)
class ApiEvidence:
    """All rows of one trade that one complete poll showed; `raw` is the list of rows as JSON."""

    tx_hash: str
    token_id: str
    side: Side
    rows: tuple[ApiRow, ...]
    raw: str = ""


@dataclass(frozen=True, slots=True)
class ActivityEvidence:
    """Equal rows of activity other than trades that one complete poll showed.

    `kind` is the venue's own name. Amounts in micros, `ts_block` in milliseconds; ids are empty
    where the row names none, `outcome_index` is None where it is unknown.
    """

    kind: str
    tx_hash: str
    condition_id: str
    token_id: str
    shares: int
    cash: int
    ts_block: int
    count: int = 1
    outcome_index: int | None = None
    raw: str = ""


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
    events: tuple[ActivityEvidence, ...] = ()
