"""Execute a submitted attempt: outcome stored first, ledger touched after.

A repetition finds the stored outcome and applies it; it never asks the book again.
"""

from __future__ import annotations

from dataclasses import replace

from chalicelib.domain.errors import Conflict, Permanent
from chalicelib.domain.lane import Attempt, Work
from chalicelib.domain.ledger import Entry
from chalicelib.domain.paper_order import Order, Outcome, Slice
from chalicelib.domain.portfolio import Head, Position, apply_entry
from chalicelib.keyspace import attempt_key, key_of
from chalicelib.ports import Delete, ExecutionAdapter, Metrics, Put, Store, Write, stored
from chalicelib.services.portfolios import position_of


class ExecuteAttempt:
    """The executor's place in the lane; paper or, one day, live behind the same port."""

    def __init__(self, store: Store, executor: ExecutionAdapter, metrics: Metrics) -> None:
        self._store = store
        self._executor = executor
        self._metrics = metrics

    def __call__(self, head: Head, row: Work) -> None:
        """Bring one due attempt to its end. Raises Conflict when somebody else moved the lane."""
        attempt = self._attempt(head, row)
        if attempt is None or attempt.order is None:
            raise Permanent(f"work row {row.ref} names an attempt that was never submitted")
        if attempt.outcome is None:
            outcome = self._executor.submit(attempt.order, attempt.fee_schedule)
            attempt = replace(attempt, outcome=outcome)
            self._store.commit([Put(attempt)])
            attempt = stored(attempt)
        self._apply(head, row, attempt)

    def failed(self, head: Head, row: Work) -> list[Write]:
        """The writes that end an attempt which cannot be executed, giving back what it held."""
        attempt = self._attempt(head, row)
        if attempt is None or attempt.order is None:
            return [Put(head)]
        writes: list[Write] = [
            Put(replace(head, reserved=head.reserved - attempt.reserved)),
            Put(replace(attempt, status="FAILED", reserved=0)),
        ]
        if attempt.side == "SELL":
            shares = attempt.order.shares
            position = position_of(self._store, head, row.token_id, row.leader)
            writes.append(Put(_released(position, shares, shares)))
        return writes

    def _attempt(self, head: Head, row: Work) -> Attempt | None:
        key = attempt_key(head.portfolio_id, head.epoch, row.ts_decided, row.ref)
        return self._store.get(Attempt, key)

    def _apply(self, head: Head, row: Work, attempt: Attempt) -> None:
        """Entries, position, head, terminal attempt and the end of its work row in one commit."""
        outcome, order = attempt.outcome, attempt.order
        if outcome is None or order is None:
            raise Conflict("the attempt has no outcome yet")
        position = position_of(self._store, head, row.token_id, row.leader)
        writes: list[Write] = []
        for number, part in enumerate(outcome.slices):
            for entry in _entries(head, attempt, order, number, part):
                head, position = apply_entry(head, position, entry)
                writes.append(Put(entry))
        if order.side == "SELL":
            position = _released(position, order.shares, order.shares - outcome.shares)
        if writes or order.side == "SELL":
            writes.append(Put(position))
        writes += [
            Put(_settled(head, attempt, outcome)),
            Put(replace(attempt, status=outcome.status, reasons=outcome.reasons, reserved=0)),
            Delete(key_of(row), row.version),
        ]
        self._store.commit(writes)
        self._metrics.count(f"attempts_{outcome.status.lower()}")


def _released(position: Position, reserved: int, unsold: int) -> Position:
    """The position after a sell of `reserved` shares ended with `unsold` of them still owed."""
    left = position.reserved - reserved
    debt = max(0, min(position.exit_debt + unsold, position.shares - left))
    return replace(position, reserved=left, exit_debt=debt)


def _settled(head: Head, attempt: Attempt, outcome: Outcome) -> Head:
    """The head without the attempt's reservation, counting how it ended."""
    return replace(
        head,
        reserved=head.reserved - attempt.reserved,
        filled=head.filled + (outcome.status == "FILLED"),
        partial=head.partial + (outcome.status == "CANCELLED"),
        no_fill=head.no_fill + (outcome.status == "SKIPPED"),
    )


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
