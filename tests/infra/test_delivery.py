"""Queues, functions, schedules and the workflow behave as AWS documents them."""

import json
import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from infra.local.engine import AwsEngine
from infra.local.poller import failed_ids
from infra.local.schedules import ScheduleFailed, period_s

IDLE_S = 20.0


@pytest.fixture(autouse=True)
def _fresh(engine: AwsEngine) -> None:
    engine.runtime.app_module.seen.clear()
    for queue in engine.queue_depths():
        engine.client("sqs").set_queue_attributes(
            QueueUrl=engine.queue_url(queue), Attributes={"DelaySeconds": "0"}
        )
    _drain(engine, "failures")
    _drain(engine, "fills-dead.fifo")
    _drain(engine, "polls-dead")


def _drain(engine: AwsEngine, queue: str) -> list[dict[str, Any]]:
    drained: list[dict[str, Any]] = []
    url = engine.queue_url(queue)
    while True:
        answer = engine.client("sqs").receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, MessageSystemAttributeNames=["All"]
        )
        messages = answer.get("Messages", [])
        if not messages:
            return drained
        for message in messages:
            engine.client("sqs").delete_message(
                QueueUrl=url, ReceiptHandle=message["ReceiptHandle"]
            )
        drained += messages


def _send_fill(engine: AwsEngine, group: str, name: str, **content: Any) -> None:
    engine.client("sqs").send_message(
        QueueUrl=engine.queue_url("fills.fifo"),
        MessageGroupId=group,
        MessageDeduplicationId=str(uuid.uuid4()),
        MessageBody=json.dumps({"id": name, **content}),
    )


def _send_poll(engine: AwsEngine, name: str, delay: int = 0, **content: Any) -> None:
    engine.client("sqs").send_message(
        QueueUrl=engine.queue_url("polls"),
        DelaySeconds=delay,
        MessageBody=json.dumps({"id": name, **content}),
    )


def _seen(engine: AwsEngine, group: str = "") -> list[str]:
    return [name for seen_group, name in engine.runtime.app_module.seen if seen_group == group]


def _ids(messages: list[dict[str, Any]]) -> list[str]:
    return [json.loads(message["Body"])["id"] for message in messages]


def test_fifo_groups_keep_their_order(engine: AwsEngine) -> None:
    for index in range(40):
        _send_fill(engine, f"leader-{index % 4}", f"{index:03}")
    engine.wait_idle(IDLE_S)
    for leader in range(4):
        seen = _seen(engine, f"leader-{leader}")
        assert seen == [f"{index:03}" for index in range(leader, 40, 4)]


def test_failing_fill_holds_its_group_and_ends_in_the_dead_letter_queue(engine: AwsEngine) -> None:
    _send_fill(engine, "held", "1-bad", fail=True)
    _send_fill(engine, "held", "2")
    _send_fill(engine, "held", "3")
    _send_fill(engine, "free", "other")
    engine.wait_idle(IDLE_S)
    assert _seen(engine, "free") == ["other"]
    seen = _seen(engine, "held")
    # Received five times, and what stood behind it in the batch was never taken before it.
    assert seen.count("1-bad") == 5
    behind = seen[len(seen) - seen[::-1].index("1-bad") :]
    assert seen[0] == "1-bad"
    assert list(dict.fromkeys(behind)) == ["2", "3"]
    dead = _drain(engine, "fills-dead.fifo")
    assert _ids(dead) == ["1-bad"]
    assert dead[0]["Attributes"]["MessageGroupId"] == "held"


def test_dead_letters_are_counted_exactly(engine: AwsEngine) -> None:
    for index in range(30):
        _send_poll(engine, f"{index:02}", fail=index % 3 == 0)
    engine.wait_idle(IDLE_S)
    dead = _drain(engine, "polls-dead")
    assert sorted(_ids(dead)) == [f"{index:02}" for index in range(0, 30, 3)]
    seen = _seen(engine)
    assert all(seen.count(f"{index:02}") == (3 if index % 3 == 0 else 1) for index in range(30))


def test_function_error_leaves_the_whole_batch_to_redrive(engine: AwsEngine) -> None:
    errors = len(engine.runtime.errors)
    _send_poll(engine, "explosive", **{"raise": "boom"})
    engine.wait_idle(IDLE_S)
    assert _ids(_drain(engine, "polls-dead")) == ["explosive"]
    reports = list(engine.runtime.errors)[errors:]
    assert [(report["errorType"], report["errorMessage"]) for report in reports] == [
        ("ValueError", "boom")
    ] * 3


def test_error_of_a_called_function_is_reported_as_lambda_does(engine: AwsEngine) -> None:
    response = engine.client("lambda").invoke(
        FunctionName="papercopy-local-advance",
        Payload=json.dumps({"group_id": "broken", "rounds": 0}),
    )
    assert response["FunctionError"] == "Unhandled"
    assert json.loads(response["Payload"].read())["errorType"] == "ValueError"


def test_delayed_message_arrives_after_its_delay(engine: AwsEngine) -> None:
    started = time.monotonic()
    _send_poll(engine, "later", delay=50)
    engine.wait_idle(IDLE_S)
    assert _seen(engine) == ["later"]
    assert time.monotonic() - started >= 0.5


