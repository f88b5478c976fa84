"""Portfolios as folds of their ledger: cash, positions at average cost, realized gains."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from chalicelib.domain.ledger import Entry, order_key
from chalicelib.domain.money import MICROS
from chalicelib.domain.pause import Pauses
from chalicelib.domain.records import quick, replace
from chalicelib.domain.risk import UNSPENT, Spending

PortfolioKind = Literal["global", "leader", "shadow"]
_CLOSING = frozenset({"TRADE_FILL", "SETTLEMENT", "REDEEM"})


@quick
@dataclass(frozen=True, slots=True)
class Position:
    """Shares of one token that came from one leader; amounts in micros.

    `cost` is what the shares cost before fees at average cost. `exit_debt` is what sells still owe
    us, `reserved` the shares of sells that are placed and not yet terminal. `ts_last` is the
    latest entry's time (milliseconds). `ts_exit` is when what is owed was last tried again,
    `exits` how often in a row. A shadow's `shares` may be negative when his purchases are
    not known.

    `ts_first` and (`ts_last`, `order_last`) are the places of its first and last entries in order
    key, `last_seq` the number of the entry that came last. `unordered` says that a shadow's
    late entries could not be folded in: cost and realized are then by order of arrival, for good.
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
    ts_exit: int = 0
    exits: int = 0
    ts_first: int = 0
    order_last: int = 0
    last_seq: int = -1
    unordered: bool = False
    version: int = 0


@quick
@dataclass(frozen=True, slots=True)
class Head:
    """The one contended row of a portfolio's epoch; amounts in micros.

    `trades` and `ts_last_trade` (milliseconds) describe the leader and are kept by shadows only.
    `brought` is the net value of shares that came without cash, `resting` counts resting orders.
    `closings` counts entries that sold, settled or redeemed shares, `wins` those that gained.
    `spending` is what its BUYs cost today and its fills this hour, `pauses` when it was paused.
    `ts_closed` is when a reset ended the epoch (milliseconds), 0 while it is the current one.
    `marked_day` is the last UTC day, counted from the epoch of time, with MARK entries.
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
    closings: int = 0
    wins: int = 0
    ts_closed: int = 0
    marked_day: int = 0
    spending: Spending = UNSPENT
    pauses: Pauses = ()
    version: int = 0


def apply_to_position(position: Position, entry: Entry) -> Position:
    """The position after an entry of its token and leader.

    Buying adds cost, selling takes cost out at the average (rounded down) and realizes the
    difference. Shares sold short (a shadow whose past is unknown) carry no cost; covering them
    realizes the price paid. Cash without shares is realized, except opening cash and fees. A MARK
    only counts.
    """
    if entry.kind == "MARK":
        return position
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
    ts_last, order_last = max(
        (position.ts_last, position.order_last), (entry.ts_effective, entry.order)
    )
    return replace(
        position,
        shares=shares + delta,
        cost=cost,
        realized=realized,
        ts_first=min(position.ts_first or entry.ts_effective, entry.ts_effective),
        ts_last=ts_last,
        order_last=order_last,
        last_seq=max(position.last_seq, entry.seq),
    )


def is_late(position: Position, entry: Entry) -> bool:
    """Whether an entry of a shadow belongs before one that its position contains already.

    What changes no shares has no place among purchases and sales.
    """
    place = entry.ts_effective, entry.order
    return entry.shares != 0 and place <= (position.ts_last, position.order_last)


def apply_to_head(head: Head, entry: Entry, before: Position, after: Position) -> Head:
    """The head after an entry that took its position from `before` to `after`."""
    gained = after.realized - before.realized
    closes = entry.kind in _CLOSING and entry.shares < 0 < before.shares
    return replace(
        head,
        cash=head.cash + entry.cash,
        brought=head.brought + (0 if entry.kind == "MARK" else entry.value),
        closings=head.closings + closes,
        wins=head.wins + (closes and gained > 0),
        realized=head.realized + gained,
        fees=head.fees - entry.cash if entry.kind == "FEE" else head.fees,
        entries=head.entries + 1,
    )


def apply_entry(head: Head, position: Position, entry: Entry) -> tuple[Head, Position]:
    """Head and position after an entry of that position."""
    after = apply_to_position(position, entry)
    return apply_to_head(head, entry, position, after), after


def fold(head: Head, entries: Iterable[Entry]) -> tuple[Head, dict[tuple[str, str], Position]]:
    """Cash, gains and positions from an opening head and all its entries.

    Executables fold in portfolio order, shadows in order key: a leader's average cost is that of
    the chain, whenever we learnt of it.
    """
    positions: dict[tuple[str, str], Position] = {}
    for entry in in_fold_order(head, entries):
        key = (entry.token_id, entry.leader)
        before = positions.get(key) or Position(
            head.portfolio_id, head.epoch, entry.token_id, entry.leader
        )
        head, after = apply_entry(head, before, entry)
        if entry.token_id:
            positions[key] = after
    return head, positions


def in_fold_order(head: Head, entries: Iterable[Entry]) -> list[Entry]:
    """A portfolio's entries in the order in which they make its state."""
    if head.kind == "shadow":
        return sorted(entries, key=order_key)
    return sorted(entries, key=lambda entry: entry.seq)


