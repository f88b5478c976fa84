"""Scenes on a running engine: evidence through its own queue, one step after the other."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import pytest

from chalicelib.adapters.clock import ManualClock
from chalicelib.adapters.metrics import CountingMetrics
from chalicelib.bootstrap import Ports, production
from chalicelib.domain.errors import PapercopyError
from chalicelib.domain.lane import Work
from chalicelib.domain.ledger import EntryKind
from chalicelib.domain.registry import Heartbeat, Leader, PortfolioRef
from chalicelib.domain.rules import TriggerMode
from chalicelib.keyspace import heartbeat_key, leader_key
from chalicelib.services import market_directory, resolve_markets
from chalicelib.services.check_holdings import CheckHoldings
from chalicelib.services.control_portfolios import ControlPortfolios
from chalicelib.services.holdings_checks import holdings_check
from chalicelib.services.market_directory import MarketDirectory, store_market
from chalicelib.services.portfolio_view import PortfolioViews
from chalicelib.services.portfolios import head_of, portfolio_ref, positions_of, work_of
from chalicelib.services.retry_exits import RetryExits
from chalicelib.services.tapes import write_segments
from infra.local.stack import wait_until
from tests.e2e.acceptance.scene import FOLLOWED, Do, Held, Scene, Tell
from tests.e2e.acceptance.staged_venue import StagedVenue
from tests.e2e.engines import AwsRun, Engine, store_setting
from tests.e2e.ledgers import entries_of, follow_since

LIVE_MS = 2_100
"""Live evidence was seen this long ago: its group is decided in most of a second from now."""
WAIT_S_MAX = 20
NEXT_CHECK_MS = 1_200_000
COMPARISONS_MAX = 10


class EngineStage:
    """Port Stage of the scenes on either engine, which follows their leaders from its start."""

    def __init__(self, engine: Engine, venue: StagedVenue) -> None:
        self.engine = engine
        self.store = engine.store
        self._venue = venue
        self._mode: TriggerMode | None = None
        self._ports: Ports = (
            production().ports if isinstance(engine, AwsRun) else engine.engine.ports
        )
        self._checks = 0

    def play(self, scene: Scene) -> None:
        """Every step of a scene, each worked off before the next."""
        self._turn_to(scene.mode)
        self._set(scene)
        waiting: list[Tell] = []
        for step in scene.steps:
            if isinstance(step, Do):
                step.what(self)
            else:
                waiting.append(step)
                if step.together:
                    continue
                self._send(waiting)
                waiting = []
            done = wait_until(lambda: self._is_done(scene), WAIT_S_MAX, 0.05)
            assert done, f"never done: {self._work(scene)}"

    def _set(self, scene: Scene) -> None:
        """His settings, his markets and every book; he has been followed for a while."""
        store_setting(self.store, scene.leader, json.dumps(scene.settings))
        follow_since(self.store, FOLLOWED, [scene.leader], f"leader {scene.number}")
        for market in scene.markets:
            store_market(self.store, market)
        write_segments(self.store, scene.tapes, CountingMetrics())

    def _send(self, steps: Sequence[Tell]) -> None:
        now = time.time_ns() // 1_000_000 - LIVE_MS
        self.engine.send(*(step.message(now if step.live else step.at) for step in steps))
        self.engine.settle()

    def _is_done(self, scene: Scene) -> bool:
        """Whether nothing is left; what no workflow came back for is advanced."""
        for portfolio in sorted({row.portfolio_id for row in self._work(scene)}):
            # What fails is tried again with the next look.
            with suppress(PapercopyError):
                self.engine.services.advance(portfolio)
        return not self._work(scene)

    def _work(self, scene: Scene) -> list[Work]:
        both = ("main/global", scene.portfolio)
        return [row for portfolio in both for row in work_of(self.store, portfolio, 1)]

    def _turn_to(self, mode: TriggerMode) -> None:
        """Have fills detected this way from now on, with a watcher that is well where it counts."""
        if mode == self._mode:
            return
        self._mode = mode
        store_setting(self.store, "system", json.dumps({"trigger_mode": mode}))
        rules = self.engine.services.rules
        assert wait_until(lambda: rules.system().trigger_mode == mode, WAIT_S_MAX, 0.05)
        if mode != "api":
            assert wait_until(self._is_watched, WAIT_S_MAX, 0.05), "the watcher never got well"

    def _is_watched(self) -> bool:
        found = self.store.get(Heartbeat, heartbeat_key("watcher"))
        return found is not None and found.up and time.time() * 1000 - found.ts < 10_000

    def retry_exits(self, scene: Scene, ts: int) -> None:
        clock = ManualClock(ts)
        directory = MarketDirectory(self.store, self._ports.catalogue, clock)
        views, metrics = PortfolioViews(self.store), CountingMetrics()
        rules = self.engine.services.rules
        again = RetryExits(self.store, self.engine.workflows, directory, rules, clock, metrics)
        for portfolio in ("main/global", scene.portfolio):
            head = head_of(self.store, self._ref(portfolio))
            assert again(head, views.of(head), {}) == 1
        self.engine.settle()

    def pause(self, scene: Scene, ts: int) -> None:
        ControlPortfolios(self.store, ManualClock(ts)).pause("test", scene.portfolio)

    def resume(self, scene: Scene, ts: int) -> None:
        ControlPortfolios(self.store, ManualClock(ts)).resume("test", scene.portfolio)

    def reset_breaker(self, scene: Scene, ts: int) -> None:
        control = ControlPortfolios(self.store, ManualClock(ts))
        assert control.reset_breaker("test", scene.portfolio) == [scene.portfolio]

    def mark(self, token: str, bid: str, ask: str) -> None:
        self._venue.shows(token, bid, ask)
        self.engine.services.mark_portfolios()

    def resolve(self, condition: str, told: Mapping[str, Any]) -> None:
        self._venue.resolves(condition, dict(told))
        with pytest.MonkeyPatch.context() as patch:
            # Once more than a minute has gone by.
            patch.setattr(resolve_markets, "ASK_MS", 0)
            patch.setattr(market_directory, "CACHE_MS", 0)
            self.engine.services.mark_portfolios()
        if self.engine.services.settle_markets():
            self.engine.sweep()

    def read_holdings(self, scene: Scene) -> None:
        assert wait_until(lambda: self._is_read(scene), WAIT_S_MAX, 0.05), "holdings never read"

    def _is_read(self, scene: Scene) -> bool:
        with suppress(PapercopyError):
            self.engine.services.holdings()
        found = self.store.get(Leader, leader_key(scene.leader))
        return found is not None and 0 < found.holdings_read == found.holdings_posted

    def compare_holdings(self, held: Sequence[Held], scene: Scene, ts: int) -> None:
        self._venue.holds(scene.leader, list(held), ts)
        self._checks += 1
        clock = ManualClock(time.time_ns() // 1_000_000 + self._checks * NEXT_CHECK_MS)
        directory = MarketDirectory(self.store, self._ports.catalogue, clock)
        feed, rules = self._ports.holdings, self.engine.services.rules
        check = CheckHoldings(self.store, feed, directory, rules, clock, CountingMetrics())
        # A call compares some leaders only.
        for _ in range(COMPARISONS_MAX):
            if holdings_check(self.store, scene.leader).ts_checked >= clock.now_ms():
                return
            check()
        raise AssertionError("his holdings were never compared")

    def held(self, scene: Scene, token: str) -> int:
        ref = self._ref(scene.portfolio)
        rows = positions_of(self.store, ref.portfolio_id, ref.epoch)
        return sum(row.shares for row in rows if row.token_id == token)

    def shadowed(self, scene: Scene, kind: EntryKind) -> dict[str, int]:
        entries = [e for e in entries_of(self.store, scene.shadow) if e.kind == kind]
        assert len({e.token_id for e in entries}) == len(entries)
        return {e.token_id: e.shares for e in entries}

    def _ref(self, portfolio: str) -> PortfolioRef:
        found = portfolio_ref(self.store, portfolio)
        assert found is not None
        return found
