"""Polls in one process and ticks in the cloud: a slow or broken leader delays nobody."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from chalicelib import lambda_entry
from chalicelib.adapters import codec
from chalicelib.adapters.sqs import PollTick
from chalicelib.domain.rules import SystemRules
from chalicelib.ports import ActivityPoll
from chalicelib.queue_handlers import TICK_LATE_MS_MAX, poll_records
from chalicelib.services.catch_up import request_catch_up
from chalicelib.services.poll_schedule import PollRound, PollSchedule
from infra.local.poll_pool import ASKED_MAX, PollPool
from tests.workflow.harness import LEADER, OTHER, T0, System
from tests.workflow.test_polling import Asked, event, shown
from tests.workflow.test_polling_catch_up import Ruled

PATIENCE_S = 20.0


def wait_for(condition: Callable[[], bool]) -> None:
    give_up = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < give_up, "it never came true"
        time.sleep(0.005)


@contextmanager
def working(pool: PollPool, threads: int = 2) -> Iterator[None]:
    stop = threading.Event()
    workers = [threading.Thread(target=pool.work, args=(stop,)) for _ in range(threads)]
    for worker in workers:
        worker.start()
    try:
        yield
    finally:
        stop.set()
        pool.send([], [])
        for worker in workers:
            worker.join()


@dataclass
class Polls:
    """Notes who was polled; `slow` ones wait until they are let go."""

    slow: set[str] = field(default_factory=set)
    done: list[str] = field(default_factory=list)
    running: list[str] = field(default_factory=list)
    twice: bool = False
    release: threading.Event = field(default_factory=threading.Event)

    def __call__(self, leader: str) -> None:
        self.twice |= leader in self.running
        self.running.append(leader)
        if leader in self.slow:
            assert self.release.wait(PATIENCE_S)
        self.running.remove(leader)
        self.done.append(leader)


def test_a_slow_leader_delays_nobody_and_is_never_polled_twice_at_once() -> None:
    polls = Polls(slow={"slow"})
    pool = PollPool(polls, gap_s=0)
    with working(pool):
        pool.send(["slow"], [0])
        wait_for(lambda: polls.running == ["slow"])
        pool.send(["slow", "a", "b", "c"], [0])
        wait_for(lambda: sorted(polls.done) == ["a", "b", "c"])
        polls.release.set()
        wait_for(lambda: polls.done.count("slow") == 2)
    assert not polls.twice
    assert pool.pending() == 0


def take(pool: PollPool) -> str | None:
    """Who would be polled now, without a thread."""
    return pool._take(0)


def finish(pool: PollPool, leader: str) -> None:
    pool._running.discard(leader)


def test_wake_ups_are_joined_and_keep_their_distance() -> None:
    now = [100.0]
    pool = PollPool(lambda _: None, gap_s=5, now=lambda: now[0])
    for _ in range(4):
        pool.send(["a"], [0])
    assert pool.pending() == 1
    assert take(pool) == "a"
    pool.send(["a"], [0])
    assert take(pool) is None
    finish(pool, "a")
    assert take(pool) is None
    now[0] += 5
    assert take(pool) == "a"
    assert pool.pending() == 1


def test_a_question_waits_for_no_distance_but_for_the_poll_that_runs() -> None:
    now = [100.0]
    pool = PollPool(lambda _: None, gap_s=5, now=lambda: now[0])
    pool.send(["a"], [0])
    assert take(pool) == "a"
    now[0] += 1
    pool.at_once("a")
    pool.at_once("a")
    assert take(pool) is None
    finish(pool, "a")
    assert [take(pool), take(pool)] == ["a", None]
    assert pool.pending() == 1


def test_a_wake_up_leaves_the_periodic_poll_where_it_is() -> None:
    now = [100.0]
    pool = PollPool(lambda _: None, gap_s=5, now=lambda: now[0])
    pool.send(["a"], [20])
    pool.send(["a"], [0])
    assert take(pool) == "a"
    finish(pool, "a")
    assert take(pool) is None
    now[0] += 20
    assert take(pool) == "a"


def test_who_is_due_longest_comes_first() -> None:
    now = [100.0]
    pool = PollPool(lambda _: None, now=lambda: now[0])
    pool.send(["late"], [3])
    pool.send(["early"], [1])
    now[0] += 5
    assert [take(pool), take(pool), take(pool)] == ["early", "late", None]


def test_polls_that_wait_are_bounded() -> None:
    pool = PollPool(lambda _: None, gap_s=0)
    pool.send([f"leader {n}" for n in range(ASKED_MAX + 100)], [10])
    assert pool.pending() == ASKED_MAX


def test_a_poll_that_breaks_its_thread_leaves_the_leader_free() -> None:
    def broken(leader: str) -> None:
        raise ZeroDivisionError

    pool = PollPool(broken, gap_s=0)
    pool.send(["a"], [0])
    with pytest.raises(ZeroDivisionError):
        pool.work(threading.Event())
    assert pool.pending() == 0


@dataclass
class Ticks:
    sent: list[tuple[str, int]] = field(default_factory=list)

    def send_each(self, ticks: list[tuple[str, int]]) -> None:
        self.sent += ticks


def tick(due: Callable[[], PollRound]) -> Ticks:
    ticks = Ticks()
    made = SimpleNamespace(services=SimpleNamespace(poll_schedule=due), ticks=ticks)
    lambda_entry.poll_tick.__wrapped__({}, made)  # type: ignore[attr-defined]
    return ticks


def test_every_leader_has_his_own_ticks_for_the_coming_minute() -> None:
    ticks = tick(lambda: PollRound(("a", "b", "c"), 30))
    assert ticks.sent == [("a", 0), ("a", 30), ("b", 0), ("b", 30), ("c", 1), ("c", 31)]
    often = tick(lambda: PollRound(("a",), 5))
    assert often.sent == [("a", delay) for delay in range(0, 60, 5)]


def test_on_the_chain_alone_only_gaps_are_polled() -> None:
    system = System()
    system.follow()
    system.follow(OTHER, "bob")
    due = PollSchedule(system.store, Ruled(SystemRules(trigger_mode="polygon")))
    assert tick(due).sent == []
    request_catch_up(system.store, OTHER, T0, T0 + 1_000, "reconnect")
    assert {leader for leader, _ in tick(due).sent} == {OTHER}


def record(number: int, body: str) -> dict[str, Any]:
    return {
        "messageId": f"m{number}",
        "body": body,
        "attributes": {"ApproximateReceiveCount": "1"},
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-east-1:1:papercopy-test-polls",
    }


def ports_of(system: System) -> SimpleNamespace:
    return SimpleNamespace(quarantine=system.quarantine, metrics=system.metrics, clock=system.clock)


def tick_body(due: int) -> str:
    return codec.to_text(PollTick((LEADER,), due))


def polls_of(system: System, *bodies: str) -> tuple[int, int]:
    """(polls, skipped ticks) that one batch of these ticks comes to."""
    asked = Asked(system)
    before = system.metrics.snapshot().get("poll_ticks_skipped", 0)
    records = [record(n, body) for n, body in enumerate(bodies)]
    poll_records({"Records": records}, system.services, ports_of(system))  # type: ignore[arg-type]
    return len(asked.since), system.metrics.snapshot().get("poll_ticks_skipped", 0) - before


def test_ticks_that_waited_too_long_are_dropped() -> None:
    system = System()
    system.follow()
    now = system.clock.now_ms()
    assert polls_of(system, tick_body(now - TICK_LATE_MS_MAX - 1)) == (0, 1)
    assert polls_of(system, tick_body(now - TICK_LATE_MS_MAX)) == (1, 0)


def test_ticks_since_which_the_leader_was_polled_are_dropped() -> None:
    system = System()
    system.follow()
    now = system.clock.now_ms()
    assert polls_of(system, tick_body(now - 9_000), tick_body(now - 4_000), tick_body(now)) == (
        1,
        2,
    )
    system.clock.advance(1_000)
    assert polls_of(system, tick_body(now)) == (0, 1)
    assert polls_of(system, tick_body(now + 1)) == (1, 0)


def test_a_tick_that_became_due_during_a_poll_is_done() -> None:
    system = System()
    system.follow()
    now = system.clock.now_ms()
    inner = system.venue.poll

    def slow(wallet: str, since: int, until: int | None = None) -> ActivityPoll:
        system.clock.advance(5_000)
        return inner(wallet, since, until)

    system.venue.poll = slow  # type: ignore[method-assign]
    system.services.poll_leader(LEADER)
    assert polls_of(system, tick_body(now + 1)) == (1, 0)


def test_a_failed_poll_leaves_the_next_tick_to_be_done() -> None:
    system = System()
    system.follow()
    now = system.clock.now_ms()
    system.venue.down = True
    poll_records({"Records": [record(1, tick_body(now))]}, system.services, ports_of(system))  # type: ignore[arg-type]
    system.venue.down = False
    assert polls_of(system, tick_body(now)) == (1, 0)


def test_a_tick_that_does_not_say_when_it_was_due_is_done() -> None:
    system = System()
    system.follow()
    body = f'{{"v":1,"leaders":["{LEADER}"]}}'
    assert polls_of(system, body, body) == (2, 0)


def test_a_failed_poll_is_counted_and_its_tick_is_not_delivered_again() -> None:
    system = System()
    system.follow()
    shown(system, event(1))
    body = f'{{"v":1,"leaders":["{LEADER}"]}}'
    ports = ports_of(system)
    system.venue.down = True
    answer = poll_records({"Records": [record(1, body)]}, system.services, ports)  # type: ignore[arg-type]
    assert answer == {"batchItemFailures": []}
    assert system.metrics.snapshot()["polls_failed"] == 1
    system.venue.down = False
    poll_records({"Records": [record(2, body)]}, system.services, ports)  # type: ignore[arg-type]
    assert len(system.queue.messages) == 1
