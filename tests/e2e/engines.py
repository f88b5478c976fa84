"""Either engine under one handle, on a scripted venue, without its own timetable.

Waits are short, evidence is stamped in the past by the tests, and what was refused or buried is
read from where a person would find it.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock, Thread
from typing import Any, ClassVar, Protocol

import pytest

from chalicelib import observability
from chalicelib.adapters.codec import to_text
from chalicelib.bootstrap import Services, build_watches, production
from chalicelib.domain.evidence import FillMessage
from chalicelib.domain.registry import SettingsRow
from chalicelib.keyspace import settings_key
from chalicelib.ports import CopyRun, Put, Store
from chalicelib.settings import environment
from infra.local.embedded import EmbeddedEngine
from infra.local.engine import AwsEngine
from infra.local.stack import wait_until
from tests.e2e.ledgers import follow_since

WAIT_SCALE = 0.1
# A visibility time-out of 60 s lasts 1.8 s.
TIME_SCALE = 0.03
SETTLE_SECONDS_MAX = 30.0
BASE = {"TRIGGER_MODE": "api", "POLL_INTERVAL_S": "30"}


class Running(Protocol):
    """A running engine."""

    name: str
    store: Store
    services: Services

    def send(self, *messages: FillMessage) -> None:
        """Hand evidence to the engine's own queue."""

    def poll(self) -> None:
        """One round of polls of every leader, the way the engine does it."""

    def sweep(self) -> None:
        """One run of the sweeper."""

    def settle(self, seconds_max: float = SETTLE_SECONDS_MAX) -> None:
        """Return when nothing is queued or under way."""

    def start(self, run: CopyRun, name: str) -> None:
        """Start a copy workflow under a name of its own."""

    def refused(self) -> list[dict[str, Any]]:
        """What was quarantined since the last call: source, error, payload."""

    def buried(self) -> list[str]:
        """Payloads among the dead letters of the fills."""

    def counted(self, name: str) -> int:
        """How often something was counted."""

    @property
    def workflows(self) -> Any:
        """The port that starts workflows."""


PATIENT = '{"book_late_ms_max": 60000}'
"""Global settings under which a book may be a minute late, so that evidence may be, too."""


