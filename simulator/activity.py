"""What wallets do besides trading: splits, merges, redemptions, conversions and payments.

A wallet event waits in the exchange's queue as `PendingEvents`, settles as one transaction of
the chain and leaves one `ActivityRow` per event. Amounts are micros.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from simulator.markets import Market

if TYPE_CHECKING:
    from simulator.chain import Block

SPLIT, MERGE, REDEEM, CONVERSION = "SPLIT", "MERGE", "REDEEM", "CONVERSION"
MAKER_REBATE, REWARD = "MAKER_REBATE", "REWARD"
PAYMENTS = (MAKER_REBATE, REWARD)


class RawLog(NamedTuple):
    """A log before it has a place in a block: emitter, topics and data words."""

    address: str
    topics: tuple[str, ...]
    body: str


class Delta(NamedTuple):
    """Shares of one token that arrive (or leave, below 0) and the cash they stand for."""

    token_id: str
    shares: int
    value: int


@dataclass(frozen=True, slots=True)
class WalletEvent:
    """One event of one wallet. `cash` is what the wallet gets, negative when it pays.

    `size` is the amount the activity row shows; `market` is None for payments.
    """

    type: str
    wallet: str
    market: Market | None
    condition_id: str
    size: int
    cash: int
    deltas: tuple[Delta, ...] = ()


@dataclass(slots=True, eq=False)
class PendingEvents:
    """A transaction that is not a match, waiting for its block."""

    tx_hash: str
    events: tuple[WalletEvent, ...] = ()
    logs: tuple[RawLog, ...] = ()
    due_ms: int = 0


@dataclass(slots=True, eq=False)
class OtherTransaction:
    """A settled transaction without a match; `logs` are numbered from `log_index`."""

    hash: str
    block: Block
    index: int
    log_index: int
    logs: tuple[RawLog, ...] = ()
    rows: list[ActivityRow] = field(default_factory=list)

    @property
    def last_log_index(self) -> int:
        return self.log_index + max(0, len(self.logs) - 1)


@dataclass(frozen=True, slots=True, eq=False)
class ActivityRow:
    """One settled wallet event. `n` counts them from 1 in chain order.

    `sequence` and `ts_visible` are the feed's sort key and the ms at which it shows the row.
    """

    n: int
    event: WalletEvent
    tx: OtherTransaction
    sequence: int
    ts_visible: int

    @property
    def type(self) -> str:
        return self.event.type

    @property
    def wallet(self) -> str:
        return self.event.wallet

    @property
    def market_index(self) -> int | None:
        return None if self.event.market is None else self.event.market.index

    @property
    def side(self) -> str:
        return ""
