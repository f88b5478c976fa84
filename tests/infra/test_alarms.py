"""Every alarm has a runbook and rings under the fault it names; nothing is looked at in vain."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import boto3
import pytest
import yaml
from moto import mock_aws

from chalicelib.adapters.codec import to_text
from chalicelib.adapters.sqs import PollTick
from chalicelib.metric_names import SERIES
from chalicelib.observability import EmfMetrics, logger
from chalicelib.ports import Put
from chalicelib.queue_handlers import poll_records
from infra.chalice_files import PROJECT_ROOT, environment_of
from infra.functions import FUNCTIONS
from tests.workflow.harness import LEADER, T0, M, System, api, chain, leg, row
from tests.workflow.test_completeness import MINUTE_MS, Measured
from tests.workflow.test_reconcile import Reconciled

STAGE = "dev"
OWN = f"papercopy-{STAGE}"
MACHINE = "arn:machine"
METRICS_PER_ALARM_MAX = 10
DASHBOARD_METRICS_MAX = 50
RUNBOOK = re.compile(r"Runbook: docs/runbooks/alarms\.md#([a-z-]+)")

Series = tuple[str, str, tuple[tuple[str, str], ...]]
"""Namespace, name and dimensions of a metric."""
Points = dict[Series, list[float]]
"""Values of one period; a percentile needs all of them, a sum their sum."""


class _Loader(yaml.SafeLoader):
    pass


def _tagged(loader: _Loader, suffix: str, node: Any) -> Any:
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    if suffix == "Sub" and isinstance(value, str):
        return value.replace("${Stage}", STAGE).replace("${CopyTrade}", MACHINE)
    return MACHINE if (suffix, value) == ("Ref", "CopyTrade") else {suffix: value}


_Loader.add_multi_constructor("!", _tagged)


def template(name: str) -> dict[str, Any]:
    document: dict[str, Any] = yaml.load((PROJECT_ROOT / "infra" / name).read_text(), _Loader)
    return document


APP = template("app.yaml")


def resources(kind: str) -> dict[str, dict[str, Any]]:
    found = APP["Resources"].items()
    return {name: r["Properties"] for name, r in found if r["Type"] == f"AWS::{kind}"}


ALARMS = {
    properties["AlarmName"].removeprefix(f"{OWN}-"): properties
    for properties in resources("CloudWatch::Alarm").values()
}


def series(stat: Mapping[str, Any]) -> Series:
    dimensions = tuple((d["Name"], d["Value"]) for d in stat.get("Dimensions", ()))
    return stat["Namespace"], stat["MetricName"], dimensions


@dataclass(frozen=True)
class Alarm:
    """An alarm's rule, evaluated as CloudWatch does: all of its periods must breach."""

    stats: tuple[tuple[Series, str], ...]
    threshold: float
    operator: str
    missing_breaches: bool
    periods: int

    @classmethod
    def of(cls, properties: Mapping[str, Any]) -> Alarm:
        told = [m["MetricStat"] for m in properties.get("Metrics", ()) if "MetricStat" in m]
        stats = [(series(m["Metric"]), m["Stat"]) for m in told]
        if not stats:
            stat = properties.get("Statistic") or properties["ExtendedStatistic"]
            stats = [(series(properties), stat)]
        threshold = properties["Threshold"]
        if isinstance(threshold, dict):
            threshold = APP["Parameters"][threshold["Ref"]]["Default"]
        return cls(
            tuple(stats),
            float(threshold),
            properties["ComparisonOperator"],
            properties["TreatMissingData"] == "breaching",
            properties["EvaluationPeriods"],
        )

    def rings(self, *periods: Points) -> bool:
        return len(periods) >= self.periods and all(map(self._breaches, periods[-self.periods :]))

    def _breaches(self, points: Points) -> bool:
        found = [_value(points[one], stat) for one, stat in self.stats if points.get(one)]
        if not found:
            return self.missing_breaches
        total = sum(found)
        return {
            "GreaterThanOrEqualToThreshold": total >= self.threshold,
            "GreaterThanThreshold": total > self.threshold,
            "LessThanThreshold": total < self.threshold,
        }[self.operator]


