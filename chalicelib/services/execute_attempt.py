"""Execute a submitted attempt: what became of it is stored first, the ledger touched after.

A repetition finds what is stored and applies it; it never asks the book again. An attempt whose
remainder rests comes back at its expiry, or earlier when a decision on its token wants to know.
"""

from __future__ import annotations

import logging

from chalicelib.domain.consumption import Consumed, Taken, remembered
from chalicelib.domain.errors import Conflict, Permanent
from chalicelib.domain.lane import Attempt, Work
from chalicelib.domain.lane_effects import applied, released, unspent
from chalicelib.domain.paper_order import Order, Outcome, unplaced
from chalicelib.domain.pause import paused_after, paused_at
from chalicelib.domain.portfolio import Head
from chalicelib.domain.reasons import Reason
from chalicelib.domain.records import replace
from chalicelib.domain.risk import Spending
from chalicelib.domain.stress import REACH_MS, StressDue, StressPoint, stress
from chalicelib.keyspace import attempt_key, consumed_key, key_of
from chalicelib.ports import Delete, ExecutionAdapter, Metrics, Put, Store, Write, stored
from chalicelib.services.count_attempts import counting
from chalicelib.services.portfolios import position_of
from chalicelib.services.tape_reading import TapeReader
from chalicelib.services.venue_book import VENUE_WAIT_MS_MAX

_log = logging.getLogger(__name__)


