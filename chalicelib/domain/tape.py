"""What a token's order book did over a stretch of time, for orders that were never sent.

A tape is made of segments. Each has the book at its start and every change after it, so the book
of any moment inside it can be folded. Times are milliseconds: `ts_venue` is the venue's clock,
`ts_received` is ours, corrected towards the venue's.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from chalicelib.domain.errors import InvalidInput
from chalicelib.domain.exchange_log import Side
from chalicelib.domain.orderbook import Book, Level


@dataclass(frozen=True, slots=True)
class BookChange:
    """One level took a new total of shares; 0 removes it. A bid is on side BUY."""

    ts_venue: int
    ts_received: int
    side: Side
    price: int
    shares: int


@dataclass(frozen=True, slots=True)
class TradePrint:
    """A trade the venue announced, with the taker's side."""

    ts_venue: int
    ts_received: int
    side: Side
    price: int
    shares: int


@dataclass(frozen=True, slots=True)
class Segment:
    """The book of one token from `ts_start` to `ts_end` (venue time, both included).

    `bids` and `asks` (best first) are the book at `ts_start`, whose last change was at `ts_book`.
    `changes` and `prints` lie after `ts_start`, in the order of arrival, which is that of venue
    time. `proofs` are the receive times at which our copy was known to equal the venue's, besides
    those of the changes; the first may lie before the segment. `complete` is False where
    something may be missing inside, `truncated` True where levels far from the touch were left
    out for size.
    """

    token_id: str
    watcher: str
    ts_start: int
    ts_end: int
    ts_book: int
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    changes: tuple[BookChange, ...] = ()
    prints: tuple[TradePrint, ...] = ()
    proofs: tuple[int, ...] = ()
    complete: bool = True
    truncated: bool = False

    @property
    def name(self) -> str:
        """Unique per token: its start and who wrote it."""
        return segment_name(self.ts_start, self.watcher)

    def contains(self, ts: int) -> bool:
        """Whether a venue time lies inside."""
        return self.ts_start <= ts <= self.ts_end

    def book_at(self, ts: int) -> Book | None:
        """The book after every change up to a venue time; None outside of the segment.

        Its `ts_received` is the last proof known at `ts`, 0 when there was none.
        """
        if not self.contains(ts):
            return None
        levels = {"BUY": _totals(self.bids), "SELL": _totals(self.asks)}
        ts_book = self.ts_book
        for change in self.changes[: self._changes_until(ts)]:
            set_level(levels[change.side], change.price, change.shares)
            ts_book = change.ts_venue
        proven = self.proven_at(ts)
        return book_of(self.token_id, levels["BUY"], levels["SELL"], ts_book, proven or 0)

    def proven_at(self, ts: int) -> int | None:
        """The latest receive time up to `ts` at which our copy was proven, None before any."""
        times = [proof for proof in self.proofs if proof <= ts]
        times += [change.ts_received for change in self.changes if change.ts_received <= ts]
        return max(times, default=None)

    def changes_between(self, after: int, until: int) -> tuple[BookChange, ...]:
        """Changes with after < venue time ≤ until, in order."""
        return self.changes[self._changes_until(after) : self._changes_until(until)]

    def was_set(self, side: Side, price: int, after: int, until: int) -> bool:
        """Whether a level took a new total with after < venue time ≤ until."""
        changes = self.changes_between(after, until)
        return any(change.side == side and change.price == price for change in changes)

    def prints_between(self, after: int, until: int) -> tuple[TradePrint, ...]:
        """Prints with after < venue time ≤ until, in order."""
        return tuple(p for p in self.prints if after < p.ts_venue <= until)

    def _changes_until(self, ts: int) -> int:
        return bisect_right(self.changes, ts, key=lambda change: change.ts_venue)


def segment_name(ts_start: int, watcher: str) -> str:
    """How an attempt names a segment it used; sorts by start."""
    return f"{ts_start:013d}#{watcher}"


def _totals(levels: Iterable[Level]) -> dict[int, int]:
    return {level.price: level.shares for level in levels}


