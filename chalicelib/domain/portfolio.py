"""Portfolios as folds of their ledger: cash, positions at average cost, realized gains."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from chalicelib.domain.ledger import Entry
from chalicelib.domain.money import MICROS

PortfolioKind = Literal["global", "leader", "shadow"]


@dataclass(frozen=True, slots=True)
class Position:
    """Shares of one token that came from one leader; amounts in micros.

    `cost` is what the shares cost before fees at average cost. `exit_debt` is what sells still owe
    us, `reserved` the shares of sells that are placed and not yet terminal. `ts_last` is the
    latest entry's time (milliseconds). A shadow's `shares` may be negative when his purchases are
    not known.
    """

    portfolio_id: str
    epoch: int
    token_id: str
    leader: str
    shares: int = 0
    cost: int = 0
    realized: int = 0
    exit_debt: int = 0
    reserved: int = 0
    ts_last: int = 0
    version: int = 0


@dataclass(frozen=True, slots=True)
class Head:
    """The one contended row of a portfolio's epoch; amounts in micros.

    `trades` and `ts_last_trade` (milliseconds) describe the leader and are kept by shadows only.
    `brought` is the net value of shares that came without cash, `resting` counts resting orders.
    Invariant: cash + Σ cost of positions = starting cash + brought + realized − fees.
    """

    portfolio_id: str
    kind: PortfolioKind
    leader: str
    epoch: int
    starting_cash: int
    cash: int
    reserved: int = 0
    brought: int = 0
    realized: int = 0
    fees: int = 0
    entries: int = 0
    attempts: int = 0
    executed: int = 0
    skipped: int = 0
    filled: int = 0
    partial: int = 0
    no_fill: int = 0
    trades: int = 0
    ts_last_trade: int = 0
    resting: int = 0
    version: int = 0


def apply_to_position(position: Position, entry: Entry) -> Position:
    """The position after an entry of its token and leader.

    Buying adds cost, selling takes cost out at the average (rounded down) and realizes the
    difference. Shares sold short (a shadow whose past is unknown) carry no cost; covering them
    realizes the price paid. Cash without shares is realized, except opening cash and fees.
    """
    shares, cost, realized = position.shares, position.cost, position.realized
    # Shares without cash are bought or sold at their value.
    delta, cash = entry.shares, entry.cash - entry.value
    if delta > 0:
        covered = min(delta, max(0, -shares))
        paid_to_cover = -cash * covered // delta
        cost += -cash - paid_to_cover
        realized -= paid_to_cover
    elif delta < 0:
        closed = min(-delta, max(0, shares))
        cost_out = cost * closed // shares if closed else 0
        cost -= cost_out
        realized += cash - cost_out
    elif entry.kind not in ("FEE", "OPENING"):
        realized += cash
    return replace(
        position,
        shares=shares + delta,
        cost=cost,
        realized=realized,
        ts_last=max(position.ts_last, entry.ts_effective),
    )


def apply_to_head(head: Head, entry: Entry, before: Position, after: Position) -> Head:
    """The head after an entry that took its position from `before` to `after`."""
    return replace(
        head,
        cash=head.cash + entry.cash,
        brought=head.brought + entry.value,
        realized=head.realized + after.realized - before.realized,
        fees=head.fees - entry.cash if entry.kind == "FEE" else head.fees,
        entries=head.entries + 1,
    )


def apply_entry(head: Head, position: Position, entry: Entry) -> tuple[Head, Position]:
    """Head and position after an entry of that position."""
    after = apply_to_position(position, entry)
    return apply_to_head(head, entry, position, after), after


def fold(head: Head, entries: Iterable[Entry]) -> tuple[Head, dict[tuple[str, str], Position]]:
    """Cash, gains and positions from an opening head and all its entries in portfolio order."""
    positions: dict[tuple[str, str], Position] = {}
    for entry in sorted(entries, key=lambda e: e.seq):
        key = (entry.token_id, entry.leader)
        before = positions.get(key) or Position(
            head.portfolio_id, head.epoch, entry.token_id, entry.leader
        )
        head, after = apply_entry(head, before, entry)
        if entry.token_id:
            positions[key] = after
    return head, positions


def positions_value(positions: Iterable[Position], marks: Mapping[str, int]) -> int:
    """Σ shares × mark, rounded down per position; a token without a mark counts at its cost."""
    total = 0
    for position in positions:
        mark = marks.get(position.token_id)
        total += position.cost if mark is None else position.shares * mark // MICROS
    return total
