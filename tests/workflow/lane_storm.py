"""A hundred groups of three leaders, and threads that step their executions in any order."""

from __future__ import annotations

import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Any

from chalicelib.domain.errors import PapercopyError, Retryable
from chalicelib.domain.lane import Attempt, Work
from chalicelib.domain.money import MICROS
from chalicelib.domain.portfolio import Head
from chalicelib.keyspace import head_key, portfolio_pk
from chalicelib.ports import CopyRun, Put, Store, Write
from chalicelib.services.portfolios import all_portfolios, positions_of
from tests.workflow.harness import LEADER, OTHER, System
from tests.workflow.many_markets import add_market, settings, traded
from tests.workflow.test_copying import waiting

M = 1_000_000
THIRD = "0x" + "3" * 40
LEADERS = (LEADER, OTHER, THIRD)
PORTFOLIO = "main/global"
TOTAL, MARKET, ONE_LEADER, DAILY = 65_000, 20_000, 25_000, 700 * M
"""Parts of the equity in micros, and a day's notional."""
TICK_MS = 500


class StormyStore:
    """A store whose commits now and then fail before or after they took effect.

    Looks after each decision whether caps hold against everything that is reserved by then.
    """

    def __init__(self, store: Store, seed: int, one_in: int) -> None:
        self._store = store
        self._dice = random.Random(seed)
        self._one_in = one_in
        self._lock = Lock()
        self.broken: list[str] = []
        self.storms = 0
        self.raging = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def commit(self, writes: Sequence[Write]) -> None:
        with self._lock:
            draw = self._dice.randrange(self._one_in) if self.raging else -1
            self.storms += draw in (0, 1)
            if draw == 0:
                raise Retryable("died before the commit")
            before = self._head()
            self._store.commit(writes)
            if before and any(_decides(write) for write in writes):
                self._look(before)
            if draw == 1:
                raise Retryable("died after the commit")

    def _head(self) -> Head | None:
        return self._store.get(Head, head_key(PORTFOLIO, 1))

    def _look(self, before: Head) -> None:
        """Everything at cost, as no token has a mark."""
        held = [
            (position.cost, position.token_id, position.leader)
            for position in positions_of(self._store, PORTFOLIO, 1)
        ]
        equity = before.cash + sum(cost for cost, *_ in held)
        rows = self._store.query(
            Work, "portfolio", portfolio_pk(PORTFOLIO, 1), start="work#", end="work$", limit=1_000
        )
        held += [(row.reserved, row.token_id, row.leader) for row in rows if row.side == "BUY"]
        parts = [("total", sum(cost for cost, *_ in held), TOTAL)]
        parts += [
            ("market", sum(c for c, t, _ in held if t == token), MARKET)
            for token in {token for _, token, _ in held}
        ]
        parts += [
            ("leader", sum(c for c, _, who in held if who == leader), ONE_LEADER)
            for leader in LEADERS
        ]
        head = self._head()
        assert head
        for name, at_risk, cap in parts:
            if at_risk > equity * cap // MICROS:
                self.broken.append(f"{name}: {at_risk} of {equity}")
        if head.reserved > head.cash:
            self.broken.append(f"cash: {head.reserved} held back of {head.cash}")
        if head.spending.cash > DAILY:
            self.broken.append(f"daily: {head.spending.cash}")


def _decides(write: Write) -> bool:
    if not isinstance(write, Put) or not isinstance(write.record, Attempt):
        return False
    attempt = write.record
    return attempt.version == 0 and attempt.order is not None and attempt.side == "BUY"


def storm(
    store: Store, groups: int, *, threads: int, seed: int = 0, one_in: int = 40
) -> tuple[System, StormyStore]:
    """The system after all its groups; with one thread nothing is shuffled, lost or broken."""
    stormy = StormyStore(store, seed, one_in)
    system = System(store=stormy)  # type: ignore[arg-type]
    for leader in LEADERS:
        system.follow(leader, leader[-3:])
    settings(
        system,
        aggregation_window_ms=0,
        exposure_fraction_max=str(TOTAL / M),
        market_fraction_max=str(MARKET / M),
        leader_fraction_max=str(ONE_LEADER / M),
        event_fraction_max=1,
        category_fraction_max=1,
        daily_cash_max=DAILY // M,
    )
    tokens = [add_market(system, number, f"e{number}", "any") for number in range(5)]
    system.clock.advance(10_000)
    start = system.clock.now_ms()
    dice = random.Random(11)
    for number in range(1, groups + 1):
        # Sells come later in the stream: they make room again.
        side = "SELL" if number > groups // 3 and dice.random() < 0.35 else "BUY"
        leader, token = dice.choice(LEADERS), dice.choice(tokens)
        ts = start + number * 37
        shares = 4_000 if side == "SELL" else 10_000
        fill = traded(system, number, token, side=side, leader=leader, shares=shares, ts=ts)
        system.services.ingest(fill)
    runs, system.workflows.runs = system.workflows.runs, []
    stormy.raging = threads > 1
    _play(system, runs, start + groups * 37 + 10_000, threads, seed)
    return system, stormy


def _play(system: System, runs: list[CopyRun], until: int, threads: int, seed: int) -> None:
    dice = random.Random(seed)
    names = [ref.portfolio_id for ref in all_portfolios(system.store) if ref.kind != "shadow"]
    with ThreadPoolExecutor(threads) as pool:
        while system.clock.now_ms() < until:
            system.clock.advance(TICK_MS)
            calls = list(runs)
            if threads > 1:
                calls = [run for run in runs if dice.random() > 0.3] + dice.sample(
                    runs, len(runs) // 4
                )
                dice.shuffle(calls)
            list(pool.map(lambda run: _step(system, run), calls))
            # What nobody was called for is found by the sweeper, as at a crash.
            for name in names:
                _drain(system, name)
    assert waiting(system) == []


def _step(system: System, run: CopyRun) -> None:
    try:
        system.services.copy_step(run)
    except PapercopyError:
        return


def _drain(system: System, name: str) -> None:
    for _ in range(400):
        try:
            if system.services.advance(name).rows == 0:
                return
        except PapercopyError:
            continue
    raise AssertionError("the lane never came to rest")
