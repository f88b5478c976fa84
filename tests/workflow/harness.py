"""The real services on a dictionary store, a scripted venue and a clock turned by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from chalicelib.adapters.clock import ManualClock
from chalicelib.adapters.embedded.memory_store import MemoryStore
from chalicelib.adapters.metrics import CountingMetrics
from chalicelib.bootstrap import Ports, Services, services_on
from chalicelib.domain.errors import Retryable
from chalicelib.domain.evidence import ApiEvidence, ChainEvidence, FillMessage
from chalicelib.domain.exchange_log import Side
from chalicelib.domain.fee import FeeSchedule
from chalicelib.domain.lane import Attempt
from chalicelib.domain.ledger import Entry, digest
from chalicelib.domain.market import Market
from chalicelib.domain.market_sync import DIGEST_BYTES
from chalicelib.domain.orderbook import Book, Level
from chalicelib.domain.portfolio import Head, Position
from chalicelib.domain.trade import ApiRow, ChainLeg
from chalicelib.keyspace import day, head_key, portfolio_pk
from chalicelib.ports import (
    ActivityPoll,
    CopyRun,
    Holding,
    Holdings,
    ListedMarket,
    MarketPage,
    Store,
)
from chalicelib.services.market_directory import store_market
from chalicelib.services.portfolios import all_portfolios, positions_of

LEADER = "0x" + "1" * 40
OTHER = "0x" + "2" * 40
TOKEN = "1234567890123456789012345678901234567890"
OPPOSITE = "987654321098765432109876543210"
CONDITION = "0x" + "c" * 64
T0 = 1_795_000_000_000
CASH = 10_000_000_000
HOLDINGS_LAG_MS = 10_000
M = 1_000_000


def market(**changes: object) -> Market:
    fields: dict[str, object] = {
        "condition_id": CONDITION,
        "question": "Will it rain?",
        "slug": "rain",
        "event_id": "1",
        "category": "weather",
        "protocol": "v1",
        "tokens": (TOKEN, OPPOSITE),
        "outcomes": ("Yes", "No"),
        "tick": 10_000,
        "order_shares_min": 5 * M,
        "fee": FeeSchedule(50_000, 1),
        "neg_risk": False,
        "delay_ms": 0,
        "closes_at": None,
        "closed": False,
        "accepting_orders": True,
    }
    return Market(**(fields | changes))  # type: ignore[arg-type]


def book(bid: int = 510_000, ask: int = 520_000, shares: int = 1_000 * M) -> Book:
    return Book(TOKEN, (Level(bid, shares),), (Level(ask, shares),), 0, 0)


class ScriptedVenue:
    """Books, markets, midpoints and activity as a test sets them; `down` makes every call fail."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.books: dict[str, Book | None] = {TOKEN: book()}
        self.market: Market | None = market()
        self.activity: ActivityPoll = ActivityPoll((), ())
        self.held: tuple[Holding, ...] = ()
        self.lag: int | None = None
        self.down = False
        self.book_calls = 0

    def _answer(self) -> None:
        if self.down:
            raise Retryable("the venue does not answer")

    def book(self, token_id: str, not_before: int) -> Book | None:
        self.book_calls += 1
        self._answer()
        found = self.books.get(token_id)
        if found is None:
            return None
        now = self.clock.now_ms()
        return Book(token_id, found.bids, found.asks, now, now, found.venue_hash)

    def midpoints(self, token_ids: Sequence[str]) -> Mapping[str, int]:
        self._answer()
        mids = {t: self.books[t].mid for t in token_ids if self.books.get(t)}  # type: ignore[union-attr]
        return {t: mid for t, mid in mids.items() if mid is not None}

    def markets(self) -> Iterator[Market]:
        self._answer()
        if self.market:
            yield self.market

    def market_page(self, after: str, is_known: Callable[[int, bytes], bool]) -> MarketPage:
        self._answer()
        if self.market is None or self.market.closed:
            return MarketPage((), (), "")
        digest = sha256(repr(self.market).encode()).digest()[:DIGEST_BYTES]
        new = () if is_known(1, digest) else (ListedMarket(1, digest, self.market),)
        return MarketPage((1,), new, "")

    def markets_numbered(self, numbers: Sequence[int]) -> Mapping[int, Market]:
        self._answer()
        return {1: self.market} if self.market and 1 in numbers else {}

    def market_of_token(self, token_id: str) -> Market | None:
        self._answer()
        return self.market if self.market and token_id in self.market.tokens else None

    def market_of_condition(self, condition_id: str) -> Market | None:
        self._answer()
        return self.market if self.market and condition_id == self.market.condition_id else None

    def poll(
        self, wallet: str, since_seconds: int, until_seconds: int | None = None
    ) -> ActivityPoll:
        self._answer()
        return self.activity

    def lag_seconds(self) -> int | None:
        return self.lag

    def holdings(self, wallet: str) -> Holdings:
        self._answer()
        return Holdings(self.clock.now_ms() - HOLDINGS_LAG_MS, self.held)


class ScriptedNode:
    """Receipts as a test sets them; a transaction without one is unknown to the node."""

    def __init__(self) -> None:
        self.receipts: dict[str, tuple[Mapping[str, object], ...]] = {}
        self.head = 1_000
        self.down = False
        self.calls = 0

    def receipt_logs(self, tx_hash: str) -> tuple[Mapping[str, object], ...] | None:
        self.calls += 1
        if self.down:
            raise Retryable("the node does not answer")
        return self.receipts.get(tx_hash)

    def block_number(self) -> int:
        self.calls += 1
        return self.head


class RecordingWorkflows:
    def __init__(self) -> None:
        self.runs: list[CopyRun] = []

    def start(self, run: CopyRun) -> None:
        self.runs.append(run)


