"""The book of one token as it is and as it was: levels, a base and the changes since. No I/O.

The ring remembers what was applied. Its oldest changes are folded into the base, so every moment
from the base on can be reconstructed. Moments in which something may have been missed have no
book: a ring that would have to guess says nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

from chalicelib.domain.orderbook import Book
from chalicelib.domain.tape import BookChange, Segment, TradePrint, best_first, book_of, set_level

REACH_MS = 60_000
CHANGES_MAX = 4_000
PRINTS_MAX = 500
PROOFS_MAX = 300
GAPS_MAX = 50
PROOF_STEP_MS = 250
"""Proofs closer together than this are one."""
SETTLE_MS = 500
"""How long a message of the venue may be under way."""

Applied = tuple[int, int, bool, int, int]
"""Venue time, receive time, whether it is a bid, price, new total of shares."""
Totals = dict[int, int]


def fold(changes: Iterable[Applied], bids: Totals, asks: Totals) -> None:
    """Apply changes in order."""
    for _, _, is_bid, price, shares in changes:
        set_level(bids if is_bid else asks, price, shares)


class TokenBook:
    """One token's levels and their recent past. The frame reader changes it in place.

    `feed` is the connection whose changes count. `broken_from` is None while the copy is trusted,
    else the venue time after which it is not. `lost` tells that changes were not listened to,
    `resumed` since when they are again (receive time, 0: not yet). `verified` is the venue time
    up to which a snapshot showed the copy to be right, `last` holds the venue's hash of the copy.
    """

    __slots__ = (
        "asked",
        "asks",
        "base_asks",
        "base_bids",
        "base_ts",
        "base_ts_book",
        "best_ask",
        "best_bid",
        "bids",
        "broken_from",
        "feed",
        "gaps",
        "last",
        "lost",
        "next_due",
        "prints",
        "proofs",
        "refusals",
        "resumed",
        "ring",
        "settled",
        "tick",
        "token",
        "ts_heard",
        "ts_venue",
        "verified",
    )

    def __init__(self, token: str, feed: int) -> None:
        self.token = token
        self.feed = feed
        self.bids: Totals = {}
        self.asks: Totals = {}
        self.best_bid: int | None = None
        self.best_ask: int | None = None
        self.ts_venue = 0
        self.ts_heard = 0
        self.last: Mapping[str, object] = {}
        self.tick: int | None = None
        self.ring: deque[Applied] = deque()
        self.base_bids: Totals = {}
        self.base_asks: Totals = {}
        self.base_ts = -1
        self.base_ts_book = 0
        self.prints: deque[TradePrint] = deque(maxlen=PRINTS_MAX)
        self.proofs: deque[int] = deque(maxlen=PROOFS_MAX)
        self.gaps: deque[tuple[int, int]] = deque(maxlen=GAPS_MAX)
        self.broken_from: int | None = 0
        self.lost = True
        self.verified = 0
        self.resumed = 0
        self.asked = 0
        self.next_due = 0
        self.refusals = 0
        self.settled = False

    @property
    def live(self) -> bool:
        """Whether the venue's whole book was ever seen."""
        return self.base_ts >= 0

    @property
    def ts_proven(self) -> int:
        """The latest receive time at which the copy was proven, 0 when never."""
        last = self.proofs[-1] if self.proofs else 0
        return last if self.broken_from is not None else max(last, self.ts_heard)

    def doubt(self, ts_from: int) -> bool:
        """Trust nothing after a venue time until the next snapshot; whether that is new."""
        if self.broken_from is not None:
            return False
        self.broken_from = max(ts_from, self.base_ts - 1)
        if self.ts_heard:
            self.proofs.append(self.ts_heard)
        return True

    def lose(self, ts_from: int) -> None:
        """Changes were certainly not listened to after this venue time."""
        self.resumed = 0
        if not self.lost:
            self.lost = True
            # In the millisecond of the last change there may have been another one.
            self.doubt(max(ts_from, self.ts_venue - 1))

    def prove(self, ts: int, ts_proof: int) -> None:
        """The copy equals a whole book of venue time `ts`, asked for or received at `ts_proof`.

        If ours did not change since either, it was right until shortly before that.
        """
        self.broken_from = None
        self.lost = False
        right_until = max(ts - 1, ts_proof - SETTLE_MS) if ts == self.ts_venue else ts - 1
        self.verified = max(self.verified, right_until)
        self.heard(ts_proof)

    def heard(self, now_ms: int) -> None:
        """The venue spoke about this token and nothing speaks against the copy."""
        if self.broken_from is not None:
            return
        self.ts_heard = max(self.ts_heard, now_ms)
        if not self.proofs or now_ms - self.proofs[-1] >= PROOF_STEP_MS:
            self.proofs.append(now_ms)

    def touch(self) -> None:
        """Find the best prices anew."""
        self.best_bid = max(self.bids, default=None)
        self.best_ask = min(self.asks, default=None)

    def trim(self, now_ms: int, changes_max: int = CHANGES_MAX, reach_ms: int = REACH_MS) -> None:
        """Fold what is beyond the ring's bounds into its base."""
        ring, oldest = self.ring, now_ms - reach_ms
        surplus = len(ring) - changes_max
        while ring and (surplus > 0 or ring[0][0] < oldest):
            surplus -= 1
            self._fold_oldest()
        # Every change of one moment is on the same side of the base.
        while ring and ring[0][0] <= self.base_ts:
            self._fold_oldest()
        while self.gaps and self.gaps[0][1] <= self.base_ts:
            self.gaps.popleft()
        while len(self.proofs) > 1 and self.proofs[1] < oldest:
            self.proofs.popleft()
        while self.prints and self.prints[0].ts_venue < oldest:
            self.prints.popleft()

    def _fold_oldest(self) -> None:
        ts, _, is_bid, price, shares = self.ring.popleft()
        set_level(self.base_bids if is_bid else self.base_asks, price, shares)
        self.base_ts = self.base_ts_book = ts

    def state_at(self, ts: int) -> tuple[Totals, Totals, int]:
        """Levels and time of the last change after every change up to `ts`, trusted or not."""
        bids, asks, ts_book = dict(self.base_bids), dict(self.base_asks), self.base_ts_book
        for change in self.ring:
            if change[0] > ts:
                break
            ts_book = change[0]
            set_level(bids if change[2] else asks, change[3], change[4])
        return bids, asks, ts_book

    def book_at(self, ts: int) -> Book | None:
        """The book at a venue time; None where that is not known for certain."""
        if not self.live or ts < self.base_ts:
            return None
        if self.broken_from is not None and ts > self.broken_from:
            return None
        if any(after < ts < until for after, until in self.gaps):
            return None
        bids, asks, ts_book = self.state_at(ts)
        return book_of(self.token, bids, asks, ts_book, self.proven_at(ts))

    def proven_at(self, ts: int) -> int:
        """The latest receive time up to `ts` at which the copy was proven, 0 before any."""
        proof = max((p for p in self.proofs if p <= ts), default=0)
        if self.broken_from is None and self.ts_heard <= ts:
            return max(proof, self.ts_heard)
        return max((c[1] for c in self.ring if proof < c[1] <= ts), default=proof)

    def equals_at(self, ts: int, bids: Totals, asks: Totals) -> bool:
        """Whether the copy at a venue time has exactly these levels."""
        if ts >= self.ts_venue:
            return self.bids == bids and self.asks == asks
        ours = self.state_at(ts)
        return ours[0] == bids and ours[1] == asks

    def adopt(self, bids: Totals, asks: Totals, ts: int, now_ms: int, later_from: int) -> None:
        """Take a whole book of venue time `ts` as the truth.

        Our changes from `later_from` on stay on top of it. What is different becomes changes of
        `ts`.
        """
        earlier = [change for change in self.ring if change[0] < later_from]
        later = list(islice(self.ring, len(earlier), None))
        if not self.live:
            self.base_bids, self.base_asks = dict(bids), dict(asks)
            self.base_ts = self.base_ts_book = ts
            self.ring = deque(later)
        else:
            was_bids, was_asks = dict(self.base_bids), dict(self.base_asks)
            fold(earlier, was_bids, was_asks)
            missed = [*_moved(was_bids, bids, True, ts, now_ms)]
            missed += _moved(was_asks, asks, False, ts, now_ms)
            self.ring = deque([*earlier, *missed, *later])
        self._rebuild()
        self.ts_venue = max(self.ts_venue, ts)

    def _rebuild(self) -> None:
        self.bids, self.asks = dict(self.base_bids), dict(self.base_asks)
        fold(self.ring, self.bids, self.asks)
        self.ts_venue = self.ring[-1][0] if self.ring else self.base_ts_book
        self.touch()

    def pieces(self, t0: int, t1: int) -> Iterator[tuple[int, int, bool]]:
        """Stretches of a span and whether each is whole, from what is known on."""
        start = max(t0, self.base_ts)
        gaps = list(self.gaps)
        if self.broken_from is not None:
            gaps.append((self.broken_from, t1))
        for after, until in sorted(gaps):
            if until <= start or after >= t1:
                continue
            if after > start:
                yield start, after, True
                start = after
            yield start, min(until, t1), False
            start = min(until, t1)
        if start < t1:
            yield start, t1, True

    def segments(self, t0: int, t1: int, watcher: str) -> list[Segment]:
        """What the ring knows of a span, divided where something may have been missed."""
        if not self.live or t1 <= max(t0, self.base_ts):
            return []
        return [self._segment(*piece, watcher) for piece in self.pieces(t0, t1)]

    def _segment(self, t0: int, t1: int, is_whole: bool, watcher: str) -> Segment:
        bids, asks, ts_book = self.state_at(t0)
        proofs = [proof for proof in self.proofs if proof <= t1 + SETTLE_MS]
        proofs += [c[1] for c in self.ring if c[0] <= t0 and c[1] <= t1 + SETTLE_MS]
        before = max((proof for proof in proofs if proof <= t0), default=None)
        inside = {proof for proof in proofs if proof > t0}
        return Segment(
            self.token,
            watcher,
            t0,
            t1,
            ts_book,
            best_first(bids, "BUY"),
            best_first(asks, "SELL"),
            tuple(
                BookChange(c[0], c[1], "BUY" if c[2] else "SELL", c[3], c[4])
                for c in self.ring
                if t0 < c[0] <= t1
            ),
            tuple(p for p in self.prints if t0 < p.ts_venue <= t1),
            (*([] if before is None else [before]), *sorted(inside)),
            is_whole,
        )


def _moved(before: Totals, after: Totals, is_bid: bool, ts: int, now_ms: int) -> Iterator[Applied]:
    for price in sorted(before.keys() | after.keys()):
        if before.get(price) != after.get(price):
            yield ts, now_ms, is_bid, price, after.get(price, 0)
