"""Fire EventBridge schedules, which moto stores but never runs."""

import json
import logging
import re
import threading
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from infra.local.isolation import REGION

log = logging.getLogger(__name__)

_RATE = re.compile(r"rate\((\d+) (minute|hour|day)s?\)")
_UNIT_S = {"minute": 60, "hour": 3600, "day": 86400}


class ScheduleFailed(RuntimeError):
    """A scheduled function answered with an error."""


@dataclass(frozen=True)
class Schedule:
    name: str
    rule_arn: str
    period_s: int
    function_arns: tuple[str, ...]


def period_s(expression: str) -> int:
    match = _RATE.fullmatch(expression)
    if match is None:
        raise ValueError(f"The local engine runs rate() schedules only, not {expression!r}")
    return int(match[1]) * _UNIT_S[match[2]]


class Ticker:
    """One thread per rule, so that a slow function never overlaps itself or delays another."""

    def __init__(self, events: Any, functions: Any, prefix: str, time_scale: float) -> None:
        self._events = events
        self._functions = functions
        self._prefix = prefix
        self._time_scale = time_scale
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []

    def schedules(self) -> dict[str, Schedule]:
        """Schedules by function name, e.g. `poll_tick`."""
        found = {}
        for rule in self._events.list_rules(NamePrefix=f"{self._prefix}-")["Rules"]:
            targets = self._events.list_targets_by_rule(Rule=rule["Name"])["Targets"]
            if rule.get("State") != "ENABLED" or "ScheduleExpression" not in rule:
                continue
            name = rule["Name"].removeprefix(f"{self._prefix}-").removesuffix("-event")
            found[name] = Schedule(
                name=name,
                rule_arn=rule["Arn"],
                period_s=period_s(rule["ScheduleExpression"]),
                function_arns=tuple(target["Arn"] for target in targets),
            )
        return found

    def start(self) -> None:
        for schedule in self.schedules().values():
            thread = threading.Thread(
                target=self._run, args=(schedule,), name=f"schedule-{schedule.name}"
            )
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()
        self._threads.clear()
        self._stopping.clear()

    def _run(self, schedule: Schedule) -> None:
        while not self._stopping.wait(schedule.period_s * self._time_scale):
            try:
                self.invoke(schedule)
            except Exception:
                # EventBridge would go on as well; the error is in the engine's list.
                log.warning("Schedule %s failed", schedule.name, exc_info=True)

    def fire(self, name: str) -> Any:
        """Run a schedule once, now; its last target's answer. Raises ScheduleFailed."""
        return self.invoke(self.schedules()[name])

    def invoke(self, schedule: Schedule) -> Any:
        event = {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": "Scheduled Event",
            "source": "aws.events",
            "account": schedule.rule_arn.split(":")[4],
            "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "region": REGION,
            "resources": [schedule.rule_arn],
            "detail": {},
        }
        answer = None
        for arn in schedule.function_arns:
            response = self._functions.invoke(FunctionName=arn, Payload=json.dumps(event))
            answer = json.loads(response["Payload"].read() or b"null")
            if response.get("FunctionError"):
                raise ScheduleFailed(f"{schedule.name}: {answer}")
        return answer
