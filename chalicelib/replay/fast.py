"""Replays in memory: the steps of the services on plain objects, several times as fast.

Everything that decides or counts is the same code. What the fast replay has no place for (work from
outside, holdings, corrections, confirmations) it declines, before it begins or in the middle, and
the services play the whole recording instead. Either way the result is the same.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from chalicelib.domain.consumption import Consumed
from chalicelib.domain.errors import PapercopyError
from chalicelib.domain.group import Group
from chalicelib.domain.lane import Work
from chalicelib.domain.portfolio import Head
from chalicelib.domain.registry import Leader, MarkSheet, PortfolioRef
from chalicelib.domain.trade import Trade
from chalicelib.domain.witness import Arrival
from chalicelib.keyspace import MARKS_KEY, SHADOW_MARKS_KEY, head_key
from chalicelib.ports import Store
from chalicelib.replay.fast_ingest import FastIngest
from chalicelib.replay.fast_lane import FastAdvance, FastDecide, FastExecute, SharedBooks
from chalicelib.replay.fast_state import Declined, Lane, LeftInWorld, Shadow, World
from chalicelib.replay.played import Left, Played
from chalicelib.replay.player import Layers, Player
from chalicelib.services.decide_set_change import DecideSetChange
from chalicelib.services.decision_book import DecisionBooks
from chalicelib.services.exposures import Exposures, Shared
from chalicelib.services.mark_portfolios import MarkPortfolios
from chalicelib.services.market_directory import MarketDirectory
from chalicelib.services.paper_executor import PaperExecutor
from chalicelib.services.portfolio_states import PortfolioState, PortfolioStates
from chalicelib.services.portfolio_view import LatestMarks, PortfolioViews
from chalicelib.services.portfolios import entries_from, followers, marks, positions_of
from chalicelib.services.recordings import Recording
from chalicelib.services.resolve_markets import ResolveMarkets
from chalicelib.services.settle_tokens import SettleTokens
from chalicelib.services.watch_breakers import WatchBreakers

log = logging.getLogger(__name__)

_FAILS = (PapercopyError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


def played_of(recording: Recording, layers: Layers | None = None) -> Played:
    """The recording played, with `layers` under those settings.

    Raises InvalidInput, Permanent or Retryable for a recording that does not play.
    """
    try:
        return FastPlayer(recording, layers).play()
    except Declined as why:
        log.debug("played by the services: %s", why)
    except _FAILS as error:
        # Whatever it is, the services say it in their own words.
        log.debug("played by the services: %r", error)
    return Player(recording, layers).play()


class FastPlayer(Player):
    """Plays a recording once, or raises Declined."""

    def __init__(self, recording: Recording, layers: Layers | None = None) -> None:
        super().__init__(recording, layers)
        self._world = World()
        self._shared: dict[str, Shared] = {}
        self._followers: dict[tuple[str, str], list[PortfolioRef]] = {}

    def _open(self) -> None:
        _accept(self._recording, bool(self._inputs))
        super()._open()
        if any(self._given_back.values()):
            raise Declined("entries that follow from no arrival")
        self._load()
        self._equip()

    def _load(self) -> None:
        """What the recording opens with, as plain objects."""
        world = self._world
        for ref in self._refs.values():
            head = self.store.get(Head, head_key(ref.portfolio_id, ref.epoch))
            if head is None:
                raise Declined("a portfolio without a head")
            held = positions_of(self.store, ref.portfolio_id, ref.epoch)
            entries = sorted(
                entries_from(self.store, ref.portfolio_id, ref.epoch), key=lambda e: e.seq
            )
            if ref.kind == "shadow":
                shadow = world.shadows[ref.portfolio_id] = Shadow(head)
                shadow.entries = entries
                shadow.shares = {position.token_id: position.shares for position in held}
                shadow.ts_last = {position.token_id: position.ts_last for position in held}
                continue
            lane = world.lanes[ref.portfolio_id] = Lane(head, self._shared_of)
            lane.entries = entries
            for position in held:
                lane.put_position(position)
        for record in self._recording.opening:
            if isinstance(record, Trade):
                key = (record.wallet, record.tx_hash, record.token_id, record.side)
                world.trades[key] = record
            elif isinstance(record, Consumed):
                world.lanes[record.portfolio_id].taken[record.token_id] = record.taken
            elif isinstance(record, Group):
                self._load_group(record)

    def _load_group(self, group: Group) -> None:
        world, line = self._world, (group.leader, group.token_id, group.side)
        world.groups[group.group_id] = group
        latest = world.latest.get(line)
        if latest is None or world.groups[latest].number < group.number:
            world.latest[line] = group.group_id

    def _equip(self) -> None:
        """The services' steps, wired to the world."""
        store, clock, rules, metrics = self.store, self._clock, self._rules, self._metrics
        directory = MarketDirectory(store, self._silent, clock)
        self._directory = directory
        exposures = _Exposures(store, PortfolioViews(store), LatestMarks(store, clock), directory)
        breakers = WatchBreakers(store, rules, metrics)
        books = SharedBooks if not self._uses.attempts else DecisionBooks
        decide = FastDecide(
            store,
            books(self._tapes, self._books, clock, metrics),
            self._tapes,
            directory,
            rules,
            clock,
            metrics,
            exposures,
            breakers,
            self._witness,
            previews=False,
        )
        decide.on(self._world, _SheetMarks(store, clock))
        executor = PaperExecutor(self._tapes, self._books, clock)
        execute = FastExecute(store, executor, self._tapes, metrics, previews=False)
        execute.world = self._world
        self._advancing = FastAdvance(
            store,
            decide,
            execute,
            SettleTokens(store, metrics),
            DecideSetChange(store, rules, exposures, breakers, clock, metrics),
            self._silent,
            clock,
            metrics,
            lambda _: None,
        )
        self._advancing.world = self._world
        self._ingesting = FastIngest(self._world, rules, self._followers_of)
        self._marking = MarkPortfolios(
            store,
            self._midpoints,
            clock,
            metrics,
            ResolveMarkets(directory, None, clock, metrics),
            None,
            _States(store, self._world),
        )

    def _fold(self, leader: Leader, arrival: Arrival) -> None:
        if arrival.message:
            self._starts.portfolios += self._ingesting(leader, arrival.message)

    def _step(self, portfolio_id: str) -> int:
        return self._advancing.step(portfolio_id)

    def _first(self, portfolio_id: str) -> Work | None:
        return self._world.lanes[portfolio_id].first()

    def _mark(self) -> None:
        try:
            self._marking(shadows=False)
        except PapercopyError:
            self._metrics.count("marks_failed")

    def _left(self) -> Left:
        return LeftInWorld(self._world, lambda: marks(self.store)[0])

    def _shared_of(self, token_id: str) -> Shared:
        known = self._shared.get(token_id)
        if known is None:
            market = self._directory.known(token_id)
            known = (
                (market.condition_id, market.event_id, market.category) if market else ("", "", "")
            )
            self._shared[token_id] = known
        return known

    def _followers_of(self, leader: Leader) -> list[PortfolioRef]:
        name = (leader.leader, leader.state)
        found = self._followers.get(name)
        if found is None:
            found = self._followers[name] = followers(self.store, leader)
        return found


