"""Keep what a moment showed, where nobody else does, so that replays can show it again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import count
from typing import Protocol

from chalicelib.domain.decision import Inputs
from chalicelib.domain.errors import Conflict, PapercopyError
from chalicelib.domain.evidence import FillMessage
from chalicelib.domain.orderbook import Book
from chalicelib.domain.registry import Leader
from chalicelib.domain.tape import Segment
from chalicelib.domain.tape_text import DATA_CHARS_MAX, packed
from chalicelib.domain.trade import Reading, Trade
from chalicelib.domain.witness import Arrival, BookSnapshot, Fact, Seen, witness_of
from chalicelib.ports import Books, Clock, Metrics, Put, Rules, Store, Write
from chalicelib.services.config_archive import ConfigArchive

REST = "rest"
"""Stands where a tape's segment names its watcher."""
KNOWN_MAX = 10_000
_NUMBERS_MAX = 1_000_000


class FactArchive:
    """Facts by digest: written once, never changed."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: set[str] = set()

    def keep(self, fact: Fact | None) -> str:
        """The fact's digest, empty for none; it is stored by then. Raises Retryable."""
        if fact is None:
            return ""
        row = witness_of(fact)
        if row.digest in self._known:
            return row.digest
        # A conflict says that it was kept before: by its name it is the same.
        with suppress(Conflict):
            self._store.commit([Put(row)])
        if len(self._known) >= KNOWN_MAX:
            self._known.clear()
        self._known.add(row.digest)
        return row.digest


class DecisionWitness(Protocol):
    """What a decision is told of the world, and what is kept of it."""

    def told(self, inputs: Inputs) -> Inputs:
        """The inputs as the decision is to see them."""

    def seen(self, inputs: Inputs) -> Seen:
        """What the attempt keeps of them. Raises Retryable."""


class KeptWitness:
    """Port DecisionWitness of a running system: the world is as it is, and is kept."""

    def __init__(self, store: Store) -> None:
        self._facts = FactArchive(store)

    def told(self, inputs: Inputs) -> Inputs:
        """The inputs, unchanged."""
        return inputs

    def seen(self, inputs: Inputs) -> Seen:
        """What the attempt keeps, its facts stored. Raises Retryable."""
        return Seen(
            market=self._facts.keep(inputs.market),
            lists=self._facts.keep(inputs.lists),
            backfill=inputs.backfill,
            sell_only=inputs.sell_only,
            paused=inputs.paused,
            tripped=inputs.tripped,
            refused=inputs.rules.refused,
        )


class Arrivals:
    """The rows that tell which evidence came when."""

    def __init__(self, store: Store, rules: Rules, clock: Clock) -> None:
        self._facts = FactArchive(store)
        self._configs = ConfigArchive(store)
        self._rules = rules
        self._clock = clock
        self._numbers = count()

    def of_message(self, leader: Leader, message: FillMessage, trade: Trade) -> Write:
        """The row for a message's evidence about one trade. Raises Retryable."""
        bare = replace(
            message,
            chain=tuple(replace(item, raw="") for item in message.chain if _is_of(item, trade)),
            api=tuple(replace(item, raw="") for item in message.api if _is_of(item, trade)),
            events=(),
        )
        return self._row(leader, trade, message=bare)

    def of_reading(self, leader: Leader, trade: Trade, reading: Reading) -> Write:
        """The row for a receipt that was folded into a trade. Raises Retryable."""
        return self._row(leader, trade, reading=reading)

    def _row(
        self,
        leader: Leader,
        trade: Trade,
        message: FillMessage | None = None,
        reading: Reading | None = None,
    ) -> Write:
        rules = self._rules.rules_for(leader.leader)
        self._configs.keep(rules)
        return Put(
            Arrival(
                leader=leader.leader,
                ts=self._clock.now_ms(),
                number=next(self._numbers) % _NUMBERS_MAX,
                trade_id=trade.trade_id,
                message=message,
                reading=reading,
                leader_fact=self._facts.keep(leader),
                rules_digest=rules.digest,
            )
        )


def _is_of(item: object, trade: Trade) -> bool:
    names = ("tx_hash", "token_id", "side")
    return all(getattr(item, name) == getattr(trade, name) for name in names)


class KeptBooks:
    """Port Books that keeps every book a decision or an order asked for."""

    def __init__(self, store: Store, books: Books, metrics: Metrics) -> None:
        self._store = store
        self._books = books
        self._metrics = metrics

    def book(self, token_id: str, not_before: int) -> Book | None:
        """As the port says. A book that cannot be kept serves all the same, and is counted."""
        found = self._books.book(token_id, not_before)
        if found is None:
            return None
        try:
            row = snapshot_of(found)
            if len(row.segment.data) <= DATA_CHARS_MAX:
                self._store.commit([Put(row)])
        except Conflict:
            # Somebody else was given the same book.
            pass
        except PapercopyError:
            self._metrics.count("snapshots_not_kept")
        return found

    def books(self, token_ids: Sequence[str]) -> Mapping[str, Book]:
        """As the port says; nothing is kept."""
        return self._books.books(token_ids)


def snapshot_of(book: Book) -> BookSnapshot:
    """A book as it is kept."""
    ts = book.ts_received
    moment = Segment(book.token_id, REST, ts, ts, book.ts_venue, book.bids, book.asks, proofs=(ts,))
    return BookSnapshot(packed(moment), book.venue_hash)


def book_in(row: BookSnapshot, segment: Segment) -> Book:
    """The book of a snapshot whose segment was unpacked, exactly as it was."""
    return Book(
        segment.token_id,
        segment.bids,
        segment.asks,
        segment.ts_book,
        segment.ts_end,
        row.venue_hash,
    )
