"""Messages for the queue tests."""

from __future__ import annotations

from chalicelib.domain.evidence import ApiEvidence, ChainEvidence, FillMessage
from chalicelib.domain.trade import ApiRow, ChainLeg

from .records import DAY_MS, TOKEN, WALLET

HASH = "0x" + "cd" * 32
LEG = ChainLeg(HASH, 84_000_123, 7, DAY_MS, 25, 12, 1, "collateral", "taker", HASH)
ROW = ApiRow(25, 4_914_681_528, 12, None, None, DAY_MS, 2)


def fill_message(leader: str, ts_seen: int, *, rows: int = 1) -> FillMessage:
    return FillMessage(
        leader=leader,
        wallet=WALLET,
        ts_seen=ts_seen,
        backfill=True,
        chain=(ChainEvidence(HASH, TOKEN, "BUY", LEG),),
        api=(ApiEvidence(HASH, TOKEN, "SELL", (ROW,) * rows),),
    )