class RecordingQueue:
    def __init__(self) -> None:
        self.messages: list[FillMessage] = []
        self.down = False

    def send(self, messages: Sequence[FillMessage]) -> None:
        if self.down:
            raise Retryable("the queue does not answer")
        self.messages += messages

    def prepare(self, message: FillMessage) -> FillMessage:
        return message

    def send_prepared(self, prepared: Sequence[FillMessage]) -> None:
        self.send(prepared)


class RecordingQuarantine:
    def __init__(self) -> None:
        self.kept: list[tuple[str, str, str]] = []

    def keep(self, source: str, payload: str, error: str) -> None:
        self.kept.append((source, payload, error))


@dataclass
class System:
    """One papercopy under test."""

    store: Store = field(default_factory=MemoryStore)
    clock: ManualClock = field(default_factory=lambda: ManualClock(T0))
    workflows: RecordingWorkflows = field(default_factory=RecordingWorkflows)
    queue: RecordingQueue = field(default_factory=RecordingQueue)
    quarantine: RecordingQuarantine = field(default_factory=RecordingQuarantine)
    metrics: CountingMetrics = field(default_factory=CountingMetrics)

    def __post_init__(self) -> None:
        self.venue = ScriptedVenue(self.clock)
        self.node = ScriptedNode()
        self.services = self.wire(self.store)

    def wire(self, store: Store) -> Services:
        return services_on(
            Ports(
                store=store,
                queue=self.queue,
                workflows=self.workflows,
                quarantine=self.quarantine,
                feed=self.venue,
                catalogue=self.venue,
                books=self.venue,
                midpoints=self.venue,
                holdings=self.venue,
                receipts=self.node,
                clock=self.clock,
                metrics=self.metrics,
            ),
            CASH,
        )

    def follow(self, leader: str = LEADER, name: str = "ada") -> None:
        self.services.follow([leader], name)
        if self.venue.market:
            store_market(self.store, self.venue.market)

    def run_workflows(self) -> None:
        """Work off everything that is waiting, as the state machine would."""
        runs, self.workflows.runs = self.workflows.runs, []
        for first in runs:
            run = first
            for _ in range(10):
                self.clock.advance(run.wait_seconds * 1000)
                run = self.services.copy_step(run)
                if run.wait_seconds == 0:
                    break
            else:
                raise AssertionError("the workflow never ended")

    def attempts(self) -> list[Attempt]:
        rows = []
        for back in range(2):
            feed = f"attempts#main#{day(self.clock.now_ms() - back * 86_400_000)}"
            rows += [
                a for _, a in self.store.feed(Attempt, "portfolio", feed, before=None, limit=1000)
            ]
        return sorted(
            rows,
            key=lambda a: (
                a.decision.ts_decided,
                a.order.ts_placed if a.order else 0,
                a.portfolio_id,
            ),
        )

    def attempt_sides(self, portfolio: str = "main/global") -> list[tuple[str, str]]:
        """Side and status of one portfolio's attempts by decision time."""
        return [(a.side, a.status) for a in self.attempts() if a.portfolio_id == portfolio]

    def attempt(self, portfolio: str = "main/global") -> Attempt:
        (found,) = [a for a in self.attempts() if a.portfolio_id == portfolio]
        return found

    def head(self, portfolio: str = "main/global") -> Head:
        found = self.store.get(Head, head_key(portfolio, 1))
        assert found is not None
        return found

    def position(self, portfolio: str = "main/global", leader: str = LEADER) -> Position:
        for row in positions_of(self.store, portfolio, 1):
            if (row.token_id, row.leader) == (TOKEN, leader):
                return row
        return Position(portfolio, 1, TOKEN, leader)

    def entries(self, portfolio: str) -> list[Entry]:
        pk = portfolio_pk(portfolio, 1)
        return self.store.query(Entry, "portfolio", pk, start="entry#", end="entry$", limit=1000)

    def digests(self) -> dict[str, str]:
        """One ledger digest per portfolio: equal digests are equal histories."""
        return {
            ref.portfolio_id: digest(self.entries(ref.portfolio_id))
            for ref in all_portfolios(self.store)
        }


def tx(number: int) -> str:
    return f"0x{number:064x}"


def leg(
    shares: int,
    price: int,
    *,
    block: int = 1,
    index: int = 0,
    removed: bool = False,
    ts_block: int = T0,
    role: str = "maker",
    fee: int = 0,
) -> ChainLeg:
    return ChainLeg(
        block_hash=f"0x{block:064x}",
        block_number=block,
        log_index=index,
        ts_block=ts_block,
        shares=shares,
        cash=shares * price // M,
        fee=fee,
        fee_asset="collateral",
        role=role,  # type: ignore[arg-type]
        order_hash=f"0x{index:064x}",
        removed=removed,
    )


def chain(
    legs: Sequence[ChainLeg],
    *,
    number: int = 1,
    side: Side = "BUY",
    ts_seen: int = T0 + 2_000,
    token: str = TOKEN,
    leader: str = LEADER,
    backfill: bool = False,
) -> FillMessage:
    items = tuple(ChainEvidence(tx(number), token, side, part) for part in legs)
    return FillMessage(leader, leader, ts_seen, backfill, chain=items)


def row(shares: int, price: int, count: int = 1, ts_block: int = T0) -> ApiRow:
    return ApiRow(shares, price * 10_000, shares * price // M, None, None, ts_block, count)


def api(
    rows: Sequence[ApiRow],
    *,
    number: int = 1,
    side: Side = "BUY",
    ts_seen: int = T0 + 5_000,
    token: str = TOKEN,
    leader: str = LEADER,
) -> FillMessage:
    items = (ApiEvidence(tx(number), token, side, tuple(rows)),)
    return FillMessage(leader, leader, ts_seen, api=items)
