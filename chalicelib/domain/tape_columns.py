"""A stored segment read column by column, so that only what is looked at is made.

It answers every question exactly as the segment itself would. Replays look at thousands of segments
of which they need one or two books each.
"""

from __future__ import annotations

import json
import zlib
from base64 import b64decode
from bisect import bisect_right
from hashlib import sha256
from itertools import accumulate, starmap
from operator import add
from typing import Any

from chalicelib.domain.errors import InvalidInput
from chalicelib.domain.exchange_log import Side
from chalicelib.domain.orderbook import Book, Level
from chalicelib.domain.records import made
from chalicelib.domain.tape import BookChange, Segment, TradePrint
from chalicelib.domain.tape_text import FORM, TEXT_BYTES_MAX, TapeSegment

_SIDES: dict[str, Side] = {"B": "BUY", "S": "SELL"}
_ASK = 1 << 32
"""Added to the price of an ask, so that one dictionary holds both sides."""
_OFFSETS = {"B": 0, "S": _ASK}
_level, _change = made(Level), made(BookChange)
_LEVELS_MAX = 50_000


class _Levels(dict[tuple[int, int], Level]):
    """Levels by price and shares: neighbouring books have most of theirs in common."""

    def __missing__(self, at: tuple[int, int]) -> Level:
        if len(self) >= _LEVELS_MAX:
            self.clear()
        self[at] = level = _level(*at)
        return level


_level_at = _Levels().__getitem__
_BOOKS_MAX = 64
"""Books remembered per segment, by the number of changes before them."""


class Columns:
    """The changes or prints of a segment: equal lists, one per field."""

    __slots__ = ("lags", "prices", "shares", "sides", "times")

    def __init__(self, content: Any, start: int) -> None:
        steps, self.lags, self.sides, self.prices, self.shares = content
        self.times: list[int] = list(accumulate(steps, initial=start))[1:]
        lengths = {len(self.times), *map(len, (self.lags, self.sides, self.prices, self.shares))}
        if len(lengths) != 1:
            raise ValueError("columns of different length")

    def rows(self, low: int, high: int) -> list[tuple[int, int, Side, int, int]]:
        """(venue time, receive time, side, price, shares) of the events from `low` to `high`."""
        return [
            (ts, ts + lag, _SIDES[side], price, total)
            for ts, lag, side, price, total in zip(
                self.times[low:high],
                self.lags[low:high],
                self.sides[low:high],
                self.prices[low:high],
                self.shares[low:high],
                strict=True,
            )
        ]


class ColumnSegment(Segment):
    """A segment whose changes and prints stay columns until somebody asks for them."""

    __slots__ = ("_base", "_books", "_keys", "_known", "_moved", "_traded")

    _base: dict[int, int]
    _books: dict[int, tuple[tuple[Level, ...], tuple[Level, ...]]]
    _keys: list[int] | None
    _known: list[int] | None
    _moved: Columns
    _traded: Columns

    def book_at(self, ts: int) -> Book | None:
        """The book after every change up to a venue time; None outside of the segment."""
        if not self.ts_start <= ts <= self.ts_end:
            return None
        count = bisect_right(self._moved.times, ts)
        found = self._books.get(count)
        if found is None:
            found = self._levels(count)
            if len(self._books) >= _BOOKS_MAX:
                self._books.clear()
            self._books[count] = found
        ts_book = self._moved.times[count - 1] if count else self.ts_book
        return Book(self.token_id, *found, ts_book, self.proven_at(ts) or 0)

    def _levels(self, count: int) -> tuple[tuple[Level, ...], tuple[Level, ...]]:
        if count == 0:
            return self.bids, self.asks
        totals = self._base.copy()
        # Of equal keys the last one counts, which is the latest change of that level.
        totals.update(zip(self._levels_set()[:count], self._moved.shares, strict=False))
        bids = [(key, total) for key, total in totals.items() if total and key < _ASK]
        asks = [(key - _ASK, total) for key, total in totals.items() if total and key >= _ASK]
        bids.sort(reverse=True)
        asks.sort()
        return tuple(map(_level_at, bids)), tuple(map(_level_at, asks))

    def _levels_set(self) -> list[int]:
        """Side and price of every change, as the keys of `_base`."""
        if self._keys is None:
            offsets = map(_OFFSETS.__getitem__, self._moved.sides)
            object.__setattr__(self, "_keys", list(map(add, self._moved.prices, offsets)))
        assert self._keys is not None
        return self._keys

    def was_set(self, side: Side, price: int, after: int, until: int) -> bool:
        """Whether a level took a new total with after < venue time ≤ until."""
        times = self._moved.times
        low, high = bisect_right(times, after), bisect_right(times, until)
        return price + _OFFSETS[side[0]] in self._levels_set()[low:high]

    def proven_at(self, ts: int) -> int | None:
        """The latest receive time up to `ts` at which our copy was proven, None before any."""
        if self._known is None:
            heard = map(add, self._moved.times, self._moved.lags)
            object.__setattr__(self, "_known", sorted([*self.proofs, *heard]))
        assert self._known is not None
        place = bisect_right(self._known, ts)
        return self._known[place - 1] if place else None

    def changes_between(self, after: int, until: int) -> tuple[BookChange, ...]:
        """Changes with after < venue time ≤ until, in order."""
        times = self._moved.times
        rows = self._moved.rows(bisect_right(times, after), bisect_right(times, until))
        return tuple(starmap(_change, rows))

    def prints_between(self, after: int, until: int) -> tuple[TradePrint, ...]:
        """Prints with after < venue time ≤ until, in order."""
        times = self._traded.times
        rows = self._traded.rows(bisect_right(times, after), bisect_right(times, until))
        return tuple(TradePrint(*row) for row in rows)


def columns_of(row: TapeSegment) -> ColumnSegment:
    """The segment in a row. Raises InvalidInput when it does not hold what its digest says."""
    try:
        packer = zlib.decompressobj()
        text = packer.decompress(b64decode(row.data, validate=True), TEXT_BYTES_MAX)
        if not packer.eof or sha256(text).hexdigest() != row.digest:
            raise InvalidInput("segment", "is cut short, too large, or not what its digest says")
        return _made(json.loads(text))
    except (ValueError, TypeError, zlib.error) as error:
        raise InvalidInput("segment", f"cannot be read: {error}") from error


def _made(content: Any) -> ColumnSegment:
    form, token_id, watcher, start, end, ts_book, complete, truncated, *columns = content
    if form != FORM or len(columns) != 5:
        raise InvalidInput("segment", "has a form that is not known")
    bids, asks = _levels_of(columns[0]), _levels_of(columns[1])
    base = {level.price: level.shares for level in bids}
    base.update((level.price + _ASK, level.shares) for level in asks)
    segment = object.__new__(ColumnSegment)
    for name, value in (
        ("token_id", token_id),
        ("watcher", watcher),
        ("ts_start", start),
        ("ts_end", end),
        ("ts_book", ts_book),
        ("bids", bids),
        ("asks", asks),
        ("changes", ()),
        ("prints", ()),
        ("proofs", tuple(accumulate(columns[4], initial=start))[1:]),
        ("complete", bool(complete)),
        ("truncated", bool(truncated)),
        ("_base", base),
        ("_books", {}),
        ("_keys", None),
        ("_known", None),
        ("_moved", Columns(columns[2], start)),
        ("_traded", Columns(columns[3], start)),
    ):
        object.__setattr__(segment, name, value)
    return segment


def _levels_of(columns: Any) -> tuple[Level, ...]:
    prices, shares = columns
    return tuple(map(_level_at, zip(accumulate(prices), shares, strict=True)))
