"""Order matching: what one settlement transaction contains.

Three kinds of maker orders can meet a taker: COMPLEMENTARY (opposite side of the same token),
MINT (both buy complementary tokens) and MERGE (both sell them). All amounts are micros.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from simulator.amounts import MICRO, taker_fee_micros
from simulator.book import ChangeSink, Ladder
from simulator.markets import Market, Token

BUY, SELL = "BUY", "SELL"


@dataclass(frozen=True, slots=True)
class OrderFill:
    """One order's fill in one match, from its owner's point of view. `cash` excludes the fee."""

    wallet: str
    token: Token
    side: str
    shares: int
    cash: int
    fee: int
    order_hash: str


@dataclass(frozen=True, slots=True)
class Match:
    """One match: maker fills in book order, then the taker's aggregate.

    `exchange` is the contract that emits the logs. `refund` is what the log of a batched V2
    match shows above the taker's true cash. Matches with one `tx_hash` settle together.
    """

    tx_hash: str
    market: Market
    ts_match: int
    makers: tuple[OrderFill, ...]
    taker: OrderFill
    due_ms: int
    exchange: str
    refund: int = 0


@dataclass(frozen=True, slots=True)
class MakerLeg:
    """A maker fill with what it does to the taker (shares and cash on the taker's token)."""

    fill: OrderFill
    taker_shares: int
    taker_cash: int


def opposite(side: str) -> str:
    return SELL if side == BUY else BUY


def maker_leg(
    wallet: str, maker_token: Token, maker_side: str, price: int, shares: int, order_hash: str,
    *, complementary: bool,
) -> MakerLeg | None:  # fmt: skip
    """Fill `shares` of a resting order at `price` (of the maker's own token).

    Follows the exchange's floor rounding: a SELL order delivers shares and takes
    floor(shares * price); a BUY order delivers cash and takes floor(cash / price). Returns
    None where rounding leaves nothing.
    """
    cash = shares * price // MICRO
    if maker_side == BUY:
        shares = cash * MICRO // price
    if cash <= 0 or shares <= 0 or cash >= shares:
        return None
    fill = OrderFill(wallet, maker_token, maker_side, shares, cash, 0, order_hash)
    return MakerLeg(fill, shares, cash if complementary else shares - cash)


def taker_fill(
    market: Market, wallet: str, token: Token, side: str, legs: list[MakerLeg], order_hash: str
) -> OrderFill:
    """Aggregate the legs into the taker's fill; the fee uses the VWAP of the whole fill."""
    shares = sum(leg.taker_shares for leg in legs)
    cash = sum(leg.taker_cash for leg in legs)
    fee = taker_fee_micros(market.fee_rate_bps, cash, shares)
    return OrderFill(wallet, token, side, shares, cash, fee, order_hash)


def visible_levels(ladder: Ladder, token: Token, side: str) -> list[tuple[int, int]]:
    """(price of `token`, size) a taker of `side` meets, best first."""
    if token.outcome_index == 0:
        return ladder.levels(asks=side == BUY)
    mirrored = ladder.levels(asks=side == SELL)
    return [(MICRO - price, size) for price, size in mirrored]


def best_price(ladder: Ladder, token: Token, side: str) -> int:
    """The price of `token` a taker of `side` would meet first."""
    if token.outcome_index == 0:
        return ladder.best_ask() if side == BUY else ladder.best_bid()
    return MICRO - (ladder.best_bid() if side == BUY else ladder.best_ask())


def consume_level(
    ladder: Ladder, token: Token, side: str, price: int, shares: int, ts: int, out: ChangeSink
) -> None:
    """Take shares out of the level that a taker of `side` hit at `price` of `token`."""
    if token.outcome_index == 0:
        ladder.consume(asks=side == BUY, price=price, shares=shares, ts=ts, out=out)
    else:
        ladder.consume(asks=side == SELL, price=MICRO - price, shares=shares, ts=ts, out=out)


def split_level(shares: int, rng: random.Random) -> list[int]:
    """Divide one level's traded shares over one to three resting orders."""
    parts = 1 if shares < 20 * MICRO else 1 + int(rng.random() ** 2 * 3)
    sizes = []
    for left in range(parts, 1, -1):
        piece = shares // left // 10_000 * 10_000
        sizes.append(piece)
        shares -= piece
    return [*sizes, shares]
