"""A leader's trade: evidence of two sources folded into one effective total.

A trade is (wallet, transaction, token, side). Chain legs are keyed by (block hash, log index); the
chain total is that of one block, the latest observed that still has unremoved legs, never a sum
over blocks. API rows carry no index and may be equal yet both real, so they are counted per
distinct (shares, price) over one complete poll, and the highest count is kept. Totals are joined,
legs never. A receipt, once read, is the chain's last word until a log contradicts it. See
`docs/decisions/0002-evidence.md`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from chalicelib.domain.errors import InvalidInput
from chalicelib.domain.exchange_log import FeeAsset, Role, Side
from chalicelib.domain.identifiers import trade_id as mint_trade_id
from chalicelib.domain.records import quick, replace

Source = Literal["chain", "api"]
TradeState = Literal["confirmed", "chain_only", "api_only", "disagreeing", "resolved", "retracted"]
IncrementKind = Literal["TRADE_FILL", "CORRECTION"]

LEGS_MAX = 400
API_ROWS_MAX = 200
API_ORDER = 9_999_999
"""Order index of evidence without a log index: last within its second."""


@dataclass(frozen=True, slots=True)
class ChainLeg:
    """One log of this trade; amounts in micros, `ts_block` in milliseconds."""

    block_hash: str
    block_number: int
    log_index: int
    ts_block: int
    shares: int
    cash: int
    fee: int
    fee_asset: FeeAsset
    role: Role
    order_hash: str
    removed: bool = False


@dataclass(frozen=True, slots=True)
class ApiRow:
    """How often one complete poll showed rows of these shares and price; amounts in micros."""

    shares: int
    price_e10: int
    cash: int
    fee: int | None
    role: Role | None
    ts_block: int
    count: int = 1


@dataclass(frozen=True, slots=True)
class Reading:
    """What a node's receipt says of this trade; no legs when the transaction is not on the chain.

    `ts_read` is in milliseconds.
    """

    ts_read: int
    block_hash: str
    legs: tuple[ChainLeg, ...]


QuestionKind = Literal["removed", "disagreement", "api_only", "unshown", "still_shown"]


@dataclass(frozen=True, slots=True)
class Question:
    """Something only a receipt can answer, due at `ts_due` (milliseconds)."""

    kind: QuestionKind
    ts_due: int


@quick
@dataclass(frozen=True, slots=True)
class Totals:
    """Shares, cash before fee, and fee, in micros."""

    shares: int = 0
    cash: int = 0
    fee: int = 0


_NOTHING = Totals()


@quick
@dataclass(frozen=True, slots=True)
class Increment:
    """A numbered change of a trade that the shadow, and for growth the pipeline, must see.

    `shares`, `cash`, `fee` change the shadow portfolio; `fill_shares` and `fill_cash` are the
    growth above everything ever emitted and are zero for corrections.
    """

    seq: int
    kind: IncrementKind
    shares: int
    cash: int
    fee: int
    fill_shares: int
    fill_cash: int
    ts_block: int
    order: int
    ts_seen: int
    role: Role | None


@quick
@dataclass(frozen=True, slots=True)
class Trade:
    """All evidence of one trade and how far it was handed on. Times are milliseconds.

    `contradicted`: a log seen after the receipt was read tells of another block. `ts_removed` is
    when a log was last taken back, `asked` what waits for a receipt.
    """

    trade_id: str
    leader: str
    wallet: str
    tx_hash: str
    token_id: str
    side: Side
    backfill: bool
    first_source: Source
    ts_listed: int
    ts_seen_chain: int | None = None
    ts_seen_api: int | None = None
    legs: tuple[ChainLeg, ...] = ()
    rows: tuple[ApiRow, ...] = ()
    receipt: Reading | None = None
    contradicted: bool = False
    ts_removed: int = 0
    asked: tuple[Question, ...] = ()
    emitted: Totals = Totals()
    posted: Totals = Totals()
    next_seq: int = 0
    pending: tuple[Increment, ...] = ()
    version: int = 0


def new_trade(
    leader: str,
    wallet: str,
    tx_hash: str,
    token_id: str,
    side: Side,
    *,
    source: Source,
    backfill: bool,
    ts_listed: int,
) -> Trade:
    """A trade without evidence yet, first heard of from `source`.

    `ts_listed` is the block time the first evidence names; it places the trade in listings and
    stays even if a reorganisation moves the trade to another block.
    """
    return Trade(
        trade_id=mint_trade_id(wallet, tx_hash, token_id, side),
        leader=leader,
        wallet=wallet,
        tx_hash=tx_hash,
        token_id=token_id,
        side=side,
        backfill=backfill,
        first_source=source,
        ts_listed=ts_listed,
    )


def _earliest(known: int | None, seen: int) -> int:
    return seen if known is None else min(known, seen)


def fold_leg(trade: Trade, leg: ChainLeg, ts_seen: int) -> Trade:
    """The trade knowing one more log. A repetition changes nothing; a receipt undoes `removed`.

    Raises InvalidInput when one transaction would exceed LEGS_MAX legs.
    """
    before = _known_leg(trade, leg) if trade.legs else None
    if before is None and len(trade.legs) >= LEGS_MAX:
        raise InvalidInput("logIndex", f"more than {LEGS_MAX} legs in one trade")
    taken_back = leg.removed and not (before and before.removed)
    if before is None:
        legs = (*trade.legs, leg)
    elif taken_back:
        legs = tuple(replace(k, removed=True) if k is before else k for k in trade.legs)
    else:
        legs = trade.legs
    return replace(
        trade,
        legs=legs,
        ts_seen_chain=_earliest(trade.ts_seen_chain, ts_seen),
        contradicted=trade.contradicted or _contradicts(trade, before, leg, taken_back),
        ts_removed=max(trade.ts_removed, ts_seen) if taken_back else trade.ts_removed,
    )


def _known_leg(trade: Trade, leg: ChainLeg) -> ChainLeg | None:
    key = (leg.block_hash, leg.log_index)
    return next((k for k in trade.legs if (k.block_hash, k.log_index) == key), None)


def _contradicts(trade: Trade, before: ChainLeg | None, leg: ChainLeg, taken_back: bool) -> bool:
    """Whether a log is news that the receipt did not know."""
    if trade.receipt is None:
        return False
    if leg.block_hash == trade.receipt.block_hash:
        return taken_back
    return before is None and not leg.removed


def fold_receipt(trade: Trade, reading: Reading) -> Trade:
    """The trade knowing a receipt; an older reading changes nothing."""
    if trade.receipt and trade.receipt.ts_read >= reading.ts_read:
        return trade
    seen = trade.ts_seen_chain
    if reading.legs:
        seen = _earliest(seen, reading.ts_read)
    return replace(trade, receipt=reading, contradicted=False, ts_seen_chain=seen)


def spoken(trade: Trade) -> Reading | None:
    """The receipt that counts, or None: never read, or contradicted since."""
    return None if trade.contradicted else trade.receipt


def fold_rows(trade: Trade, rows: Iterable[ApiRow], ts_seen: int) -> Trade:
    """The trade knowing one complete poll's rows; counts never fall by themselves.

    Raises InvalidInput when the trade would exceed API_ROWS_MAX distinct rows.
    """
    known = {(row.shares, row.price_e10): row for row in trade.rows}
    for row in rows:
        before = known.get((row.shares, row.price_e10))
        if before is None:
            known[(row.shares, row.price_e10)] = row
        elif row.count > before.count:
            known[(row.shares, row.price_e10)] = replace(before, count=row.count)
    if len(known) > API_ROWS_MAX:
        raise InvalidInput("size", f"more than {API_ROWS_MAX} distinct rows in one trade")
    return replace(
        trade, rows=tuple(known.values()), ts_seen_api=_earliest(trade.ts_seen_api, ts_seen)
    )


def live_legs(trade: Trade) -> tuple[ChainLeg, ...]:
    """The legs that count: the receipt's, else those of the latest observed unremoved block."""
    receipt = spoken(trade)
    if receipt is not None:
        return receipt.legs
    if len(trade.legs) == 1:
        return () if trade.legs[0].removed else trade.legs
    for latest in reversed(trade.legs):
        if not latest.removed:
            return tuple(
                leg for leg in trade.legs if leg.block_hash == latest.block_hash and not leg.removed
            )
    return ()


