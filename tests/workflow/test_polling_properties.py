"""Whatever the feed, the queue and the store do: every row arrives in full, and quiet is quiet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.adapters.embedded.memory_store import MemoryStore
from chalicelib.domain.activity import ActivityEvent
from chalicelib.domain.errors import Permanent, Retryable
from chalicelib.domain.registry import CatchUp, Cursor
from chalicelib.ports import ActivityPoll, Delete, Put, Write
from chalicelib.services.catch_up import open_catch_ups, request_catch_up
from tests.workflow.harness import LEADER, OTHER, T0, System
from tests.workflow.test_polling import M, event

LATE_S_MAX = 100
STEP_S_MAX = 40
STEPS_MAX = 20

Fault = Literal[
    "none", "page", "queue", "half a queue", "crash", "conflict", "unreadable", "gap", "refused"
]


@dataclass(frozen=True)
class Row:
    """One row of the feed: block second, how late it shows, and what it says."""

    second: int
    late_s: int
    number: int
    shares: int
    is_trade: bool

    @property
    def wallet(self) -> str:
        return OTHER if self.number % 2 else LEADER

    def event(self) -> ActivityEvent:
        made = event(self.number, seconds=self.second, shares=self.shares * M)
        made = replace(made, wallet=self.wallet)
        if self.is_trade:
            return made
        return replace(made, kind="MERGE", side=None, token_id="", price_e10=0)


@dataclass
class Feed:
    """Shows rows from their time on; `failing` and `unreadable` are this poll's troubles.

    Rows are OTHER's with an odd number. While `refused` he is refused; a poll shows at most
    `seconds_max` different seconds.
    """

    system: System
    rows: Sequence[Row]
    failing: bool = False
    unreadable: bool = False
    refused: bool = False
    seconds_max: int | None = None

    def poll(self, wallet: str, since: int, until: int | None = None) -> ActivityPoll:
        if self.failing:
            raise Retryable("page 2 failed")
        if self.refused and wallet == OTHER:
            raise Permanent("status 400")
        now = self.system.clock.now_ms()
        visible = [
            row
            for row in sorted(self.rows, key=lambda row: row.second)
            if (row.second + row.late_s) * 1000 <= now - T0
            and row.wallet == wallet
            and since <= row.second + T0 // 1000 <= (until or now)
        ]
        seconds = sorted({row.second for row in visible})
        cut = self.seconds_max is not None and len(seconds) > self.seconds_max
        if cut:
            visible = [row for row in visible if row.second in seconds[: self.seconds_max]]
        broken = visible[::3] if self.unreadable else []
        seen = Counter(map(id, broken))
        return ActivityPoll(
            tuple(row.event() for row in visible if id(row) not in seen),
            tuple((repr(row), "size: not a number") for row in broken),
            complete=not cut,
        )

    def lag_seconds(self) -> int | None:
        return None


class FaultyStore(MemoryStore):
    """Counts writes of the poller's own rows; `crash` lets the next cursor write fail."""

    def __init__(self) -> None:
        super().__init__()
        self.writes = 0
        self.crash = False

    def commit(self, writes: Sequence[Write]) -> None:
        for write in writes:
            if isinstance(write, Put) and isinstance(write.record, Cursor):
                if self.crash:
                    raise Retryable("the process died")
                self.writes += 1
            if isinstance(write, Put) and isinstance(write.record, CatchUp):
                self.writes += 1
            if isinstance(write, Delete):
                self.writes += 1
        super().commit(writes)


def delivered(system: System) -> Counter[tuple[str, str, int, int]]:
    """The highest count ever handed over per (kind, transaction, shares, price)."""
    found: Counter[tuple[str, str, int, int]] = Counter()
    for message in system.queue.messages:
        for item in message.api:
            for row in item.rows:
                key = ("TRADE", item.tx_hash, row.shares, row.price_e10)
                found[key] = max(found[key], row.count)
        for other in message.events:
            key = (other.kind, other.tx_hash, other.shares, 0)
            found[key] = max(found[key], other.count)
    return found


def told(rows: Sequence[Row]) -> Counter[tuple[str, str, int, int]]:
    return Counter((e.kind, e.tx_hash, e.shares, e.price_e10) for e in map(Row.event, rows))


def row_of(fact: tuple[int, int, bool, int, int]) -> Row:
    """A transaction has one block, so its second follows from its number."""
    block, place, is_trade, shares, late_s = fact
    return Row(block * 37, late_s, block * 4 + place, shares, is_trade)


ROWS = st.lists(
    st.tuples(
        st.integers(0, 12),
        st.integers(0, 3),
        st.booleans(),
        st.integers(1, 3),
        st.integers(0, LATE_S_MAX),
    ).map(row_of),
    max_size=25,
)
FAULTS: st.SearchStrategy[Fault] = st.sampled_from(
    [
        "none",
        "none",
        "page",
        "queue",
        "half a queue",
        "crash",
        "conflict",
        "unreadable",
        "gap",
        "refused",
    ]
)
STEPS = st.lists(st.tuples(st.integers(0, STEP_S_MAX), FAULTS), max_size=STEPS_MAX)


