"""The book a decision rests on: recorded where it was, asked for where that is too old."""

from __future__ import annotations

from dataclasses import dataclass

from chalicelib.domain.orderbook import Book
from chalicelib.domain.rules import CopyRules
from chalicelib.ports import Books, Clock, Metrics
from chalicelib.services.tape_reading import TapeReader
from chalicelib.services.venue_book import book_as_of


@dataclass(frozen=True, slots=True)
class DecisionBook:
    """A book, and the name of the part of the tape it comes from, empty for a snapshot."""

    book: Book | None
    segment: str


class DecisionBooks:
    """Finds the book of one moment of one token."""

    def __init__(self, tapes: TapeReader, books: Books, clock: Clock, metrics: Metrics) -> None:
        self._tapes = tapes
        self._books = books
        self._clock = clock
        self._metrics = metrics

    def at(self, token_id: str, ts: int, rules: CopyRules) -> DecisionBook:
        """The book at `ts`. Raises TapeAwaited or Retryable while one may still be had.

        A recorded book counts from its last proof. One that is no longer fresh is asked for again,
        and serves after all where the venue's answer does not come or comes too late.
        """
        tape = self._tapes.covering(token_id, ts, ts)
        segment = tape.segment_at(ts)
        recorded = segment.book_at(ts) if segment else None
        if segment and recorded and ts - recorded.ts_received <= rules.book_fresh_ms:
            return DecisionBook(recorded, segment.name)
        self._metrics.count("books_asked_for")
        asked = book_as_of(self._books, self._clock, token_id, ts)
        late = asked is None or asked.ts_received - ts > rules.book_late_ms_max
        if late and segment and recorded:
            return DecisionBook(recorded, segment.name)
        return DecisionBook(asked, "")
