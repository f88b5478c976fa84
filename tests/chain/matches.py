"""Matches as the exchanges log them, and the byte code that makes an address log anything.

A match emits one `OrderFilled` per maker order (maker: its owner, taker: the taker's wallet), then
one for the taker's order with the exchange in the taker topic, then `OrdersMatched`.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

from chalicelib.domain.exchange_log import EXCHANGES, TOPIC_V1, TOPIC_V2, Role, Side

M = 1_000_000
V1_EXCHANGE = "0x4bfb41d5b3570defd03c39a9a4d8de6bd8b8982e"
ORDERS_MATCHED_V1 = "0x63bf4d16b7fa898ef4c4b2b6d90fd201e9c56313b65638af6088d149d2ce956c"
ORDERS_MATCHED_V2 = "0x174b3811690657c217184f89418266767c87e4805d09680c39fc9c031c0cab7c"
BUILDER, METADATA = 0xB0B, 0x3E7A

_order_numbers = itertools.count(1)


def _assemble(source: str) -> str:
    """Byte code of a line-by-line assembly; `name:` is a jump target, `@name` pushes it."""
    opcodes = {
        "STOP": 0x00, "ADD": 0x01, "LT": 0x10, "CALLDATALOAD": 0x35, "CALLDATASIZE": 0x36,
        "CALLDATACOPY": 0x37, "POP": 0x50, "JUMP": 0x56, "JUMPI": 0x57, "LOG3": 0xA3, "LOG4": 0xA4,
        "DUP1": 0x80, "DUP2": 0x81, "DUP3": 0x82, "DUP4": 0x83, "DUP5": 0x84,
    }  # fmt: skip
    code = bytearray()
    targets: dict[str, int] = {}
    jumps: dict[int, str] = {}
    for word in source.split():
        if word.endswith(":"):
            targets[word[:-1]] = len(code)
            code.append(0x5B)
        elif word in opcodes:
            code.append(opcodes[word])
        else:
            code.append(0x60)
            if word.startswith("@"):
                jumps[len(code)] = word[1:]
            code.append(0 if word.startswith("@") else int(word))
    for place, target in jumps.items():
        code[place] = targets[target]
    return "0x" + code.hex()


LOGGER_CODE = _assemble(
    """
    0
    loop: CALLDATASIZE DUP2 LT @record JUMPI STOP
    record:
        DUP1 CALLDATALOAD
        DUP1 DUP3 160 ADD 0 CALLDATACOPY
        DUP2 128 ADD CALLDATALOAD
        DUP1 @four JUMPI
        POP
        DUP2 96 ADD CALLDATALOAD
        DUP3 64 ADD CALLDATALOAD
        DUP4 32 ADD CALLDATALOAD
        DUP4 0 LOG3
        @next JUMP
    four:
        DUP3 96 ADD CALLDATALOAD
        DUP4 64 ADD CALLDATALOAD
        DUP5 32 ADD CALLDATALOAD
        DUP5 0 LOG4
    next: ADD 160 ADD @loop JUMP
    """
)
"""Logs every record of the calldata: data length, four topics (the last zero: three), data."""


@dataclass(frozen=True, slots=True)
class Order:
    """One order's part in one match; amounts in micros."""

    wallet: str
    side: Side
    token_id: str
    shares: int
    cash: int
    fee: int = 0
    order_hash: str = ""

    def __post_init__(self) -> None:
        if not self.order_hash:
            name = f"order {next(_order_numbers)}".encode()
            object.__setattr__(self, "order_hash", "0x" + sha256(name).hexdigest())


@dataclass(frozen=True, slots=True)
class Fill:
    """What one log says of one wallet; amounts in micros."""

    wallet: str
    side: Side
    token_id: str
    shares: int
    cash: int
    fee: int
    role: Role
    order_hash: str


@dataclass(frozen=True, slots=True)
class Match:
    """One call of `matchOrders` on one exchange."""

    exchange: str
    taker: Order
    makers: tuple[Order, ...]

    @property
    def fills(self) -> tuple[Fill, ...]:
        """Everybody's fills in log order; logs of zero shares are none."""
        sides: list[tuple[Order, Role]] = [(order, "maker") for order in self.makers]
        return tuple(
            Fill(o.wallet, o.side, o.token_id, o.shares, o.cash, o.fee, role, o.order_hash)
            for o, role in (*sides, (self.taker, "taker"))
            if o.shares
        )

    @property
    def calldata(self) -> str:
        """What makes LOGGER_CODE log this match."""
        logs = [_order_filled(self.exchange, o, self.taker.wallet) for o in self.makers]
        logs.append(_order_filled(self.exchange, self.taker, self.exchange))
        logs.append(_orders_matched(self.exchange, self.taker))
        return "0x" + "".join(_record(topics, words) for topics, words in logs)


