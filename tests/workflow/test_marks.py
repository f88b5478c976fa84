"""Marks: what executables hold every cycle, what only shadows hold every five minutes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import pytest

from chalicelib.adapters.clock import ManualClock
from chalicelib.adapters.embedded.memory_store import MemoryStore
from chalicelib.adapters.metrics import CountingMetrics
from chalicelib.domain.errors import Retryable
from chalicelib.domain.mark_sheet import marks_on
from chalicelib.domain.market import Market, Resolution
from chalicelib.domain.portfolio import Head, Position
from chalicelib.domain.registry import Heartbeat, MarkSheet, PortfolioRef
from chalicelib.keyspace import (
    MARKS_KEY,
    SHADOW_MARKS_KEY,
    head_key,
    heartbeat_key,
    key_of,
    market_key,
)
from chalicelib.ports import Put, R, Table
from chalicelib.services import mark_portfolios, resolve_markets
from chalicelib.services.mark_portfolios import SHADOWS_MS, MarkPortfolios
from chalicelib.services.market_directory import MarketDirectory, store_market
from chalicelib.services.portfolios import marks
from chalicelib.services.resolve_markets import ResolveMarkets
from tests.workflow.harness import OPPOSITE, T0, TOKEN, market

M = 1_000_000
GLOBAL, SHADOW = "main/global", "shadow/0x1"
WON = Resolution("resolved", (1_000_000, 0), final=True)


class QueryCountingStore(MemoryStore):
    def __init__(self) -> None:
        super().__init__()
        self.read_positions: list[str] = []

    def query(self, kind: type[R], table: Table, pk: str, **how: object) -> list[R]:  # type: ignore[override]
        if kind is Position:
            self.read_positions.append(pk)
        return super().query(kind, table, pk, **how)  # type: ignore[arg-type]


@dataclass
class Marking:
    """A marking service on portfolios, prices and resolutions as a test sets them."""

    store: QueryCountingStore = field(default_factory=QueryCountingStore)
    clock: ManualClock = field(default_factory=lambda: ManualClock(T0))
    metrics: CountingMetrics = field(default_factory=CountingMetrics)
    mids: dict[str, int] = field(default_factory=dict)
    trades: dict[str, int] = field(default_factory=dict)
    told: dict[str, Resolution] = field(default_factory=dict)
    listed: Market | None = None
    asked: list[Sequence[str]] = field(default_factory=list)
    lookups: int = 0
    resolution_calls: int = 0
    down: bool = False

    def __post_init__(self) -> None:
        directory = MarketDirectory(self.store, self, self.clock)  # type: ignore[arg-type]
        resolve = ResolveMarkets(directory, self, self.clock, self.metrics)
        self.mark = MarkPortfolios(self.store, self, self.clock, self.metrics, resolve, self)

    def midpoints(self, token_ids: Sequence[str]) -> Mapping[str, int]:
        if self.down:
            raise Retryable("clob: status 503")
        self.asked.append(list(token_ids))
        return {token: self.mids[token] for token in token_ids if token in self.mids}

    def last_trades(self, token_ids: Sequence[str]) -> Mapping[str, int]:
        return {token: self.trades[token] for token in token_ids if token in self.trades}

    def resolutions(self, markets: Sequence[Market]) -> Mapping[str, Resolution]:
        self.resolution_calls += 1
        return self.told

    def market_of_token(self, token_id: str) -> Market | None:
        self.lookups += 1
        return self.listed

    def hold(self, portfolio: str, **shares: int) -> None:
        """Open or change a portfolio: shares by token, prefixed with t, bought at 0.40."""
        kind = "shadow" if portfolio.startswith("shadow") else "global"
        if (
            self.store.get(PortfolioRef, key_of(PortfolioRef(portfolio, "main", kind, "", 1)))
            is None
        ):
            self.store.commit([Put(PortfolioRef(portfolio, "main", kind, "", 1))])
        head = self.store.get(Head, head_key(portfolio, 1)) or Head(portfolio, kind, "", 1, 0, 0)
        writes = [Put(head)]
        for name, count in shares.items():
            position = Position(portfolio, 1, name[1:], "", count * M, count * 400_000)
            known = self.store.get(Position, key_of(position))
            writes.append(Put(replace(position, version=known.version if known else 0)))  # type: ignore[arg-type]
        self.store.commit(writes)  # type: ignore[arg-type]

    def prices(self) -> dict[str, int]:
        return marks(self.store)[0]


def test_midpoints_of_both_scopes_on_one_sheet_each() -> None:
    marking = Marking(mids={"1": 500_000, "2": 600_000, "3": 700_000})
    marking.hold(GLOBAL, t1=5, t2=0)
    marking.hold(SHADOW, t1=5, t3=7)
    assert marking.mark() == 2
    assert marking.asked == [["1"], ["3"]]
    assert marks(marking.store) == ({"1": 500_000, "3": 700_000}, T0)
    executable = marking.store.get(MarkSheet, MARKS_KEY)
    shadows = marking.store.get(MarkSheet, SHADOW_MARKS_KEY)
    assert executable is not None
    assert shadows is not None
    assert [mark.token_id for mark in marks_on(executable)] == ["1"]
    assert [mark.token_id for mark in marks_on(shadows)] == ["3"]
    beat = marking.store.get(Heartbeat, heartbeat_key("marks"))
    assert beat is not None
    assert beat.detail == "2 tokens"


def test_shadows_come_every_five_minutes() -> None:
    marking = Marking(mids={"1": 500_000, "3": 700_000})
    marking.hold(GLOBAL, t1=5)
    marking.hold(SHADOW, t3=7)
    for _ in range(11):
        marking.mark()
        marking.clock.advance(30_000)
    assert marking.asked.count(["1"]) == 11
    assert marking.asked.count(["3"]) == 2
    assert SHADOWS_MS == 300_000


def test_a_cycle_in_between_leaves_the_shadows_alone() -> None:
    marking = Marking(mids={"1": 500_000, "3": 700_000})
    marking.hold(GLOBAL, t1=5)
    marking.hold(SHADOW, t3=7)
    assert marking.mark(shadows=False) == 1
    assert marking.asked == [["1"]]
    assert marking.store.read_positions == [f"{GLOBAL}#1"]


def test_positions_are_read_again_only_when_their_head_changed() -> None:
    marking = Marking(mids={"1": 500_000, "2": 600_000})
    marking.hold(GLOBAL, t1=5)
    for _ in range(3):
        marking.mark()
    assert marking.store.read_positions == [f"{GLOBAL}#1"]
    marking.hold(GLOBAL, t2=1)
    marking.mark()
    assert marking.store.read_positions == [f"{GLOBAL}#1"] * 2
    assert marking.prices() == {"1": 500_000, "2": 600_000}
    marking.hold(GLOBAL, t1=0)
    marking.mark()
    assert marking.prices() == {"2": 600_000}


def test_a_venue_that_does_not_answer_leaves_the_marks() -> None:
    marking = Marking(mids={"1": 500_000})
    marking.hold(GLOBAL, t1=5)
    marking.mark()
    marking.down = True
    with pytest.raises(Retryable):
        marking.mark()
    assert marking.prices() == {"1": 500_000}


def test_more_tokens_than_fit_leave_out_the_least_valuable_and_say_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mark_portfolios, "MARKS_MAX", 2)
    marking = Marking(mids={"1": 500_000, "2": 500_000, "3": 500_000, "4": 500_000})
    marking.hold(GLOBAL, t1=5, t2=1, t3=9)
    marking.hold(SHADOW, t4=1)
    assert marking.mark() == 3
    assert set(marking.prices()) == {"1", "3", "4"}
    assert marking.metrics.snapshot()["marks_left_out"] == 1
    beat = marking.store.get(Heartbeat, heartbeat_key("marks"))
    assert beat is not None
    assert beat.detail == "3 tokens, 1 left out"


def held_market(marking: Marking, **changes: object) -> None:
    marking.hold(GLOBAL, **{f"t{TOKEN}": 5, f"t{OPPOSITE}": 5})
    store_market(marking.store, market())
    marking.listed = market(**changes)


def test_a_resolved_market_is_worth_its_payouts_and_is_asked_for_no_more() -> None:
    marking = Marking()
    held_market(marking, closed=True, accepting_orders=False)
    marking.told = {market().condition_id: WON}
    assert marking.mark() == 2
    assert marking.prices() == {TOKEN: 1_000_000, OPPOSITE: 0}
    stored = marking.store.get(Market, market_key(market().condition_id))
    assert stored is not None
    told = replace(WON, ts=marking.clock.now_ms())
    assert (stored.resolution, stored.closed) == (told, True)
    calls = (marking.lookups, marking.resolution_calls, len(marking.asked))
    marking.clock.advance(300_000)
    marking.mark()
    assert (marking.lookups, marking.resolution_calls, len(marking.asked)) == calls
    assert marking.prices() == {TOKEN: 1_000_000, OPPOSITE: 0}


@pytest.mark.parametrize(
    ("told", "price"),
    [
        (Resolution("proposed", (0, 1_000_000)), 0),
        (Resolution("disputed", (0, 1_000_000)), 420_000),
        (Resolution("resolved"), 420_000),
    ],
)
def test_until_it_is_final_a_proposal_counts_unless_it_is_disputed(
    told: Resolution, price: int
) -> None:
    marking = Marking(mids={TOKEN: 420_000, OPPOSITE: 580_000})
    held_market(marking, closed=True, accepting_orders=False)
    marking.mark()
    marking.mids.clear()
    marking.told = {market().condition_id: told}
    marking.clock.advance(30_000)
    marking.mark()
    assert marking.prices()[TOKEN] == price
    # The last word is found however long the venue takes for it.
    marking.told = {market().condition_id: WON}
    marking.clock.advance(60_000)
    marking.mark()
    assert marking.prices() == {TOKEN: 1_000_000, OPPOSITE: 0}


def test_an_undecided_market_is_asked_for_at_most_once_a_minute() -> None:
    marking = Marking()
    held_market(marking, closed=True, accepting_orders=False)
    for _ in range(5):
        marking.mark()
        marking.clock.advance(15_000)
    assert marking.resolution_calls == 2


def test_tokens_nobody_knows_do_not_keep_others_from_being_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(resolve_markets, "LOOKUPS_MAX", 1)
    marking = Marking()
    marking.hold(GLOBAL, t1=500, t2=400)
    held_market(marking, closed=True, accepting_orders=False)
    marking.told = {market().condition_id: WON}
    marking.listed = None
    for _ in range(2):
        marking.mark()
        marking.clock.advance(60_000)
    marking.listed = market(closed=True, accepting_orders=False)
    marking.mark()
    assert marking.prices() == {TOKEN: 1_000_000, OPPOSITE: 0}
    assert marking.lookups == 3


def test_an_open_market_without_a_book_is_worth_its_last_trade() -> None:
    marking = Marking(mids={TOKEN: 420_000, OPPOSITE: 580_000})
    held_market(marking)
    marking.mark()
    marking.mids.clear()
    # One trade of the market, stated alike for both outcomes.
    marking.trades = {TOKEN: 450_000, OPPOSITE: 450_000}
    marking.clock.advance(30_000)
    marking.mark()
    assert marking.prices() == {TOKEN: 450_000, OPPOSITE: 550_000}
    assert marking.resolution_calls == 0
    # Stated for each outcome by itself, both are believed, however far they moved.
    marking.trades = {TOKEN: 900_000, OPPOSITE: 100_000}
    marking.mark()
    assert marking.prices() == {TOKEN: 900_000, OPPOSITE: 100_000}
    marking.trades = {}
    marking.mark()
    assert marking.prices() == {TOKEN: 900_000, OPPOSITE: 100_000}


def test_without_any_mark_a_last_trade_is_read_by_what_was_paid() -> None:
    marking = Marking(trades={"1": 650_000})
    marking.hold(GLOBAL, t1=5)
    marking.mark()
    assert marking.prices() == {"1": 350_000}
