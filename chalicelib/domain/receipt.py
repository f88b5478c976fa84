"""What a transaction's complete logs say of one wallet's trade, amounts cross-checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from chalicelib.domain.errors import InvalidInput
from chalicelib.domain.exchange_log import (
    EXCHANGES,
    Generation,
    LeaderFill,
    Side,
    decode_order_filled,
)
from chalicelib.domain.trade import ChainLeg, Reading


class _Everybody:
    """A set of wallets that contains all of them."""

    def __contains__(self, wallet: object) -> bool:
        return True


def reading_of(
    logs: Sequence[Mapping[str, object]],
    wallet: str,
    token_id: str,
    side: Side,
    *,
    ts_read: int,
    ts_block: int,
    exchanges: Mapping[str, Generation] = EXCHANGES,
) -> Reading:
    """The legs of one trade in a receipt's logs.

    `ts_block` (milliseconds) stands in where the node puts no block time into logs. Raises
    InvalidInput for a log that claims to be a fill but is malformed, and for logs without any fill
    of the wallet: an exchange nobody knows yet would look just like that.
    """
    fills = [fill for log in logs if (fill := _decode(log, wallet, exchanges))]
    fills.sort(key=_log_index)
    if logs and not any(fill.wallet == wallet for fill in fills):
        raise InvalidInput("logs", f"none of them is a fill of {wallet}")
    legs: list[ChainLeg] = []
    makers: list[LeaderFill] = []
    for fill in fills:
        if fill.role == "maker":
            makers.append(fill)
        if (fill.wallet, fill.token_id, fill.side) == (wallet, token_id, side):
            legs.append(_leg(fill, _cash(fill, makers), ts_block))
        if fill.role == "taker":
            # The taker's own log ends a match; what follows belongs to the next one.
            makers = []
    block_hash = legs[0].block_hash if legs else _block_hash(fills)
    return Reading(ts_read, block_hash, tuple(legs))


def _decode(
    log: Mapping[str, object], wallet: str, exchanges: Mapping[str, Generation]
) -> LeaderFill | None:
    """Anybody's fill; somebody else's malformed log only weakens the cross-check."""
    try:
        return decode_order_filled(log, _Everybody(), exchanges)
    except InvalidInput:
        return decode_order_filled(log, {wallet}, exchanges)


def _log_index(fill: LeaderFill) -> int:
    if fill.log_index is None:
        raise InvalidInput("logIndex", "a mined log must state it")
    return fill.log_index


def _block_hash(fills: Iterable[LeaderFill]) -> str:
    return next((fill.block_hash for fill in fills if fill.block_hash), "")


def _cash(fill: LeaderFill, makers: Iterable[LeaderFill]) -> int:
    """The cash a taker really paid.

    Where a second-generation match mints or merges, the taker's own log states what the operator
    passed, and what came back to him is not subtracted. The makers' side of the same match is
    exact: sellers received their cash, and buyers of the complement paid one less theirs per share.
    """
    if fill.role != "taker" or fill.side != "BUY" or fill.generation != "v2":
        return fill.cash
    paid = shares = 0
    for maker in makers:
        shares += maker.shares
        paid += maker.cash if maker.side == "SELL" else maker.shares - maker.cash
    return min(fill.cash, paid) if shares == fill.shares and paid > 0 else fill.cash


def _leg(fill: LeaderFill, cash: int, ts_block: int) -> ChainLeg:
    if fill.block_hash is None or fill.block_number is None:
        raise InvalidInput("blockHash", "a mined log must state its block")
    return ChainLeg(
        block_hash=fill.block_hash,
        block_number=fill.block_number,
        log_index=_log_index(fill),
        ts_block=ts_block if fill.ts_block is None else fill.ts_block,
        shares=fill.shares,
        cash=cash,
        fee=fill.fee,
        fee_asset=fill.fee_asset,
        role=fill.role,
        order_hash=fill.order_hash,
    )
