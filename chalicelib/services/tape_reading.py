"""The recorded book of a token, and whether it is worth waiting for."""

from __future__ import annotations

from chalicelib.domain.errors import Retryable
from chalicelib.domain.registry import Heartbeat, TapeRequest
from chalicelib.domain.tape import Tape
from chalicelib.keyspace import heartbeat_key
from chalicelib.ports import Clock, Rules, Store
from chalicelib.services.tapes import read_tape, request_tape
from chalicelib.services.venue_book import waited_enough

BOOKS_SOURCE = "books"
"""The heartbeat of whoever writes tapes."""
BOOKS_SILENT_MS = 20_000
REQUESTS_LOOKED_AT_MAX = 500
AFTER_MS = 500
"""A tape goes on for this long after the last moment it was asked for."""


class TapeAwaited(Retryable):
    """The recording of a moment is still to come; the lane rests until then."""


class TapeReader:
    """Reads tapes and asks for them; knows when one may still come."""

    def __init__(self, store: Store, rules: Rules, clock: Clock) -> None:
        self._store = store
        self._rules = rules
        self._clock = clock

    def tape(self, token_id: str, t0: int, t1: int) -> Tape:
        """What is recorded of a span. Raises Retryable when the store cannot answer."""
        return read_tape(self._store, token_id, t0, t1)

    def covering(self, token_id: str, t0: int, t1: int) -> Tape:
        """The tape of a span, complete or as complete as it ever gets.

        Raises TapeAwaited while more of it may come, at most VENUE_WAIT_MS_MAX after `t1`.
        """
        tape = self.tape(token_id, t0, t1)
        if not tape.covers(t0, t1) and self._may_come(token_id, t1):
            raise TapeAwaited(f"the tape of token {token_id[:12]}… is not written yet")
        return tape

    def request(self, token_id: str, ts_from: int, ts_until: int) -> None:
        """Have the book recorded over a span and a little longer. Raises Retryable."""
        request_tape(self._store, token_id, ts_from, ts_until + AFTER_MS)

    def _may_come(self, token_id: str, ts: int) -> bool:
        if waited_enough(self._clock, ts) or self._rules.system().book_mode == "rest":
            return False
        writer = self._store.get(Heartbeat, heartbeat_key(BOOKS_SOURCE))
        if writer is None or not writer.up or self._clock.now_ms() - writer.ts > BOOKS_SILENT_MS:
            return False
        wanted = self._store.query(
            TapeRequest,
            "activity",
            "tape_requests",
            start=f"{ts:013d}",
            limit=REQUESTS_LOOKED_AT_MAX,
        )
        return any(w.token_id == token_id and w.ts_from <= ts <= w.ts_until for w in wanted)
