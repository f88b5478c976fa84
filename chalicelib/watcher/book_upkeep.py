"""Whose book should be asked for now: doubtful ones, wanted ones, and all of them now and then."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection

from chalicelib.watcher.book_ring import TokenBook
from chalicelib.watcher.book_store import BookStore
from chalicelib.watcher.book_truth import RESUME_MS

BATCH_MAX = 100
AGAIN_MS = 1_000
BACKOFF_DOUBLINGS_MAX = 6
"""A token whose book the venue does not have is asked for once a minute in the end."""
WANTED_PROOF_MS = 1_500
"""Below the 2 s after which a proof is no longer fresh."""
WANTED_VERIFY_MS = 5_000
ROUND_MS = 60_000
"""Every book is compared once in ROUND_MS to twice that."""


class Upkeep:
    """Chooses tokens for snapshots, each not too often."""

    def __init__(self, store: BookStore, jitter: Callable[[], float] = random.random) -> None:
        self._store = store
        self._jitter = jitter

    def due(
        self,
        wanted: Collection[str],
        now_ms: int,
        *,
        again_ms: int = AGAIN_MS,
        limit: int = BATCH_MAX,
    ) -> list[str]:
        """Tokens to ask for now, the most urgent first; they count as asked."""
        ranked = []
        for token in self._store.tokens:
            book = self._store.get(token)
            if book is not None and (rank := self._rank(book, token in wanted, now_ms)) is not None:
                pause = again_ms << min(book.refusals, BACKOFF_DOUBLINGS_MAX)
                if not book.asked or now_ms - book.asked >= pause:
                    ranked.append((rank, book.asked, token))
        chosen = [token for _, _, token in sorted(ranked)[:limit]]
        for token in chosen:
            book = self._store.get(token)
            assert book is not None  # noqa: S101 - it was just ranked
            book.asked = now_ms
            book.next_due = now_ms + ROUND_MS + int(self._jitter() * ROUND_MS)
        return chosen

    def _rank(self, book: TokenBook, is_wanted: bool, now_ms: int) -> int | None:
        """How urgent, 0 the most; None while nothing is due."""
        if book.settled:
            return None
        if book.lost and not (book.resumed and now_ms >= book.resumed + RESUME_MS):
            return None
        if book.broken_from is not None:
            return 0 if is_wanted else 1
        if is_wanted and (
            now_ms - book.ts_proven > WANTED_PROOF_MS or now_ms - book.verified > WANTED_VERIFY_MS
        ):
            return 2
        return 3 if now_ms >= book.next_due else None
