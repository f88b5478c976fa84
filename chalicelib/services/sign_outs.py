"""Sessions that were ended: a signed cookie alone cannot be taken back."""

from __future__ import annotations

from contextlib import suppress
from threading import Lock

from chalicelib.domain.errors import Conflict
from chalicelib.domain.registry import SignOut
from chalicelib.keyspace import SIGN_OUTS_PK
from chalicelib.ports import Clock, Put, Store

READ_MS = 15_000
"""How long another process may still take an ended session for a valid one."""
SIGN_OUTS_MAX = 1_000
"""Of one day; whoever signs out more often than that is not remembered beyond it."""


class SignOuts:
    """The sessions ended before their time, read again every READ_MS."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._ended: set[str] = set()
        self._ts_read: int | None = None
        self._lock = Lock()

    def add(self, session_id: str, expires_s: int) -> None:
        """End a session, here at once. Raises Retryable or Permanent of the store."""
        # Who loses finds it ended before.
        with suppress(Conflict):
            self._store.commit([Put(SignOut(session_id, expires_s))])
        with self._lock:
            self._ended.add(session_id)

    def has(self, session_id: str) -> bool:
        """Whether a session was ended. Raises Retryable or Permanent of the store."""
        now = self._clock.now_ms()
        with self._lock:
            if self._ts_read is None or now - self._ts_read >= READ_MS:
                self._ended = self._read(now // 1000)
                self._ts_read = now
            return session_id in self._ended

    def _read(self, now_s: int) -> set[str]:
        rows = self._store.query(
            SignOut, "activity", SIGN_OUTS_PK, start=f"{now_s:011d}", limit=SIGN_OUTS_MAX
        )
        return {row.session_id for row in rows}
