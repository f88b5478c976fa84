"""The listing of leaders' trades."""

from __future__ import annotations

from collections.abc import Mapping

from chalicelib.domain.completeness import first_seen
from chalicelib.domain.group import Fill
from chalicelib.domain.money import price_nearest
from chalicelib.domain.reasons import Reason
from chalicelib.domain.trade import Trade, effective, live_legs, role_of, state_of, ts_block_of
from chalicelib.keyspace import trade_key
from chalicelib.ports import Store
from chalicelib.services.read_models.listing import (
    EVER,
    Json,
    MarketTexts,
    Range,
    explained,
    names_of_leaders,
    page_of,
    tokens_of,
)

FILLS_READ_MAX = 20


def list_trades(
    store: Store,
    texts: MarketTexts,
    now: int,
    cursor: str | None,
    limit: int,
    leader: str | None,
    market: str | None = None,
    within: Range = EVER,
) -> Json:
    """Trades newest first, of one leader and market (a condition id) or all.

    Costs at most ROWS_PER_PAGE_MAX rows of the listing, and per row shown one query of its fills.
    """
    names = names_of_leaders(store)
    tokens = tokens_of(store, market)
    found, following = page_of(
        store,
        Trade,
        "activity",
        "trades#",
        now=now,
        cursor=cursor,
        limit=limit,
        wanted=lambda trade: (
            leader in (None, trade.leader) and (tokens is None or trade.token_id in tokens)
        ),
        within=within,
    )
    items = [_row(store, texts, trade, names) for trade in found]
    return {"items": items, "next_cursor": following}


def _row(store: Store, texts: MarketTexts, trade: Trade, names: Mapping[str, str]) -> Json:
    totals, legs, seen = effective(trade), live_legs(trade), first_seen(trade)
    last = max(legs, key=lambda leg: leg.log_index) if legs else None
    return {
        "trade_id": trade.trade_id,
        "leader": trade.leader,
        "leader_name": names.get(trade.leader, ""),
        "wallet": trade.wallet,
        "tx_hash": trade.tx_hash,
        **texts.fields(trade.token_id),
        "side": trade.side,
        "shares_micros": totals.shares,
        "cash_micros": totals.cash,
        "fee_micros": totals.fee,
        "price_micros": price_nearest(totals.cash, totals.shares) if totals.shares else None,
        "role": role_of(trade),
        "block_number": last.block_number if last else None,
        "block_hash": last.block_hash if last else None,
        "log_index": last.log_index if last else None,
        "order_hash": last.order_hash if last else None,
        "ts_block": ts_block_of(trade),
        "ts_seen_chain": trade.ts_seen_chain,
        "ts_seen_api": trade.ts_seen_api,
        "first_source": seen[0] if seen else trade.first_source,
        "state": state_of(trade),
        "backfill": trade.backfill,
        "not_copied": _not_copied(store, trade),
    }


def _not_copied(store: Store, trade: Trade) -> Json | None:
    """Why no copy was considered, from the latest of the trade's fills that says so."""
    pk = trade_key(trade.trade_id).pk
    fills = store.query(
        Fill,
        "activity",
        pk,
        start="fill#",
        end="fill$",
        limit=FILLS_READ_MAX,
        newest_first=True,
    )
    reasons: list[Reason] = [fill.not_copied for fill in fills if fill.not_copied]
    return explained(reasons[:1])[0] if reasons else None