def set_level(totals: dict[int, int], price: int, shares: int) -> None:
    """Give one price its new total; 0 removes it."""
    if shares:
        totals[price] = shares
    else:
        totals.pop(price, None)


def best_first(totals: dict[int, int], side: Side) -> tuple[Level, ...]:
    """Levels of one side, best first."""
    ordered = sorted(totals.items(), reverse=side == "BUY")
    return tuple(Level(price, shares) for price, shares in ordered)


def book_of(
    token_id: str, bids: dict[int, int], asks: dict[int, int], ts_venue: int, ts_received: int
) -> Book:
    """A book from shares per price."""
    return Book(token_id, best_first(bids, "BUY"), best_first(asks, "SELL"), ts_venue, ts_received)


@dataclass(frozen=True, slots=True)
class Tape:
    """Segments of one token; they may overlap and come from several watchers.

    Only complete segments answer: where something may be missing there is no book.
    """

    token_id: str
    segments: tuple[Segment, ...]

    def segment_at(self, ts: int) -> Segment | None:
        """The complete segment that contains a venue time and reaches furthest beyond it."""
        found = [s for s in self.segments if s.complete and s.contains(ts)]
        return max(found, key=lambda s: (s.ts_end, s.ts_start, s.watcher), default=None)

    def book_at(self, ts: int) -> Book | None:
        """The book at a venue time, or None where the tape has none."""
        segment = self.segment_at(ts)
        return segment.book_at(ts) if segment else None

    def proven_at(self, ts: int) -> int | None:
        """When, up to `ts`, the copy behind `book_at(ts)` was last proven (receive time)."""
        segment = self.segment_at(ts)
        return segment.proven_at(ts) if segment else None

    def stretch(self, t0: int, t1: int) -> tuple[Segment, ...]:
        """The segments that together hold every moment from t0 to t1; empty if none do."""
        path: list[Segment] = []
        ts = t0
        for _ in range(len(self.segments)):
            segment = self.segment_at(ts)
            if segment is None or (path and segment is path[-1]):
                return ()
            path.append(segment)
            if segment.ts_end >= t1:
                return tuple(path)
            ts = segment.ts_end
        return ()

    def covers(self, t0: int, t1: int) -> bool:
        """Whether every moment from t0 to t1 is held by complete segments."""
        return bool(self.stretch(t0, t1))

    def changes_between(self, t0: int, t1: int) -> tuple[BookChange, ...]:
        """Changes with t0 < venue time ≤ t1, in order. Raises InvalidInput unless covered."""
        found: list[BookChange] = []
        after = t0
        for segment in self._covering(t0, t1):
            found += segment.changes_between(after, min(t1, segment.ts_end))
            after = segment.ts_end
        return tuple(found)

    def was_set(self, side: Side, price: int, t0: int, t1: int) -> bool:
        """Whether the tape shows that a level took a new total with t0 < venue time ≤ t1."""
        after = t0
        for segment in self.stretch(t0, t1):
            if segment.was_set(side, price, after, min(t1, segment.ts_end)):
                return True
            after = segment.ts_end
        return False

    def prints_between(self, t0: int, t1: int) -> tuple[TradePrint, ...]:
        """Trades with t0 < venue time ≤ t1, in order. Raises InvalidInput unless covered."""
        found: list[TradePrint] = []
        after = t0
        for segment in self._covering(t0, t1):
            until = min(t1, segment.ts_end)
            found += segment.prints_between(after, until)
            after = segment.ts_end
        return tuple(found)

    def _covering(self, t0: int, t1: int) -> Sequence[Segment]:
        path = self.stretch(t0, t1)
        if not path:
            raise InvalidInput("tape", f"does not cover {t0} to {t1}")
        return path


def tape_of(token_id: str, segments: Iterable[Segment]) -> Tape:
    """A tape of the segments of one token, ordered by start."""
    mine = [segment for segment in segments if segment.token_id == token_id]
    return Tape(token_id, tuple(sorted(mine, key=lambda s: (s.ts_start, s.watcher))))