def redeemed(known: Iterable[Entry], new: Iterable[Entry], seq: int) -> list[Entry]:
    """Corrections of redemptions in `known` that would have taken late entries too, from `seq` on.

    The redemption has paid for these shares already, so they leave, or come back, for nothing.
    Readings of holdings are no wallet's doing and take no part.
    """
    ends = sorted((e for e in known if e.kind == "REDEEM"), key=order_key)
    found: list[Entry] = []
    for entry in new:
        if not entry.wallet or not entry.shares or entry.kind == "REDEEM":
            continue
        later = (e for e in ends if e.wallet == entry.wallet and order_key(e) > order_key(entry))
        if end := next(later, None):
            found.append(
                replace(
                    end,
                    seq=seq + len(found),
                    kind="CORRECTION",
                    reference=f"{end.reference}/{entry.reference}",
                    shares=-entry.shares,
                    cash=0,
                    version=0,
                )
            )
    return found


def refold(
    head: Head, position: Position, known: Iterable[Entry], new: Iterable[Entry]
) -> tuple[Head, Position]:
    """A shadow's head and position after `new` entries of one token, late ones among them.

    `known` are all entries of the token so far. Shares are the same in any order; cost, gains and
    the counts of what closed are those of the order key.
    """
    known, new = list(known), list(new)
    empty = Position(position.portfolio_id, position.epoch, position.token_id, position.leader)
    blank = replace(head, cash=0, brought=0, realized=0, fees=0, entries=0, closings=0, wins=0)
    without, _ = _folded(blank, empty, known)
    among, after = _folded(blank, empty, [*known, *new])
    sums = ("cash", "brought", "realized", "fees", "entries", "closings", "wins")
    changes = {
        name: getattr(head, name) + getattr(among, name) - getattr(without, name) for name in sums
    }
    kept = replace(
        position,
        shares=after.shares,
        cost=after.cost,
        realized=after.realized,
        ts_first=after.ts_first,
        ts_last=after.ts_last,
        order_last=after.order_last,
        last_seq=after.last_seq,
    )
    return replace(head, **changes), kept


def _folded(head: Head, position: Position, entries: Iterable[Entry]) -> tuple[Head, Position]:
    for entry in sorted(entries, key=order_key):
        head, position = apply_entry(head, position, entry)
    return head, position


def positions_value(positions: Iterable[Position], marks: Mapping[str, int]) -> int:
    """Σ shares × mark, rounded down per position; a token without a mark counts at its cost."""
    total = 0
    for position in positions:
        mark = marks.get(position.token_id)
        total += position.cost if mark is None else position.shares * mark // MICROS
    return total
