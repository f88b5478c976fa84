"""What a trade's increment does to its leader's shadow."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from chalicelib.domain.identifiers import trade_id
from chalicelib.domain.ledger import Entry, order_key
from chalicelib.domain.records import replace
from chalicelib.domain.registry import Leader
from chalicelib.domain.trade import Increment, Trade


def shadow_entries(
    trade: Trade,
    increment: Increment,
    reference: str,
    portfolio: tuple[str, int, int],
    pre_sell: int | None,
) -> list[Entry]:
    """The entry of what moved and, where a fee was paid, its fee entry.

    `portfolio` is the shadow's id and epoch, and how many entries it has.
    """
    sign = 1 if trade.side == "BUY" else -1
    portfolio_id, epoch, seq = portfolio
    change = Entry(
        portfolio_id=portfolio_id,
        epoch=epoch,
        seq=seq,
        kind=increment.kind,
        reference=reference,
        token_id=trade.token_id,
        leader=trade.leader,
        shares=sign * increment.shares,
        cash=-sign * increment.cash,
        ts_effective=increment.ts_block,
        order=increment.order,
        pre_sell=pre_sell,
        wallet=trade.wallet,
    )
    if not increment.fee:
        return [change]
    fee = replace(change, seq=seq + 1, kind="FEE", shares=0, cash=-increment.fee, pre_sell=None)
    return [change, fee]


def other_side(leader: Leader, trade: Trade) -> frozenset[str]:
    """His wallets' purchases of the same token in the same transaction, by trade id."""
    return frozenset(
        trade_id(wallet, trade.tx_hash, trade.token_id, "BUY") for wallet in leader.wallets
    )


def held_before(
    shares: int,
    entries: Iterable[Entry],
    token_id: str,
    at: tuple[int, int, str, str],
    other: Collection[str],
) -> int:
    """max(0, sum − Σ deltas at or after the sell), by the order of the chain.

    `shares` is the sum of all entries of the token, `entries` those from the second of the sell on,
    `at` its place (see `order_key`). What he bought in the same transaction, `other`, counts as
    later: it cancels against the sell.
    """
    after = sum(
        entry.shares
        for entry in entries
        if entry.token_id == token_id
        and (order_key(entry) >= at or entry.reference.partition(":")[0] in other)
    )
    return max(0, shares - after)
