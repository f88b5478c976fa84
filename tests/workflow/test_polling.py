"""Polls: what is handed over, what is remembered, and what a bad row or an outage does."""

from __future__ import annotations

import pytest

from chalicelib.domain.activity import TRADE, ActivityEvent
from chalicelib.domain.errors import InvalidInput, Permanent, Retryable
from chalicelib.domain.registry import Cursor, Leader
from chalicelib.keyspace import cursor_key
from chalicelib.ports import ActivityPoll
from chalicelib.services.manage_leaders import leaders
from chalicelib.services.poll_leader import rewind_cursors
from chalicelib.services.portfolios import all_portfolios
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
    assert system.services.poll_leader(LEADER) == 2
    assert handed_over(system) == [tx(1), tx(2)]
    shown(system, event(1), event(2), event(3, seconds=4))
    assert system.services.poll_leader(LEADER) == 1
    assert handed_over(system) == [tx(3)]


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
    with pytest.raises(Retryable):
        system.services.poll_leader(LEADER)
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
    assert system.services.poll_leader(LEADER) == 0
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

    def poll(wallet: str, since_seconds: int) -> ActivityPoll:
        polled.append(wallet)
        if wallet == LEADER:
            raise Permanent("status 400")
        return ActivityPoll((), ())

    system.venue.poll = poll  # type: ignore[method-assign]
    with pytest.raises(Permanent):
        system.services.poll_leader(LEADER)
    assert polled == [LEADER, OTHER]


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
