"""Portfolios as plain objects: what the fast replay keeps in place of stored records."""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Mapping

from chalicelib.domain.breakers import Breakers
from chalicelib.domain.consumption import Taken
from chalicelib.domain.group import Group
from chalicelib.domain.lane import Attempt, Work
from chalicelib.domain.leader_notionals import LeaderNotionals
from chalicelib.domain.ledger import Entry, digest
from chalicelib.domain.portfolio import Head, Position, positions_value
from chalicelib.domain.records import replace
from chalicelib.domain.registry import PortfolioRef
from chalicelib.domain.risk import Exposure, Stake
from chalicelib.domain.running_exposure import RunningExposure
from chalicelib.domain.trade import Trade
from chalicelib.services.exposures import Shared

Place = tuple[int, int, int, int, str]
TradeKey = tuple[str, str, str, str]
"""Wallet, transaction, token, side."""
Line = tuple[str, str, str]
"""Leader, token, side."""


class Declined(Exception):
    """Something that the fast replay leaves to the services; the text says what."""


def place_of(row: Work) -> Place:
    """Where a row stands in its lane: the order of its stored key."""
    return row.ts_due, row.ts_decided, row.ts_block, row.order, row.ref


class Lane:
    """One executable portfolio: its head, positions, work and what came of it."""

    __slots__ = (
        "_exposure",
        "_prices",
        "_rows",
        "_shared",
        "_stakes",
        "_value",
        "attempts",
        "breakers",
        "entries",
        "head",
        "places",
        "positions",
        "taken",
    )

    def __init__(self, head: Head, shared: Callable[[str], Shared]) -> None:
        """`shared` tells condition, event and category of a token."""
        self.head = head
        self.positions: dict[tuple[str, str], Position] = {}
        self.attempts: dict[str, Attempt] = {}
        self.entries: list[Entry] = []
        self.taken: dict[str, tuple[Taken, ...]] = {}
        self.breakers = Breakers(head.portfolio_id, head.epoch)
        self.places: list[Place] = []
        self._rows: dict[Place, Work] = {}
        self._shared = shared
        self._prices: Mapping[str, int] | None = None
        self._exposure = RunningExposure()
        self._stakes: dict[object, Stake] = {}
        self._value = 0

    def first(self) -> Work | None:
        """The first row."""
        return self._rows[self.places[0]] if self.places else None

    def waiting(self) -> list[Work]:
        """All rows, in order."""
        return [self._rows[place] for place in self.places]

    def put_row(self, row: Work) -> None:
        """A row at its place, in place of the one that stood there."""
        place = place_of(row)
        if place not in self._rows:
            insort(self.places, place)
        self._rows[place] = row
        self._hold(row, row)

    def drop_row(self, row: Work) -> None:
        """Without a row."""
        place = place_of(row)
        del self._rows[place]
        self.places.remove(place)
        self._hold(row, None)

    def position(self, token_id: str, leader: str) -> Position:
        """One leader's part of a token, an empty one where there never was any."""
        known = self.positions.get((token_id, leader))
        return known or Position(self.head.portfolio_id, self.head.epoch, token_id, leader)

    def put_position(self, position: Position) -> None:
        """A position as it is now."""
        name = position.token_id, position.leader
        before = self.positions.get(name)
        self.positions[name] = position
        if before is None or before.shares != position.shares or before.cost != position.cost:
            self._weigh(name, position)

    def standing(
        self, prices: Mapping[str, int], token_id: str, leader: str
    ) -> tuple[int, Exposure]:
        """Equity in micros and exposure at these prices beside an order of a token."""
        if prices is not self._prices:
            self._prices = prices
            for name, position in self.positions.items():
                self._weigh(name, position)
        order = Stake(0, token_id, leader, *self._shared(token_id))
        exposure = self._exposure.beside(order, one_leader=self.head.kind == "leader")
        return self.head.cash + self._value, exposure

    def _weigh(self, name: tuple[str, str], position: Position) -> None:
        """What is held counts at its mark."""
        if self._prices is None:
            return
        before = self._stakes.get(name)
        if before:
            self._value -= before.cash
        if not position.shares:
            self._stake(name, before, None)
            return
        worth = positions_value((position,), self._prices)
        self._value += worth
        if before is None or before.cash != worth:
            self._stake(name, before, Stake(worth, *name, *self._shared(name[0])))

    def _hold(self, of: Work, row: Work | None) -> None:
        """What an unfinished BUY holds back counts as well."""
        if of.side == "SELL" or of.kind not in ("attempt", "resting"):
            return
        name = place_of(of)
        stake = None
        if row:
            stake = Stake(row.reserved, row.token_id, row.leader, *self._shared(row.token_id))
        self._stake(name, self._stakes.get(name), stake)

    def _stake(self, name: object, before: Stake | None, after: Stake | None) -> None:
        if before:
            self._exposure.take(before)
            del self._stakes[name]
        if after:
            self._exposure.put(after)
            self._stakes[name] = after


class Shadow:
    """A leader's replica, as far as deciding needs it: shares and entries by token.

    Cost and gains take no part in a replay's results, and shares are the same in any order.
    """

    __slots__ = ("by_token", "entries", "epoch", "portfolio_id", "seq", "shares", "ts_last")

    def __init__(self, head: Head) -> None:
        self.portfolio_id, self.epoch, self.seq = head.portfolio_id, head.epoch, head.entries
        self.entries: list[Entry] = []
        self.by_token: dict[str, list[Entry]] = {}
        self.shares: dict[str, int] = {}
        self.ts_last: dict[str, int] = {}


class World:
    """Everything that is known in a replay."""

    def __init__(self) -> None:
        self.lanes: dict[str, Lane] = {}
        self.shadows: dict[str, Shadow] = {}
        self.trades: dict[TradeKey, Trade] = {}
        self.groups: dict[str, Group] = {}
        self.latest: dict[Line, str] = {}
        self.notionals: dict[str, LeaderNotionals] = {}


class LeftInWorld:
    """What the fast replay left; as `LeftInStore` would tell it."""

    def __init__(self, world: World, prices: Callable[[], dict[str, int]]) -> None:
        self._world = world
        self._prices = prices

    def head(self, ref: PortfolioRef) -> Head | None:
        lane = self._world.lanes.get(ref.portfolio_id)
        return lane.head if lane else None

    def positions(self, ref: PortfolioRef) -> list[Position]:
        lane = self._world.lanes[ref.portfolio_id]
        return [lane.positions[name] for name in sorted(lane.positions)]

    def attempts(self, ref: PortfolioRef) -> list[Attempt]:
        lane = self._world.lanes.get(ref.portfolio_id)
        found = list(lane.attempts.values()) if lane else []
        return sorted(found, key=lambda a: (a.decision.ts_decided, a.attempt_id))

    def ledger(self, ref: PortfolioRef) -> list[Entry]:
        entries = self._entries(ref)
        return [entry if entry.version else replace(entry, version=1) for entry in entries]

    def digest(self, ref: PortfolioRef) -> str:
        return digest(self._entries(ref))

    def _entries(self, ref: PortfolioRef) -> list[Entry]:
        lane = self._world.lanes.get(ref.portfolio_id)
        return lane.entries if lane else self._world.shadows[ref.portfolio_id].entries

    def prices(self) -> dict[str, int]:
        return self._prices()
