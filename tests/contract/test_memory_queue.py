"""What only the queue inside the process does: bounds, back-off, lost workers, threads."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor

import pytest

from chalicelib.adapters.clock import ManualClock, SystemClock
from chalicelib.adapters.embedded.queue import Delivery, MemoryFillQueue
from chalicelib.domain.errors import Retryable

from .messages import fill_message


def one(queue: MemoryFillQueue) -> Delivery:
    (delivery,) = queue.take(1)
    return delivery


def seen(deliveries: list[Delivery]) -> list[int]:
    return [d.message.ts_seen for d in deliveries]


def test_a_full_queue_takes_all_or_nothing() -> None:
    queue = MemoryFillQueue(ManualClock(0), messages_max=3)
    queue.send([fill_message("a", 1), fill_message("b", 2)])
    with pytest.raises(Retryable, match="2 of 3"):
        queue.send([fill_message("c", 3), fill_message("c", 4)])
    assert queue.depth() == 2
    queue.send([fill_message("c", 3)])
    delivery = one(queue)
    assert queue.depth() == 3
    with pytest.raises(Retryable):
        queue.send([fill_message("c", 4)])
    queue.ack(delivery)
    assert queue.depth() == 2
    queue.send([fill_message("c", 4)])


def test_a_batch_holds_one_message_of_each_leader_oldest_first() -> None:
    queue = MemoryFillQueue(ManualClock(0))
    queue.send([fill_message(leader, n) for n, leader in enumerate("abacbd")])
    batch = queue.take(3)
    assert seen(batch) == [0, 1, 3]
    for delivery in reversed(batch):
        queue.ack(delivery)
    assert seen(queue.take(9)) == [2, 4, 5]


def test_failures_back_off_longer_each_time_and_end_in_the_dead_letters() -> None:
    clock = ManualClock(0)
    queue = MemoryFillQueue(clock, deliveries_max=3, backoff_ms=100)
    queue.send([fill_message("a", 1), fill_message("a", 2)])
    for backoff_ms, deliveries in ((100, 1), (200, 2)):
        delivery = one(queue)
        assert delivery.deliveries == deliveries
        queue.fail(delivery, f"error {deliveries}")
        clock.advance(backoff_ms - 1)
        assert queue.take(1) == []
        clock.advance(1)
    queue.fail(one(queue), "error 3")
    assert [(d.message.ts_seen, d.error) for d in queue.dead()] == [(1, "error 3")]
    assert queue.depth() == 1
    second = one(queue)
    assert (second.message.ts_seen, second.deliveries) == (2, 1)
    queue.ack(second)
    assert queue.depth() == 0


def test_a_lost_worker_counts_as_a_failure() -> None:
    clock = ManualClock(0)
    queue = MemoryFillQueue(clock, deliveries_max=2, backoff_ms=100, visibility_ms=1_000)
    queue.send([fill_message("a", 1), fill_message("a", 2)])
    lost = one(queue)
    clock.advance(999)
    assert queue.take(1) == []
    clock.advance(1)
    assert queue.take(1) == []
    clock.advance(100)
    again = one(queue)
    assert (again.message.ts_seen, again.deliveries) == (1, 2)
    queue.ack(lost)
    queue.fail(lost, "late")
    assert queue.depth() == 2
    assert queue.take(1) == []
    clock.advance(1_000)
    assert seen(queue.take(1)) == [2]
    assert [d.error for d in queue.dead()] == ["no answer in time"]


def test_an_answer_counts_once() -> None:
    queue = MemoryFillQueue(ManualClock(0))
    queue.send([fill_message("a", 1), fill_message("a", 2), fill_message("a", 3)])
    first = one(queue)
    queue.ack(first)
    queue.ack(first)
    queue.fail(first, "late")
    assert seen(queue.take(5)) == [2]
    assert queue.depth() == 2


def test_answered_deliveries_are_forgotten() -> None:
    queue = MemoryFillQueue(ManualClock(0), messages_max=10)
    queue.send([fill_message("held", 0)])
    held = one(queue)
    for n in range(200):
        queue.send([fill_message("a", n)])
        queue.ack(one(queue))
    assert len(queue._expiring) <= 21
    queue.ack(held)
    assert queue.depth() == 0


def test_take_waits_for_a_message() -> None:
    queue = MemoryFillQueue(SystemClock())
    started = time.monotonic()
    assert queue.take(1, wait_seconds=0.05) == []
    assert 0.05 <= time.monotonic() - started < 1
    timer = threading.Timer(0.05, queue.send, [[fill_message("a", 1)]])
    timer.start()
    assert seen(queue.take(1, wait_seconds=10)) == [1]
    assert time.monotonic() - started < 5


def test_take_wakes_when_a_back_off_ends() -> None:
    queue = MemoryFillQueue(SystemClock(), backoff_ms=50)
    queue.send([fill_message("a", 1)])
    queue.fail(one(queue), "again")
    started = time.monotonic()
    assert seen(queue.take(1, wait_seconds=10)) == [1]
    assert time.monotonic() - started < 5


def test_workers_share_the_work_and_keep_each_leaders_order() -> None:
    queue = MemoryFillQueue(SystemClock(), backoff_ms=1, deliveries_max=50)
    leaders, rounds, workers = "abcdefgh", 60, 4
    done: dict[str, list[int]] = defaultdict(list)
    busy: set[str] = set()
    overlaps: list[str] = []

    def produce(leader: str) -> None:
        for n in range(rounds):
            queue.send([fill_message(leader, n)])

    def consume(worker: int) -> None:
        failed = 0
        while deliveries := queue.take(3, wait_seconds=1.0):
            for delivery in deliveries:
                leader = delivery.message.leader
                if leader in busy:
                    overlaps.append(leader)
                busy.add(leader)
                time.sleep(0)
                busy.discard(leader)
                failed += 1
                if failed % 7 == 0:
                    queue.fail(delivery, "now and then")
                else:
                    done[leader].append(delivery.message.ts_seen)
                    queue.ack(delivery)

    with ThreadPoolExecutor(workers + len(leaders)) as pool:
        futures = [pool.submit(produce, leader) for leader in leaders]
        futures += [pool.submit(consume, worker) for worker in range(workers)]
        for future in futures:
            future.result()
    assert overlaps == []
    assert done == {leader: list(range(rounds)) for leader in leaders}
    assert queue.depth() == 0
    assert queue.dead() == []