def _accept(recording: Recording, has_inputs: bool) -> None:
    """Decline what is known from the start to be more than this can play."""
    if has_inputs:
        raise Declined("work from outside")
    for arrival in recording.arrivals:
        if arrival.reading is not None:
            raise Declined("a receipt")
        message = arrival.message
        if message and any(item.leg.removed for item in message.chain):
            raise Declined("a log that was taken back")
    for fact in recording.facts:
        leader = fact.leader
        if leader and leader.holdings_posted < leader.holdings_read:
            raise Declined("holdings that are still to be posted")
    if any(isinstance(record, Trade) and record.pending for record in recording.opening):
        raise Declined("a trade that is not handed on")


class _Exposures(Exposures):
    """Nobody asks for more than the equity of leaders whose holdings are not known."""

    def leader_equity(self, leader: Leader) -> int | None:
        if leader.holdings_as_of is None:
            return None
        raise Declined("sizing by a leader's equity")


class _SheetMarks(LatestMarks):
    """The latest marks; a sheet is read again only where it is another one."""

    _sheets: tuple[MarkSheet | None, ...] | None = None

    def fresh(self) -> tuple[Mapping[str, int], int]:
        sheets = tuple(self._store.get(MarkSheet, key) for key in (SHADOW_MARKS_KEY, MARKS_KEY))
        read = self._read
        if read is None or sheets != self._sheets:
            self._sheets = sheets
            return super().fresh()
        self._read = (self._clock.now_ms(), read[1], read[2])
        return read[1], read[2]


class _States(PortfolioStates):
    """Portfolios as they stand in the world."""

    def __init__(self, store: Store, world: World) -> None:
        super().__init__(store)
        self._world = world

    def of(self, ref: PortfolioRef) -> PortfolioState | None:
        lane = self._world.lanes.get(ref.portfolio_id)
        return PortfolioState(lane.head, tuple(lane.positions.values()), True) if lane else None
