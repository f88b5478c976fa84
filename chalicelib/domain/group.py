"""Copy groups: a leader's fills of one token and side within a short window, decided as one."""

from __future__ import annotations

from dataclasses import dataclass, replace

from chalicelib.domain.exchange_log import Role, Side
from chalicelib.domain.identifiers import fill_id, group_id
from chalicelib.domain.money import price_nearest
from chalicelib.domain.trade import Increment, Trade

KEPT_SCALE = 10**12
"""Scale of the fraction of his position the leader kept."""


@dataclass(frozen=True, slots=True)
class Fill:
    """A numbered growth of a trade, once it belongs to a group. `fill_id` is `trade_id:seq`.

    `group_number` is None for fills that may never trade (backfill, combos).
    """

    fill_id: str
    trade_id: str
    seq: int
    leader: str
    token_id: str
    side: Side
    shares: int
    cash: int
    pre_sell: int | None
    group_number: int | None
    ts_block: int
    ts_seen: int
    version: int = 0


@dataclass(frozen=True, slots=True)
class Group:
    """Sums of the fills decided together; membership stands on the fill rows.

    `number` counts the groups of one (leader, token, side). `kept` is Π(1 − xᵢ/Lᵢ) of a SELL in
    units of 1/KEPT_SCALE: the fraction of his holding the leader kept. Times in milliseconds.
    """

    group_id: str
    leader: str
    token_id: str
    side: Side
    number: int
    opened: int
    window_ms: int
    ts_block: int
    order: int
    shares: int
    cash: int
    fills: int
    kept: int
    role: Role | None
    closed: bool = False
    version: int = 0

    @property
    def ts_decided(self) -> int:
        """When the group is decided, whenever the deciding step happens to run."""
        return self.opened + self.window_ms

    @property
    def leader_price(self) -> int:
        """Cash ÷ shares, nearest micro."""
        return price_nearest(self.cash, self.shares)

    @property
    def reduction(self) -> int:
        """Fraction of his holding the leader sold, in units of 1/KEPT_SCALE."""
        return KEPT_SCALE - self.kept


def accepts(group: Group, ts_seen: int) -> bool:
    """Whether a fill seen at `ts_seen` joins the group; a window of zero never joins.

    A fill delivered long after it was seen opens a group of its own, decided as of its time.
    """
    if group.closed or group.window_ms == 0:
        return False
    return abs(ts_seen - group.opened) <= group.window_ms


def kept_after(kept: int, sold: int, held_before: int) -> int:
    """The kept fraction after one more sale, rounded down; unknown holdings count as sold out."""
    if held_before <= sold:
        return 0
    return kept * (held_before - sold) // held_before


def open_group(
    trade: Trade, fill: Increment, pre_sell: int | None, number: int, window_ms: int
) -> Group:
    """A new group around its first fill."""
    kept = KEPT_SCALE
    if trade.side == "SELL":
        kept = kept_after(kept, fill.fill_shares, pre_sell or 0)
    return Group(
        group_id=group_id(fill_id(trade.trade_id, fill.seq)),
        leader=trade.leader,
        token_id=trade.token_id,
        side=trade.side,
        number=number,
        opened=fill.ts_seen,
        window_ms=window_ms,
        ts_block=fill.ts_block,
        order=fill.order,
        shares=fill.fill_shares,
        cash=fill.fill_cash,
        fills=1,
        kept=kept,
        role=fill.role,
    )


def join(group: Group, fill: Increment, pre_sell: int | None) -> Group:
    """The group with one more fill."""
    kept = group.kept
    if group.side == "SELL":
        kept = kept_after(kept, fill.fill_shares, pre_sell or 0)
    return replace(
        group,
        shares=group.shares + fill.fill_shares,
        cash=group.cash + fill.fill_cash,
        fills=group.fills + 1,
        kept=kept,
        role=group.role if group.role == fill.role else None,
        ts_block=min(group.ts_block, fill.ts_block),
    )
