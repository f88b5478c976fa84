"""What a decision, or what became of an order, does to a portfolio: pure, one step at a time.

A step changes the head, perhaps one position, the attempt and its work row, and adds entries. The
caller stores all of it at once.
"""

from __future__ import annotations

from typing import NamedTuple

from chalicelib.domain.decision import Decision, Inputs, owed
from chalicelib.domain.fee import FeeSchedule
from chalicelib.domain.group import Group
from chalicelib.domain.lane import Attempt, Work
from chalicelib.domain.ledger import Entry
from chalicelib.domain.market import Market
from chalicelib.domain.money import price_nearest
from chalicelib.domain.paper_order import Order, Outcome, Slice, reservation, resting_reservation
from chalicelib.domain.portfolio import Head, Position, apply_entry
from chalicelib.domain.reasons import Reason
from chalicelib.domain.records import replace
from chalicelib.domain.risk import Spending
from chalicelib.domain.slippage import slippage
from chalicelib.domain.stress import StressPoint
from chalicelib.domain.witness import Seen

_OWED_AFTER_SKIP = frozenset(
    {
        Reason.DUST,
        Reason.BELOW_MARKETABLE_MINIMUM,
        Reason.BOOK_MISSING,
        Reason.BOOK_STALE,
        Reason.BOOK_TOO_LATE,
        Reason.UNKNOWN_TOKEN,
        Reason.SETTINGS_REFUSED,
        Reason.SKIP_BACKFILL,
        Reason.PAUSED,
    }
)


def attempt_of(
    head: Head,
    row: Work,
    group: Group,
    minted: str,
    decided: tuple[Decision, Order | None],
    market: Market | None,
    ran_at: int,
    *,
    stress: tuple[StressPoint, ...] = (),
    seen: Seen | None = None,
) -> Attempt:
    """The attempt a decision makes; `ran_at` (milliseconds) is when the step runs."""
    decision, order = decided
    schedule = market.fee if market else FeeSchedule()
    return Attempt(
        attempt_id=minted,
        group_id=group.group_id,
        portfolio_id=head.portfolio_id,
        epoch=head.epoch,
        leader=row.leader,
        token_id=row.token_id,
        side=row.side,
        ts_opened=group.opened,
        decision=decision,
        status="SUBMITTED" if order else "SKIPPED",
        reasons=decision.reasons,
        order=order,
        fee_schedule=schedule,
        reserved=reservation(order, schedule) if order else 0,
        outcome=None,
        ran_at=ran_at,
        late_by_ms=max(0, ran_at - row.ts_due),
        stress=stress,
        seen=seen,
    )


class Decided(NamedTuple):
    """After a decision: the position where it changed, the row to put in the group's place."""

    head: Head
    position: Position | None
    row: Work | None


def decided(head: Head, row: Work, attempt: Attempt, position: Position, inputs: Inputs) -> Decided:
    """The head counting the attempt, what a sell holds back or owes, and the attempt's row."""
    order = attempt.order
    after = replace(
        head,
        reserved=head.reserved + attempt.reserved,
        attempts=head.attempts + 1,
        executed=head.executed + (1 if order else 0),
        skipped=head.skipped + (0 if order else 1),
        spending=_with_order(head, attempt),
    )
    if order is None:
        if row.kind == "exit" or _stays_owed(row, attempt, inputs):
            return Decided(after, _tried(replace(position, exit_debt=owed(inputs)), row), None)
        return Decided(after, None, None)
    moved = replace(
        row,
        kind="attempt",
        ref=attempt.attempt_id,
        ts_due=order.ts_placed,
        ts_decided=attempt.decision.ts_decided,
        reserved=attempt.reserved,
        version=0,
    )
    if order.side == "BUY":
        return Decided(after, None, moved)
    # The order takes over what was owed; below its step something stays owed.
    held_back = replace(
        position,
        reserved=position.reserved + order.shares,
        exit_debt=owed(inputs) - order.shares,
    )
    return Decided(after, _tried(held_back, row), moved)


def _with_order(head: Head, attempt: Attempt) -> Spending:
    """What the head has spent, with all that a new BUY may cost before fees."""
    order = attempt.order
    if order is None or order.side == "SELL":
        return head.spending
    return head.spending.spent(attempt.decision.ts_decided, order.cash)


def _stays_owed(row: Work, attempt: Attempt, inputs: Inputs) -> bool:
    """Whether a skipped SELL is one that we could not make, not one that asks nothing of us."""
    is_ours = row.side == "SELL" and inputs.held > 0
    return is_ours and bool(_OWED_AFTER_SKIP & set(attempt.reasons))


def _tried(position: Position, row: Work) -> Position:
    """The position after a SELL of it was decided: tries in a row are those without the leader."""
    exits = position.exits + 1 if row.kind == "exit" else 0
    return replace(position, ts_exit=row.ts_due, exits=exits)


