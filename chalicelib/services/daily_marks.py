"""One MARK entry per open position and UTC day: what it was worth, on record for good."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace

from chalicelib.domain.errors import Conflict
from chalicelib.domain.ledger import Entry
from chalicelib.domain.money import MICROS
from chalicelib.domain.portfolio import Head, Position, apply_entry
from chalicelib.domain.registry import PortfolioRef
from chalicelib.keyspace import head_key, portfolio_pk
from chalicelib.ports import Clock, Metrics, Put, Store, Write
from chalicelib.services.portfolios import all_portfolios, entries_from, marks, open_positions

DAY_MS = 86_400_000
MARK_ORDER = 99_999_998
"""Marks stand at the very start of their day, behind whatever happened in that millisecond."""
POSITIONS_PER_COMMIT = 40
PORTFOLIOS_KNOWN_MAX = 10_000
COMMITS_MAX = 200
"""Commits of one call; the next call goes on."""


class MarkDays:
    """The first call of a UTC day writes every open position's MARK; later ones cost a small read.

    A portfolio without open positions is looked at again until it has some: its day begins then.
    """

    def __init__(self, store: Store, clock: Clock, metrics: Metrics) -> None:
        self._store = store
        self._clock = clock
        self._metrics = metrics
        self._done: dict[tuple[str, int], int] = {}

    def __call__(self) -> int:
        """How many entries were written. Raises Retryable when the store cannot answer."""
        day = self._clock.now_ms() // DAY_MS
        written = commits = 0
        prices: Mapping[str, int] | None = None
        for ref in all_portfolios(self._store):
            if self._is_done(ref, day):
                continue
            prices = prices if prices is not None else marks(self._store)[0]
            for part, is_last in self._parts(ref, day):
                if commits >= COMMITS_MAX:
                    return written
                commits += 1
                # Who moved the head meanwhile is followed by the next call.
                with suppress(Conflict):
                    self._mark(ref, day, part, prices, is_last=is_last)
                    written += len(part)
                    continue
                break
        self._metrics.count("positions_marked", written)
        return written

    def _is_done(self, ref: PortfolioRef, day: int) -> bool:
        """Whether nothing of that day is left to mark, from memory where possible."""
        name = (ref.portfolio_id, ref.epoch)
        if self._done.get(name, -1) >= day:
            return True
        head = self._store.get(Head, head_key(*name))
        if head is not None and not head.ts_closed and head.marked_day < day:
            return False
        self._done[name] = day
        while len(self._done) > PORTFOLIOS_KNOWN_MAX:
            del self._done[next(iter(self._done))]
        return True

    def _parts(self, ref: PortfolioRef, day: int) -> list[tuple[list[Position], bool]]:
        """Open positions still to be marked, in parts of one commit each, the last one named."""
        rows = [p for p in open_positions(self._store, ref.portfolio_id, ref.epoch) if p.shares]
        if not rows:
            return []
        start = f"entry#{day * DAY_MS:013d}#{MARK_ORDER:08d}#mark/"
        known = set()
        for entry in entries_from(self._store, ref.portfolio_id, ref.epoch, start):
            if entry.kind != "MARK" or entry.ts_effective != day * DAY_MS:
                break
            known.add((entry.token_id, entry.leader))
        left = [row for row in rows if (row.token_id, row.leader) not in known]
        starts = range(0, max(1, len(left)), POSITIONS_PER_COMMIT)
        return [
            (left[at : at + POSITIONS_PER_COMMIT], at + POSITIONS_PER_COMMIT >= len(left))
            for at in starts
        ]

    def _mark(
        self,
        ref: PortfolioRef,
        day: int,
        positions: list[Position],
        prices: Mapping[str, int],
        *,
        is_last: bool,
    ) -> None:
        head = self._store.get(Head, head_key(ref.portfolio_id, ref.epoch))
        if head is None or head.ts_closed:
            raise Conflict(f"portfolio {portfolio_pk(ref.portfolio_id, ref.epoch)} was reset")
        writes: list[Write] = []
        for position in positions:
            entry = _entry(head, position, day, prices)
            head, _ = apply_entry(head, position, entry)
            writes.append(Put(entry))
        if is_last:
            head = replace(head, marked_day=day)
        self._store.commit([*writes, Put(head)])


def _entry(head: Head, position: Position, day: int, prices: Mapping[str, int]) -> Entry:
    price = prices.get(position.token_id)
    worth = position.cost if price is None else position.shares * price // MICROS
    return Entry(
        portfolio_id=head.portfolio_id,
        epoch=head.epoch,
        seq=head.entries,
        kind="MARK",
        reference=f"mark/{position.token_id}/{position.leader}",
        token_id=position.token_id,
        leader=position.leader,
        shares=0,
        cash=0,
        ts_effective=day * DAY_MS,
        order=MARK_ORDER,
        value=worth,
    )