def test_deduplication_remembers_what_was_consumed(engine: AwsEngine) -> None:
    for _ in range(2):
        engine.client("sqs").send_message(
            QueueUrl=engine.queue_url("fills.fifo"),
            MessageGroupId="twice",
            MessageDeduplicationId="the-same",
            MessageBody=json.dumps({"id": "once"}),
        )
        engine.wait_idle(IDLE_S)
    assert _seen(engine, "twice") == ["once"]


@pytest.mark.parametrize(
    ("answer", "failed"),
    [
        (None, set()),
        ({}, set()),
        ({"batchItemFailures": []}, set()),
        ({"batchItemFailures": None}, set()),
        ({"batchItemFailures": [{"itemIdentifier": "b"}]}, {"b"}),
        ({"batchItemFailures": [{"itemIdentifier": "unknown"}]}, {"a", "b"}),
        ({"batchItemFailures": [{"itemIdentifier": ""}]}, {"a", "b"}),
        ({"batchItemFailures": [{"wrong": "b"}]}, {"a", "b"}),
        ("text", {"a", "b"}),
    ],
)
def test_answers_are_read_as_lambda_reads_them(answer: Any, failed: set[str]) -> None:
    assert failed_ids(answer, {"a", "b"}) == failed


def test_schedule_fires_on_demand_and_reports_failure(engine: AwsEngine) -> None:
    before = engine.runtime.app_module.ticks["poll_tick"]
    assert engine.fire("poll_tick") == {"ticks": before + 1, "stage": "local"}
    with pytest.raises(ScheduleFailed, match="nothing to sweep"):
        engine.fire("sweep")


@pytest.mark.parametrize(
    ("expression", "seconds"), [("rate(1 minute)", 60), ("rate(15 minutes)", 900)]
)
def test_rates_are_read(expression: str, seconds: int) -> None:
    assert period_s(expression) == seconds


def test_cron_is_refused() -> None:
    with pytest.raises(ValueError, match="rate"):
        period_s("cron(0 * * * ? *)")


def _run(engine: AwsEngine, group: str, rounds: int = 0) -> dict[str, Any]:
    name = str(uuid.uuid4())
    state = {"group_id": group, "portfolios": ["p"], "wait_seconds": 4, "rounds": rounds}
    _send_fill(engine, group, name, workflow=state)
    engine.wait_idle(IDLE_S)
    states = engine.client("stepfunctions")
    machine = states.list_state_machines()["stateMachines"][0]["stateMachineArn"]
    arn = machine.replace(":stateMachine:", ":execution:") + f":{name}"
    description: dict[str, Any] = states.describe_execution(executionArn=arn)
    return description


def test_workflow_waits_advances_waits_and_ends(engine: AwsEngine) -> None:
    before = engine.runtime.invocations["papercopy-local-advance"]
    ended = _run(engine, "good")
    assert ended["status"] == "SUCCEEDED"
    assert json.loads(ended["output"])["rounds"] == 2
    assert engine.runtime.invocations["papercopy-local-advance"] == before + 2
    assert engine.queue_depths()["failures"] == 0


def test_failed_advance_reaches_the_failures_queue(engine: AwsEngine) -> None:
    ended = _run(engine, "broken")
    assert (ended["status"], ended["error"]) == ("FAILED", "CopyTradeFailed")
    (message,) = _drain(engine, "failures")
    failure = json.loads(message["Body"])
    assert failure["kind"] == "workflow"
    assert failure["input"]["group_id"] == "broken"
    assert failure["error"]["Error"] == "ValueError"
    assert "no such group" in failure["error"]["Cause"]
    assert failure["execution"] == ended["executionArn"]


def test_endless_waiting_is_bounded_and_recorded(engine: AwsEngine) -> None:
    before = engine.runtime.invocations["papercopy-local-advance"]
    ended = _run(engine, "greedy")
    assert (ended["status"], ended["error"]) == ("FAILED", "TooManyRounds")
    assert engine.runtime.invocations["papercopy-local-advance"] == before + 9
    (message,) = _drain(engine, "failures")
    assert json.loads(message["Body"])["error"]["Error"] == "TooManyRounds"


def test_throttled_advance_is_retried(engine: AwsEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    class TooManyRequestsException(Exception):
        pass

    run: Callable[..., Any] = engine.runtime.run
    refused = []

    def throttle(function: Any, body: Any) -> Any:
        if function.function_name.endswith("-advance") and len(refused) < 2:
            refused.append(1)
            error = {"errorType": "Lambda.TooManyRequestsException", "errorMessage": "slow down"}
            return json.dumps(error).encode(), True
        return run(function, body)

    monkeypatch.setattr(engine.runtime, "run", throttle)
    assert _run(engine, "patient")["status"] == "SUCCEEDED"
    assert len(refused) == 2


def test_many_workflows_at_once(engine: AwsEngine) -> None:
    state = {"group_id": "many", "portfolios": ["p"], "wait_seconds": 4, "rounds": 0}
    for index in range(40):
        _send_fill(engine, f"leader-{index % 6}", f"many-{index}", workflow=state)
    engine.wait_idle(30.0)
    states = engine.client("stepfunctions")
    machine = states.list_state_machines()["stateMachines"][0]["stateMachineArn"]
    ended = states.list_executions(stateMachineArn=machine)["executions"]
    mine = [run["status"] for run in ended if run["name"].startswith("many-")]
    assert mine == ["SUCCEEDED"] * 40
