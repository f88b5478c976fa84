"""One paced scenario on both engines and in memory: the same evidence, the same ledgers."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import pytest

from chalicelib.adapters.clock import ManualClock
from chalicelib.adapters.metrics import CountingMetrics
from chalicelib.domain.evidence import FillMessage
from chalicelib.domain.lane import Attempt
from chalicelib.domain.market import Resolution, resolved
from chalicelib.domain.reasons import Reason
from chalicelib.ports import CopyRun, Store
from chalicelib.services.market_directory import change_market, store_market
from chalicelib.services.portfolios import all_portfolios
from chalicelib.services.settle_markets import SettleMarkets
from infra.local.ground_truth import ledgers_hold
from tests.e2e.engines import PATIENT, Engine, open_engine, store_setting
from tests.e2e.ledgers import attempts_of, digests, entries_of, follow_since, work_of
from tests.e2e.venue import VenueServer
from tests.workflow.harness import (
    CONDITION,
    LEADER,
    OPPOSITE,
    OTHER,
    TOKEN,
    M,
    System,
    api,
    book,
    chain,
    leg,
    market,
    row,
)
from tests.workflow.holdings_world import event, told

SETTLED = 2 + 2
"""Both outcomes of one leader in the global portfolio and in his own; the other is out."""
ENGINES = ("memory", "embedded", "aws")


def scenario(ts: int) -> list[FillMessage]:
    """Buys, twins, repetitions, growth, partial sells, a reorganisation and refusals."""
    first = leg(4_000 * M, 510_000, ts_block=ts - 2_000)
    gone = leg(300 * M, 480_000, block=7, index=3, ts_block=ts + 3_000)
    small = leg(M, 510_000, block=8, ts_block=ts + 4_000)
    return [
        chain([first], ts_seen=ts),
        chain([first], ts_seen=ts + 50),
        api([row(4_000 * M, 510_000, ts_block=ts - 2_000)], ts_seen=ts + 4_000),
        # The API knows a second fill of the same transaction: growth, and a group of its own.
        api([row(4_000 * M, 510_000, 2, ts_block=ts - 2_000)], ts_seen=ts + 5_000),
        chain(
            [leg(9_000 * M, 480_000, block=2, ts_block=ts + 1_000, role="taker", fee=12_340)],
            number=2,
            token=OPPOSITE,
            leader=OTHER,
            ts_seen=ts + 3_000,
        ),
        chain([gone], number=3, token=OPPOSITE, ts_seen=ts + 4_500),
        chain([replace(gone, removed=True)], number=3, token=OPPOSITE, ts_seen=ts + 4_900),
        chain([small], number=4, token=OPPOSITE, ts_seen=ts + 7_500),
        chain(
            [leg(2_000 * M, 500_000, block=5, ts_block=ts + 8_000)],
            number=5,
            side="SELL",
            ts_seen=ts + 9_000,
        ),
        api(
            [row(9_000 * M, 480_000, ts_block=ts + 9_000)],
            number=6,
            side="SELL",
            token=OPPOSITE,
            leader=OTHER,
            ts_seen=ts + 12_000,
        ),
        api([row(50 * M, 300_000, ts_block=ts + 9_000)], number=7, ts_seen=ts + 13_000),
        told(event("SPLIT", 2_000 * M, number=8, ts_block=ts + 12_000), ts_seen=ts + 14_000),
        told(event("MERGE", 1_000 * M, number=9, ts_block=ts + 13_000), ts_seen=ts + 15_000),
    ]


def decided(store: Store, ts: int) -> None:
    """The market was resolved for its first outcome, and the lanes are told."""
    resolution = Resolution("resolved", (M, 0), final=True, ts=ts)
    found = change_market(store, CONDITION, lambda known: resolved(known, resolution))
    assert found
    markets = dict.fromkeys(found.tokens, found)
    SettleMarkets(store, lambda: markets, ManualClock(ts), CountingMetrics())()


@dataclass
class Books:
    digests: dict[str, str]
    attempts: list[tuple[object, ...]]
    kinds: Counter[str]
    errors: list[str]
    left: int


def _seen(attempt: Attempt) -> tuple[object, ...]:
    """What was decided and what came of it, without the moments at which steps ran."""
    decision, outcome = attempt.decision, attempt.outcome
    return (
        attempt.attempt_id,
        attempt.portfolio_id,
        attempt.status,
        attempt.reasons,
        (decision.verdict, decision.age_ms, decision.limit, decision.target_shares),
        (decision.equity, decision.free_cash, decision.held, decision.exit_debt),
        attempt.order and (attempt.order.shares, attempt.order.ts_placed),
        outcome and (outcome.shares, outcome.cash, outcome.fee),
    )


def _books(store: Store) -> Books:
    ids = [ref.portfolio_id for ref in all_portfolios(store)]
    return Books(
        digests=digests(store),
        attempts=[_seen(a) for portfolio in ids for a in attempts_of(store, portfolio)],
        kinds=Counter(e.kind for portfolio in ids for e in entries_of(store, portfolio)),
        errors=ledgers_hold(store),
        left=len(work_of(store)),
    )


LANES = ("main/global", *(f"main/leader/{leader}" for leader in (LEADER, OTHER)))


def _in_memory(ts: int) -> tuple[Store, Callable[[FillMessage], None], Callable[[], None]]:
    system = System(clock=ManualClock(ts + 30_000))
    system.venue.books = {TOKEN: book(), OPPOSITE: book(480_000, 490_000)}
    store_market(system.store, market())
    store_setting(system.store, "global", PATIENT)

    def tell(message: FillMessage) -> None:
        system.services.ingest(message)
        system.run_workflows()

    def advance() -> None:
        for lane in LANES:
            system.services.advance(lane)

    return system.store, tell, advance


def _on(engine: Engine) -> tuple[Store, Callable[[FillMessage], None], Callable[[], None]]:
    def tell(message: FillMessage) -> None:
        engine.send(message)
        engine.settle()

    def advance() -> None:
        for number, lane in enumerate(LANES):
            engine.start(CopyRun("lane", (lane,), 1), f"lane-{number}-{time.time_ns()}")
        engine.settle()

    return engine.store, tell, advance


@pytest.fixture(scope="module")
def books(
    venue: VenueServer, tmp_path_factory: pytest.TempPathFactory, patch: pytest.MonkeyPatch
) -> Iterator[dict[str, Books]]:
    folder = tmp_path_factory.mktemp("data")
    engines = {name: open_engine(name, venue.environment(), folder, patch) for name in ENGINES[1:]}
    ts = time.time_ns() // 1_000_000 - 30_000
    found = {}
    for name in ENGINES:
        store, tell, advance = _on(engines[name]) if name in engines else _in_memory(ts)
        for leader in (LEADER, OTHER):
            follow_since(store, ts - 600_000, [leader])
        for message in scenario(ts):
            tell(message)
        advance()
        decided(store, ts + 20_000)
        advance()
        found[name] = _books(store)
    yield found
    for engine in engines.values():
        engine.stop()


@pytest.mark.parametrize("name", ENGINES[1:])
def test_the_ledgers_are_equal_to_the_millisecond(books: dict[str, Books], name: str) -> None:
    assert books[name].attempts == books["memory"].attempts
    assert books[name].digests == books["memory"].digests


@pytest.mark.parametrize("name", ENGINES)
def test_the_scenario_did_something(books: dict[str, Books], name: str) -> None:
    assert books[name].kinds == {
        "OPENING": 5,
        # Eight fills of the leaders; of ours six, in the global portfolio and in a leader's own.
        "TRADE_FILL": 8 + 12,
        "FEE": 1 + 12,
        "CORRECTION": 1,
        # Both outcomes for the shadow and two portfolios that follow him.
        "SPLIT": 2 * 3,
        "MERGE": 2 * 3,
        "SETTLEMENT": SETTLED,
    }
    statuses = Counter((row[2], row[3]) for row in books[name].attempts)
    assert statuses["FILLED", ()] == 12
    assert statuses["SKIPPED", (Reason.LEADER_TRADE_TOO_SMALL,)] == 2
    assert statuses["SKIPPED", (Reason.WORSE_THAN_LEADER,)] == 2
    assert books[name].errors == []
    assert books[name].left == 0


def test_equal_means_something(books: dict[str, Books]) -> None:
    assert len(set(books["memory"].digests.values())) == 5
