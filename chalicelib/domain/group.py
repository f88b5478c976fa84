"""Copy groups: a leader's fills of one token and side within a short window, decided as one."""

from __future__ import annotations

from dataclasses import dataclass

from chalicelib.domain.exchange_log import Role, Side
from chalicelib.domain.identifiers import fill_id, group_id
from chalicelib.domain.money import SHARE_STEP, price_nearest
from chalicelib.domain.reasons import Reason
from chalicelib.domain.records import quick, replace
from chalicelib.domain.trade import Increment, Trade, api_totals, effective

KEPT_SCALE = 10**12
"""Scale of the fraction of his position the leader kept."""

AWAITS_MAX = 50
UNNAMED = "more"
"""Stands for the trades beyond AWAITS_MAX; nothing ever confirms it."""


@dataclass(frozen=True, slots=True)
class Fill:
    """A numbered growth of a trade, once it belongs to a group. `fill_id` is `trade_id:seq`.

    `group_number` is None for fills that may never trade; `not_copied` then says why. `netted` are
    shares that the leader's own other side cancelled, `retracted` those the chain took back.
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
    not_copied: Reason | None = None
    netted: int = 0
    retracted: int = 0
    version: int = 0

    @property
    def counting(self) -> int:
        """Shares that were neither cancelled by the leader's own other side nor taken back."""
        return self.shares - self.netted - self.retracted


@dataclass(frozen=True, slots=True)
class Correction:
    """A note that the groups of a trade know what the chain took back (negative) or gave again."""

    trade_id: str
    seq: int
    shares: int
    ts_seen: int
    version: int = 0


@quick
@dataclass(frozen=True, slots=True)
class Group:
    """Sums of the fills decided together; membership stands on the fill rows.

    `number` counts the groups of one (leader, token, side). `kept` is Π(1 − xᵢ/Lᵢ) of a SELL in
    units of 1/KEPT_SCALE: the fraction of his holding the leader kept. Times in milliseconds.

    `confirm_ms` is the longest wait for the Data API after the window, 0 for none; `awaits` names
    the trades it has not shown yet, `ts_confirmed` is when it showed the last of the others, and
    `asked` says that it was asked directly. `shares`, `cash` and `kept` never fall; what a
    reorganisation took back before the decision stands in `retracted_shares`, `retracted_cash`.

    `role` is None where the fills had both roles, or where one is not known: such a group is copied
    like a taker's. `rank` says, once it is closed, how large a BUY is among the leader's own (see
    `leader_notionals`), None where that cannot be said.
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
    confirm_ms: int = 0
    awaits: tuple[str, ...] = ()
    ts_confirmed: int = 0
    asked: bool = False
    retracted_shares: int = 0
    retracted_cash: int = 0
    rank: int | None = None
    version: int = 0

    @property
    def ts_decided(self) -> int:
        """When the group is decided, whenever the deciding step happens to run."""
        settled = self.opened + self.window_ms
        if not self.confirm_ms:
            return settled
        latest = settled + self.confirm_ms
        return latest if self.awaits else min(latest, max(settled, self.ts_confirmed))

    @property
    def confirmed(self) -> bool:
        """Whether the Data API was waited for and showed every trade."""
        return self.confirm_ms > 0 and not self.awaits

    @property
    def net_shares(self) -> int:
        """Shares that the chain did not take back."""
        return self.shares - self.retracted_shares

    @property
    def net_cash(self) -> int:
        """Cash that the chain did not take back."""
        return self.cash - self.retracted_cash

    @property
    def retracted(self) -> bool:
        """Whether the chain took back so much that nothing is left to copy."""
        lost = self.retracted_shares > 0 or self.retracted_cash > 0
        return lost and (self.net_shares < SHARE_STEP or self.net_cash == 0)

    @property
    def leader_price(self) -> int:
        """Cash ÷ shares, nearest micro; of what was taken back where nothing is left."""
        if self.net_shares:
            return price_nearest(self.net_cash, self.net_shares)
        return price_nearest(self.cash, self.shares)

    @property
    def reduction(self) -> int:
        """Fraction of his holding the leader sold, in units of 1/KEPT_SCALE, rounded down.

        Sold shares that were taken back reduce it in proportion. That is exact for sales that
        followed directly on each other: 1 − Π(1 − xᵢ/Lᵢ) is then Σxᵢ ÷ L₁.
        """
        return (KEPT_SCALE - self.kept) * self.net_shares // self.shares

    @property
    def is_out(self) -> bool:
        """Whether the leader sold all he had."""
        return self.kept == 0 and self.retracted_shares == 0


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


def awaits_api(trade: Trade) -> bool:
    """Whether the Data API has not shown all of a trade's shares."""
    return api_totals(trade).shares < effective(trade).shares


def open_group(
    trade: Trade,
    fill: Increment,
    pre_sell: int | None,
    number: int,
    window_ms: int,
    confirm_ms: int = 0,
) -> Group:
    """A new group around its first fill; `confirm_ms` above 0 waits for the Data API."""
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
        confirm_ms=confirm_ms,
        awaits=(trade.trade_id,) if confirm_ms and awaits_api(trade) else (),
    )


def join(group: Group, fill: Increment, pre_sell: int | None, trade: Trade | None = None) -> Group:
    """The group with one more fill; a group that waits for confirmations needs its `trade`."""
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
        awaits=_awaiting(group, trade) if trade and group.confirm_ms else group.awaits,
    )


def placed_in(
    latest: Group | None,
    trade: Trade,
    fill: Increment,
    pre_sell: int | None,
    window_ms: int,
    confirm_ms: int,
) -> Group | None:
    """The group of a fill: the latest of its line, else a new one, None for too few shares."""
    if latest and accepts(latest, fill.ts_seen):
        return join(latest, fill, pre_sell, trade)
    if fill.fill_shares < SHARE_STEP:
        return None
    number = latest.number + 1 if latest else 0
    return open_group(trade, fill, pre_sell, number, window_ms, confirm_ms)


def _awaiting(group: Group, trade: Trade) -> tuple[str, ...]:
    if trade.trade_id in group.awaits or not awaits_api(trade):
        return group.awaits
    if len(group.awaits) < AWAITS_MAX:
        return (*group.awaits, trade.trade_id)
    return group.awaits if UNNAMED in group.awaits else (*group.awaits, UNNAMED)


def confirm(group: Group, trade_id: str, ts_seen: int) -> Group:
    """The group once the Data API showed all of a trade at `ts_seen`; a repetition changes nothing.

    A decided group stays as it was decided.
    """
    if group.closed or trade_id not in group.awaits:
        return group
    return replace(
        group,
        awaits=tuple(name for name in group.awaits if name != trade_id),
        ts_confirmed=max(group.ts_confirmed, ts_seen),
    )


def retract(group: Group, shares: int, cash: int) -> Group:
    """The group after the chain took back `shares` and `cash`, never more than it has."""
    return replace(
        group,
        retracted_shares=min(group.shares, group.retracted_shares + shares),
        retracted_cash=min(group.cash, group.retracted_cash + cash),
    )


def restore(group: Group, shares: int, cash: int) -> Group:
    """The group after `shares` and `cash` that were taken back came again."""
    return replace(
        group,
        retracted_shares=max(0, group.retracted_shares - shares),
        retracted_cash=max(0, group.retracted_cash - cash),
    )
