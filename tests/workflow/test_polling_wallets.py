"""A leader's wallets are read independently, and the present does not wait for the past."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

from chalicelib.domain.activity import ActivityEvent
from chalicelib.domain.errors import PapercopyError, Permanent, Retryable
from chalicelib.domain.poll_reach import PRESENT_SECONDS, REFUSED_SECONDS
from chalicelib.domain.registry import Cursor
from chalicelib.keyspace import cursor_key
from chalicelib.ports import ActivityPoll
from chalicelib.services.catch_up import open_catch_ups, request_catch_up
from chalicelib.services.heartbeats import heartbeats
from chalicelib.services.manage_leaders import leaders
from chalicelib.services.poll_leader import POLL_MS_MAX
from tests.workflow.harness import LEADER, OTHER, T0, System, tx
from tests.workflow.test_polling import event

ROWS_MAX = 100
HOUR_S = 3_600


@dataclass
class Venue:
    """Shows at most ROWS_MAX rows in a poll; `failing` wallets fail, each poll takes `slow_ms`."""

    system: System
    events: list[ActivityEvent]
    failing: dict[str, PapercopyError] = field(default_factory=dict)
    slow_ms: int = 0
    asked: list[tuple[str, int, int | None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.system.venue.poll = self.poll  # type: ignore[method-assign]

    def poll(self, wallet: str, since: int, until: int | None = None) -> ActivityPoll:
        self.system.clock.advance(self.slow_ms)
        if wallet in self.failing:
            raise self.failing[wallet]
        self.asked.append((wallet, since, until))
        end = self.system.clock.now_ms() // 1000 if until is None else until
        found = [e for e in self.events if e.wallet == wallet and since <= e.timestamp <= end]
        return ActivityPoll(tuple(found[:ROWS_MAX]), (), complete=len(found) <= ROWS_MAX)


def sent(system: System) -> list[str]:
    return [item.tx_hash for message in system.queue.messages for item in message.api]


def busy_hour(*wallets: str) -> tuple[System, list[ActivityEvent]]:
    """A leader who trades every ten seconds, first polled after an hour."""
    system = System()
    system.services.follow(list(wallets), "several wallets")
    system.clock.advance(HOUR_S * 1000)
    return system, [event(n, seconds=10 * n) for n in range(1, 351)]


@pytest.mark.parametrize(
    "error", [None, Permanent("data: status 400"), Retryable("data: status 503")]
)
def test_one_wallet_that_fails_never_stops_the_others(error: PapercopyError | None) -> None:
    system, events = busy_hour(LEADER, OTHER)
    Venue(system, events, {OTHER: error} if error else {})
    request_catch_up(system.store, LEADER, T0, T0 + 3_500_000, "start")
    for _ in range(6):
        system.services.poll_leader(LEADER)
        system.clock.advance(30_000)
    assert set(sent(system)) == {e.tx_hash for e in events}
    assert bool(open_catch_ups(system.store, LEADER)) == bool(error)
    system.clock.advance(REFUSED_SECONDS * 1000)
    system.services.poll_leader(LEADER)
    # A wallet that may answer soon is waited for, one that is refused for good is not.
    assert bool(open_catch_ups(system.store, LEADER)) == isinstance(error, Retryable)


def test_what_was_read_is_not_read_again_while_another_wallet_fails() -> None:
    system, events = busy_hour(LEADER, OTHER)
    venue = Venue(system, events, {OTHER: Retryable("data: status 503")})
    request_catch_up(system.store, LEADER, T0, T0 + 3_400_000, "start")
    for _ in range(6):
        system.services.poll_leader(LEADER)
        system.clock.advance(30_000)
    venue.asked.clear()
    system.services.poll_leader(LEADER)
    ((_, since, _),) = venue.asked
    assert since == T0 // 1000 + 3_500 - 120


def test_a_wallet_that_was_given_up_and_answers_again_is_read_from_where_it_was() -> None:
    system, events = busy_hour(LEADER, OTHER)
    his = [replace(event(1_000 + n, seconds=10 * n), wallet=OTHER) for n in range(1, 51)]
    venue = Venue(system, [*events, *his], {OTHER: Permanent("data: status 400")})
    request_catch_up(system.store, LEADER, T0, T0 + 3_400_000, "start")
    for _ in range(REFUSED_SECONDS // 30 + 1):
        system.services.poll_leader(LEADER)
        system.clock.advance(30_000)
    assert not open_catch_ups(system.store, LEADER)
    answer = system.services.poll_leader(LEADER)
    assert (answer.failure, answer.complete) == ("", False)
    assert system.metrics.snapshot()["wallets_refused"] >= 1
    assert heartbeats(system.store)["data_api"].detail == "data: status 400"
    venue.failing.clear()
    assert system.services.poll_leader(LEADER).complete
    assert set(sent(system)) == {e.tx_hash for e in (*events, *his)}
    assert heartbeats(system.store)["data_api"].detail == ""
    cursor = system.store.get(Cursor, cursor_key(LEADER, OTHER))
    assert cursor is not None
    assert cursor.refused_since == 0


def test_a_gap_before_the_cursor_of_a_wallet_that_was_given_up_is_kept_for_it() -> None:
    system, _ = busy_hour(LEADER, OTHER)
    newest = replace(event(1, seconds=3_590), wallet=OTHER)
    missed = replace(event(2, seconds=1_000), wallet=OTHER)
    venue = Venue(system, [newest])
    assert system.services.poll_leader(LEADER).complete
    request_catch_up(system.store, LEADER, T0 + 900_000, T0 + 1_100_000, "reconnect")
    venue.failing[OTHER] = Permanent("data: status 400")
    for _ in range(REFUSED_SECONDS // 30 + 1):
        system.services.poll_leader(LEADER)
        system.clock.advance(30_000)
    assert not open_catch_ups(system.store, LEADER)
    venue.failing.clear()
    venue.events.insert(0, missed)
    system.services.poll_leader(LEADER)
    assert tx(2) in sent(system)


def test_nobody_is_given_up_when_all_are_refused() -> None:
    system, events = busy_hour(LEADER, OTHER)
    refusal = Permanent("data: status 403")
    venue = Venue(system, events, {LEADER: refusal, OTHER: refusal})
    request_catch_up(system.store, LEADER, T0, T0 + 3_400_000, "start")
    for _ in range(3):
        assert system.services.poll_leader(LEADER).failure == "data: status 403"
        system.clock.advance(REFUSED_SECONDS * 1000)
    assert open_catch_ups(system.store, LEADER)
    venue.failing.clear()
    for _ in range(6):
        system.services.poll_leader(LEADER)
        system.clock.advance(30_000)
    assert set(sent(system)) == {e.tx_hash for e in events}
    assert not open_catch_ups(system.store, LEADER)


def test_slow_wallets_are_all_read_in_turns() -> None:
    wallets = [LEADER, *(f"0x{n:040x}" for n in range(1, 20))]
    system, _ = busy_hour(*wallets)
    venue = Venue(system, [], slow_ms=POLL_MS_MAX // 2)
    request_catch_up(system.store, LEADER, T0, T0 + 3_400_000, "start")
    for _ in range(len(wallets)):
        system.services.poll_leader(LEADER)
        # A whole number of rounds, so that the time alone always says the same wallet.
        now_s = system.clock.now_ms() // 1000
        system.clock.advance((len(wallets) - now_s % len(wallets)) * 1000)
    assert {wallet for wallet, _, _ in venue.asked} == set(wallets)
    assert not open_catch_ups(system.store, LEADER)


def test_the_present_is_read_in_the_poll_that_finds_too_much() -> None:
    system, events = busy_hour(LEADER)
    Venue(system, events)
    poll = system.services.poll_leader
    assert not poll(LEADER).complete
    first = sent(system)
    assert first[:ROWS_MAX] == [tx(n) for n in range(1, ROWS_MAX + 1)]
    assert first[-1] == tx(350)
    system.clock.advance(30_000)
    poll(LEADER)
    assert set(sent(system)) > {tx(n) for n in range(1, 190)}


def test_while_a_wallet_is_behind_the_present_comes_first() -> None:
    system, events = busy_hour(LEADER)
    venue = Venue(system, events, slow_ms=POLL_MS_MAX + 1)
    poll = system.services.poll_leader
    poll(LEADER)
    assert len(venue.asked) == 1
    for _ in range(2):
        venue.asked.clear()
        poll(LEADER)
        ((_, since, until),) = venue.asked
        assert (until, since > T0 // 1000 + HOUR_S - PRESENT_SECONDS - 200) == (None, True)
    venue.slow_ms = 0
    for _ in range(5):
        done = poll(LEADER)
    assert done.complete
    assert set(sent(system)) == {e.tx_hash for e in events}
    assert leaders(system.store)