_Log = tuple[list[str], list[int]]


def _word(value: int | str) -> str:
    return f"{int(value, 16) if isinstance(value, str) else value:064x}"


def _record(topics: list[str], words: list[int]) -> str:
    padded = [*topics, "0x0"][:4]
    return "".join(map(_word, [32 * len(words), *padded, *words]))


def _given_and_got(order: Order) -> tuple[int, int]:
    pair = (order.cash, order.shares)
    return pair if order.side == "BUY" else pair[::-1]


def _order_filled(exchange: str, order: Order, taker: str) -> _Log:
    given, got = _given_and_got(order)
    token, buys = int(order.token_id), order.side == "BUY"
    if EXCHANGES[exchange] == "v1":
        assets = [0, token] if buys else [token, 0]
        return [TOPIC_V1, order.order_hash, order.wallet, taker], [*assets, given, got, order.fee]
    words = [0 if buys else 1, token, given, got, order.fee, BUILDER, METADATA]
    return [TOPIC_V2, order.order_hash, order.wallet, taker], words


def _orders_matched(exchange: str, order: Order) -> _Log:
    given, got = _given_and_got(order)
    token, buys = int(order.token_id), order.side == "BUY"
    if EXCHANGES[exchange] == "v1":
        assets = [0, token] if buys else [token, 0]
        return [ORDERS_MATCHED_V1, order.order_hash, order.wallet], [*assets, given, got]
    words = [0 if buys else 1, token, given, got]
    return [ORDERS_MATCHED_V2, order.order_hash, order.wallet], words


@dataclass(frozen=True, slots=True)
class Market:
    """Two complementary tokens and the exchange they trade on."""

    exchange: str
    yes: str
    no: str

    def other(self, token_id: str) -> str:
        """The complement of one of its tokens."""
        return self.no if token_id == self.yes else self.yes


def cash_of(shares: int, cents: int) -> int:
    """Micros of cash for `shares` micros at a price in cents, rounded down."""
    return shares * cents // 100


def complementary(
    market: Market,
    taker: str,
    side: Side,
    makers: Sequence[tuple[str, int]],
    cents: int,
    *,
    fee: int = 0,
) -> Match:
    """The taker trades YES with makers (wallet, shares) of the other side at one price."""
    opposite: Side = "SELL" if side == "BUY" else "BUY"
    orders = tuple(
        Order(wallet, opposite, market.yes, shares, cash_of(shares, cents))
        for wallet, shares in makers
    )
    return _taken(market, taker, side, orders, fee)


def minting(
    market: Market,
    taker: str,
    makers: Sequence[tuple[str, int]],
    cents: int,
    *,
    side: Side = "BUY",
    fee: int = 0,
) -> Match:
    """The taker buys YES at `cents` and makers (wallet, shares) buy NO; with SELL: a merge."""
    orders = tuple(
        Order(wallet, side, market.no, shares, shares - cash_of(shares, cents))
        for wallet, shares in makers
    )
    return _taken(market, taker, side, orders, fee)


def _taken(market: Market, taker: str, side: Side, makers: tuple[Order, ...], fee: int) -> Match:
    """The taker's aggregated order: all shares, paid or earned to the micro."""
    shares = sum(order.shares for order in makers)
    cash = sum(
        order.cash if order.token_id == market.yes else order.shares - order.cash
        for order in makers
    )
    order = Order(taker, side, market.yes, shares, cash, fee)
    return Match(market.exchange, order, makers)


def with_twin(match: Match) -> Match:
    """The first maker order twice in one match: two logs that differ in nothing but the index."""
    return replace(_again(match), makers=(match.makers[0], *match.makers))


def with_dust(match: Match, wallet: str) -> Match:
    """One more maker order that was filled with nothing."""
    dust = Order(wallet, match.makers[0].side, match.makers[0].token_id, 0, 0)
    return replace(match, makers=(*match.makers, dust))


def _again(match: Match) -> Match:
    first, taker = match.makers[0], match.taker
    cash = first.cash if first.token_id == taker.token_id else first.shares - first.cash
    grown = replace(taker, shares=taker.shares + first.shares, cash=taker.cash + cash)
    return replace(match, taker=grown)
