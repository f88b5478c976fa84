"""Workflow timers: one run per group at a time, and no run that ends the thread of all others."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from chalicelib.adapters.embedded.quarantine import MemoryQuarantine
from chalicelib.adapters.embedded.workflows import TimerWorkflows
from chalicelib.domain.errors import Permanent, Retryable
from chalicelib.ports import STEPS_MAX, CopyRun
from tests.engine.launching import until

Step = Callable[[CopyRun], CopyRun]


class Timers:
    """Timers, what they kept, and the steps they made."""

    def __init__(self) -> None:
        self.quarantine = MemoryQuarantine()
        self.workflows = TimerWorkflows(self.quarantine, wait_scale=0.01)
        self.steps: list[str] = []

    def run_with(self, step: Step) -> None:
        def counted(run: CopyRun) -> CopyRun:
            self.steps.append(run.group_id)
            return step(run)

        self.workflows.run_with(counted)

    def idle(self) -> None:
        until(lambda: self.workflows.waiting() == 0, 5)


@pytest.fixture
def timers() -> Iterator[Timers]:
    made = Timers()
    yield made
    made.workflows.stop()


def run_of(group: str, wait_seconds: int = 1) -> CopyRun:
    return CopyRun(group, ("main/global",), wait_seconds)


def done(run: CopyRun) -> CopyRun:
    return replace(run, wait_seconds=0, rounds=run.rounds + 1)


def test_a_group_that_waits_or_runs_is_not_started_twice(timers: Timers) -> None:
    inside, go_on = threading.Event(), threading.Event()

    def slow(run: CopyRun) -> CopyRun:
        inside.set()
        assert go_on.wait(5)
        return done(run)

    timers.run_with(slow)
    timers.workflows.start(run_of("a"))
    timers.workflows.start(run_of("a"))
    assert inside.wait(5)
    timers.workflows.start(run_of("a"))
    assert timers.workflows.waiting() == 1
    go_on.set()
    timers.idle()
    assert timers.steps == ["a"]
    # Finished, it may come again: the step finds nothing left to do.
    timers.workflows.start(run_of("a"))
    timers.idle()
    assert timers.steps == ["a", "a"]


def test_a_retryable_failure_is_retried_and_then_left_to_the_sweeper(timers: Timers) -> None:
    def fails(run: CopyRun) -> CopyRun:
        raise Retryable("the venue does not answer")

    timers.run_with(fails)
    timers.workflows.start(run_of("a"))
    timers.idle()
    until(lambda: timers.quarantine.kept, 5)
    assert timers.steps == ["a"] * 3
    assert timers.quarantine.kept == [("copy_trade", "a", "the venue does not answer")]


@pytest.mark.parametrize("error", [Permanent("no"), KeyError("x"), TypeError("y"), OSError("z")])
def test_a_broken_run_does_not_end_the_others(timers: Timers, error: Exception) -> None:
    def step(run: CopyRun) -> CopyRun:
        if run.group_id == "broken":
            raise error
        return done(run)

    timers.run_with(step)
    timers.workflows.start(run_of("broken"))
    timers.workflows.start(run_of("good", wait_seconds=2))
    timers.idle()
    until(lambda: timers.quarantine.kept, 5)
    assert timers.steps == ["broken", "good"]
    assert [kept[:2] for kept in timers.quarantine.kept] == [("copy_trade", "broken")]


def test_a_quarantine_that_fails_does_not_end_them_either() -> None:
    class Full(MemoryQuarantine):
        def keep(self, source: str, payload: str, error: str) -> None:
            raise Retryable("the disk is full")

    workflows = TimerWorkflows(Full(), wait_scale=0.01)

    def step(run: CopyRun) -> CopyRun:
        if run.group_id == "broken":
            raise Permanent("no")
        return done(run)

    workflows.run_with(step)
    workflows.start(run_of("broken"))
    workflows.start(run_of("good"))
    until(lambda: workflows.waiting() == 0, 5)
    workflows.stop()


def test_a_run_without_end_is_given_up(timers: Timers) -> None:
    timers.run_with(lambda run: replace(run, wait_seconds=1, rounds=run.rounds + 1))
    timers.workflows.start(run_of("endless"))
    timers.idle()
    until(lambda: timers.quarantine.kept, 5)
    assert len(timers.steps) == STEPS_MAX
    assert timers.quarantine.kept == [("copy_trade", "endless", "too many rounds")]


def test_a_step_that_fails_because_all_stops_is_no_failure(timers: Timers) -> None:
    inside, go_on = threading.Event(), threading.Event()

    def interrupted(run: CopyRun) -> CopyRun:
        inside.set()
        go_on.wait(5)
        raise Permanent("the store is closed")

    timers.run_with(interrupted)
    timers.workflows.start(run_of("a"))
    assert inside.wait(5)
    timers.workflows.stop(0)
    go_on.set()
    timers.workflows.stop(5)
    assert timers.quarantine.kept == []