def poll_with(system: System, feed: Feed, store: FaultyStore, fault: Fault) -> None:
    now = system.clock.now_ms()
    poll = system.services.poll_leader
    if fault == "gap":
        request_catch_up(store, LEADER, max(T0, now - 300_000), now, "reconnect")
    feed.failing, feed.unreadable = fault == "page", fault == "unreadable"
    refused, feed.refused = feed.refused, feed.refused or fault == "refused"
    system.queue.down, store.crash = fault == "queue", fault == "crash"
    send = system.queue.send
    if fault == "half a queue":

        def half(messages: Sequence[object]) -> None:
            send(messages[:1])  # type: ignore[arg-type]
            raise Retryable("the connection broke")

        system.queue.send = half  # type: ignore[method-assign]
    inner = feed.poll
    if fault == "conflict":
        other = system.wire(store).poll_leader

        def overtaken(wallet: str, since: int, until: int | None = None) -> ActivityPoll:
            answer = inner(wallet, since, until)
            feed.poll = inner  # type: ignore[method-assign]
            system.clock.advance(3_000)
            other(LEADER)
            return answer

        feed.poll = overtaken  # type: ignore[method-assign]
    poll(LEADER)
    feed.failing = feed.unreadable = system.queue.down = store.crash = False
    feed.refused = refused
    feed.poll = inner  # type: ignore[method-assign]
    system.queue.send = send  # type: ignore[method-assign]


@settings(max_examples=150, deadline=None)
@given(rows=ROWS, steps=STEPS)
def test_every_row_arrives_in_full_and_quiet_is_quiet(
    rows: list[Row], steps: list[tuple[int, Fault]]
) -> None:
    store = FaultyStore()
    system = System(store=store)
    system.services.follow([LEADER, OTHER], "two wallets")
    feed = Feed(system, rows)
    system.venue.poll = lambda *asked: feed.poll(*asked)  # type: ignore[method-assign]
    for pause_s, fault in steps:
        system.clock.advance(pause_s * 1000)
        poll_with(system, feed, store, fault)
    # Every row is there by now, and late ones still lie within what a poll looks at.
    shown_by = T0 + (max((row.second + row.late_s for row in rows), default=0)) * 1000
    while system.clock.now_ms() < shown_by:
        system.clock.advance(30_000)
        poll_with(system, feed, store, "none")
    poll_with(system, feed, store, "none")
    assert delivered(system) == told(rows)
    system.clock.advance(300_000)
    poll_with(system, feed, store, "none")
    assert open_catch_ups(system.store, LEADER) == []
    before = len(system.queue.messages), store.writes, len(system.quarantine.kept)
    for _ in range(4):
        system.clock.advance(30_000)
        poll_with(system, feed, store, "none")
    assert (len(system.queue.messages), store.writes, len(system.quarantine.kept)) == before


@settings(max_examples=150, deadline=None)
@given(
    rows=ROWS,
    steps=st.lists(
        st.tuples(st.integers(0, STEP_S_MAX), FAULTS.filter(lambda fault: fault != "unreadable")),
        max_size=STEPS_MAX,
    ),
    seconds_max=st.integers(5, 8),
)
def test_a_refused_wallet_and_polls_that_end_early_lose_nothing(
    rows: list[Row], steps: list[tuple[int, Fault]], seconds_max: int
) -> None:
    store = FaultyStore()
    system = System(store=store)
    system.services.follow([LEADER, OTHER], "two wallets")
    feed = Feed(system, rows, seconds_max=seconds_max)
    system.venue.poll = lambda *asked: feed.poll(*asked)  # type: ignore[method-assign]
    for pause_s, fault in steps:
        system.clock.advance(pause_s * 1000)
        poll_with(system, feed, store, fault)
    feed.refused = True
    for _ in range(30):
        system.clock.advance(30_000)
        poll_with(system, feed, store, "none")
    assert not told([row for row in rows if row.wallet == LEADER]) - delivered(system)
    assert open_catch_ups(system.store, LEADER) == []
    quiet = len(system.queue.messages), store.writes
    system.clock.advance(30_000)
    poll_with(system, feed, store, "none")
    assert (len(system.queue.messages), store.writes) == quiet
    feed.refused = False
    for _ in range(10):
        system.clock.advance(30_000)
        poll_with(system, feed, store, "none")
    assert delivered(system) == told(rows)
    quiet = len(system.queue.messages), store.writes
    system.clock.advance(30_000)
    poll_with(system, feed, store, "none")
    assert (len(system.queue.messages), store.writes) == quiet


def test_the_feed_can_be_unreadable_and_the_property_can_fail() -> None:
    """The double really hides rows, or the property above would prove nothing."""
    system = System(store=FaultyStore())
    feed = Feed(system, [Row(0, 0, 2, 1, True)], unreadable=True)
    poll = feed.poll(LEADER, 0)
    assert (poll.events, len(poll.refused)) == ((), 1)
