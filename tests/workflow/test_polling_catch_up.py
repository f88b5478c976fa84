"""Gaps that a live source left: asked for once, read from their start, closed when read."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.adapters.embedded.memory_store import MemoryStore
from chalicelib.domain.errors import Conflict, InvalidInput, Retryable
from chalicelib.domain.registry import CatchUp
from chalicelib.domain.rules import SystemRules
from chalicelib.ports import ActivityPoll, Put
from chalicelib.services.catch_up import OPEN_MAX, open_catch_ups, request_catch_up
from chalicelib.services.manage_leaders import leaders
from chalicelib.services.poll_schedule import PollSchedule
from tests.workflow.harness import LEADER, OTHER, T0, System
from tests.workflow.test_polling import Asked, event

MINUTE = 60_000


@pytest.fixture
def system() -> System:
    made = System()
    made.follow()
    leader = leaders(made.store)[0]
    made.store.commit([Put(replace(leader, history_from=T0 - 1_440 * MINUTE))])
    made.clock.advance(60 * MINUTE)
    return made


def ask(system: System, start: int, end: int, leader: str = LEADER) -> bool:
    return request_catch_up(
        system.store, leader, T0 + start * MINUTE, T0 + end * MINUTE, "reconnect"
    )


def stretches(system: System, leader: str = LEADER) -> list[tuple[int, int]]:
    rows = open_catch_ups(system.store, leader)
    return [((r.ts_from - T0) // MINUTE, (r.ts_until - T0) // MINUTE) for r in rows]


def test_a_gap_is_asked_for_once(system: System) -> None:
    assert ask(system, 10, 20)
    assert not ask(system, 10, 20)
    assert not ask(system, 12, 18)
    assert stretches(system) == [(10, 20)]


def test_gaps_that_touch_become_one(system: System) -> None:
    assert ask(system, 10, 20)
    assert ask(system, 10, 25)
    assert ask(system, 30, 40)
    assert ask(system, 20, 31)
    assert stretches(system) == [(10, 40)]
    assert ask(system, 5, 50)
    assert stretches(system) == [(5, 50)]


def test_open_gaps_are_bounded_and_nothing_of_them_is_lost(system: System) -> None:
    for n in range(OPEN_MAX + 2):
        assert ask(system, 100 + 10 * n, 105 + 10 * n)
    assert stretches(system) == [(100, 105), (110, 115), (120, 125), (130, 135), (140, 165)]
    assert ask(system, 0, 5)
    assert stretches(system)[0] == (0, 105)
    assert len(stretches(system)) == OPEN_MAX


@given(
    asked=st.lists(
        st.tuples(st.integers(0, 60), st.integers(0, 12)).map(lambda p: (p[0], p[0] + p[1])),
        max_size=25,
    )
)
def test_whatever_is_asked_for_is_covered_once_and_bounded(asked: list[tuple[int, int]]) -> None:
    store = MemoryStore()
    for start, end in asked:
        request_catch_up(store, LEADER, start, end, "")
        assert not request_catch_up(store, LEADER, start, end, "")
        rows = open_catch_ups(store, LEADER)
        assert len(rows) <= OPEN_MAX
        assert all(a.ts_until < b.ts_from for a, b in pairwise(rows))
    rows = open_catch_ups(store, LEADER)
    for start, end in asked:
        assert any(r.ts_from <= start and end <= r.ts_until for r in rows)


def test_a_gap_that_ends_before_it_starts_is_refused(system: System) -> None:
    with pytest.raises(InvalidInput, match="ts_until"):
        ask(system, 10, 9)


def test_contention_ends(system: System) -> None:
    class Contended(MemoryStore):
        def commit(self, writes: object) -> None:
            raise Conflict("somebody else was first")

    with pytest.raises(Retryable, match="contended"):
        request_catch_up(Contended(), LEADER, 1, 2, "")


def test_polls_read_from_the_gap_until_late_rows_have_come(system: System) -> None:
    system.venue.activity = ActivityPoll((event(1, seconds=3_590),), ())
    system.services.poll_leader(LEADER)
    ask(system, 30, 59)
    asked = Asked(system)
    system.services.poll_leader(LEADER)
    assert stretches(system) == [(30, 59)]
    system.clock.advance(61_000)
    assert system.services.poll_leader(LEADER).complete
    assert stretches(system) == []
    system.services.poll_leader(LEADER)
    assert asked.since == [1_760, 1_760, 3_470]


def test_a_lagging_feed_keeps_the_gap_open_longer(system: System) -> None:
    ask(system, 30, 50)
    system.venue.lag = 600
    system.services.poll_leader(LEADER)
    assert stretches(system) == [(30, 50)]
    system.clock.advance(60_000)
    system.services.poll_leader(LEADER)
    assert stretches(system) == []


def test_a_poll_that_failed_for_one_wallet_closes_nothing(system: System) -> None:
    ask(system, 30, 40)
    system.venue.down = True
    assert not system.services.poll_leader(LEADER).complete
    assert stretches(system) == [(30, 40)]


def test_a_gap_that_grew_during_the_poll_stays_open(system: System) -> None:
    ask(system, 30, 40)
    inner = system.venue.poll

    def poll(wallet: str, since: int, until: int | None = None) -> ActivityPoll:
        ask(system, 30, 59)
        return inner(wallet, since, until)

    system.venue.poll = poll  # type: ignore[method-assign]
    system.services.poll_leader(LEADER)
    assert stretches(system) == [(30, 59)]


def test_more_than_one_poll_may_read_is_read_in_turns(system: System) -> None:
    system.venue.activity = ActivityPoll((event(9, seconds=3_590),), ())
    system.services.poll_leader(LEADER)
    ask(system, 0, 59)
    system.venue.activity = ActivityPoll((event(1, seconds=700),), (), complete=False)
    assert not system.services.poll_leader(LEADER).complete
    (row,) = open_catch_ups(system.store, LEADER)
    assert (row.ts_from, row.ts_until) == (T0 + 700_000, T0 + 59 * MINUTE)
    asked = Asked(system)
    system.services.poll_leader(LEADER)
    assert asked.since == [3_470, 680]


def test_a_long_gap_is_handed_over_once_however_often_it_is_read(system: System) -> None:
    events = tuple(event(n, seconds=n) for n in range(3_000))
    system.venue.activity = ActivityPoll(events, ())
    ask(system, 0, 59)
    assert system.services.poll_leader(LEADER).sent == 3_000
    for _ in range(3):
        assert system.services.poll_leader(LEADER).sent == 0
    system.venue.activity = ActivityPoll((*events, event(9_999, seconds=100)), ())
    assert 1 <= system.services.poll_leader(LEADER).sent <= 61
    assert system.services.poll_leader(LEADER).sent == 0


class Ruled:
    def __init__(self, rules: SystemRules) -> None:
        self._rules = rules

    def system(self) -> SystemRules:
        return self._rules

    def rules_for(self, leader: str) -> object:
        raise AssertionError("nobody asks")


def test_the_mode_says_who_is_polled_and_gaps_come_first(system: System) -> None:
    third = "0x" + "3" * 40
    system.follow(OTHER, "bob")
    system.follow(third, "eve")
    ask(system, 30, 40, third)
    ask(system, 10, 20, OTHER)
    ask(system, 50, 55, OTHER)
    both = PollSchedule(system.store, Ruled(SystemRules(poll_interval_s=20)))()
    assert (both.leaders, both.interval_s) == ((OTHER, third, LEADER), 20)
    chain = PollSchedule(system.store, Ruled(SystemRules(trigger_mode="polygon")))
    assert chain().leaders == (OTHER, third)
    (bob,) = [leader for leader in leaders(system.store) if leader.leader == OTHER]
    system.store.commit([Put(replace(bob, state="off"))])
    assert chain().leaders == (third,)


def test_starts_are_staggered_within_one_interval(system: System) -> None:
    few = PollSchedule(system.store, Ruled(SystemRules()))()
    assert few.offset_ms(0) == 0
    few = replace(few, leaders=("a", "b", "c"))
    assert [few.offset_ms(n) for n in range(3)] == [0, 500, 1_000]
    many = replace(few, leaders=("a",) * 200, interval_s=5)
    assert many.offset_ms(199) < 5_000


def test_rows_of_catch_ups_survive_their_store(system: System) -> None:
    ask(system, 1, 2)
    assert open_catch_ups(system.store, LEADER) == [
        CatchUp(LEADER, T0 + MINUTE, T0 + 2 * MINUTE, "reconnect", version=1)
    ]