class ExecuteAttempt:
    """The executor's place in the lane; paper or, one day, live behind the same port."""

    def __init__(
        self,
        store: Store,
        executor: ExecutionAdapter,
        tapes: TapeReader,
        metrics: Metrics,
        *,
        previews: bool = True,
    ) -> None:
        self._previews = previews
        self._store = store
        self._executor = executor
        self._tapes = tapes
        self._metrics = metrics

    def __call__(self, head: Head, row: Work) -> None:
        """Place one due attempt, or end one that rested until its expiry.

        Raises Conflict when somebody else moved the lane, TapeAwaited when it must rest.
        """
        attempt, order = self._submitted(head, row)
        outcome = attempt.outcome
        if outcome is None:
            found = self._placed(head, row, attempt, order)
            attempt = self._stored(attempt, order, found)
        elif row.kind == "resting" and outcome.rests and attempt.applied == len(outcome.slices):
            found = self._followed(head, row, order, outcome, order.ts_expiry)
            attempt = self._stored(attempt, order, found)
        self._apply(head, row, attempt, order)

    def _placed(self, head: Head, row: Work, attempt: Attempt, order: Order) -> Outcome:
        """What the placement met; a portfolio that is paused at its time places nothing."""
        if paused_at(head.pauses, order.ts_placed):
            return unplaced(order, Reason.PAUSED)
        latest = _with_fills(order, head.spending)
        return self._executor.submit(latest, attempt.fee_schedule, self._taken(head, row))

    def _followed(
        self,
        head: Head,
        row: Work,
        order: Order,
        outcome: Outcome,
        until: int,
        *,
        over: bool = False,
    ) -> Outcome:
        """What became of a resting order; `over` cancels it at `until`, a pause when it began.

        What is known of it already stays: it ends no earlier than that.
        """
        until = max(until, outcome.ts_done)
        paused = paused_after(head.pauses, order.ts_placed)
        if paused is not None and paused <= until:
            until, over = max(paused, outcome.ts_done), True
        act = self._executor.cancel if over else self._executor.follow
        return act(order, outcome, until, self._taken(head, row))

    def settle(self, head: Head, row: Work, until: int, *, cancel: bool) -> bool:
        """Bring a resting attempt up to `until`, and end it there if it is to be cancelled.

        Whether that changed anything; the head must then be read again. Raises as above.
        """
        attempt, order = self._submitted(head, row)
        outcome = attempt.outcome
        if outcome is None:
            raise Permanent(f"work row {row.ref} names an attempt that was never placed")
        if outcome.rests and attempt.applied == len(outcome.slices):
            if outcome.ts_done >= until and not cancel:
                return False
            found = self._followed(head, row, order, outcome, until, over=cancel)
            attempt = self._stored(attempt, order, found)
            if found.rests and attempt.applied == len(found.slices):
                return True
        self._apply(head, row, attempt, order)
        return True

    def failed(self, head: Head, row: Work) -> list[Write]:
        """The writes that end an attempt which cannot be executed, giving back what it held."""
        attempt = self._attempt(head, row)
        if attempt is None or attempt.order is None:
            return [Put(head)]
        resting = head.resting - (row.kind == "resting")
        filled = attempt.outcome.slices[: attempt.applied] if attempt.outcome else ()
        spent = sum(part.cash for part in filled)
        ended = replace(attempt, status="FAILED", reserved=0)
        writes: list[Write] = [
            Put(
                replace(
                    head,
                    reserved=head.reserved - attempt.reserved,
                    resting=resting,
                    spending=unspent(head.spending, attempt, attempt.order, spent),
                )
            ),
            Put(ended),
            *counting(self._store, ended),
        ]
        if attempt.side == "SELL":
            left = attempt.order.shares - sum(part.shares for part in filled)
            position = position_of(self._store, head, row.token_id, row.leader)
            writes.append(Put(released(position, left, left)))
        return writes

    def _attempt(self, head: Head, row: Work) -> Attempt | None:
        key = attempt_key(head.portfolio_id, head.epoch, row.ts_decided, row.ref)
        return self._store.get(Attempt, key)

    def _submitted(self, head: Head, row: Work) -> tuple[Attempt, Order]:
        attempt = self._attempt(head, row)
        if attempt is None or attempt.order is None:
            raise Permanent(f"work row {row.ref} names an attempt that was never submitted")
        return attempt, attempt.order

    def _consumed(self, head: Head, row: Work) -> Consumed:
        key = consumed_key(head.portfolio_id, head.epoch, row.token_id)
        known = self._store.get(Consumed, key)
        return known or Consumed(head.portfolio_id, head.epoch, row.token_id)

    def _taken(self, head: Head, row: Work) -> tuple[Taken, ...]:
        return self._consumed(head, row).taken

    def _stored(self, attempt: Attempt, order: Order, outcome: Outcome) -> Attempt:
        """The attempt with what became of it so far, kept before anything follows from it."""
        told = replace(attempt, outcome=outcome)
        if outcome.book_source == "tape" and (attempt.outcome is None or not outcome.rests):
            told = replace(told, stress=self._stress(attempt, order))
        self._store.commit([Put(told)])
        return stored(told)

    def _stress(self, attempt: Attempt, order: Order) -> tuple[StressPoint, ...]:
        if not self._previews:
            return ()
        decided = attempt.decision.ts_decided
        tape = self._tapes.tape(order.token_id, decided, decided + REACH_MS)
        return stress(tape, order.side, order.shares, order.limit, decided)

    def _apply(self, head: Head, row: Work, attempt: Attempt, order: Order) -> None:
        """New entries, position, head, attempt and its work row moved on, in one commit."""
        outcome = attempt.outcome
        if outcome is None:
            raise Conflict("the attempt has no outcome yet")
        before = position_of(self._store, head, row.token_id, row.leader)
        done = applied(head, row, attempt, order, outcome, before)
        writes: list[Write] = [Put(entry) for entry in done.entries]
        if done.position != before:
            writes.append(Put(done.position))
        writes += [
            Put(done.head),
            Put(done.attempt),
            *self._remembered(head, row, outcome),
            *self._stress_due(head, attempt, order, outcome),
            *self._row_moved(row, order, done.row),
        ]
        if not outcome.rests:
            writes += counting(self._store, done.attempt)
        self._store.commit(writes)
        if outcome.status != attempt.status:
            self._metrics.count(f"attempts_{outcome.status.lower()}")
        ids = {"group_id": attempt.group_id, "attempt_id": attempt.attempt_id}
        told = {"status": outcome.status, "entries": [entry.reference for entry in done.entries]}
        _log.info("attempt entered", extra={"portfolio_id": head.portfolio_id, **ids, **told})

    def _remembered(self, head: Head, row: Work, outcome: Outcome) -> list[Write]:
        """What the order took from the book, for the portfolio's later orders."""
        known = self._consumed(head, row)
        taken = remembered(known.taken, outcome.taken)
        return [] if taken == known.taken else [Put(replace(known, taken=taken))]

    def _stress_due(
        self, head: Head, attempt: Attempt, order: Order, outcome: Outcome
    ) -> list[Write]:
        """Have the tape go on to the end of the preview, and the preview completed then."""
        decided = attempt.decision.ts_decided
        until = decided + REACH_MS
        if outcome.rests or outcome.book_source != "tape" or outcome.ts_done >= until:
            return []
        if not self._previews:
            return []
        self._tapes.request(order.token_id, outcome.ts_done, until)
        due = until + VENUE_WAIT_MS_MAX
        return [Put(StressDue(head.portfolio_id, head.epoch, attempt.attempt_id, decided, due))]

    def _row_moved(self, row: Work, order: Order, later: Work | None) -> list[Write]:
        if later is None:
            return [Delete(key_of(row), row.version)]
        if row.kind == "resting":
            return [] if later == row else [Put(later)]
        self._tapes.request(order.token_id, order.ts_placed, order.ts_expiry)
        return [Delete(key_of(row), row.version), Put(later)]


def _with_fills(order: Order, spending: Spending) -> Order:
    """The order with the fills of the hour as they stand at its placement.

    What it may cost was counted when it was decided.
    """
    now = spending.at(order.ts_placed)
    return replace(order, spent=replace(order.spent, hour=now.hour, fills=now.fills))