def chain_totals(trade: Trade) -> Totals:
    """What the counting block's logs say; a fee in tokens reduces the shares of a BUY."""
    return _totals_of(live_legs(trade))


def _totals_of(legs: Iterable[ChainLeg]) -> Totals:
    shares = cash = fee = 0
    for leg in legs:
        shares += leg.shares
        cash += leg.cash
        if leg.fee_asset == "token":
            shares -= leg.fee
        else:
            fee += leg.fee
    return Totals(shares, cash, fee)


def api_totals(trade: Trade) -> Totals:
    """What the Data API says; fees it does not prove count as zero until a log states them."""
    if not trade.rows:
        return _NOTHING
    return Totals(
        shares=sum(row.shares * row.count for row in trade.rows),
        cash=sum(row.cash * row.count for row in trade.rows),
        fee=sum((row.fee or 0) * row.count for row in trade.rows),
    )


def effective(trade: Trade) -> Totals:
    """What counts: the receipt's total, else the larger of both by shares.

    Cash and fee come from the chain where it has that many shares.
    """
    return _effective(trade, live_legs(trade))


def _effective(trade: Trade, legs: tuple[ChainLeg, ...]) -> Totals:
    chain = _totals_of(legs)
    if spoken(trade) is not None:
        return chain
    api = api_totals(trade)
    return chain if chain.shares >= api.shares else api


