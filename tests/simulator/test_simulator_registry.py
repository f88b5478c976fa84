"""The market registry against the simulated venue: resolutions, ticks and the walk's thrift."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from chalicelib.adapters.clock import ManualClock
from chalicelib.adapters.embedded.memory_store import MemoryStore
from chalicelib.adapters.metrics import CountingMetrics
from chalicelib.adapters.polymarket.clob import Clob
from chalicelib.adapters.polymarket.gamma import Gamma
from chalicelib.adapters.polymarket.http import HttpClient
from chalicelib.adapters.polymarket.last_trades import ClobLastTrades
from chalicelib.adapters.polymarket.resolutions import Resolutions
from chalicelib.domain.life_cycle import life_cycle
from chalicelib.domain.market import Market
from chalicelib.domain.portfolio import Head, Position
from chalicelib.domain.registry import PortfolioRef
from chalicelib.keyspace import market_key
from chalicelib.ports import Put
from chalicelib.services.mark_portfolios import MarkPortfolios
from chalicelib.services.market_directory import MarketDirectory
from chalicelib.services.portfolios import marks
from chalicelib.services.resolve_markets import ResolveMarkets
from chalicelib.services.sync_markets import SyncMarkets


class Registry:
    """The registry's services on the simulated venue's addresses."""

    def __init__(self, session: Any) -> None:
        base = str(session.client.make_url("")).rstrip("/")
        self.refused: Counter[str] = Counter()
        metrics = CountingMetrics()
        gamma, clob, data = (
            HttpClient(f"{base}/{name}", metrics, name=name) for name in ("gamma", "clob", "data")
        )
        self.store = MemoryStore()
        self.clock = ManualClock(session.venue.now)
        self.catalogue = Gamma(gamma, clob, data, refused=self._refuse)
        self.resolutions = Resolutions(data, clob, refused=self._refuse)
        self.sync = SyncMarkets(self.store, self.catalogue, self.clock, metrics)
        self.directory = MarketDirectory(self.store, self.catalogue, self.clock)
        self.mark = MarkPortfolios(
            self.store,
            Clob(clob, self.clock, metrics),
            self.clock,
            metrics,
            ResolveMarkets(self.directory, self.resolutions, self.clock, metrics),
            ClobLastTrades(clob, metrics),
        )

    def _refuse(self, payload: str, error: str) -> None:
        self.refused[error] += 1

    def market(self, condition_id: str) -> Market:
        found = self.store.get(Market, market_key(condition_id))
        assert found is not None
        return found

    def hold(self, tokens: tuple[str, ...]) -> None:
        positions = [Position("main/global", 1, token, "", 1_000_000, 1) for token in tokens]
        ref = PortfolioRef("main/global", "main", "global", "", 1)
        head = Head("main/global", "global", "", 1, 0, 0)
        self.store.commit([Put(ref), Put(head), *(Put(position) for position in positions)])


@pytest.mark.parametrize("winner", [0, 1, "draw"])
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_market_that_resolves_is_closed_and_paid(serve: Any, version: str, winner: Any) -> None:
    async def scenario(session: Any) -> None:
        registry = await asyncio.to_thread(Registry, session)
        listed = [m for m in session.venue.world.listed.singles if not m.closed]
        assert await asyncio.to_thread(registry.sync) == len(listed)
        assert not registry.refused
        chosen = next(m for m in listed if m.version == version)
        before = registry.market(chosen.condition_id)
        assert life_cycle(before, registry.clock.now_ms()) in ("open", "closing_soon")
        registry.hold(before.tokens)
        assert await asyncio.to_thread(registry.mark) == 2

        body = {"condition_id": chosen.condition_id, "winner": winner}
        await session.post("/control/resolve", body)
        session.move(3_000)
        registry.clock.advance(60_000)
        assert await asyncio.to_thread(registry.sync) == len(listed) - 1
        closed = registry.market(chosen.condition_id)
        assert (closed.closed, closed.accepting_orders) == (True, False)
        assert not closed.resolution.final
        assert life_cycle(closed, registry.clock.now_ms()) == "closed"

        session.move(10_000)
        registry.clock.advance(60_000)
        await asyncio.to_thread(registry.mark)
        payouts = {0: (1_000_000, 0), 1: (0, 1_000_000), "draw": (500_000, 500_000)}[winner]
        paid = registry.market(chosen.condition_id)
        assert (paid.resolution.final, paid.resolution.payouts) == (True, payouts)
        assert life_cycle(paid, registry.clock.now_ms()) == "resolved"
        assert marks(registry.store)[0] == dict(zip(before.tokens, payouts, strict=True))
        assert not registry.refused

    serve(scenario)


def test_every_resolved_market_of_the_venue_parses(serve: Any) -> None:
    async def scenario(session: Any) -> None:
        registry = await asyncio.to_thread(Registry, session)
        truth = {m.condition_id: m for m in session.venue.world.listed.singles if m.closed}
        assert truth
        found = [
            await asyncio.to_thread(registry.catalogue.market_of_token, market.tokens[0].id)
            for market in truth.values()
        ]
        markets = [market for market in found if market]
        assert len(markets) == len(truth)
        told = await asyncio.to_thread(registry.resolutions.resolutions, markets)
        assert {c: r.payouts for c, r in told.items() if r.final} == {
            condition: market.payouts for condition, market in truth.items()
        }
        assert not registry.refused

    serve(scenario)


def test_a_finer_tick_is_the_only_thing_a_walk_reads_again(serve: Any) -> None:
    async def scenario(session: Any) -> None:
        registry = await asyncio.to_thread(Registry, session)
        await asyncio.to_thread(registry.sync)
        open_now = [m for m in session.venue.world.listed.singles if not m.closed]
        coarse = next(m for m in open_now if registry.market(m.condition_id).tick == 10_000)
        others = {m.condition_id: registry.market(m.condition_id) for m in open_now}
        body = {"token_id": coarse.tokens[0].id, "tick_size": "0.001"}
        await session.post("/control/tick_size", body)
        await asyncio.to_thread(registry.sync)
        assert registry.market(coarse.condition_id).tick == 1_000
        changed = [c for c, known in others.items() if registry.market(c) != known]
        assert changed == [coarse.condition_id]

    serve(scenario)
