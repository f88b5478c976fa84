"""Which stretches of a wallet's activity its next poll reads, and what it knows after that.

Normally that is one stretch, up to now. When more came than one poll may read, the present is read
first from then on, and what lies before it in turns. How far that got is the wallet's own
knowledge: nothing that happens to another wallet of the same leader takes it back. Times in
seconds unless a name ends in `_ms`; the times of a CatchUp are milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from chalicelib.domain.poll_memory import BUCKET_SECONDS
from chalicelib.domain.registry import CatchUp, Cursor

PRESENT_SECONDS = 300
"""While a wallet is behind, the present begins this long ago, or an overlap if that is more."""
REFUSED_SECONDS = 300
"""A wallet that the venue refused for so long no longer keeps catch-ups open."""


@dataclass(frozen=True, slots=True)
class Reach:
    """What all wallets of one poll have in common.

    `start` is the second before which nothing is read, `overlap` how late rows may show.
    """

    began_ms: int
    start: int
    overlap: int
    catch_ups: tuple[CatchUp, ...] = ()

    @property
    def now(self) -> int:
        """When the poll began."""
        return self.began_ms // 1000

    @property
    def settled(self) -> int:
        """Rows of seconds up to this one have all shown by now."""
        return self.now - self.overlap

    def live_since(self, cursor: Cursor) -> int:
        """Where a poll begins that has nothing to catch up."""
        return max(self.start, cursor.ts_seconds - self.overlap)

    def old_since(self, cursor: Cursor) -> int | None:
        """The earliest second of what is still to be caught up; None when nothing is."""
        points = [cursor.read_until] if cursor.live_from else []
        for row in self.catch_ups:
            if not self.covers(cursor, row):
                going_on = self._is_within(cursor, row)
                points.append(cursor.read_until if going_on else self._first(row))
        if not points:
            return None
        # Whole minutes: that is how far back memory reaches.
        return max(self.start, min(points) // BUCKET_SECONDS * BUCKET_SECONDS)

    def since(self, cursor: Cursor) -> int:
        """Where a poll begins that reads all there is to read."""
        live, old = self.live_since(cursor), self.old_since(cursor)
        return live if old is None else min(live, old)

    def is_behind(self, cursor: Cursor) -> bool:
        """Whether an earlier poll ended before it had caught up, so that the present goes first."""
        if self.since(cursor) >= self.live_since(cursor):
            return False
        return bool(cursor.live_from) or any(
            self._is_within(cursor, row) and not self.covers(cursor, row) for row in self.catch_ups
        )

    def covers(self, cursor: Cursor, row: CatchUp) -> bool:
        """Whether the wallet was read from the start of a catch-up to its end."""
        return self._is_within(cursor, row) and row.ts_until <= cursor.read_until * 1000

    def progress_ms(self, cursor: Cursor, row: CatchUp) -> int:
        """How far the wallet was read within a catch-up, at least its start."""
        if not self._is_within(cursor, row):
            return row.ts_from
        return min(row.ts_until, max(row.ts_from, cursor.read_until * 1000))

    def after_read(self, cursor: Cursor, since: int, end: int, *, cut: bool) -> Cursor:
        """The cursor when everything from `since` to `end` was read.

        `cut` says that there is more after `end`. Then the cursor goes on near the present, and
        what lies between stays to be read.
        """
        since, until = self._joined(cursor, since, min(end, self.settled))
        read = replace(cursor, read_from=since, read_until=until)
        if not cut:
            read = replace(read, live_from=0)
        elif cursor.live_from:
            read = replace(read, live_from=0 if until >= cursor.live_from else cursor.live_from)
        elif cursor.ts_seconds < self._present and end < self._present:
            return replace(read, ts_seconds=self._present, live_from=self._present)
        else:
            read = replace(read, ts_seconds=max(cursor.ts_seconds, min(end, self.now)))
        worth = cut or cursor.live_from or self._newly_covers(cursor, read)
        return read if worth else cursor

    def after_cut_present(self, cursor: Cursor, end: int) -> Cursor:
        """The cursor of a wallet that is behind when even the present ended early, at `end`."""
        if max(end, cursor.ts_seconds) < self._present:
            return replace(cursor, ts_seconds=self._present, live_from=self._present)
        return replace(cursor, ts_seconds=max(cursor.ts_seconds, min(end, self.now)))

    def is_given_up(self, cursor: Cursor) -> bool:
        """Whether the venue has refused the wallet for so long that nobody waits for it."""
        return bool(cursor.refused_since) and self.now - cursor.refused_since >= REFUSED_SECONDS

    def back_to(self, cursor: Cursor, row: CatchUp) -> Cursor:
        """The cursor of a wallet that did not take part in a catch-up: it will be read from there.

        For a wallet that was given up, should the venue answer for it again.
        """
        back = min(contiguous_until(cursor), self._first(row) + self.overlap)
        return replace(cursor, ts_seconds=back, live_from=0, read_from=0, read_until=0)

    @property
    def _present(self) -> int:
        recent = self.now - max(self.overlap, PRESENT_SECONDS)
        return max(self.start, recent // BUCKET_SECONDS * BUCKET_SECONDS)

    def _first(self, row: CatchUp) -> int:
        return max(self.start, row.ts_from // 1000)

    def _is_within(self, cursor: Cursor, row: CatchUp) -> bool:
        return cursor.read_from <= self._first(row) <= cursor.read_until

    def _joined(self, cursor: Cursor, since: int, until: int) -> tuple[int, int]:
        """One stretch of what was read before and now, or only the newer where they do not meet."""
        until = max(since, until)
        if since <= cursor.read_until and cursor.read_from <= until:
            return min(since, cursor.read_from), max(until, cursor.read_until)
        return since, until

    def _newly_covers(self, before: Cursor, after: Cursor) -> bool:
        return any(
            self.covers(after, row) and not self.covers(before, row) for row in self.catch_ups
        )


def contiguous_until(cursor: Cursor) -> int:
    """The second up to which everything was read."""
    return min(cursor.ts_seconds, cursor.read_until) if cursor.live_from else cursor.ts_seconds


def rewound(cursor: Cursor, seconds: int) -> Cursor:
    """The cursor further back, with nothing remembered of what was read and sent since."""
    return Cursor(
        cursor.leader,
        cursor.wallet,
        max(0, contiguous_until(cursor) - seconds),
        refused_since=cursor.refused_since,
        version=cursor.version,
    )
