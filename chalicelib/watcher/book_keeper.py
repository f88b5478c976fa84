"""The books of the market watch: what is tracked, what is due, what is written. No I/O."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from chalicelib.domain.orderbook import Book
from chalicelib.domain.registry import Heartbeat, TapeRequest
from chalicelib.domain.rules import BookMode
from chalicelib.domain.tape import Segment
from chalicelib.watcher.book_cutter import BEFORE_MS, TapeCutter
from chalicelib.watcher.book_store import BookStore
from chalicelib.watcher.book_upkeep import Upkeep

PLACED_WITHIN_MS = 3_250
"""Aggregation window, latencies and jitter at their defaults: when a copy of a fill is placed."""
FILLS_MAX = 10_000
UNWRITTEN_MAX = 500
RESUBSCRIBE_AGAIN_MS = 10_000
RESUBSCRIBE_MAX = 20
TRIM_MS = 1_000


@dataclass(frozen=True, slots=True)
class BookSurroundings:
    """What books and tapes need of the world. The callables may block and raise PapercopyError.

    `snapshots` asks the venue for whole books, `held` gives the tokens of open positions,
    `requests` the tapes others want, `placed_within_ms` how long after a leader's fill of a token
    (token, leader) its copies are placed, `liquid` tokens worth following for their own sake.
    `write` stores segments; writing one twice is harmless. `heartbeat` is given proofs that tapes
    are being written.
    """

    snapshots: Callable[[Sequence[str]], Mapping[str, Book]]
    mode: Callable[[], BookMode]
    write: Callable[[Sequence[Segment]], None]
    requests: Callable[[], Sequence[TapeRequest]] = lambda: ()
    held: Callable[[], Collection[str]] = lambda: ()
    placed_within_ms: Callable[[str, str], int] = lambda _token, _leader: PLACED_WITHIN_MS
    liquid: Callable[[], Collection[str]] = lambda: ()
    heartbeat: Callable[[Heartbeat], None] = lambda _: None


class BookKeeper:
    """Store, upkeep and cutter under one clock. `mode` may change at any time."""

    def __init__(
        self, watcher: str, mode: BookMode, jitter: Callable[[], float] = random.random
    ) -> None:
        self.store = BookStore()
        self.mode: BookMode = mode
        self._upkeep = Upkeep(self.store, jitter)
        self._cutter = TapeCutter(self.store, watcher)
        self._fills: deque[tuple[str, int, str]] = deque(maxlen=FILLS_MAX)
        self._unwritten: deque[Segment] = deque()
        self._trimmed = 0

    def fill_seen(self, token: str, ts_seen: int, leader: str = "") -> None:
        """A leader's fill in this token was seen; safe to call from any thread."""
        self._fills.append((token, ts_seen, leader))

    @property
    def has_fills(self) -> bool:
        """Whether `new_fills` has any."""
        return bool(self._fills)

    def new_fills(self) -> list[tuple[str, int, str]]:
        """Fills since the last call: token, time seen, leader."""
        return [self._fills.popleft() for _ in range(len(self._fills))]

    def want(self, token: str, ts_from: int, ts_until: int, now_ms: int) -> None:
        """Write a token's tape over a span; one that is over is served as far as rings reach."""
        if self.mode != "rest":
            self._cutter.want(token, ts_from, ts_until, now_ms)

    def want_fills(self, fills: Iterable[tuple[str, int, int]], now_ms: int) -> None:
        """Write the tapes of (token, ts seen, ms until its copies are placed)."""
        for token, ts_seen, within_ms in fills:
            self.want(token, ts_seen - BEFORE_MS, ts_seen + within_ms, now_ms)

    def remembered(self) -> frozenset[str]:
        """Tokens whose tape somebody wants or wanted a moment ago."""
        return self._cutter.remembered()

    def track(self, feeds: Mapping[int, Collection[str]]) -> None:
        """Keep the books of what the connections listen for; none in mode rest."""
        self.store.track({} if self.mode == "rest" else feeds)

    def due(self, now_ms: int) -> list[str]:
        """Tokens to ask the venue for now, by request or by subscribing anew."""
        if self.mode == "rest":
            return []
        wanted = self._cutter.wanted()
        if self.mode == "ws+snapshot":
            return self._upkeep.due(wanted, now_ms)
        return self._upkeep.due(
            wanted, now_ms, again_ms=RESUBSCRIBE_AGAIN_MS, limit=RESUBSCRIBE_MAX
        )

    def answered(self, asked: Sequence[str], found: Mapping[str, Book], now_ms: int) -> None:
        """The venue's answer to a request for whole books."""
        for token in asked:
            if token in found:
                self.store.snapshot(found[token], now_ms)
            else:
                self.store.refused(token)

    def tick(self, now_ms: int) -> list[str]:
        """Keep bounds, cut segments; the tokens to subscribe to anew."""
        silent = self.store.tick(now_ms)
        for segment in self._cutter.cut(now_ms):
            if len(self._unwritten) >= UNWRITTEN_MAX:
                self._unwritten.popleft()
                self.store.count("tape_segments_dropped")
            self._unwritten.append(segment)
        if now_ms - self._trimmed >= TRIM_MS:
            self._trimmed = now_ms
            self.store.trim(now_ms)
        return silent

    def take_segments(self) -> list[Segment]:
        """Segments to write, oldest first; those that cannot be written are given back."""
        taken = list(self._unwritten)
        self._unwritten.clear()
        return taken

    def give_back(self, segments: Sequence[Segment]) -> None:
        """These were not written."""
        room = UNWRITTEN_MAX - len(self._unwritten)
        kept = segments[max(0, len(segments) - room) :] if room > 0 else []
        self.store.count("tape_segments_dropped", len(segments) - len(kept))
        self._unwritten.extendleft(reversed(kept))