def _value(values: list[float], stat: str) -> float:
    if stat == "p95":
        return sorted(values)[max(0, -(-len(values) * 95 // 100) - 1)]
    return {"Sum": sum, "Maximum": max}[stat](values)


def emitted(system: System, monkeypatch: pytest.MonkeyPatch) -> Points:
    """What the system's counts become in CloudWatch, by way of the lines that carry them."""
    names = environment_of(STAGE, {})
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", names["POWERTOOLS_METRICS_NAMESPACE"])
    monkeypatch.delenv("POWERTOOLS_METRICS_DISABLED", raising=False)
    lines: list[str] = []
    emf = EmfMetrics(lines.append)
    for name, value in system.metrics.snapshot().items():
        emf.count(name, value)
    for name in SERIES:
        for value in system.metrics.observed(name):
            emf.observe(name, value)
    emf.flush()
    points: Points = {}
    for told in map(json.loads, lines):
        for block in told.get("_aws", {}).get("CloudWatchMetrics", ()):
            assert block["Dimensions"] == [[]]
            for metric in block["Metrics"]:
                noted = told[metric["Name"]]
                values = noted if isinstance(noted, list) else [noted]
                points.setdefault((block["Namespace"], metric["Name"], ()), []).extend(values)
    return points


def _missed() -> System:
    system = Measured()
    system.happens(1, system.clock.now_ms() - 3 * MINUTE_MS + 1_000, seen_after=None)
    system.measure()
    return system


def _duplicated() -> System:
    system = Measured()
    at = system.clock.now_ms() - 3 * MINUTE_MS + 1_000
    system.happens(1, at, shares=11 * M)
    system.record.rows[0] = replace(system.record.rows[0], shares=10 * M)
    system.measure()
    return system


def _disagreeing() -> System:
    system = Measured()
    at = system.clock.now_ms() - 3 * MINUTE_MS + 1_000
    system.happens(1, at)
    system.services.ingest(api([row(12 * M, 515_000, ts_block=at)], number=1, ts_seen=at + 9_000))
    system.measure()
    return system


def _ledger() -> System:
    system = System()
    system.follow()
    head = system.head()
    system.store.commit([Put(replace(head, cash=head.cash + 1))])
    system.services.check_ledgers()
    return system


def _unmeasured() -> System:
    system = Measured()
    system.record.down.add(LEADER)
    system.measure()
    return system


def _polls_fail() -> System:
    system = System()
    system.follow()
    system.venue.down = True
    ports: Any = _PollPorts(system)
    for _ in range(5):
        system.clock.advance(60_000)
        tick = {"messageId": "1", "body": to_text(PollTick((LEADER,), 0)), "attributes": {}}
        event = {"Records": [{**tick, "eventSource": "aws:sqs", "receiptHandle": "r"}]}
        poll_records(event, system.services, ports)
    return system


class _PollPorts:
    def __init__(self, system: System) -> None:
        self.clock, self.metrics = system.clock, system.metrics
        self.quarantine = system.quarantine


def _late() -> System:
    system = System()
    system.follow()
    for number in range(1, 21):
        lag = 61_000 if number > 18 else 2_000
        part = leg(10 * M, 510_000, index=number, ts_block=T0)
        system.services.ingest(chain([part], number=number, ts_seen=T0 + lag))
    return system


def _stalled() -> System:
    system = Reconciled()
    for _ in range(4):
        system.minute(chain=False)
    return system


OWN_FAULTS: dict[str, Callable[[], System]] = {
    "missed-fills": _missed,
    "duplicated-fills": _duplicated,
    "disagreeing-trades": _disagreeing,
    "ledger-mismatch": _ledger,
    "unmeasured-leaders": _unmeasured,
    "poll-failures": _polls_fail,
    "detection-lag": _late,
    "standstill": _stalled,
}


@pytest.mark.parametrize("name", OWN_FAULTS)
def test_it_rings_under_its_fault_and_not_without(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    alarm = Alarm.of(ALARMS[name])
    points = emitted(OWN_FAULTS[name](), monkeypatch)
    assert alarm.rings(*[points] * alarm.periods), points
    calm = Reconciled()
    calm.happens(1, calm.clock.now_ms() - 1_000)
    calm.services.sweep()
    calm.measure()
    calm.services.check_ledgers()
    for _ in range(4):
        calm.services.sweep()
        calm.minute()
    well = emitted(calm, monkeypatch)
    assert (OWN, "detection_lag_ms", ()) in well, "something was counted"
    assert not alarm.rings(*[well] * alarm.periods)


def test_a_dead_letter_rings_wherever_it_lies(monkeypatch: pytest.MonkeyPatch) -> None:
    alarm = Alarm.of(ALARMS["dead-letters"])
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        boto3.client("cloudformation", "us-east-1").create_stack(
            StackName="base",
            TemplateBody=(PROJECT_ROOT / "infra" / "base.yaml").read_text(),
            Parameters=[
                {"ParameterKey": "Stage", "ParameterValue": STAGE},
                {"ParameterKey": "Protect", "ParameterValue": "false"},
            ],
        )
        sqs = boto3.client("sqs", "us-east-1")

        def depths() -> Points:
            points: Points = {}
            for url in sqs.list_queues()["QueueUrls"]:
                told = sqs.get_queue_attributes(
                    QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"]
                )["Attributes"]
                queue = (("QueueName", url.rsplit("/", 1)[1]),)
                depth = float(told["ApproximateNumberOfMessages"])
                points["AWS/SQS", "ApproximateNumberOfMessagesVisible", queue] = [depth]
            return points

        for queue in ("fills-dead.fifo", "polls-dead", "failures"):
            assert not alarm.rings(depths())
            url = sqs.get_queue_url(QueueName=f"{OWN}-{queue}")["QueueUrl"]
            fifo = {"MessageGroupId": "g", "MessageDeduplicationId": "d"}
            sqs.send_message(
                QueueUrl=url, MessageBody="x", **(fifo if queue.endswith("fifo") else {})
            )
            assert alarm.rings(depths()), queue
            sqs.purge_queue(QueueUrl=url)


@pytest.mark.parametrize(
    ("name", "metric", "dimensions", "well", "ill"),
    [
        ("fills-age", ("AWS/SQS", "ApproximateAgeOfOldestMessage"), "fills.fifo", 119, 121),
        ("polls-age", ("AWS/SQS", "ApproximateAgeOfOldestMessage"), "polls", 119, 121),
        ("failed-workflows", ("AWS/States", "ExecutionsFailed"), MACHINE, 0, 1),
        ("failed-workflows", ("AWS/States", "ExecutionsTimedOut"), MACHINE, 0, 1),
        ("function-throttles", ("AWS/Lambda", "Throttles"), "", 0, 1),
        ("api-errors", ("AWS/ApiGateway", "5XXError"), "papercopy", 4, 5),
    ],
)
def test_what_aws_measures_rings_at_its_threshold(
    name: str, metric: tuple[str, str], dimensions: str, well: int, ill: int
) -> None:
    alarm = Alarm.of(ALARMS[name])
    key = {"AWS/SQS": "QueueName", "AWS/States": "StateMachineArn", "AWS/ApiGateway": "ApiName"}
    value = f"{OWN}-{dimensions}" if metric[0] == "AWS/SQS" else dimensions
    where = ((key[metric[0]], value),) if dimensions else ()
    assert alarm.rings(*[{(*metric, where): [ill]}] * alarm.periods)
    assert not alarm.rings(*[{(*metric, where): [well]}] * alarm.periods)
    assert not alarm.rings(*[Points()] * alarm.periods)


def test_an_error_of_any_function_rings() -> None:
    alarm = Alarm.of(ALARMS["function-errors"])
    for function in FUNCTIONS:
        where = (("FunctionName", function.deployed_name(STAGE)),)
        assert alarm.rings({("AWS/Lambda", "Errors", where): [1.0]}), function.name
    assert not alarm.rings({})


def test_a_silent_watcher_rings_and_its_line_is_what_the_filter_counts() -> None:
    alarm = Alarm.of(ALARMS["watcher-silent"])
    (counted,) = resources("Logs::MetricFilter").values()
    (made,) = counted["MetricTransformations"]
    assert (made["MetricNamespace"], made["MetricName"]) == (OWN, "watcher_heartbeat")
    wanted = re.fullmatch(
        r'\{ \(\$\.message = "(.+)"\) && \(\$\.up IS TRUE\) \}', counted["FilterPattern"]
    )
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(logger.registered_formatter)
    logger.addHandler(handler)
    try:
        logger.info("watcher heartbeat", up=True, detail="", block=1)
    finally:
        logger.removeHandler(handler)
    line = json.loads(written.getvalue())
    assert wanted and (line["message"], line["up"]) == (wanted[1], True)
    beat_of: Points = {(OWN, "watcher_heartbeat", ()): [1.0]}
    assert alarm.rings({}, {}, {})
    assert not alarm.rings({}, beat_of, {})


def test_every_alarm_is_tested_and_links_a_section_of_its_own() -> None:
    text = (PROJECT_ROOT / "docs" / "runbooks" / "alarms.md").read_text()
    sections = set(re.findall(r"^## (.+)$", text, re.MULTILINE))
    for name, properties in ALARMS.items():
        linked = RUNBOOK.search(properties["AlarmDescription"])
        assert linked and linked[1] == name, name
        assert properties["AlarmActions"], name
    assert sections == {*ALARMS, "budget"}
    source = (PROJECT_ROOT / "tests" / "infra" / "test_alarms.py").read_text()
    assert {name for name in ALARMS if f'"{name}"' not in source} == set()


def _watched() -> Iterator[Series]:
    for properties in ALARMS.values():
        assert len(properties.get("Metrics", ())) - 1 <= METRICS_PER_ALARM_MAX
        yield from (one for one, _ in Alarm.of(properties).stats)


def _shown() -> Iterator[Series]:
    """Metrics of the dashboard; `.` and `...` repeat what the line above has there."""
    (board,) = resources("CloudWatch::Dashboard").values()
    for widget in json.loads(board["DashboardBody"])["widgets"]:
        before: list[str] = []
        for told in widget["properties"].get("metrics", ()):
            fields = [part for part in told if isinstance(part, str)]
            if fields[0] == "...":
                fields = [*before[: len(before) - len(fields) + 1], *fields[1:]]
            before = [before[i] if part == "." else part for i, part in enumerate(fields)]
            namespace, name, *rest = before
            yield namespace, name, tuple(zip(rest[::2], rest[1::2], strict=True))


def test_own_metrics_have_an_emitter_and_every_series_somebody_who_looks() -> None:
    looked = {*_watched(), *_shown()}
    own = {(name, dimensions) for namespace, name, dimensions in looked if namespace == OWN}
    assert own == {(name, ()) for name in SERIES}


def test_the_dashboard_is_free_and_shows_every_alarm() -> None:
    assert len(set(_shown())) <= DASHBOARD_METRICS_MAX
    (board,) = resources("CloudWatch::Dashboard").values()
    listed = set(re.findall(rf":alarm:{OWN}-([a-z-]+)", board["DashboardBody"]))
    # The watcher's alarm exists only where there is a watcher.
    assert listed == ALARMS.keys() - {"watcher-silent"}


def test_there_is_a_budget_that_the_topic_hears_of() -> None:
    base = template("base.yaml")["Resources"]
    told = base["Budget"]["Properties"]["NotificationsWithSubscribers"]
    kinds = [one["Notification"]["NotificationType"] for one in told]
    assert kinds == ["ACTUAL", "FORECASTED"]
    assert all(one["Subscribers"][0]["Address"] == {"Ref": "AlarmTopic"} for one in told)
    statements = base["AlarmTopicPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert {s["Principal"]["Service"] for s in statements} == {
        "cloudwatch.amazonaws.com",
        "budgets.amazonaws.com",
    }
