"""The harness with a watcher that records books: a tape written by hand into the store."""

from __future__ import annotations

from collections.abc import Sequence

from chalicelib.domain.registry import Heartbeat
from chalicelib.domain.tape import Segment
from chalicelib.domain.tape_text import split_at
from chalicelib.ports import Store
from chalicelib.services.heartbeats import beat
from chalicelib.services.tape_reading import BOOKS_SOURCE
from chalicelib.services.tapes import SEGMENT_MS_MAX, request_tape, write_segments
from tests.unit.tapes import Event, segment
from tests.workflow.harness import LEADER, T0, TOKEN, System, chain, leg

M = 1_000_000
START = T0 + 10_000
"""When the leader's first fill is seen in these scenarios; the tape begins a second earlier."""
DECIDED = 2_000
"""Milliseconds after START at which that fill is decided; it is placed 750 to 1,000 later."""


def pieces(whole: Segment) -> list[Segment]:
    """Segments as they are stored: none longer than SEGMENT_MS_MAX."""
    made = []
    while whole.ts_end - whole.ts_start > SEGMENT_MS_MAX:
        first, whole = split_at(whole, whole.ts_start + SEGMENT_MS_MAX)
        made.append(first)
    return [*made, whole]


class TapedSystem(System):
    """A system at START whose watcher works."""

    def __init__(self, store: Store | None = None) -> None:
        super().__init__(**({"store": store} if store else {}))  # type: ignore[arg-type]
        self.follow()
        self.clock.advance(START - self.clock.now_ms())

    def record(
        self,
        bids: Sequence[tuple[float, int]],
        asks: Sequence[tuple[float, int]],
        events: Sequence[Event] = (),
        *,
        until: int = 60_000,
        proofs: Sequence[int] = tuple(range(-1_000, 60_000, 1_000)),
    ) -> None:
        """Times in milliseconds after START."""
        shifted = [(ms + 1_000, what, price, shares) for ms, what, price, shares in events]
        whole = segment(
            bids,
            asks,
            shifted,
            start=START - 1_000,
            length=until + 1_000,
            token=TOKEN,
            proofs=[START + ms for ms in proofs if ms <= until],
        )
        write_segments(self.store, pieces(whole), self.metrics)

    def expect_tape(self, until: int = 60_000) -> None:
        """The recorder lives and was asked for the token."""
        beat(self.store, Heartbeat(BOOKS_SOURCE, self.clock.now_ms(), True))
        request_tape(self.store, TOKEN, START - 1_000, START + until)

    def buys(self, shares: int = 10_000, price: int = 510_000, number: int = 1) -> None:
        self._trades(shares, price, number, "BUY")

    def sells(self, shares: int, price: int = 510_000, number: int = 2) -> None:
        self._trades(shares, price, number, "SELL")

    def _trades(self, shares: int, price: int, number: int, side: str) -> None:
        ts = self.clock.now_ms()
        part = leg(shares * M, price, ts_block=ts - 2_000, index=number)
        self.services.ingest(chain([part], number=number, side=side, ts_seen=ts))  # type: ignore[arg-type]

    def at(self, ms: int) -> None:
        """Go to a time after START and let the lane run there."""
        self.clock.advance(START + ms - self.clock.now_ms())
        for _ in range(4):
            self.services.advance("main/global")
            self.services.advance(f"main/leader/{LEADER}")
