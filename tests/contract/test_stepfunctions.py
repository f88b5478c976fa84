"""Starting copy workflows, and reading their input."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from chalicelib.adapters.stepfunctions import StepFunctionsWorkflows, parse_copy_run
from chalicelib.domain.errors import InvalidInput, PapercopyError, Permanent, Retryable
from chalicelib.ports import CopyRun

from .aws_resources import REGION

RUN = CopyRun("g" * 64, ("acc/global#1", "acc/leader#2"), 4)
DEFINITION = '{"StartAt":"Done","States":{"Done":{"Type":"Succeed"}}}'
ROLE = "arn:aws:iam::123456789012:role/any"


def test_an_execution_is_named_after_its_group_and_carries_ids_only(aws: None) -> None:
    client = boto3.client("stepfunctions", region_name=REGION)
    arn = client.create_state_machine(
        name="papercopy-test-copy-trade", definition=DEFINITION, roleArn=ROLE
    )["stateMachineArn"]
    workflows = StepFunctionsWorkflows("test", client, sts=boto3.client("sts", region_name=REGION))
    workflows.start(RUN)
    (execution,) = client.list_executions(stateMachineArn=arn)["executions"]
    assert execution["name"] == RUN.group_id
    found = client.describe_execution(executionArn=execution["executionArn"])["input"]
    assert json.loads(found) == {
        "group_id": RUN.group_id,
        "portfolios": ["acc/global#1", "acc/leader#2"],
        "wait_seconds": 4,
        "rounds": 0,
    }
    assert parse_copy_run(json.loads(found)) == RUN


def test_a_missing_state_machine_is_permanent(aws: None) -> None:
    client = boto3.client("stepfunctions", region_name=REGION)
    arn = f"arn:aws:states:{REGION}:123456789012:stateMachine:absent"
    with pytest.raises(Permanent, match="the copy workflow of ggg"):
        StepFunctionsWorkflows("test", client, state_machine_arn=arn).start(RUN)


class FakeClient:
    """Step Functions and STS in one: counts, and raises `error` if there is one."""

    class meta:
        region_name = "eu-central-2"

    def __init__(self, error: Exception | None = None) -> None:
        self.starts: list[dict[str, Any]] = []
        self.identities = 0
        self._error = error

    def start_execution(self, **parameters: Any) -> None:
        self.starts.append(parameters)
        if self._error:
            raise self._error

    def get_caller_identity(self) -> dict[str, str]:
        self.identities += 1
        return {"Account": "42", "Arn": "arn:aws-x:sts::42:assumed-role/r/s"}


def refusal(code: str, status: int = 400) -> ClientError:
    response: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, "StartExecution")


def test_the_arn_is_built_once_of_region_account_and_stage() -> None:
    client = FakeClient()
    workflows = StepFunctionsWorkflows("prod", client, sts=client)
    workflows.start(RUN)
    workflows.start(RUN)
    assert client.identities == 1
    expected = "arn:aws-x:states:eu-central-2:42:stateMachine:papercopy-prod-copy-trade"
    assert [s["stateMachineArn"] for s in client.starts] == [expected] * 2


def test_a_given_arn_is_used_as_it_is() -> None:
    client = FakeClient()
    StepFunctionsWorkflows("prod", client, state_machine_arn="arn:given").start(RUN)
    assert client.starts[0]["stateMachineArn"] == "arn:given"
    assert client.identities == 0
    with pytest.raises(ValueError, match="ARN"):
        StepFunctionsWorkflows("prod", client)


def test_a_long_name_is_cut() -> None:
    client = FakeClient()
    run = CopyRun("x" * 100, (), 1)
    StepFunctionsWorkflows("prod", client, state_machine_arn="arn").start(run)
    assert client.starts[0]["name"] == "x" * 80
    assert json.loads(client.starts[0]["input"])["group_id"] == "x" * 100


def test_starting_twice_is_a_success() -> None:
    client = FakeClient(refusal("ExecutionAlreadyExists"))
    StepFunctionsWorkflows("prod", client, state_machine_arn="arn").start(RUN)
    assert len(client.starts) == 1


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (refusal("ThrottlingException"), Retryable),
        (refusal("ExecutionLimitExceeded"), Retryable),
        (refusal("Unheard", 503), Retryable),
        (ReadTimeoutError(endpoint_url="https://states"), Retryable),
        (refusal("StateMachineDoesNotExist"), Permanent),
        (refusal("AccessDeniedException"), Permanent),
        (refusal("InvalidName"), Permanent),
    ],
)
def test_errors_are_translated(error: Exception, failure: type[PapercopyError]) -> None:
    client = FakeClient(error)
    with pytest.raises(PapercopyError) as caught:
        StepFunctionsWorkflows("prod", client, state_machine_arn="arn").start(RUN)
    assert type(caught.value) is failure


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"group_id": ""}, "group_id"),
        ({"group_id": 5}, "group_id"),
        ({"portfolios": "acc"}, "portfolios"),
        ({"portfolios": [1]}, "portfolios.0"),
        ({"portfolios": ["p"] * 101}, "portfolios"),
        ({"wait_seconds": -1}, "wait_seconds"),
        ({"wait_seconds": 241}, "wait_seconds"),
        ({"wait_seconds": "soon"}, "wait_seconds"),
        ({"wait_seconds": 1.5}, "wait_seconds"),
        ({"rounds": -1}, "rounds"),
        ({"rounds": None}, "rounds"),
    ],
)
def test_a_malformed_run_is_refused(change: dict[str, Any], field: str) -> None:
    valid = {"group_id": "g", "portfolios": ["p"], "wait_seconds": 0, "rounds": 1}
    assert parse_copy_run(valid) == CopyRun("g", ("p",), 0, 1)
    with pytest.raises(InvalidInput) as caught:
        parse_copy_run({**valid, **change})
    assert caught.value.field == field


@pytest.mark.parametrize("payload", [None, [], "text", 5, {}])
def test_what_is_no_run_is_refused(payload: object) -> None:
    with pytest.raises(InvalidInput):
        parse_copy_run(payload)
