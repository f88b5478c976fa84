"""The venue's order books and midpoints over HTTP."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import sha256

from chalicelib.adapters.polymarket.book_shape import book_hash, hash_matches, parse_book
from chalicelib.adapters.polymarket.http import JsonHttp, NotFound
from chalicelib.domain.errors import InvalidInput, Retryable
from chalicelib.domain.money import MICROS, micros
from chalicelib.domain.orderbook import Book
from chalicelib.ports import Clock, Metrics

__all__ = ["Clob", "book_hash", "hash_matches", "parse_book"]

CHUNK_TOKENS = 500
"""The venue's maximum per request."""
WAIT_MS_MAX = 3_000
"""Longest wait for the moment a book is wanted at."""
_NAPS_MAX = 10


def _chunks(token_ids: Sequence[str]) -> Iterator[list[str]]:
    distinct = list(dict.fromkeys(token_ids))
    for start in range(0, len(distinct), CHUNK_TOKENS):
        yield distinct[start : start + CHUNK_TOKENS]


REPORTED_MAX = 1_000


def _ignore(_payload: str, _error: str) -> None:
    return


class Clob:
    """Ports Books and Midpoints. Counts `clob_book_refused` and `clob_hash_mismatch`.

    `refused` is given the text of a book that does not parse, and the sentence why.
    """

    def __init__(
        self,
        http: JsonHttp,
        clock: Clock,
        metrics: Metrics,
        *,
        refused: Callable[[str, str], None] = _ignore,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._http = http
        self._clock = clock
        self._metrics = metrics
        self._refused = refused
        self._reported: set[str] = set()
        self._sleep = sleep

    def book(self, token_id: str, not_before: int) -> Book | None:
        """The full-depth book as of a moment at or after `not_before` (milliseconds).

        `ts_received` is the moment before the request left: the answer cannot be older. None
        when the venue has no book. Raises Retryable, also when `not_before` is further ahead
        than WAIT_MS_MAX, or Permanent.
        """
        sent = self._await(not_before)
        try:
            raw = self._http.get("/book", [("token_id", token_id)])
        except NotFound:
            return None
        try:
            book = self._checked(raw, sent)
        except InvalidInput as error:
            raise Retryable(f"clob: the book is refused: {error}") from error
        if book.token_id != token_id:
            raise Retryable("clob: the book is another token's")
        return book

    def books(self, token_ids: Sequence[str]) -> Mapping[str, Book]:
        """Books by token; missing where the venue has none or sent a malformed one.

        Raises Retryable or Permanent when a request fails.
        """
        found: dict[str, Book] = {}
        for chunk in _chunks(token_ids):
            sent = self._clock.now_ms()
            answer = self._http.post("/books", [{"token_id": token} for token in chunk])
            if not isinstance(answer, list):
                raise Retryable("clob: a list of books was expected")
            asked = set(chunk)
            for raw in answer:
                try:
                    book = self._checked(raw, sent)
                except InvalidInput:
                    continue
                if book.token_id in asked:
                    found[book.token_id] = book
        return found

    def midpoints(self, token_ids: Sequence[str]) -> Mapping[str, int]:
        """Midpoint in micros per token, half to even; tokens without a book are missing.

        Raises Retryable or Permanent when a request fails.
        """
        found: dict[str, int] = {}
        for chunk in _chunks(token_ids):
            answer = self._http.post("/midpoints", [{"token_id": token} for token in chunk])
            if not isinstance(answer, dict):
                raise Retryable("clob: an object of midpoints was expected")
            for token in chunk:
                price = self._midpoint(answer.get(token))
                if price is not None:
                    found[token] = price
        return found

    def _midpoint(self, value: object) -> int | None:
        if value is None:
            return None
        try:
            price = micros(value, "mid")
        except InvalidInput:
            price = -1
        if 0 <= price <= MICROS:
            return price
        self._metrics.count("clob_book_refused")
        return None

    def _checked(self, raw: object, ts_received: int) -> Book:
        try:
            book = parse_book(raw, ts_received)
            matches = hash_matches(raw) if isinstance(raw, Mapping) else None
        except InvalidInput as error:
            self._report(raw, str(error))
            raise
        except UnicodeEncodeError as error:
            self._report(raw, "book: a text is not Unicode")
            raise InvalidInput("book", "a text is not Unicode") from error
        # Counted, not refused: a change of the venue's formula must not stop all execution.
        if matches is False:
            self._metrics.count("clob_hash_mismatch")
        return book

    def _report(self, raw: object, error: str) -> None:
        """Count a refused book, and keep its text once however often it is asked for."""
        self._metrics.count("clob_book_refused")
        text = json.dumps(raw, default=str)
        name = sha256(text.encode()).hexdigest()
        if name in self._reported:
            return
        if len(self._reported) >= REPORTED_MAX:
            self._reported.clear()
        self._reported.add(name)
        self._refused(text, error)

    def _await(self, not_before: int) -> int:
        """The time once it is at least `not_before`."""
        for _ in range(_NAPS_MAX):
            now = self._clock.now_ms()
            if now >= not_before:
                return now
            if not_before - now > WAIT_MS_MAX:
                raise Retryable("clob: the book is wanted at a moment too far ahead")
            self._sleep((not_before - now) / 1000)
        raise Retryable("clob: the clock does not advance")
