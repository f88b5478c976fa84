"""Execute a submitted attempt on paper: outcome stored first, ledger touched after.

A repetition finds the stored outcome and applies it; it never asks the book again.
"""

from __future__ import annotations

from dataclasses import replace

from chalicelib.domain.errors import Conflict, Retryable
from chalicelib.domain.lane import Attempt, Work
from chalicelib.domain.ledger import Entry
from chalicelib.domain.orderbook import Book
from chalicelib.domain.paper_order import Order, Outcome, Slice, fill_and_kill
from chalicelib.domain.portfolio import Head, Position, apply_to_head, apply_to_position
from chalicelib.keyspace import attempt_key, key_of, position_key
from chalicelib.ports import Books, Clock, Delete, Metrics, Put, Store, Write, stored

BOOK_WAIT_MS_MAX = 5_000


class ExecuteAttempt:
    """The paper executor's place in the lane."""

    def __init__(self, store: Store, books: Books, clock: Clock, metrics: Metrics) -> None:
        self._store = store
        self._books = books
        self._clock = clock
        self._metrics = metrics

    def __call__(self, head: Head, row: Work) -> None:
        """Bring one due attempt to its end. Raises Conflict when somebody else moved the lane."""
        key = attempt_key(head.portfolio_id, head.epoch, row.ts_decided, row.ref)
        attempt = self._store.get(Attempt, key)
        if attempt is None or attempt.order is None:
            raise LookupError(f"work row {row.ref} names an attempt that was never submitted")
        if attempt.outcome is None:
            book = self._book(attempt.order)
            outcome = fill_and_kill(
                attempt.order, book, attempt.fee_schedule, attempt.order.ts_placed
            )
            attempt = replace(attempt, outcome=outcome)
            self._store.commit([Put(attempt)])
            attempt = stored(attempt)
        self._apply(head, row, attempt)

    def _book(self, order: Order) -> Book | None:
        try:
            return self._books.book(order.token_id, order.ts_placed)
        except Retryable:
            if self._clock.now_ms() - order.ts_placed > BOOK_WAIT_MS_MAX:
                return None
            raise

    def _apply(self, head: Head, row: Work, attempt: Attempt) -> None:
        """Entries, position, head, terminal attempt and the end of its work row in one commit."""
        outcome, order = attempt.outcome, attempt.order
        if outcome is None or order is None:
            raise Conflict("the attempt has no outcome yet")
        position = self._store.get(
            Position, position_key(head.portfolio_id, head.epoch, row.token_id, row.leader)
        ) or Position(head.portfolio_id, head.epoch, row.token_id, row.leader)
        writes: list[Write] = []
        for number, part in enumerate(outcome.slices):
            for entry in _entries(head, attempt, order, number, part):
                after = apply_to_position(position, entry)
                head, position = apply_to_head(head, entry, position, after), after
                writes.append(Put(entry))
        if order.side == "SELL":
            position = replace(
                position,
                reserved=position.reserved - order.shares,
                exit_debt=max(0, min(order.shares - outcome.shares, position.shares)),
            )
        if writes or order.side == "SELL":
            writes.append(Put(position))
        writes += [
            Put(_settled(head, attempt, outcome)),
            Put(replace(attempt, status=outcome.status, reasons=outcome.reasons, reserved=0)),
            Delete(key_of(row), row.version),
        ]
        self._store.commit(writes)
        self._metrics.count(f"attempts_{outcome.status.lower()}")


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