class Applied(NamedTuple):
    """After an outcome: `entries` are new, and the attempt's row is gone where it is None."""

    head: Head
    position: Position
    attempt: Attempt
    entries: list[Entry]
    row: Work | None


def applied(
    head: Head, row: Work, attempt: Attempt, order: Order, outcome: Outcome, position: Position
) -> Applied:
    """The ledger after the slices of an outcome that it does not know yet."""
    entries: list[Entry] = []
    fresh = outcome.slices[attempt.applied :]
    for number, part in enumerate(fresh, start=attempt.applied):
        for entry in _entries(head, attempt, order, number, part):
            head, position = apply_entry(head, position, entry)
            entries.append(entry)
    if order.side == "SELL":
        sold = sum(part.shares for part in fresh)
        position = replace(position, reserved=position.reserved - sold)
        if not outcome.rests:
            left = order.shares - outcome.shares
            position = released(position, left, left)
    after = _after(attempt, order, outcome)
    head = _moved(head, row, attempt, after, outcome)
    return Applied(head, position, after, entries, _row(row, order, outcome, after.reserved))


def _row(row: Work, order: Order, outcome: Outcome, reserved: int) -> Work | None:
    """The row of an order that rests: due at its expiry, holding back what may still be filled."""
    if not outcome.rests:
        return None
    if row.kind == "resting":
        return row if reserved == row.reserved else replace(row, reserved=reserved)
    return replace(row, kind="resting", ts_due=order.ts_expiry, reserved=reserved, version=0)


def _after(attempt: Attempt, order: Order, outcome: Outcome) -> Attempt:
    """The attempt once its outcome so far is in the ledger."""
    decision, filled = attempt.decision, outcome.shares
    vwap = price_nearest(outcome.cash, filled) if filled else None
    fared = None
    if vwap is not None:
        fared = slippage(order.side, vwap, decision.leader_price, decision.mid, outcome.best)
    return replace(
        attempt,
        status=outcome.status,
        reasons=outcome.reasons,
        reserved=resting_reservation(order, filled) if outcome.rests else 0,
        applied=len(outcome.slices),
        vwap=vwap,
        slippage=fared,
    )


def _moved(head: Head, row: Work, before: Attempt, after: Attempt, outcome: Outcome) -> Head:
    """The head with what is still held back, counting how an attempt that is over ended."""
    reserved = head.reserved + after.reserved - before.reserved
    spending = _spending(head.spending, before, outcome)
    if outcome.rests:
        resting = head.resting + (row.kind == "attempt")
        return replace(head, reserved=reserved, spending=spending, resting=resting)
    return replace(
        head,
        reserved=reserved,
        spending=spending,
        resting=head.resting - (row.kind == "resting"),
        filled=head.filled + (outcome.status == "FILLED"),
        partial=head.partial + (outcome.status == "CANCELLED"),
        no_fill=head.no_fill + (outcome.status == "SKIPPED"),
    )


def _spending(spending: Spending, before: Attempt, outcome: Outcome) -> Spending:
    """With the fills that are new; what the order was counted for and did not cost is given back.

    A BUY counts with all it may cost from its decision on.
    """
    for part in outcome.slices[before.applied :]:
        spending = spending.filled(part.ts, 1)
    if outcome.rests or before.order is None:
        return spending
    return unspent(spending, before, before.order, outcome.cash)


def unspent(spending: Spending, attempt: Attempt, order: Order, cash: int) -> Spending:
    """Without what a BUY that is over was counted for beyond the `cash` it cost."""
    if order.side == "SELL":
        return spending
    return spending.spent(attempt.decision.ts_decided, cash - order.cash)


def released(position: Position, reserved: int, unsold: int) -> Position:
    """The position once `reserved` shares of a sell are free again, `unsold` still owed."""
    left = position.reserved - reserved
    debt = max(0, min(position.exit_debt + unsold, position.shares - left))
    return replace(position, reserved=left, exit_debt=debt)


def _entries(head: Head, attempt: Attempt, order: Order, number: int, part: Slice) -> list[Entry]:
    """The fill entry of a slice and, where a fee is due, its fee entry."""
    sign = 1 if order.side == "BUY" else -1
    fill = Entry(
        portfolio_id=head.portfolio_id,
        epoch=head.epoch,
        seq=head.entries,
        kind="TRADE_FILL",
        reference=f"{attempt.attempt_id}:{number}",
        token_id=attempt.token_id,
        leader=attempt.leader,
        shares=sign * part.shares,
        cash=-sign * part.cash,
        ts_effective=part.ts,
        order=number,
    )
    if part.fee == 0:
        return [fill]
    return [fill, replace(fill, seq=head.entries + 1, kind="FEE", shares=0, cash=-part.fee)]
