"""Heads with the positions that belong to them, read again only when a head changed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from chalicelib.domain.portfolio import Head, Position
from chalicelib.domain.registry import PortfolioRef
from chalicelib.keyspace import head_key
from chalicelib.ports import Store
from chalicelib.services.portfolios import positions_of

ROUNDS_MAX = 3
STATES_MAX = 1_000


@dataclass(frozen=True, slots=True)
class PortfolioState:
    """A head and what is held; of the positions without shares only a sum per leader is kept.

    `exact` says that the positions are those of this very head.
    """

    head: Head
    positions: tuple[Position, ...]
    exact: bool


class PortfolioStates:
    """States of at most STATES_MAX portfolios, for one thread."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[tuple[str, int], PortfolioState] = {}

    def of(self, ref: PortfolioRef) -> PortfolioState | None:
        """The state of the epoch the reference names; None without a head.

        Not exact when the head moved during each of ROUNDS_MAX readings. Raises Retryable, or
        Permanent beyond all pages.
        """
        name = (ref.portfolio_id, ref.epoch)
        head = self._store.get(Head, head_key(*name))
        for _ in range(ROUNDS_MAX):
            if head is None:
                return None
            known = self._known.get(name)
            if known and known.head.version == head.version:
                return known
            held = _summed(positions_of(self._store, *name))
            again = self._store.get(Head, head_key(*name))
            state = PortfolioState(head, held, again == head)
            if state.exact:
                self._remember(name, state)
                return state
            head = again
        return state

    def _remember(self, name: tuple[str, int], state: PortfolioState) -> None:
        self._known.pop(name, None)
        self._known[name] = state
        while len(self._known) > STATES_MAX:
            del self._known[next(iter(self._known))]


def _summed(positions: Iterable[Position]) -> tuple[Position, ...]:
    """Positions with shares, and the gains of all others as one without a token per leader."""
    held: list[Position] = []
    closed: dict[str, Position] = {}
    for position in positions:
        if position.shares:
            held.append(position)
            continue
        place = Position(position.portfolio_id, position.epoch, "", position.leader)
        known = closed.get(position.leader, place)
        closed[position.leader] = replace(
            known,
            cost=known.cost + position.cost,
            realized=known.realized + position.realized,
        )
    return (*held, *closed.values())
