"""Cuts segments out of the rings while somebody wants a token's tape. No I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import takewhile

from chalicelib.domain.tape import Segment
from chalicelib.watcher.book_ring import REACH_MS, SETTLE_MS
from chalicelib.watcher.book_store import BookStore

SEGMENT_MS_MAX = 10_000
BEFORE_MS = 1_000
"""A tape begins this long before the fill that asked for it."""
SEAM_MS_MAX = 10_000
"""A tape that is wanted again this soon goes on where it ended: what rests may cross the seam."""
WANTED_MS_MAX = 300_000
"""No wish reaches farther ahead than this."""
STOPS_MAX = 100
WANTS_MAX = 2_000


@dataclass(slots=True)
class _Want:
    """Of one token: the span written without interruption, and the times to stop at.

    `looked` is when it was last looked for changes that came too late for what was written.
    """

    first: int
    cut: int
    looked: int
    stops: list[int] = field(default_factory=list)
    extra: list[tuple[int, int]] = field(default_factory=list)


class TapeCutter:
    """Wishes in, segments out. Times are venue milliseconds."""

    def __init__(self, store: BookStore, watcher: str) -> None:
        self._store = store
        self._watcher = watcher
        self._wants: dict[str, _Want] = {}

    def want(self, token: str, ts_from: int, ts_until: int, now_ms: int) -> None:
        """Write the token's tape over a span; asking again for the same changes nothing."""
        ts_from = max(ts_from, now_ms - REACH_MS)
        ts_until = min(ts_until, now_ms + WANTED_MS_MAX)
        if ts_until <= ts_from:
            return
        want = self._wants.get(token)
        if want is None and len(self._wants) >= WANTS_MAX:
            return
        if want is None or (not want.stops and ts_from - want.cut > SEAM_MS_MAX):
            extra = want.extra if want else []
            want = self._wants[token] = _Want(ts_from, ts_from, now_ms, [], extra)
        if ts_from < want.first:
            want.extra.append((ts_from, want.first))
            want.first = ts_from
        if ts_until > want.cut and ts_until not in want.stops and len(want.stops) < STOPS_MAX:
            want.stops.append(ts_until)
            want.stops.sort()

    def wanted(self) -> frozenset[str]:
        """Tokens whose tape is being written."""
        return frozenset(t for t, want in self._wants.items() if want.stops or want.extra)

    def remembered(self) -> frozenset[str]:
        """Tokens somebody wanted within the reach of a ring."""
        return frozenset(self._wants)

    def cut(self, now_ms: int) -> list[Segment]:
        """The segments that are over. Messages of the venue may be SETTLE_MS under way."""
        found: list[Segment] = []
        settled = now_ms - SETTLE_MS
        for token, want in list(self._wants.items()):
            self._store.count("tape_late_changes", self._late(token, want, now_ms))
            spans, want.extra = want.extra, []
            over = [stop for stop in want.stops if stop <= settled]
            if over:
                spans.append((want.cut, over[-1]))
                want.cut = over[-1]
                want.stops = want.stops[len(over) :]
            elif want.stops and settled - want.cut >= SEGMENT_MS_MAX:
                spans.append((want.cut, settled))
                want.cut = settled
            for start, end in spans:
                found += self._pieces(token, start, end)
            if not want.stops and want.cut < now_ms - REACH_MS:
                del self._wants[token]
        return found

    def _late(self, token: str, want: _Want, now_ms: int) -> int:
        """Changes since the last look that belong into what is written already."""
        book, looked = self._store.get(token), want.looked
        want.looked = now_ms
        if book is None:
            return 0
        fresh = takewhile(lambda change: change[1] > looked, reversed(book.ring))
        return sum(want.first < change[0] <= want.cut for change in fresh)

    def _pieces(self, token: str, start: int, end: int) -> list[Segment]:
        found: list[Segment] = []
        for t0 in range(start, end, SEGMENT_MS_MAX):
            t1 = min(t0 + SEGMENT_MS_MAX, end)
            found += self._store.segments(token, t0, t1, self._watcher)
        return found
