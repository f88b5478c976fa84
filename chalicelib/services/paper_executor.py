"""Orders executed on paper: the venue's own book, nobody's money."""

from __future__ import annotations

from chalicelib.domain.errors import Permanent, Retryable
from chalicelib.domain.fee import FeeSchedule
from chalicelib.domain.orderbook import Book
from chalicelib.domain.paper_order import Order, Outcome, fill_and_kill
from chalicelib.ports import Books, Clock

BOOK_WAIT_MS_MAX = 5_000


class PaperExecutor:
    """Port ExecutionAdapter: a placement sweep on one snapshot, the remainder killed at once."""

    def __init__(self, books: Books, clock: Clock) -> None:
        self._books = books
        self._clock = clock

    def submit(self, order: Order, schedule: FeeSchedule) -> Outcome:
        """The order's terminal outcome.

        Raises Retryable while the venue's book cannot be had, at most BOOK_WAIT_MS_MAX after the
        placement time; then the order ends unfilled and says that there was no book.
        """
        return fill_and_kill(order, self._book(order), schedule, order.ts_placed)

    def _book(self, order: Order) -> Book | None:
        try:
            return self._books.book(order.token_id, order.ts_placed)
        except Permanent:
            return None
        except Retryable:
            if self._clock.now_ms() - order.ts_placed > BOOK_WAIT_MS_MAX:
                return None
            raise
