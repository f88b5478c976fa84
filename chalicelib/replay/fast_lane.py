"""Deciding and executing on plain objects: the services' own steps, with nothing stored between."""

from __future__ import annotations

from typing import NoReturn

from chalicelib.domain.breakers import observed, open_breakers
from chalicelib.domain.consumption import Taken, remembered
from chalicelib.domain.decision import Inputs
from chalicelib.domain.errors import Conflict
from chalicelib.domain.group import Group
from chalicelib.domain.lane import ROWS_PER_ADVANCE_MAX, Attempt, Work
from chalicelib.domain.lane_effects import applied, decided
from chalicelib.domain.leader_notionals import LeaderNotionals, is_ranked, ranked_among
from chalicelib.domain.market import Market
from chalicelib.domain.market_lists import MarketLists
from chalicelib.domain.paper_order import Order, Outcome
from chalicelib.domain.portfolio import Head, Position
from chalicelib.domain.records import replace
from chalicelib.domain.rules import CopyRules
from chalicelib.keyspace import market_lists_key
from chalicelib.replay.fast_state import Declined, World
from chalicelib.services.advance_portfolio import GROUP_MARGIN_MS, AdvancePortfolio
from chalicelib.services.decide_group import DecideGroup, Risk
from chalicelib.services.decision_book import DecisionBook, DecisionBooks
from chalicelib.services.execute_attempt import ExecuteAttempt
from chalicelib.services.exposures import Standing
from chalicelib.services.portfolio_view import LatestMarks
from chalicelib.services.portfolios import account_of
from chalicelib.services.source_health import SourceHealth, assess
from chalicelib.services.watch_breakers import is_news


class SharedBooks(DecisionBooks):
    """The book of the last moment asked for, kept for the next portfolio that decides on it."""

    _last: tuple[object, DecisionBook] | None = None

    def at(self, token_id: str, ts: int, rules: CopyRules) -> DecisionBook:
        asked = (token_id, ts, rules.book_fresh_ms, rules.book_late_ms_max)
        if self._last is None or self._last[0] != asked:
            self._last = asked, super().at(token_id, ts, rules)
        return self._last[1]


class FastDecide(DecideGroup):
    """`DecideGroup` whose commits are changes of a lane."""

    world: World
    marks: LatestMarks
    _found: dict[str, Market | None]
    _known_lists: dict[str, MarketLists | None]
    _known_health: SourceHealth | None = None

    def on(self, world: World, marks: LatestMarks) -> None:
        """Where the portfolios and the marks are."""
        self.world, self.marks = world, marks
        self._found, self._known_lists = {}, {}

    def _position(self, head: Head, row: Work) -> Position:
        return self.world.lanes[head.portfolio_id].position(row.token_id, row.leader)

    def _risk(self, head: Head, row: Work, group: Group) -> Risk:
        lane = self.world.lanes[head.portfolio_id]
        prices, ts_marks = self.marks()
        equity, exposure = lane.standing(prices, row.token_id, row.leader)
        ts = max(group.ts_decided, row.ts_due)
        after = observed(lane.breakers, equity, ts, self._rules.rules_for(head.leader))
        if is_news(lane.breakers, after):
            lane.breakers = replace(after, version=lane.breakers.version + 1)
        return Risk(Standing(equity, exposure, ts_marks), open_breakers(after, ts))

    def _market(self, row: Work) -> Market | None:
        if row.token_id not in self._found:
            self._found[row.token_id] = self._directory.known(row.token_id)
        market = self._found[row.token_id]
        if market is None:
            raise Declined("a token whose market is not known")
        return market

    def _market_lists(self, head: Head) -> MarketLists | None:
        account = account_of(head.portfolio_id)
        if account not in self._known_lists:
            self._known_lists[account] = self._store.get(MarketLists, market_lists_key(account))
        return self._known_lists[account]

    def _source_health(self) -> SourceHealth:
        if self._known_health is None:
            self._known_health = assess(self._rules.system(), {}, self._clock.now_ms())
        return self._known_health

    def _commit(
        self,
        head: Head,
        row: Work,
        attempt: Attempt,
        position: Position,
        inputs: Inputs,
        risk: Risk,
    ) -> None:
        lane = self.world.lanes[head.portfolio_id]
        lane.head, moved, later = decided(head, row, attempt, position, inputs)
        lane.attempts[attempt.attempt_id] = replace(attempt, version=1)
        lane.drop_row(row)
        if later:
            lane.put_row(later)
        if moved:
            lane.put_position(moved)


