"""What a replay left behind, however it was played."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from chalicelib.domain.lane import Attempt
from chalicelib.domain.ledger import Entry, digest
from chalicelib.domain.portfolio import Head, Position
from chalicelib.domain.registry import PortfolioRef
from chalicelib.keyspace import head_key, key_of, portfolio_pk
from chalicelib.ports import QUERY_LIMIT_MAX, Store
from chalicelib.services.portfolios import entries_from, marks, positions_of


class Left(Protocol):
    """The state at the end, by portfolio."""

    def head(self, ref: PortfolioRef) -> Head | None:
        """The head of an executable portfolio, None where it has none."""
        ...

    def positions(self, ref: PortfolioRef) -> list[Position]:
        """All positions of an executable portfolio, closed ones included."""
        ...

    def attempts(self, ref: PortfolioRef) -> list[Attempt]:
        """Every attempt of a portfolio, by decision time."""
        ...

    def ledger(self, ref: PortfolioRef) -> list[Entry]:
        """Every entry of a portfolio in its own order."""
        ...

    def digest(self, ref: PortfolioRef) -> str:
        """The digest of a portfolio's ledger."""
        ...

    def prices(self) -> dict[str, int]:
        """The last marks, micros per share."""
        ...


@dataclass(slots=True)
class Played:
    """What a replay came to."""

    left: Left
    refs: list[PortfolioRef]
    counts: dict[str, int]
    refused: list[tuple[str, str, str]]
    ts_end: int


class LeftInStore:
    """What the services left in a store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def head(self, ref: PortfolioRef) -> Head | None:
        return self._store.get(Head, head_key(ref.portfolio_id, ref.epoch))

    def positions(self, ref: PortfolioRef) -> list[Position]:
        return positions_of(self._store, ref.portfolio_id, ref.epoch)

    def attempts(self, ref: PortfolioRef) -> list[Attempt]:
        return list(self._attempts(ref))

    def _attempts(self, ref: PortfolioRef) -> Iterator[Attempt]:
        pk, start = portfolio_pk(ref.portfolio_id, ref.epoch), "attempt#"
        while True:
            page = self._store.query(
                Attempt, "portfolio", pk, start=start, end="attempt$", limit=QUERY_LIMIT_MAX
            )
            yield from page
            if len(page) < QUERY_LIMIT_MAX:
                return
            start = key_of(page[-1]).sk + "\x00"

    def ledger(self, ref: PortfolioRef) -> list[Entry]:
        found = entries_from(self._store, ref.portfolio_id, ref.epoch)
        return sorted(found, key=lambda entry: entry.seq)

    def digest(self, ref: PortfolioRef) -> str:
        return digest(entries_from(self._store, ref.portfolio_id, ref.epoch))

    def prices(self) -> dict[str, int]:
        return marks(self._store)[0]
