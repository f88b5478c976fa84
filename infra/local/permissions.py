"""Hold functions to their IAM policies, which moto stores and never enforces.

Every AWS request that a handler makes in its own thread is checked against the function's policy
as deployed for its stage, so a missing permission fails in a test and not on AWS.
"""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import Any

from infra.functions import FUNCTIONS, policy

_current = threading.local()

# IAM has no action for the batch and transaction calls; each item needs its own.
_AS_ACTION = {
    "sqs:SendMessageBatch": "sqs:SendMessage",
    "sqs:DeleteMessageBatch": "sqs:DeleteMessage",
    "sqs:ChangeMessageVisibilityBatch": "sqs:ChangeMessageVisibility",
}
_ITEM_ACTION = {
    "Put": "dynamodb:PutItem",
    "Update": "dynamodb:UpdateItem",
    "Delete": "dynamodb:DeleteItem",
    "ConditionCheck": "dynamodb:ConditionCheckItem",
    "Get": "dynamodb:GetItem",
}
_SERVICES = {
    "DynamoDB_20120810": "dynamodb",
    "AmazonSQS": "sqs",
    "AWSStepFunctions": "states",
    "AmazonSSM": "ssm",
}


_INVOCATION = re.compile(r"/2015-03-31/functions/([^/]+)/invocations")


class NotAllowed(RuntimeError):
    """A function's policy does not allow what its handler just tried."""


def _table(name: str) -> str:
    return f"arn:aws:dynamodb:*:*:table/{name.rsplit('/', 1)[-1]}"


def needs(target: str, body: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Pairs of IAM action and resource that a JSON request of an AWS service needs."""
    prefix, _, operation = target.partition(".")
    service = _SERVICES.get(prefix)
    if service is None:
        return
    action = f"{service}:{operation}"
    if operation in {"TransactWriteItems", "TransactGetItems"}:
        for item in body["TransactItems"]:
            ((kind, request),) = item.items()
            yield _ITEM_ACTION[kind], _table(request["TableName"])
    elif operation in {"BatchGetItem", "BatchWriteItem"}:
        for table in body["RequestItems"]:
            yield action, _table(table)
    elif service == "dynamodb":
        index = f"/index/{body['IndexName']}" if "IndexName" in body else ""
        yield action, _table(body["TableName"]) + index
    elif service == "sqs":
        queue = body.get("QueueName") or body["QueueUrl"].rsplit("/", 1)[1]
        yield _AS_ACTION.get(action, action), f"arn:aws:sqs:*:*:{queue}"
    elif service == "states":
        machine = body["stateMachineArn"].split(":stateMachine:")[1]
        yield action, f"arn:aws:states:*:*:stateMachine:{machine}"
    elif service == "ssm":
        for name in body.get("Names") or [body.get("Name") or body.get("Path", "")]:
            yield action, f"arn:aws:ssm:*:*:parameter{name}"


class Permissions:
    def __init__(self, stage: str) -> None:
        self._statements = {
            function.deployed_name(stage): policy(function, stage)["Statement"]
            for function in FUNCTIONS
        }

    @contextmanager
    def of(self, function_name: str) -> Iterator[None]:
        """Check the requests of this thread against one function's policy."""
        # A request can invoke a function in another thread only, so there is no nesting here.
        _current.allowed = (function_name, self._statements.get(function_name, []))
        try:
            yield
        finally:
            _current.allowed = None


def _needed(request: Any) -> list[tuple[str, str]]:
    """What a handler's request needs, nothing where it is none of an AWS service we know."""
    target = request.headers.get("X-Amz-Target")
    if target:
        target = target.decode() if isinstance(target, bytes) else target
        return list(needs(target, json.loads(request.body or b"{}")))
    invoked = _INVOCATION.search(str(request.url))
    if invoked is None:
        return []
    return [("lambda:InvokeFunction", f"arn:aws:lambda:*:*:function:{invoked[1]}")]


def check(request: Any) -> None:
    """Raise NotAllowed when a handler's request exceeds its policy; others pass."""
    allowed = getattr(_current, "allowed", None)
    if allowed is None:
        return
    name, statements = allowed
    for action, resource in _needed(request):
        if not any(
            action in statement["Action"]
            and any(fnmatchcase(resource, pattern) for pattern in statement["Resource"])
            for statement in statements
        ):
            raise NotAllowed(f"{name} may not {action} on {resource}; see infra/functions.py")