class FastExecute(ExecuteAttempt):
    """`ExecuteAttempt` whose commits are changes of a lane."""

    world: World

    def _submitted(self, head: Head, row: Work) -> tuple[Attempt, Order]:
        attempt = self.world.lanes[head.portfolio_id].attempts[row.ref]
        if attempt.order is None:
            raise Declined("a row of an attempt without an order")
        return attempt, attempt.order

    def _taken(self, head: Head, row: Work) -> tuple[Taken, ...]:
        return self.world.lanes[head.portfolio_id].taken.get(row.token_id, ())

    def _stored(self, attempt: Attempt, order: Order, outcome: Outcome) -> Attempt:
        told = replace(attempt, outcome=outcome, version=attempt.version + 1)
        self.world.lanes[attempt.portfolio_id].attempts[attempt.attempt_id] = told
        return told

    def _apply(self, head: Head, row: Work, attempt: Attempt, order: Order) -> None:
        outcome = attempt.outcome
        if outcome is None:
            raise Conflict("the attempt has no outcome yet")
        lane = self.world.lanes[head.portfolio_id]
        before = lane.position(row.token_id, row.leader)
        done = applied(head, row, attempt, order, outcome, before)
        lane.head = done.head
        lane.entries += done.entries
        lane.attempts[attempt.attempt_id] = replace(done.attempt, version=attempt.version + 1)
        if done.position != before:
            lane.put_position(done.position)
        if outcome.taken:
            known = lane.taken.get(row.token_id, ())
            lane.taken[row.token_id] = remembered(known, outcome.taken)
        if done.row is not row:
            lane.drop_row(row)
            if done.row:
                lane.put_row(done.row)


class FastAdvance(AdvancePortfolio):
    """`AdvancePortfolio` on lanes in memory; `world` says where they are."""

    world: World

    def step(self, portfolio_id: str) -> int:
        """Work off what is due, at most ROWS_PER_ADVANCE_MAX rows; how many there were."""
        lane, now = self.world.lanes[portfolio_id], self._clock.now_ms()
        for done in range(ROWS_PER_ADVANCE_MAX):
            row = lane.first()
            if row is None or row.ts_due > now:
                return done
            if row.kind == "group" and now < row.ts_due + GROUP_MARGIN_MS:
                return done
            if not self._work_off(lane.head, row):
                return done
        return ROWS_PER_ADVANCE_MAX

    def _waiting(self, portfolio_id: str, epoch: int) -> list[Work]:
        return self.world.lanes[portfolio_id].waiting()

    def _group_of(self, row: Work) -> Group | None:
        return self.world.groups[row.ref]

    def _wait_until(
        self, head: Head, row: Work, ts_due: int, *, ts_decided: int, group: Group | None = None
    ) -> None:
        lane = self.world.lanes[row.portfolio_id]
        lane.drop_row(row)
        lane.put_row(replace(row, ts_due=ts_due, ts_decided=ts_decided))

    def _closed(self, group: Group) -> Group:
        if group.closed:
            return group
        world, closed = self.world, replace(group, closed=True)
        if is_ranked(closed):
            known = world.notionals.get(group.leader) or LeaderNotionals(group.leader)
            closed, world.notionals[group.leader] = ranked_among(known, closed)
        world.groups[group.group_id] = closed
        return closed

    def _bury(self, head: Head, row: Work, error: Exception) -> NoReturn:
        raise Declined(f"a row that cannot be worked off: {error}") from error
