"""Records of the simulated chain: blocks, settlements and their fills."""

from __future__ import annotations

from dataclasses import dataclass, field

from simulator.activity import ActivityRow, OtherTransaction
from simulator.markets import Token
from simulator.matching import Match


@dataclass(frozen=True, slots=True, eq=False)
class Fill:
    """One settled OrderFilled event. Amounts in micros, `cash` without the fee.

    `n` counts leader fills from 1 in chain order (0 for the crowd). `sequence` is
    block * 10^10 + place in the block, the feed's sort key. `ts_visible` is the ms at which
    the Data API starts to serve the row. `logged_cash` is the amount in the log, above `cash`
    only where a refund is not netted.
    """

    n: int
    wallet: str
    tx: Transaction
    log_index: int
    token: Token
    side: str
    shares: int
    cash: int
    fee: int
    role: str
    order_hash: str
    sequence: int
    ts_visible: int
    enriched_late: bool
    match: Match
    logged_cash: int

    @property
    def type(self) -> str:
        return "TRADE"

    @property
    def market_index(self) -> int:
        return self.token.market_index


@dataclass(slots=True, eq=False)
class Part:
    """One match of a transaction: maker fills first, the taker's aggregate last.

    `fee_log_index` is the place of the FeeCharged log, -1 when the taker paid nothing.
    """

    match: Match
    fee_log_index: int = -1
    fills: list[Fill] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Transaction:
    """One settlement transaction: usually one match, sometimes several in order."""

    hash: str
    block: Block
    index: int
    parts: list[Part] = field(default_factory=list)
    fills: list[Fill] = field(default_factory=list)

    @property
    def match(self) -> Match:
        """The first match."""
        return self.parts[0].match

    @property
    def last_log_index(self) -> int:
        return self.fills[-1].log_index + 1


@dataclass(slots=True, eq=False)
class Block:
    """A block. `ts` is the ms at which it is published, `timestamp` its whole seconds.

    `others` are the transactions that are no settlements.
    """

    number: int
    hash: str
    parent_hash: str
    ts: int
    timestamp: int
    transactions: list[Transaction] = field(default_factory=list)
    others: list[OtherTransaction] = field(default_factory=list)

    def included(self) -> list[Transaction | OtherTransaction]:
        """Every transaction in chain order."""
        if not self.others:
            return list(self.transactions)
        return sorted([*self.transactions, *self.others], key=lambda tx: tx.index)


Row = Fill | ActivityRow
