"""The logs that were delivered lately, so that a new watcher can look whether they still stand."""

from __future__ import annotations

from chalicelib.domain.evidence import ChainEvidence, FillMessage
from chalicelib.domain.trade import Trade
from chalicelib.keyspace import day
from chalicelib.ports import Store

PAGE = 100
PAGES_MAX = 5
DAYS_MAX = 2
_DAY_MS = 86_400_000


def recent_legs(store: Store, since_ms: int, now_ms: int) -> list[FillMessage]:
    """One message per unremoved log of a block since then, at most PAGE × PAGES_MAX trades back.

    Trades are listed by the block time of their first evidence. Raises Retryable.
    """
    days = [d for back in range(DAYS_MAX) if (d := day(now_ms - back * _DAY_MS)) >= day(since_ms)]
    found: list[FillMessage] = []
    before: str | None = None
    for _ in range(PAGES_MAX):
        if not days:
            break
        page = store.feed(Trade, "activity", f"trades#{days[0]}", before=before, limit=PAGE)
        fresh = [trade for _, trade in page if trade.ts_listed >= since_ms]
        for trade in fresh:
            found += _messages(trade)
        if len(page) == PAGE and len(fresh) == PAGE:
            before = page[-1][0]
        else:
            before = None
            days.pop(0)
    return found


def _messages(trade: Trade) -> list[FillMessage]:
    return [
        FillMessage(
            leader=trade.leader,
            wallet=trade.wallet,
            ts_seen=trade.ts_seen_chain or 0,
            chain=(ChainEvidence(trade.tx_hash, trade.token_id, trade.side, leg),),
        )
        for leg in trade.legs
        if not leg.removed
    ]