def role_of(trade: Trade) -> Role | None:
    """The role the chain states, else what the API rows prove."""
    return _role_of(trade, live_legs(trade))


def _role_of(trade: Trade, legs: tuple[ChainLeg, ...]) -> Role | None:
    if len(legs) == 1:
        return legs[0].role
    roles: set[Role | None] = {leg.role for leg in legs}
    roles = roles or {row.role for row in trade.rows}
    return roles.pop() if len(roles) == 1 else None


def ts_block_of(trade: Trade) -> int:
    """Block time of the counting evidence in milliseconds."""
    return _ts_block_of(trade, live_legs(trade) or trade.legs)


def _ts_block_of(trade: Trade, legs: tuple[ChainLeg, ...]) -> int:
    if len(legs) == 1:
        return legs[0].ts_block
    if legs:
        return min(leg.ts_block for leg in legs)
    return min((row.ts_block for row in trade.rows), default=trade.ts_listed)


def state_of(trade: Trade) -> TradeState:
    """How the two sources stand to each other, in shares.

    `disagreeing` awaits a receipt, `resolved` was decided by one.
    """
    chain, api = chain_totals(trade).shares, api_totals(trade).shares
    if chain == 0 and (api == 0 or spoken(trade) is not None):
        return "retracted"
    if api == 0:
        return "chain_only"
    if chain == 0:
        return "disagreeing" if trade.legs else "api_only"
    if chain == api:
        return "confirmed"
    return "disagreeing" if spoken(trade) is None else "resolved"


def _highest(a: Totals, b: Totals) -> Totals:
    """The larger of each amount: two sources that each know other legs never lower a total."""
    return Totals(max(a.shares, b.shares), max(a.cash, b.cash), max(a.fee, b.fee))


def settle(trade: Trade, ts_seen: int) -> Trade:
    """The trade with a pending increment for whatever its evidence says beyond what was posted.

    Growth above `emitted` is a fill and may be copied; everything else corrects the shadow only.
    """
    legs = live_legs(trade)
    now = _effective(trade, legs)
    if now == trade.posted:
        return trade
    grown = max(0, now.shares - trade.emitted.shares)
    increment = Increment(
        seq=trade.next_seq,
        kind="TRADE_FILL" if grown else "CORRECTION",
        shares=now.shares - trade.posted.shares,
        cash=now.cash - trade.posted.cash,
        fee=now.fee - trade.posted.fee,
        fill_shares=grown,
        fill_cash=max(0, now.cash - trade.emitted.cash) if grown else 0,
        ts_block=_ts_block_of(trade, legs or trade.legs),
        order=max([leg.log_index for leg in legs]) if legs else API_ORDER,
        ts_seen=ts_seen,
        role=_role_of(trade, legs),
    )
    return replace(
        trade,
        emitted=_highest(trade.emitted, now) if grown else trade.emitted,
        posted=now,
        next_seq=trade.next_seq + 1,
        pending=(*trade.pending, increment),
    )


def handed_on(trade: Trade) -> Trade:
    """The trade after every pending increment reached the shadow and the pipeline."""
    return replace(trade, pending=())
