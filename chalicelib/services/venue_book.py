"""The venue's book for one moment, waited for with bounded patience."""

from __future__ import annotations

from chalicelib.domain.errors import Permanent, Retryable
from chalicelib.domain.orderbook import Book
from chalicelib.ports import Books, Clock

VENUE_WAIT_MS_MAX = 5_000
"""What the venue says nothing about for this long after its time goes on without its answer."""


def waited_enough(clock: Clock, ts: int) -> bool:
    """Whether the venue had its time to answer about the moment `ts` (milliseconds)."""
    return clock.now_ms() - ts > VENUE_WAIT_MS_MAX


def book_as_of(books: Books, clock: Clock, token_id: str, ts: int) -> Book | None:
    """A book received at or after `ts`; None when the venue has none, refuses, or stays silent.

    Raises Retryable while it may still answer.
    """
    try:
        return books.book(token_id, ts)
    except Permanent:
        return None
    except Retryable:
        if waited_enough(clock, ts):
            return None
        raise
