"""One attempt of every kind, decided, executed and read by the product's own code on tapes made up
here, so that what the dashboard is shown is what the API says."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from chalicelib.adapters.clock import ManualClock
from chalicelib.adapters.embedded.memory_store import MemoryStore
from chalicelib.adapters.metrics import CountingMetrics
from chalicelib.domain.decision import Inputs, decide
from chalicelib.domain.exchange_log import Side
from chalicelib.domain.fee import FeeSchedule
from chalicelib.domain.group import KEPT_SCALE, Group
from chalicelib.domain.lane import Attempt
from chalicelib.domain.market import Market
from chalicelib.domain.money import price_nearest
from chalicelib.domain.orderbook import Book
from chalicelib.domain.paper_order import Order, Outcome, fill_and_kill, placed
from chalicelib.domain.reasons import Reason
from chalicelib.domain.registry import Leader, PortfolioRef
from chalicelib.domain.resting_order import followed
from chalicelib.domain.rules import CopyRules, SystemRules
from chalicelib.domain.slippage import slippage
from chalicelib.domain.source_health import SourceHealth
from chalicelib.domain.stress import stress
from chalicelib.domain.tape import Segment, Tape
from chalicelib.ports import Put
from chalicelib.services.market_directory import MarketDirectory, store_market
from chalicelib.services.read_models import ReadModels, Wanted
from chalicelib.services.tapes import read_tape, write_segments
from tests.unit.tapes import Event, segment
from tests.workflow.taped import pieces

Json = dict[str, Any]
M = 1_000_000
CENT = 10_000
RULES = CopyRules(digest="3f2a91c07be45d18")
HEALTH = SourceHealth("up", "up")
STEP_MS = 90_000
BIDS = [(41.0 - 0.1 * k, 40 + 37 * (k * k % 11)) for k in range(16)]
ASKS = [(41.2 + 0.1 * k, 60 + 41 * (k * k % 13)) for k in range(18)]


@dataclass(frozen=True)
class Case:
    """What happens to one attempt. Event times are milliseconds after the decision; book prices in
    cents, `ends` after the decision is how far the recording goes."""

    name: str
    side: Side = "BUY"
    his_price: int = 412_000
    his_shares: int = 3_400
    bids: Sequence[tuple[float, int]] = tuple(BIDS)
    asks: Sequence[tuple[float, int]] = tuple(ASKS)
    events: Sequence[Event] = ()
    ends: int = 17_000
    recorded: bool = True
    book_age_ms: int = 40
    seen_ms: int = 2_100
    market: Json = field(default_factory=dict)
    rules: Json = field(default_factory=dict)
    health: SourceHealth = HEALTH
    held: int = 0
    now_after: int | None = None
    """The present, in milliseconds after the decision; None long after everything."""
    fails: bool = False


THINNER = (300, "ask", 41.2, 7), *[(310, "ask", 41.3 + 0.1 * k, 0) for k in range(10)]
GONE = [(300 + k, "ask", 41.2 + 0.1 * k, 0) for k in range(12)]
CASES = (
    Case("filled"),
    Case("filled in two", events=[*THINNER, (6_400, "sell", 41.9, 20), (9_300, "sell", 41.8, 40)]),
    Case("resting partly filled", events=THINNER, ends=16_000, now_after=12_000),
    Case("resting unfilled", events=GONE, ends=16_000, now_after=9_000),
    Case("on its way", now_after=400, ends=300),
    Case("expired in part", events=THINNER, ends=33_500),
    Case("expired unfilled", events=GONE, ends=33_500),
    Case("recording broke off", events=THINNER, ends=13_000),
    Case(
        "killed remainder",
        recorded=False,
        asks=[(41.2, 9), (44.0, 500)],
        rules={"buy_depth_multiple": 0},
    ),
    Case("snapshot filled", recorded=False),
    Case("failed", fails=True),
    Case("sold", side="SELL", his_price=411_000, held=60 * M),
    Case("worse than leader", his_price=395_000),
    Case("beyond mid", bids=[(37.0, 200), (36.0, 400)], rules={"buy_leader_guard": 90_000}),
    Case("price moved", his_price=405_000, rules={"price_move_max": 10_000}),
    Case("outside band", his_price=990_000, bids=[(98.4, 300)], asks=[(98.6, 500), (98.7, 900)]),
    Case("spread too wide", bids=[(38.9, 200), (38.0, 400)], his_price=412_000),
    Case("depth too thin", asks=[(41.2, 4), (44.0, 300)]),
    Case("book missing", asks=[], recorded=False),
    Case("book stale", book_age_ms=7_400, recorded=False),
    Case("book too late", book_age_ms=-14_000, recorded=False),
    Case("closes soon", market={"closes_at": 600_000}),
    Case("halted", market={"accepting_orders": False}),
    Case(
        "unhealthy",
        health=SourceHealth(
            "down", "up", True, "The chain socket is down.", blocking=(Reason.POLYGON_UNHEALTHY,)
        ),
    ),
    Case("no position", side="SELL", his_price=411_000),
    Case("too small", his_shares=2),
    Case("too old", seen_ms=340_000),
)


class NoVenue:
    """Everything is stored."""

    def market_of_token(self, token_id: str) -> Market | None:
        return None


@dataclass(frozen=True)
class Fixed:
    rules: CopyRules = RULES

    def rules_for(self, leader: str) -> CopyRules:
        return self.rules

    def system(self) -> SystemRules:
        return SystemRules()


class Gallery:
    """Every case in a store, newest first in the order of CASES; `now` is in milliseconds."""

    def __init__(self, now: int, leaders: Sequence[tuple[str, str, str]], questions: Sequence[str]):
        self._now = now
        self._store = MemoryStore()
        self._leaders = leaders
        self._questions = questions
        for address, name, state in leaders:
            self._store.commit([Put(Leader(address, name, (address,), state, now))])  # type: ignore[arg-type]
        self._store.commit([Put(PortfolioRef("main/global", "main", "global", "", 1))])
        self._nows: dict[str, int] = {}
        self.refs: dict[str, str] = {}
        made = [self._add(number, case) for number, case in enumerate(CASES)]
        rows = self._models(now).copy_attempts(None, 200, Wanted())["items"]
        by_id = {row["attempt_id"]: row["ref"] for row in rows}
        for case, attempt in zip(CASES, made, strict=True):
            self.refs[case.name] = by_id[attempt.attempt_id]
            if case.now_after is not None:
                self._nows[by_id[attempt.attempt_id]] = attempt.decision.ts_decided + case.now_after

    def listing(self) -> list[Json]:
        rows: list[Json] = self._models(self._now).copy_attempts(None, 200, Wanted())["items"]
        return rows

    def detail(self, ref: str) -> Json | None:
        return self._models(self._nows.get(ref, self._now)).copy_attempt(ref)

    def tape(self, ref: str) -> Json | None:
        return self._models(self._nows.get(ref, self._now)).tape(ref)

    def _models(self, now: int) -> ReadModels:
        clock = ManualClock(now)
        directory = MarketDirectory(self._store, NoVenue(), clock)  # type: ignore[arg-type]
        return ReadModels(self._store, directory, clock, Fixed())

    def _add(self, number: int, case: Case) -> Attempt:
        decided = self._now - (case.now_after or 60_000) - number * STEP_MS // 10
        token = str(10**30 + number)
        market = self._market(number, case, token, decided)
        store_market(self._store, market)
        if case.recorded:
            write_segments(self._store, pieces(_recorded(case, token, decided)), CountingMetrics())
        tape = read_tape(self._store, token, decided - 6_000, decided + 60_000)
        attempt = _attempted(
            case, number, token, decided, market, tape, self._leaders[number % 2][0]
        )
        self._store.commit([Put(attempt)])
        return attempt

    def _market(self, number: int, case: Case, token: str, decided: int) -> Market:
        closes = case.market.get("closes_at", 40 * 86_400_000)
        return Market(
            condition_id="0x" + _digest("condition", number),
            question=self._questions[number % len(self._questions)],
            slug=f"market-{number}",
            event_id=str(number),
            category="politics",
            protocol="v2",
            tokens=(token, str(10**31 + number)),
            outcomes=("Yes", "No"),
            tick=1_000,
            order_shares_min=5 * M,
            fee=FeeSchedule(40_000, 1),
            neg_risk=False,
            delay_ms=0,
            closes_at=decided + closes,
            closed=False,
            accepting_orders=case.market.get("accepting_orders", True),
        )


def _digest(*parts: object) -> str:
    return hashlib.sha256("|".join(map(str, parts)).encode()).hexdigest()


def _noise(case: Case, token: str) -> Iterable[Event]:
    """Levels away from the touch that breathe, for something to look at."""
    rng = random.Random(token)
    deep = [("bid", *level) for level in case.bids[2:]] + [
        ("ask", *level) for level in case.asks[12:]
    ]
    for ms in range(-4_900, case.ends, 260):
        if deep:
            what, price, shares = rng.choice(deep)
            yield ms, what, price, max(1, int(shares * rng.uniform(0.3, 1.8)))
    for ms in range(-4_000, min(case.ends, 0), 1_300):
        if len(case.bids) > 4:
            # The touch moves up and comes back before the decision.
            yield ms, "bid", case.bids[0][0] + 0.1, 55
            yield ms + 500, "bid", case.bids[0][0] + 0.1, 0


def _recorded(case: Case, token: str, decided: int) -> Segment:
    start = decided - 5_400
    events = sorted([*_noise(case, token), *case.events], key=lambda event: event[0])
    return segment(
        case.bids,
        case.asks,
        [
            (ms + 5_400, what, price, shares)
            for ms, what, price, shares in events
            if ms <= case.ends
        ],
        start=start,
        length=case.ends + 5_400,
        token=token,
        proofs=[start + ms for ms in range(0, case.ends + 5_400, 500)],
    )


def _attempted(
    case: Case, number: int, token: str, decided: int, market: Market, tape: Tape, leader: str
) -> Attempt:
    rules = replace(RULES, **case.rules)
    opened = decided - rules.aggregation_window_ms
    shares = case.his_shares * M
    group = Group(
        group_id=_digest("group", number),
        leader=leader,
        token_id=token,
        side=case.side,
        number=1,
        opened=opened,
        window_ms=rules.aggregation_window_ms,
        ts_block=opened - case.seen_ms,
        order=7,
        shares=shares,
        cash=shares * case.his_price // M,
        fills=2,
        kept=KEPT_SCALE // 2 if case.side == "SELL" else KEPT_SCALE,
        role="taker",
        closed=True,
    )
    minted = _digest("gallery", number)
    segment_ = tape.segment_at(decided)
    book = tape.book_at(decided) if case.recorded else _snapshot(case, token, decided)
    decision, order = decide(
        Inputs(
            attempt_id=minted,
            group=group,
            rules=rules,
            equity=10_000 * M,
            free_cash=8_214 * M,
            held=case.held,
            exit_debt=0,
            market=market,
            book=book,
            health=case.health if case.side == "BUY" else None,
            segment=segment_.name if segment_ else "",
        )
    )
    known_until = decided + (case.now_after if case.now_after is not None else 10**9)
    outcome = _outcome(case, order, market, tape, book, known_until) if order else None
    return _told(case, group, minted, decision, order, market, tape, outcome)


def _snapshot(case: Case, token: str, decided: int) -> Book:
    held = segment(case.bids, case.asks, start=decided, token=token)
    return Book(token, held.bids, held.asks, 0, decided - case.book_age_ms, "a1b2c3")


def _outcome(
    case: Case, order: Order, market: Market, tape: Tape, book: Book | None, known_until: int
) -> Outcome | None:
    if case.fails or order.ts_placed > known_until:
        return None
    if not case.recorded:
        late = replace(book, ts_received=order.ts_placed + 180) if book else None
        return fill_and_kill(order, late, market.fee, order.ts_placed + 180)
    found = placed(order, tape, market.fee)
    assert found is not None, case.name
    return followed(order, found, tape, min(known_until, order.ts_expiry))


def _told(
    case: Case,
    group: Group,
    minted: str,
    decision: Any,
    order: Order | None,
    market: Market,
    tape: Tape,
    outcome: Outcome | None,
) -> Attempt:
    vwap = price_nearest(outcome.cash, outcome.shares) if outcome and outcome.shares else None
    fared = (
        slippage(case.side, vwap, decision.leader_price, decision.mid, outcome.best)
        if outcome and vwap is not None
        else None
    )
    wanted = decision.target_shares, decision.limit
    stressed = (
        stress(tape, case.side, *wanted, decision.ts_decided)
        if case.recorded and None not in wanted and case.now_after is None
        else ()
    )
    status = "FAILED" if case.fails else outcome.status if outcome else "SUBMITTED"
    return Attempt(
        attempt_id=minted,
        group_id=group.group_id,
        portfolio_id="main/global",
        epoch=1,
        leader=group.leader,
        token_id=group.token_id,
        side=case.side,
        ts_opened=group.opened,
        decision=decision,
        status=status if order else "SKIPPED",
        reasons=outcome.reasons if outcome else decision.reasons,
        order=order,
        fee_schedule=market.fee,
        reserved=0,
        outcome=outcome,
        ran_at=decision.ts_decided + 1_020,
        late_by_ms=20,
        applied=len(outcome.slices) if outcome else 0,
        vwap=vwap,
        slippage=fared,
        stress=stressed,
    )
