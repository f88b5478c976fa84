"""What a portfolio holds and has open, remembered between decisions.

Every change of an executable portfolio bumps its head, so what was read at one version of the head
is right exactly as long as the head has it. Commits of this process carry the memory on to the
next version; after anybody else's it is read again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import TypeVar

from chalicelib.domain.errors import Conflict
from chalicelib.domain.lane import Work
from chalicelib.domain.portfolio import Head, Position, positions_value
from chalicelib.domain.records import replace
from chalicelib.domain.registry import PortfolioRef
from chalicelib.keyspace import Key, Table, key_of, portfolio_pk
from chalicelib.ports import Clock, Delete, Put, R, Store, Write, stored
from chalicelib.services import portfolios

VIEWS_MAX = 64
POSITIONS_MAX = 20_000
"""Positions of all remembered portfolios together."""
MARKS_REFRESH_MS = 2_000
ROUNDS_MAX = 3
"""Readings of a head that moves meanwhile."""

K = TypeVar("K")

_OPEN = frozenset({"attempt", "resting", "exit"})


@dataclass(frozen=True, slots=True)
class PortfolioView:
    """One epoch at one version of its head.

    `positions` by (token, leader) are those with shares; `orders` by sort key are the work rows of
    unfinished attempts and of exits that wait for their turn.
    """

    version: int
    positions: Mapping[tuple[str, str], Position]
    orders: Mapping[str, Work]

    def value(self, marks: Mapping[str, int]) -> int:
        """What is held at marks in micros; a token without a mark counts at its cost."""
        return positions_value(self.positions.values(), marks)


class PortfolioViews:
    """Views of portfolios, at most VIEWS_MAX with POSITIONS_MAX positions; shared by threads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = Lock()
        self._known: OrderedDict[tuple[str, int], PortfolioView] = OrderedDict()

    def of(self, head: Head) -> PortfolioView:
        """The view at this head's version. Raises Retryable, or Permanent beyond all pages.

        If the head moves meanwhile, the view may be torn: a commit on this head fails then.
        """
        known = self._at(head)
        if known:
            return known
        name = (head.portfolio_id, head.epoch)
        positions = portfolios.positions_of(self._store, *name)
        view = PortfolioView(
            head.version,
            {(p.token_id, p.leader): p for p in positions if p.shares},
            {key_of(row).sk: row for row in self._orders(*name)},
        )
        self._remember(name, view)
        return view

    def whole(self, ref: PortfolioRef) -> tuple[Head, PortfolioView]:
        """The present head with its own view, for readers who commit nothing on that head.

        Raises Conflict when the head moved during each of ROUNDS_MAX readings or was closed,
        Retryable, or Permanent beyond all pages.
        """
        for _ in range(ROUNDS_MAX):
            head = portfolios.head_of(self._store, ref)
            known = self._at(head)
            view = known or self.of(head)
            if known or portfolios.head_of(self._store, ref).version == head.version:
                return head, view
        raise Conflict(f"{ref.portfolio_id} keeps moving")

    def noted(self, writes: Iterable[Write]) -> None:
        """Carry views on over a commit of this process that has succeeded."""
        writes = list(writes)
        for write in writes:
            if isinstance(write, Put) and isinstance(write.record, Head):
                self._carry_on(write.record, writes)

    def _at(self, head: Head) -> PortfolioView | None:
        """The remembered view, where it is of this head's version."""
        name = (head.portfolio_id, head.epoch)
        with self._lock:
            known = self._known.get(name)
            if known is None or known.version != head.version:
                return None
            self._known.move_to_end(name)
            return known

    def _carry_on(self, head: Head, writes: Iterable[Write]) -> None:
        name = (head.portfolio_id, head.epoch)
        with self._lock:
            view = self._known.get(name)
            if view is None or view.version != head.version:
                return
            self._known[name] = _after(view, portfolio_pk(*name), writes)

    def _orders(self, portfolio_id: str, epoch: int) -> list[Work]:
        rows = portfolios.work_of(self._store, portfolio_id, epoch)
        return [row for row in rows if row.kind in _OPEN]

    def _remember(self, name: tuple[str, int], view: PortfolioView) -> None:
        with self._lock:
            self._known[name] = view
            self._known.move_to_end(name)
            while len(self._known) > 1 and self._too_much():
                self._known.popitem(last=False)

    def _too_much(self) -> bool:
        held = sum(len(view.positions) for view in self._known.values())
        return len(self._known) > VIEWS_MAX or held > POSITIONS_MAX


def _after(view: PortfolioView, pk: str, writes: Iterable[Write]) -> PortfolioView:
    """The view at the next version, once the writes in its partition took effect."""
    positions, orders = dict(view.positions), dict(view.orders)
    for write in writes:
        if isinstance(write, Delete):
            if write.key.pk == pk:
                orders.pop(write.key.sk, None)
        elif isinstance(write, Put) and key_of(write.record).pk == pk:
            record = write.record
            if isinstance(record, Position):
                _keep(positions, (record.token_id, record.leader), record, record.shares != 0)
            elif isinstance(record, Work):
                _keep(orders, key_of(record).sk, record, record.kind in _OPEN)
    return replace(view, version=view.version + 1, positions=positions, orders=orders)


def _keep(known: dict[K, R], name: K, record: R, is_wanted: bool) -> None:
    if is_wanted:
        known[name] = stored(record)
    else:
        known.pop(name, None)


class NotingStore:
    """A store whose successful commits reach the views; everything else is the store's own."""

    def __init__(self, store: Store, views: PortfolioViews) -> None:
        self._store = store
        self._views = views

    def get(self, kind: type[R], key: Key) -> R | None:
        return self._store.get(kind, key)

    def query(
        self,
        kind: type[R],
        table: Table,
        pk: str,
        *,
        start: str = "",
        end: str = "\U0010ffff",
        limit: int = 100,
        newest_first: bool = False,
    ) -> list[R]:
        return self._store.query(
            kind, table, pk, start=start, end=end, limit=limit, newest_first=newest_first
        )

    def feed(
        self, kind: type[R], table: Table, feed_pk: str, *, before: str | None, limit: int
    ) -> list[tuple[str, R]]:
        return self._store.feed(kind, table, feed_pk, before=before, limit=limit)

    def commit(self, writes: Sequence[Write]) -> None:
        self._store.commit(writes)
        self._views.noted(writes)


class LatestMarks:
    """The latest marks of all tokens, read again after MARKS_REFRESH_MS."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._read: tuple[int, Mapping[str, int], int] | None = None

    def __call__(self) -> tuple[Mapping[str, int], int]:
        """Micros per share, and when executables were last marked, 0 for never."""
        read = self._read
        if read is None or self._clock.now_ms() - read[0] >= MARKS_REFRESH_MS:
            return self.fresh()
        return read[1], read[2]

    def fresh(self) -> tuple[Mapping[str, int], int]:
        """The same, read again in any case."""
        prices, ts = portfolios.marks(self._store)
        self._read = (self._clock.now_ms(), prices, ts or 0)
        return prices, ts or 0
