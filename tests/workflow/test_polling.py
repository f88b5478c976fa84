"""Polls: what is handed over, what is remembered, and what a bad row or an outage does."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.adapters import fill_wire
from chalicelib.adapters.lagged_feed import LaggedFeed
from chalicelib.adapters.sqs import BATCH_BYTES_MAX
from chalicelib.domain.activity import TRADE, ActivityEvent, parse_activity
from chalicelib.domain.errors import InvalidInput, Permanent, Retryable
from chalicelib.domain.evidence import ROWS_MAX
from chalicelib.domain.poll_messages import poll_messages
from chalicelib.domain.poll_tally import api_evidence
from chalicelib.domain.registry import Cursor, Heartbeat, Leader
from chalicelib.domain.rules import CopyRules, SystemRules
from chalicelib.keyspace import cursor_key
from chalicelib.ports import ActivityPoll, Put
from chalicelib.services.heartbeats import heartbeats
from chalicelib.services.manage_leaders import leaders
from chalicelib.services.poll_leader import Polled, rewind_cursors
from chalicelib.services.portfolios import all_portfolios
from tests.unit.test_domain_activity import row
from tests.workflow.harness import CONDITION, LEADER, OTHER, T0, TOKEN, System, tx

M = 1_000_000


def event(number: int, seconds: int = 5, shares: int = 10 * M) -> ActivityEvent:
    return ActivityEvent(
        kind=TRADE,
        wallet=LEADER,
        tx_hash=tx(number),
        timestamp=T0 // 1000 + seconds,
        condition_id=CONDITION,
        token_id=TOKEN,
        side="BUY",
        shares=shares,
        cash=shares // 2,
        price_e10=5_000_000_000,
        fee=None,
        role=None,
    )


@pytest.fixture
def system() -> System:
    made = System()
    made.follow()
    made.clock.advance(60_000)
    return made


def shown(system: System, *events: ActivityEvent) -> None:
    system.venue.activity = ActivityPoll(events, ())


def handed_over(system: System) -> list[str]:
    found = [e.tx_hash for m in system.queue.messages for e in m.api]
    system.queue.messages.clear()
    return found


def cursor(system: System) -> Cursor:
    found = system.store.get(Cursor, cursor_key(LEADER, LEADER))
    assert found is not None
    return found


def test_a_poll_hands_over_only_what_is_new(system: System) -> None:
    shown(system, event(1), event(2))
    assert system.services.poll_leader(LEADER) == Polled(2, complete=True)
    assert handed_over(system) == [tx(1), tx(2)]
    shown(system, event(1), event(2), event(3), event(4, seconds=4))
    assert system.services.poll_leader(LEADER) == Polled(2, complete=True)
    assert handed_over(system) == [tx(4), tx(3)]


def test_an_equal_row_that_appears_later_is_news(system: System) -> None:
    shown(system, event(1))
    system.services.poll_leader(LEADER)
    shown(system, event(1), event(1))
    system.services.poll_leader(LEADER)
    last = system.queue.messages[-1].api[0]
    assert [r.count for r in last.rows] == [2]


def test_a_poll_without_news_writes_nothing(system: System) -> None:
    shown(system, event(1))
    system.services.poll_leader(LEADER)
    before = cursor(system).version
    for _ in range(3):
        system.services.poll_leader(LEADER)
    assert cursor(system).version == before


def test_the_cursor_moves_only_after_the_queue_took_everything(system: System) -> None:
    shown(system, event(1))
    system.queue.down = True
    assert system.services.poll_leader(LEADER) == Polled(0, False, "the queue does not answer")
    assert system.store.get(Cursor, cursor_key(LEADER, LEADER)) is None
    system.queue.down = False
    system.services.poll_leader(LEADER)
    assert handed_over(system) == [tx(1)]


def test_a_row_from_the_future_does_not_move_the_cursor_past_the_present(system: System) -> None:
    shown(system, event(1, seconds=30 * 86_400))
    system.services.poll_leader(LEADER)
    assert cursor(system).ts_seconds == system.clock.now_ms() // 1000


def test_what_left_the_window_is_forgotten(system: System) -> None:
    shown(system, *(event(n) for n in range(600)))
    system.services.poll_leader(LEADER)
    assert len(cursor(system).sent) == 600
    assert system.services.poll_leader(LEADER).sent == 0
    shown(system, event(700, seconds=50))
    system.services.poll_leader(LEADER)
    assert len(cursor(system).sent) == 1


def test_refused_rows_are_quarantined_once_and_delay_nobody(system: System) -> None:
    system.venue.activity = ActivityPoll((event(1),), (('{"size":"x"}', "size: not a number"),))
    for _ in range(3):
        system.services.poll_leader(LEADER)
    assert system.quarantine.kept == [("data_api", '{"size":"x"}', "size: not a number")]
    assert handed_over(system) == [tx(1)]


def test_one_broken_wallet_keeps_no_other_from_being_polled() -> None:
    system = System()
    system.services.follow([LEADER, OTHER], "two wallets")
    polled = []

    def poll(wallet: str, since: int, until: int | None = None) -> ActivityPoll:
        polled.append(wallet)
        if wallet == LEADER:
            raise Permanent("status 400")
        return ActivityPoll((replace(event(1), wallet=OTHER),), ())

    system.venue.poll = poll  # type: ignore[method-assign]
    assert system.services.poll_leader(LEADER) == Polled(1, False, "status 400")
    assert set(polled) == {LEADER, OTHER}
    assert handed_over(system) == [tx(1)]


def test_wallets_take_turns_at_being_first() -> None:
    system = System()
    system.services.follow([LEADER, OTHER], "two wallets")
    polled = []

    def poll(wallet: str, since: int, until: int | None = None) -> ActivityPoll:
        polled.append(wallet)
        system.clock.advance(60_000)
        return ActivityPoll((), ())

    system.venue.poll = poll  # type: ignore[method-assign]
    assert not system.services.poll_leader(LEADER).complete
    system.clock.advance(10_000)
    assert not system.services.poll_leader(LEADER).complete
    assert set(polled) == {LEADER, OTHER}


def test_after_a_crash_polls_reach_back_and_send_again(system: System) -> None:
    shown(system, event(1, seconds=50))
    system.services.poll_leader(LEADER)
    handed_over(system)
    rewind_cursors(system.store, 900)
    system.services.poll_leader(LEADER)
    assert handed_over(system) == [tx(1)]


def test_large_polls_are_divided_into_messages_the_queue_can_carry(system: System) -> None:
    shown(system, *(event(n) for n in range(120)))
    system.services.poll_leader(LEADER)
    assert [len(m.api) for m in system.queue.messages] == [50, 50, 20]


def test_messages_are_divided_by_rows_and_by_raw_text_but_trades_never(system: System) -> None:
    many = [event(1, shares=n * M) for n in range(1, 151)]
    more = [event(2, shares=n * M) for n in range(1, 101)]
    shown(system, *many, *more)
    system.services.poll_leader(LEADER)
    rows = [[len(item.rows) for item in m.api] for m in system.queue.messages]
    assert rows == [[150], [100]]
    system.queue.messages.clear()
    shown(system, *(replace(event(n), raw="x" * 60_000) for n in range(10, 15)))
    system.services.poll_leader(LEADER)
    assert [len(m.api) for m in system.queue.messages] == [2, 2, 1]


@given(
    texts=st.lists(st.text(alphabet='"\\é\ud800ab', max_size=40), min_size=1, max_size=4),
    trades=st.integers(1, 30),
    rows=st.integers(1, 12),
)
def test_no_poll_makes_a_message_the_queue_cannot_carry(
    texts: list[str], trades: int, rows: int
) -> None:
    hostile = {f"field {n}": text * 40 for n, text in enumerate(texts)}
    facts = [
        row(transaction_hash=tx(n), size=k + 1, usdc_size=None, **hostile)
        for n in range(trades)
        for k in range(rows)
    ]
    events = [parse_activity(fact) for fact in facts]
    found = list(poll_messages(LEADER, LEADER, T0, api_evidence(events)))
    assert sum(len(m.api) for m in found) == trades
    assert max(len(fill_wire.encode(m)) for m in found) <= BATCH_BYTES_MAX


def test_the_largest_trade_fits_into_a_message() -> None:
    hostile = {f"field {n}": '"' * 600 for n in range(3)}
    events = [parse_activity(row(size=n + 1, usdc_size=None, **hostile)) for n in range(ROWS_MAX)]
    (message,) = poll_messages(LEADER, LEADER, T0, api_evidence(events))
    assert len(message.api[0].rows) == ROWS_MAX
    assert len(fill_wire.encode(message)) <= BATCH_BYTES_MAX


def test_what_is_no_trade_is_handed_over_as_the_venue_names_it(system: System) -> None:
    redeem = replace(
        event(1), kind="REDEEM", side=None, token_id="", price_e10=0, outcome_index=1, raw="{}"
    )
    strange = replace(redeem, kind="AIRDROP_2027", tx_hash=tx(2), outcome_index=None)
    shown(system, redeem, redeem, strange, event(3, seconds=9))
    system.services.poll_leader(LEADER)
    (message,) = system.queue.messages
    assert [(e.kind, e.count, e.outcome_index, e.raw) for e in message.events] == [
        ("REDEEM", 2, 1, "[{}]"),
        ("AIRDROP_2027", 1, None, "[{}]"),
    ]
    assert [item.tx_hash for item in message.api] == [tx(3)]
    assert system.metrics.snapshot()["api_kinds_unknown"] == 1
    assert system.services.poll_leader(LEADER).sent == 0


def test_an_outcome_that_is_completed_later_is_news(system: System) -> None:
    fresh = replace(event(1), kind="REDEEM", side=None, outcome_index=None)
    shown(system, fresh)
    system.services.poll_leader(LEADER)
    shown(system, replace(fresh, outcome_index=0))
    system.services.poll_leader(LEADER)
    assert [m.events[0].outcome_index for m in system.queue.messages] == [None, 0]
    assert [m.events[0].count for m in system.queue.messages] == [1, 1]


def test_rows_older_than_a_day_are_history(system: System) -> None:
    shown(system, event(1, seconds=-86_400 - 60), event(2, seconds=5))
    system.services.poll_leader(LEADER)
    assert [(m.backfill, m.api[0].tx_hash) for m in system.queue.messages] == [
        (True, tx(1)),
        (False, tx(2)),
    ]


class Asked:
    """A feed that only notes where polls begin."""

    def __init__(self, system: System) -> None:
        self.since: list[int] = []
        system.venue.poll = self.poll  # type: ignore[method-assign]

    def poll(self, wallet: str, since: int, until: int | None = None) -> ActivityPoll:
        self.since.append(since - T0 // 1000)
        return ActivityPoll((), ())


def test_polls_reach_back_by_the_overlap_or_by_the_feeds_own_lag(system: System) -> None:
    system.clock.advance(3_600_000)
    shown(system, event(1, seconds=3_600))
    system.services.poll_leader(LEADER)
    asked = Asked(system)
    for lag in (None, 4, 60, 61, 600, 10**9):
        system.venue.lag = lag
        system.services.poll_leader(LEADER)
    assert asked.since == [3_480, 3_480, 3_480, 3_479, 2_940, -120]


def test_a_leader_without_history_begins_shortly_before_he_was_followed(system: System) -> None:
    asked = Asked(system)
    system.services.poll_leader(LEADER)
    leader = leaders(system.store)[0]
    system.store.commit([Put(replace(leader, history_from=T0 - 900_000))])
    system.services.poll_leader(LEADER)
    assert asked.since == [-120, -900]


def test_a_status_that_fails_fails_no_poll(system: System) -> None:
    def down() -> int:
        raise Retryable("no status")

    system.venue.lag_seconds = down  # type: ignore[method-assign]
    shown(system, event(1))
    assert system.services.poll_leader(LEADER) == Polled(1, complete=True)


def test_the_cursor_waits_for_rows_that_cannot_be_read_but_not_for_ever(system: System) -> None:
    bad = ('{"size":"x"}', "size: not a number")
    system.venue.activity = ActivityPoll((event(1, seconds=5),), (bad,))
    system.services.poll_leader(LEADER)
    held = cursor(system)
    system.clock.advance(600_000)
    system.venue.activity = ActivityPoll((event(1, seconds=5), event(2, seconds=600)), (bad,))
    system.services.poll_leader(LEADER)
    assert cursor(system).ts_seconds == held.ts_seconds
    system.venue.activity = ActivityPoll(
        (event(1, seconds=5), event(1, seconds=5), event(2, seconds=600)), ()
    )
    system.services.poll_leader(LEADER)
    assert system.queue.messages[-1].api[0].rows[0].count == 2
    assert cursor(system).ts_seconds == T0 // 1000 + 600
    system.venue.activity = ActivityPoll((event(3, seconds=2_000),), (bad,))
    system.clock.advance(2_000_000)
    system.services.poll_leader(LEADER)
    assert cursor(system).ts_seconds == T0 // 1000 + 2_000
    assert handed_over(system) == [tx(1), tx(2), tx(1), tx(3)]


def test_concurrent_polls_of_a_wallet_leave_one_cursor(system: System) -> None:
    shown(system, event(1))
    other = system.wire(system.store)
    inner = system.venue.poll

    def poll(wallet: str, since: int, until: int | None = None) -> ActivityPoll:
        answer = inner(wallet, since, until)
        system.venue.poll = inner  # type: ignore[method-assign]
        assert other.poll_leader(LEADER).complete
        return answer

    system.venue.poll = poll  # type: ignore[method-assign]
    assert system.services.poll_leader(LEADER) == Polled(1, complete=True)
    assert handed_over(system) == [tx(1), tx(1)]
    assert system.metrics.snapshot()["cursor_conflicts"] == 1
    assert cursor(system).version == 1


def proof(system: System) -> Heartbeat:
    return heartbeats(system.store)["data_api"]


def test_the_api_is_down_when_it_does_not_answer_and_not_when_it_refuses(system: System) -> None:
    system.services.poll_leader(LEADER)
    assert proof(system).up
    system.venue.down = True
    system.services.poll_leader(LEADER)
    assert not proof(system).up
    system.venue.down = False

    def refuse(wallet: str, since: int, until: int | None = None) -> ActivityPoll:
        raise Permanent("status 400")

    system.venue.poll = refuse  # type: ignore[method-assign]
    assert system.services.poll_leader(LEADER).failure == "status 400"
    assert (proof(system).up, proof(system).detail) == (True, "status 400")


def test_one_silent_leader_does_not_make_the_source_seem_down(system: System) -> None:
    system.follow(OTHER, "bob")
    system.services.poll_leader(LEADER)
    system.venue.down = True
    system.services.poll_leader(OTHER)
    assert proof(system).up
    system.clock.advance(20_000)
    system.services.poll_leader(OTHER)
    assert not proof(system).up


def test_proofs_of_life_are_not_written_with_every_poll(system: System) -> None:
    for _ in range(5):
        system.services.poll_leader(LEADER)
    first = proof(system)
    assert first.version == 1
    system.clock.advance(10_000)
    system.services.poll_leader(LEADER)
    assert proof(system).ts == first.ts + 10_000


def test_rows_younger_than_the_simulated_lag_are_not_there_yet(system: System) -> None:
    rules = SystemRules(simulate_api_lag_ms=7_500)

    class LaggingRules:
        def system(self) -> SystemRules:
            return rules

        def rules_for(self, leader: str) -> CopyRules:
            return CopyRules()

    feed = LaggedFeed(system.venue, LaggingRules(), system.clock)
    shown(system, event(1, seconds=50), event(2, seconds=52), event(3, seconds=53))
    assert [e.tx_hash for e in feed.poll(LEADER, 0).events] == [tx(1), tx(2)]
    system.clock.advance(500)
    assert len(feed.poll(LEADER, 0).events) == 3
    assert feed.lag_seconds() == 8
    rules = SystemRules()
    assert feed.lag_seconds() is None


def test_following_is_checked_before_anything_is_opened(system: System) -> None:
    before = all_portfolios(system.store)
    with pytest.raises(InvalidInput, match="wallets"):
        system.services.follow([OTHER, LEADER])
    with pytest.raises(InvalidInput, match="wallet"):
        system.services.follow(["0x12"])
    assert all_portfolios(system.store) == before


def test_following_again_changes_nothing(system: System) -> None:
    before: list[Leader] = leaders(system.store)
    system.clock.advance(1_000)
    assert system.services.follow([LEADER.upper().replace("0X", "0x")]) == before[0]
    assert leaders(system.store) == before
