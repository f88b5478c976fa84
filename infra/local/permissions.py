"""Hold functions and the watcher to their IAM policies, which moto stores and never enforces.

Every AWS request that a handler makes in its own thread is checked against the function's policy
as deployed for its stage, so a missing permission fails in a test and not on AWS. The watcher is a
process of its own: it is known by its access key, and its requests are checked as they arrive.
What was used is remembered, so that a test can find grants that nobody needs.
"""

import io
import json
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication

from infra import templates
from infra.functions import FUNCTIONS, policy
from infra.local.patching import Patches

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


WATCHER = "watcher"
WATCHER_KEY = "papercopywatcher"
"""The access key by which the watcher's requests are told from everybody else's."""

Statement = dict[str, Any]
used: set[tuple[str, str, str]] = set()
"""Name, action and resource pattern of every grant that was needed since somebody cleared it."""
denied: list[str] = []
"""What was refused since somebody cleared it, also where nobody noticed."""


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


def watcher_statements(stage: str) -> list[Statement]:
    """The watcher's task role on a stage, in the form of the functions' policies."""
    role = templates.parsed(templates.text("app"))["Resources"]["WatcherTaskRole"]
    found = []
    for statement in role["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]:
        resources = [
            re.sub(r"\$\{AWS::(Region|AccountId)\}", "*", tail["Fn::Sub"])
            .replace("${AWS::Partition}", "aws")
            .replace("${Stage}", stage)
            for tail in _listed(statement["Resource"])
        ]
        found.append(
            {"Effect": "Allow", "Action": _listed(statement["Action"]), "Resource": resources}
        )
    return found


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def grants(stage: str) -> set[tuple[str, str, str]]:
    """Everything that functions and watcher are granted: name, action, resource pattern."""
    by_name: dict[str, list[Statement]] = {
        function.name: policy(function, stage)["Statement"]  # type: ignore[misc]
        for function in FUNCTIONS
    }
    by_name[WATCHER] = watcher_statements(stage)
    return {
        (name, action, resource)
        for name, statements in by_name.items()
        for statement in statements
        for action in statement["Action"]
        for resource in statement["Resource"]
    }


class Permissions:
    def __init__(self, stage: str) -> None:
        self._statements: dict[str, list[Statement]] = {
            function.deployed_name(stage): policy(function, stage)["Statement"]  # type: ignore[misc]
            for function in FUNCTIONS
        }
        self._short = {function.deployed_name(stage): function.name for function in FUNCTIONS}
        self._watcher = watcher_statements(stage)

    @contextmanager
    def of(self, function_name: str) -> Iterator[None]:
        """Check the requests of this thread against one function's policy."""
        # A request can invoke a function in another thread only, so there is no nesting here.
        short = self._short.get(function_name, function_name)
        _current.allowed = (short, self._statements.get(function_name, []))
        try:
            yield
        finally:
            _current.allowed = None

    def patch_watcher(self, patches: Patches) -> None:
        """Refuse what the watcher's role does not allow, as AWS would: by an answer."""
        serve = DomainDispatcherApplication.__call__

        def checked(application: Any, environ: dict[str, Any], start: Callable[..., Any]) -> Any:
            if f"Credential={WATCHER_KEY}/" in environ.get("HTTP_AUTHORIZATION", ""):
                body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
                environ["wsgi.input"] = io.BytesIO(body)
                try:
                    require(WATCHER, self._watcher, _of_request(environ, body))
                except NotAllowed as refusal:
                    answer = {"__type": "AccessDeniedException", "message": str(refusal)}
                    start("400 Bad Request", [("Content-Type", "application/x-amz-json-1.0")])
                    return [json.dumps(answer).encode()]
            return serve(application, environ, start)

        patches.replace(DomainDispatcherApplication, "__call__", checked)


def _of_request(environ: dict[str, Any], body: bytes) -> list[tuple[str, str]]:
    target = environ.get("HTTP_X_AMZ_TARGET")
    return list(needs(target, json.loads(body or b"{}"))) if target else []


def require(name: str, statements: list[Statement], needed: Iterable[tuple[str, str]]) -> None:
    """Note the grants that cover what is needed. Raises NotAllowed where none does."""
    for action, resource in needed:
        covering = [
            pattern
            for statement in statements
            if action in statement["Action"]
            for pattern in statement["Resource"]
            if fnmatchcase(resource, pattern)
        ]
        if not covering:
            denied.append(f"{name} may not {action} on {resource}")
            raise NotAllowed(f"{denied[-1]}; see infra/functions.py")
        used.update((name, action, pattern) for pattern in covering)


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
    require(name, statements, _needed(request))