def follow_for_long(store: Store, leaders: Sequence[str]) -> None:
    """Follow as if that had been asked for twenty minutes ago."""
    for leader in leaders:
        follow_since(store, time.time_ns() // 1_000_000 - 1_200_000, [leader])


def store_setting(store: Store, scope: str, text: str) -> None:
    """A settings row as somebody with access to the table may have written it."""
    known = store.get(SettingsRow, settings_key(scope))
    store.commit([Put(SettingsRow(scope, text, known.version if known else 0))])


class EmbeddedRun:
    """The embedded engine in this process."""

    name = "embedded"

    def __init__(
        self, variables: Mapping[str, str], folder: Path, leaders: Sequence[str], wait_scale: float
    ) -> None:
        env = environment({**BASE, **variables})
        self._quarantine = folder / "quarantine.jsonl"
        self._read = 0
        self.engine = EmbeddedEngine(env, folder, wait_scale=wait_scale)
        self.store, self.services = self.engine.store, self.engine.services
        self.workflows = self.engine.workflows
        store_setting(self.store, "global", PATIENT)
        follow_for_long(self.store, leaders)
        self.engine.start()

    def send(self, *messages: FillMessage) -> None:
        self.engine.queue.send(messages)

    def poll(self) -> None:
        from chalicelib.services.manage_leaders import leaders

        for leader in leaders(self.store):
            self.services.poll_leader(leader.leader)

    def sweep(self) -> None:
        self.services.sweep()

    def settle(self, seconds_max: float = SETTLE_SECONDS_MAX) -> None:
        assert wait_until(self.engine.idle, seconds_max, 0.02), "the embedded engine stays busy"

    def start(self, run: CopyRun, name: str) -> None:
        # Timers know their runs by group; another name is another run for the same group.
        with self.workflows._changed:
            self.workflows._push(run, run.wait_seconds, tries=0)

    def refused(self) -> list[dict[str, Any]]:
        if not self._quarantine.exists():
            return []
        lines = self._quarantine.read_text().splitlines()
        fresh, self._read = lines[self._read :], len(lines)
        return [json.loads(line) for line in fresh]

    def buried(self) -> list[str]:
        return [to_text(letter.message) for letter in self.engine.queue.dead()]

    def counted(self, name: str) -> int:
        return self.engine.metrics.snapshot().get(name, 0)

    def stop(self) -> None:
        self.engine.stop()


class CountedEmf(observability.EmfMetrics):
    """The Lambdas' counters, kept beside the log lines they become."""

    kept: ClassVar[Counter[str]] = Counter()
    _kept_lock = Lock()

    def count(self, name: str, value: int = 1) -> None:
        super().count(name, value)
        with self._kept_lock:
            self.kept[name] += value


class WatcherThread:
    """The watcher's task, which is a process of its own on AWS."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._stop = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        # The addresses of the node are secrets that only the task is given.
        watcher, _ = build_watches({**os.environ, **variables})
        self._thread = Thread(
            target=self._loop.run_until_complete, args=(watcher.run(self._stop),), name="watcher"
        )
        self._thread.start()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._loop.close()


class AwsRun:
    """The production topology in moto; functions run in this process."""

    name = "aws"

    def __init__(
        self,
        variables: Mapping[str, str],
        patch: pytest.MonkeyPatch,
        leaders: Sequence[str],
        wait_scale: float,
    ) -> None:
        patch.setattr(observability, "EmfMetrics", CountedEmf)
        CountedEmf.kept.clear()
        self.engine = AwsEngine(
            # One interpreter runs all functions and has their whole budget.
            environment={
                **BASE,
                "VENUE_BUDGET_SHARES": "1",
                **variables,
                "POWERTOOLS_LOG_LEVEL": "CRITICAL",
            },
            time_scale=TIME_SCALE,
            wait_scale=wait_scale,
            schedules=False,
        )
        production.cache_clear()
        self.engine.start()
        made = production()
        self.store, self.services = made.ports.store, made.services
        self.workflows = made.ports.workflows
        self._queue = made.ports.queue
        store_setting(self.store, "global", PATIENT)
        follow_for_long(self.store, leaders)
        self._watcher = WatcherThread(variables) if "POLYGON_WS_URL" in variables else None

    def send(self, *messages: FillMessage) -> None:
        self._queue.send(messages)

    def send_body(self, body: str, group: str) -> None:
        """A body as a producer of another version, or a person, may send it."""
        self.engine.client("sqs").send_message(
            QueueUrl=self.engine.queue_url("fills.fifo"),
            MessageBody=body,
            MessageGroupId=group,
            MessageDeduplicationId=str(time.monotonic_ns()),
        )

    def poll(self) -> None:
        self.engine.fire("poll_tick")
        self.settle()

    def sweep(self) -> None:
        self.engine.fire("sweep")

    def settle(self, seconds_max: float = SETTLE_SECONDS_MAX) -> None:
        self.engine.wait_idle(seconds_max)

    def start(self, run: CopyRun, name: str) -> None:
        states = self.engine.client("stepfunctions")
        machine = states.list_state_machines()["stateMachines"][0]["stateMachineArn"]
        states.start_execution(stateMachineArn=machine, name=name, input=to_text(run))

    def executions(self) -> list[dict[str, Any]]:
        """Every execution so far: name and status."""
        states = self.engine.client("stepfunctions")
        machine = states.list_state_machines()["stateMachines"][0]["stateMachineArn"]
        found: list[dict[str, Any]] = states.list_executions(stateMachineArn=machine)["executions"]
        return found

    def refused(self) -> list[dict[str, Any]]:
        return [json.loads(message["Body"]) for message in self._drain("failures")]

    def buried(self) -> list[str]:
        return [message["Body"] for message in self._drain("fills-dead.fifo")]

    def _drain(self, queue: str) -> list[dict[str, Any]]:
        sqs, url = self.engine.client("sqs"), self.engine.queue_url(queue)
        found: list[dict[str, Any]] = []
        while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            found += messages
            for message in messages:
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return found

    def counted(self, name: str) -> int:
        return CountedEmf.kept[name]

    def stop(self) -> None:
        if self._watcher:
            self._watcher.stop()
        self.engine.stop()
        production.cache_clear()


Engine = EmbeddedRun | AwsRun


def open_engine(
    name: str,
    variables: Mapping[str, str],
    folder: Path,
    patch: pytest.MonkeyPatch,
    *,
    leaders: Sequence[str] = (),
    wait_scale: float = WAIT_SCALE,
) -> Engine:
    """A running engine that follows `leaders` from its start; the caller stops it."""
    if name == "aws":
        return AwsRun(variables, patch, leaders, wait_scale)
    return EmbeddedRun(variables, folder, leaders, wait_scale)
