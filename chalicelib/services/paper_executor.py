"""Orders executed on paper: the venue's own book, nobody's money."""

from __future__ import annotations

from collections.abc import Sequence

from chalicelib.domain.consumption import Taken
from chalicelib.domain.fee import FeeSchedule
from chalicelib.domain.paper_order import Order, Outcome, fill_and_kill, placed, refused
from chalicelib.domain.resting_order import cancelled, followed
from chalicelib.domain.tape import Tape
from chalicelib.ports import Books, Clock
from chalicelib.services.tape_reading import TapeReader
from chalicelib.services.venue_book import book_as_of


class PaperExecutor:
    """Port ExecutionAdapter: a sweep of the recorded book, the remainder followed on the tape.

    Where nothing was recorded, a sweep of one snapshot, its remainder killed at once.
    """

    def __init__(self, tapes: TapeReader, books: Books, clock: Clock) -> None:
        self._tapes = tapes
        self._books = books
        self._clock = clock

    def submit(self, order: Order, schedule: FeeSchedule, taken: Sequence[Taken] = ()) -> Outcome:
        """What the order met at its placement; nothing where a safety cap forbids to place it.

        Raises TapeAwaited, or Retryable while the venue's book cannot be had, at most
        VENUE_WAIT_MS_MAX after the placement time; then the order ends unfilled and says that
        there was no book.
        """
        never_placed = refused(order)
        if never_placed:
            return never_placed
        ts = order.ts_placed
        tape = self._tapes.covering(order.token_id, ts, ts)
        outcome = None
        if taken and tape.book_at(ts) is not None:
            earlier = self._tapes.tape(order.token_id, min(_recent(taken, ts), ts), ts)
            outcome = placed(order, earlier, schedule, taken)
        outcome = outcome or placed(order, tape, schedule)
        if outcome is not None:
            return outcome
        book = book_as_of(self._books, self._clock, order.token_id, ts)
        return fill_and_kill(order, book, schedule, ts, taken)

    def follow(
        self, order: Order, outcome: Outcome, until: int, taken: Sequence[Taken] = ()
    ) -> Outcome:
        """What became of a resting order up to `until`. Raises TapeAwaited."""
        until = min(until, order.ts_expiry)
        return followed(order, outcome, self._tape(order, outcome, until), until, taken)

    def cancel(
        self, order: Order, outcome: Outcome, ts: int, taken: Sequence[Taken] = ()
    ) -> Outcome:
        """What became of a resting order that is cancelled at `ts`. Raises TapeAwaited."""
        ts = min(ts, order.ts_expiry)
        return cancelled(order, outcome, self._tape(order, outcome, ts), ts, taken)

    def _tape(self, order: Order, outcome: Outcome, until: int) -> Tape:
        return self._tapes.covering(order.token_id, outcome.ts_done, until)


TAKEN_LOOKBACK_MS = 120_000
"""How far back a tape is read to learn whether a level was set again."""


def _recent(taken: Sequence[Taken], ts: int) -> int:
    """The earliest of our fills within the look-back."""
    return min((one.ts for one in taken if one.ts >= ts - TAKEN_LOOKBACK_MS), default=ts)
