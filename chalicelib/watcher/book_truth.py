"""Whole books against our copies: what proves, replaces, or leaves a gap. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from chalicelib.domain.orderbook import Book, Level
from chalicelib.watcher.book_ring import SETTLE_MS, TokenBook, Totals

HOLD_MS = 2_000
"""How long the channel may take to bring what a snapshot already shows."""
RESUME_MS = 1_000
"""How long after subscribing the channel surely delivers."""
_NEVER = 10**15

Count = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole book of venue time `ts`, asked for or received at `ts_proof`."""

    bids: Totals
    asks: Totals
    ts: int
    venue_hash: str
    ts_proof: int

    def equals(self, book: TokenBook) -> bool:
        """Whether our copy of the same moment has exactly these levels."""
        return book.equals_at(self.ts, self.bids, self.asks)


def whole_of(book: Book, ts_proof: int) -> Whole:
    """A parsed book in the form that is compared."""
    return Whole(_totals(book.bids), _totals(book.asks), book.ts_venue, book.venue_hash, ts_proof)


def _totals(levels: Iterable[Level]) -> Totals:
    return {level.price: level.shares for level in levels}


def doubt(book: TokenBook, why: str, count: Count) -> None:
    """Trust nothing that was not verified until a whole book settles it."""
    if book.live and book.doubt(book.verified):
        book.asked = 0
        count(f"book_doubt_{why}")


def take_in_order(book: TokenBook, whole: Whole, now_ms: int, count: Count) -> None:
    """A whole book of the channel: newer than everything the channel brought before."""
    if book.broken_from is not None or not book.live:
        settle(book, whole, now_ms, count, is_newest=whole.ts >= book.ts_venue)
    elif whole.ts >= book.ts_venue:
        # The venue may write a whole book instead of the changes a trade made.
        book.adopt(whole.bids, whole.asks, whole.ts, now_ms, _NEVER)
        book.last = {"hash": whole.venue_hash}
        book.prove(whole.ts, now_ms)
    elif not book.equals_at(book.ts_venue, whole.bids, whole.asks):
        doubt(book, "book", count)


def judge(book: TokenBook, whole: Whole, now_ms: int, count: Count) -> None:
    """Compare a snapshot with our copy; what contradicts it twice is believed."""
    if whole.ts < book.base_ts:
        return
    if whole.equals(book):
        book.prove(whole.ts, whole.ts_proof)
        return
    stated = whole.venue_hash if whole.ts == book.ts_venue else ""
    same_hash = bool(stated) and stated == book.last.get("hash")
    if same_hash:
        doubt(book, "hash", count)
    if book.broken_from is not None:
        settle(book, whole, now_ms, count, is_newest=same_hash)
    else:
        # It may have been taken between two changes of one millisecond.
        doubt(book, "snapshot", count)


def settle(
    book: TokenBook, whole: Whole, now_ms: int, count: Count, *, is_newest: bool = False
) -> None:
    """Believe a whole book, and remember from when to when ours was not known to be right."""
    ts, before = whole.ts, book.broken_from
    if book.live and ts < book.base_ts:
        return
    if book.live and before is not None:
        equal = whole.equals(book)
        # While nobody listened, only a book that did not move since proves that nothing was
        # missed; otherwise one that fits our own changes does.
        if not (equal and ts <= (before + 1 if book.lost else book.ts_venue)):
            after = before if equal or ts > before else min(book.verified, before)
            book.gaps.append((after, max(ts, after + 1)))
            count("book_gaps")
    # Of a book that was asked for at once, changes of its own millisecond may be missing.
    later_from = ts if whole.ts_proof - ts < SETTLE_MS else ts + 1
    book.adopt(whole.bids, whole.asks, ts, now_ms, _NEVER if is_newest else later_from)
    if whole.equals(book):
        book.prove(ts, whole.ts_proof)


class HeldSnapshots:
    """Snapshots that are ahead of the channel, until it catches up or HOLD_MS are over."""

    def __init__(self, count: Count) -> None:
        self._count = count
        self._held: dict[str, tuple[Whole, int]] = {}

    def hold(self, token: str, whole: Whole, now_ms: int) -> None:
        """Keep the latest; the time to catch up runs from the first."""
        known = self._held.get(token)
        self._held[token] = whole, known[1] if known else now_ms + HOLD_MS

    def forget(self, token: str) -> None:
        """It says nothing any more."""
        self._held.pop(token, None)

    def tick(self, books: Mapping[str, TokenBook], now_ms: int) -> list[str]:
        """Compare what can be compared; the tokens whose channel did not bring what it should."""
        silent = []
        for token, (whole, ts_until) in list(self._held.items()):
            book = books[token]
            is_behind = book.ts_venue < whole.ts
            if is_behind and now_ms < ts_until:
                continue
            del self._held[token]
            if is_behind:
                doubt(book, "stalled_asset", self._count)
                settle(book, whole, now_ms, self._count)
                silent.append(token)
            else:
                judge(book, whole, now_ms, self._count)
        return silent
