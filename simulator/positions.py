"""Positions as a fold over settled fills and wallet events (average cost, integer micros)."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from simulator.activity import ActivityRow, OtherTransaction
from simulator.chain import Block, Fill
from simulator.matching import BUY
from simulator.openings import Opening

UNDO_BLOCKS = 160


@dataclass(slots=True)
class Position:
    """One wallet's holding of one token. All amounts are micros; times are epoch seconds.

    `cost` is the fee-exclusive entry cost of the shares still held; `opening` is what was held
    at the genesis. `bought` and `spent` count purchases only, neither splits nor openings.
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
    opening: int = 0

    def buy(self, shares: int, cash: int, fee: int, ts_s: int) -> None:
        self.receive(shares, cash, ts_s)
        self.bought += shares
        self.spent += cash
        self.fees += fee

    def receive(self, shares: int, value: int, ts_s: int) -> None:
        """Shares that arrive at a cost of `value`, bought or not."""
        self.first_entry_s = self.first_entry_s or ts_s
        self.shares += shares
        self.cost += value
        self.last_event_s = ts_s

    def sell(self, shares: int, cash: int, ts_s: int) -> None:
        """Reduce the holding; the cost of the sold part is rounded down to micros."""
        sold_cost = self.cost * shares // self.shares if self.shares else 0
        self.shares -= shares
        self.cost -= sold_cost
        self.realized += cash - sold_cost
        self.last_event_s = ts_s


Undo = list[tuple[str, str, Position | None]]


class PositionBook:
    """Positions of selected wallets, folded block by block; the latest blocks can be undone."""

    def __init__(
        self, wallets: Collection[str], openings: Mapping[str, Mapping[str, Opening]] | None = None
    ) -> None:
        self.wallets = wallets
        self.held: dict[str, dict[str, Position]] = {wallet: {} for wallet in sorted(wallets)}
        for wallet, tokens in (openings or {}).items():
            self.held[wallet] = {
                token_id: Position(
                    token_id, shares=given.shares, cost=given.cost, opening=given.shares,
                    first_entry_s=given.first_entry_s, last_event_s=given.first_entry_s,
                )
                for token_id, given in tokens.items()
            }  # fmt: skip
        self._undo: deque[tuple[int, Undo]] = deque(maxlen=UNDO_BLOCKS)

    def apply(self, block: Block) -> None:
        before: Undo = []
        for tx in block.included():
            if isinstance(tx, OtherTransaction):
                for row in tx.rows:
                    self._book_event(row, before)
                continue
            for fill in tx.fills:
                if fill.wallet in self.wallets:
                    self._book_fill(fill, before)
        if before:
            self._undo.append((block.number, before))

    def rewind(self, first: int) -> None:
        """Take back every block from `first` on; at most UNDO_BLOCKS blocks with events."""
        while self._undo and self._undo[-1][0] >= first:
            for wallet, token_id, position in reversed(self._undo.pop()[1]):
                if position is None:
                    del self.held[wallet][token_id]
                else:
                    self.held[wallet][token_id] = position

    def _open(self, wallet: str, token_id: str, before: Undo) -> Position:
        """The position to change, noted for `rewind` as it was."""
        held = self.held.setdefault(wallet, {})
        position = held.get(token_id)
        before.append((wallet, token_id, None if position is None else replace(position)))
        if position is None:
            position = held[token_id] = Position(token_id)
        return position

    def _book_fill(self, fill: Fill, before: Undo) -> None:
        position, ts_s = self._open(fill.wallet, fill.token.id, before), fill.tx.block.timestamp
        if fill.side == BUY:
            position.buy(fill.shares, fill.cash, fill.fee, ts_s)
        else:
            position.sell(fill.shares, fill.cash, ts_s)

    def _book_event(self, row: ActivityRow, before: Undo) -> None:
        for delta in row.event.deltas:
            position = self._open(row.wallet, delta.token_id, before)
            if delta.shares > 0:
                position.receive(delta.shares, delta.value, row.tx.block.timestamp)
            else:
                position.sell(-delta.shares, delta.value, row.tx.block.timestamp)
