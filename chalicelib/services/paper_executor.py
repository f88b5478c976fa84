"""Orders executed on paper: the venue's own book, nobody's money."""

from __future__ import annotations

from chalicelib.domain.fee import FeeSchedule
from chalicelib.domain.paper_order import Order, Outcome, fill_and_kill
from chalicelib.ports import Books, Clock
from chalicelib.services.venue_book import book_as_of


class PaperExecutor:
    """Port ExecutionAdapter: a placement sweep on one snapshot, the remainder killed at once."""

    def __init__(self, books: Books, clock: Clock) -> None:
        self._books = books
        self._clock = clock

    def submit(self, order: Order, schedule: FeeSchedule) -> Outcome:
        """The order's terminal outcome.

        Raises Retryable while the venue's book cannot be had, at most VENUE_WAIT_MS_MAX after the
        placement time; then the order ends unfilled and says that there was no book.
        """
        book = book_as_of(self._books, self._clock, order.token_id, order.ts_placed)
        return fill_and_kill(order, book, schedule, order.ts_placed)
