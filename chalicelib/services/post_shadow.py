"""A trade's increment into the leader's shadow portfolio, exactly once."""

from __future__ import annotations

from chalicelib.domain import registry
from chalicelib.domain.errors import Conflict, Retryable
from chalicelib.domain.identifiers import fill_id
from chalicelib.domain.ledger import Entry
from chalicelib.domain.portfolio import Head, Position
from chalicelib.domain.records import replace
from chalicelib.domain.registry import Leader, PortfolioRef
from chalicelib.domain.shadow import held_before, other_side, shadow_entries
from chalicelib.domain.trade import Increment, Trade
from chalicelib.keyspace import entry_key, key_of, leader_key
from chalicelib.ports import Put, Require, Store, Write
from chalicelib.services.fold_shadow import folded_in
from chalicelib.services.holdings_checks import doubt_booked
from chalicelib.services.portfolios import (
    entries_from,
    head_of,
    portfolio_ref,
    position_of,
    shadow_id,
)
from chalicelib.services.post_holdings import finish_tokens

ROUNDS_MAX = 8
LATE_MS = 60_000
"""What is seen later than this may have been booked as a difference before."""


def post_shadow(store: Store, trade: Trade, increment: Increment) -> int | None:
    """Write the entry, the position and the head in one commit guarded by the entry's absence.

    What his holdings, as they were read, contain already moves nothing. Returns what the leader
    held before a sell, in chain order, None for a buy; the same on every repetition, because it is
    stored with the entry. Raises Retryable under lasting contention.
    """
    ref = portfolio_ref(store, shadow_id(trade.leader))
    if ref is None:
        raise Retryable(f"the shadow of {trade.leader} is not open yet")
    reference = fill_id(trade.trade_id, increment.seq)
    key = entry_key(
        ref.portfolio_id,
        ref.epoch,
        increment.ts_block,
        increment.order,
        reference,
        increment.kind,
    )
    for _ in range(ROUNDS_MAX):
        known = store.get(Entry, key)
        if known:
            return known.pre_sell
        leader = store.get(Leader, leader_key(trade.leader))
        if leader is None:
            return None
        if is_in_holdings(leader, increment.ts_block, trade.wallet):
            return None
        if trade.side == "SELL":
            # What a reading still owes the shadow is part of what he held before.
            finish_tokens(store, leader, [trade.token_id])
        if increment.ts_seen - increment.ts_block >= LATE_MS:
            doubt_booked(store, trade.leader, increment.ts_block)
        head = head_of(store, ref)
        position = position_of(store, head, trade.token_id, trade.leader)
        pre_sell = None
        if trade.side == "SELL":
            at = (increment.ts_block, increment.order, reference, increment.kind)
            pre_sell = _held_before(store, ref, position, at, other_side(leader, trade))
        portfolio = (head.portfolio_id, head.epoch, head.entries)
        entries = shadow_entries(trade, increment, reference, portfolio, pre_sell)
        after, moved = folded_in(store, head, {trade.token_id: position}, entries)
        writes: list[Write] = [*moved, Put(_counted(after, increment))]
        # A reading of his holdings counts what was posted before it; nothing may slip in beside it.
        writes.append(Require(key_of(leader), leader.version))
        try:
            store.commit(writes)
        except Conflict:
            continue
        return pre_sell
    raise Retryable(f"shadow of {trade.leader} stayed contended for {ROUNDS_MAX} rounds")


def is_in_holdings(leader: Leader, ts_block: int, wallet: str = "") -> bool:
    """Whether a trade of that block (milliseconds) is part of the holdings that were read.

    Without a wallet: of those of every wallet.
    """
    wallets = (wallet,) if wallet else leader.wallets
    return all(registry.is_in_holdings(leader, each, ts_block) for each in wallets)


def _held_before(
    store: Store,
    ref: PortfolioRef,
    position: Position,
    at: tuple[int, int, str, str],
    other: frozenset[str],
) -> int:
    """What he held before a sell, by the entries from its second on."""
    entries = entries_from(store, ref.portfolio_id, ref.epoch, f"entry#{at[0]:013d}#")
    return held_before(position.shares, entries, position.token_id, at, other)


def _counted(head: Head, increment: Increment) -> Head:
    """The head knowing one more trade of the leader, once for all its increments."""
    return replace(
        head,
        trades=head.trades + (1 if increment.seq == 0 else 0),
        ts_last_trade=max(head.ts_last_trade, increment.ts_block),
    )
