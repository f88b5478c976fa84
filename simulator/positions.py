"""Positions as a fold over settled fills (average-cost accounting, integer micros)."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.matching import BUY
from simulator.world import Block, Fill


@dataclass(slots=True)
class Position:
    """One wallet's holding of one token. All amounts are micros; times are epoch seconds.

    `cost` is the fee-exclusive entry cost of the shares still held.
    """

    token_id: str
    shares: int = 0
    cost: int = 0
    fees: int = 0
    bought: int = 0
    spent: int = 0
    realized: int = 0
    first_entry_s: int = 0
    last_event_s: int = 0

    def buy(self, shares: int, cash: int, fee: int, ts_s: int) -> None:
        if not self.bought:
            self.first_entry_s = ts_s
        self.shares += shares
        self.cost += cash
        self.bought += shares
        self.spent += cash
        self.fees += fee
        self.last_event_s = ts_s

    def sell(self, shares: int, cash: int, ts_s: int) -> None:
        """Reduce the holding; the cost of the sold part is rounded down to micros."""
        sold_cost = self.cost * shares // self.shares if self.shares else 0
        self.shares -= shares
        self.cost -= sold_cost
        self.realized += cash - sold_cost
        self.last_event_s = ts_s


class PositionBook:
    """Positions of selected wallets, folded block by block."""

    def __init__(self, wallets: frozenset[str]) -> None:
        self.held: dict[str, dict[str, Position]] = {wallet: {} for wallet in sorted(wallets)}

    def apply(self, block: Block) -> None:
        for tx in block.transactions:
            for fill in tx.fills:
                held = self.held.get(fill.wallet)
                if held is not None:
                    self._book(held, fill)

    @staticmethod
    def _book(held: dict[str, Position], fill: Fill) -> None:
        token_id, ts_s = fill.token.id, fill.tx.block.timestamp
        position = held.get(token_id)
        if position is None:
            position = held[token_id] = Position(token_id)
        if fill.side == BUY:
            position.buy(fill.shares, fill.cash, fill.fee, ts_s)
        else:
            position.sell(fill.shares, fill.cash, ts_s)
