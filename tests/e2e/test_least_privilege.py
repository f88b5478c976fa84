"""Every handler and the watcher run their real code within their policies, and use what they have.

moto enforces no policy, so each call is held against the function's own one as it is made; a call
that none allows fails here. What nobody used is compared with a list of what these runs need not
reach, with the path in the code that needs it: a grant outside the list is one too many. Which of
the list a run happens to use depends on its timing.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest

from infra import templates
from infra.chalice_files import PROJECT_ROOT
from infra.functions import APP_NAME, FUNCTIONS
from infra.local import permissions
from infra.local.aws_stack import AwsStack
from infra.local.permissions import WATCHER, grants
from infra.local.schedules import ScheduleFailed
from infra.local.simulator_process import SimulatorProcess
from infra.local.stack import wait_until
from infra.session_keys import rotate
from tests.infra.test_api_deployed import READS, WRITES, Caller

FILLS = 12
FILLS_SECONDS_MAX = 120
SCHEDULES = ("sync_markets", "poll_tick", "sweep", "mark_portfolios", "measure")
STAGE = "local"
Used = set[tuple[str, str, str]]

UNREACHED_FILE = PROJECT_ROOT / "tests" / "e2e" / "unreached_grants.json"
"""Grants by function that these runs do not use, and the path in the code that needs each."""


def drive(stack: AwsStack, simulator: SimulatorProcess) -> None:
    """Fills of all sources through everything that is scheduled, and every route of the API."""
    leaders = simulator.leaders()
    stack.follow([(row["wallet"], row["name"]) for row in leaders])
    stack.start()
    assert wait_until(
        lambda: simulator.control("truth", after=0, limit=1)["done"], FILLS_SECONDS_MAX
    )
    engine = stack.engine
    for _ in range(2):
        for schedule in (*SCHEDULES, *_others(engine)):
            # The venue may be slow; what was called until then is what counts.
            with suppress(ScheduleFailed):
                engine.fire(schedule)
    caller = Caller(engine)
    for path in (*READS, "/export/trades", "/health"):
        caller("GET", path)
    for method, path, body, _ in WRITES:
        caller(method, path, body)
    caller("POST", "/users", {"who": "0x" + "cd" * 20, "name": "bob"})
    caller("POST", "/config/test", {"changes": {"copy_fraction": "0.5"}})
    ssm = engine.client("ssm")
    ssm.put_parameter(Name=f"/{APP_NAME}/{STAGE}/admin/token", Value="t" * 40, Type="SecureString")
    caller("POST", "/admin/reset-paper", {"portfolio": "global"})
    rotate(ssm, STAGE)
    caller("GET", "/overview")
    for queue in ("fills.fifo", "polls"):
        fifo = {"MessageGroupId": "g", "MessageDeduplicationId": "d"} if "." in queue else {}
        engine.client("sqs").send_message(
            QueueUrl=engine.queue_url(queue), MessageBody="not for us", **fifo
        )
    engine.fire("sweep")
    wait_until(stack.idle, 30)


def _others(engine: Any) -> list[str]:
    assert engine._ticker is not None
    return sorted(set(engine._ticker.schedules()) - set(SCHEDULES))


@pytest.fixture(scope="module")
def used() -> tuple[Used, list[str]]:
    """What was used, and what was refused."""
    permissions.used.clear()
    permissions.denied.clear()
    simulator = SimulatorProcess.start(
        "--port", "0", "--seed", "7", "--max-fills", str(FILLS), "--fills-per-minute", "60",
        "--leaders-wait", "6",
    )  # fmt: skip
    try:
        stack = AwsStack({**simulator.environment(), "POLL_INTERVAL_S": "5"})
        try:
            drive(stack, simulator)
            mappings = stack.engine.client("lambda").list_event_source_mappings()
        finally:
            stack.stop()
    finally:
        simulator.stop()
    everything = permissions.used | _by_lambda(mappings["EventSourceMappings"])
    return everything | _looked_up(permissions.used), list(permissions.denied)


def _by_lambda(mappings: list[dict[str, Any]]) -> Used:
    """What Lambda itself does with a function's role: its logs, and receiving from its queue."""
    found = {(name, action, arn) for name, action, arn in grants(STAGE) if action[:5] == "logs:"}
    for mapping in mappings:
        queue = mapping["EventSourceArn"].rpartition(":")[2]
        function = mapping["FunctionArn"].rpartition(f"{APP_NAME}-{STAGE}-")[2]
        for action in ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes"):
            found.add((function, f"sqs:{action}", f"arn:aws:sqs:*:*:{queue}"))
    return found


def _looked_up(used: Used) -> Used:
    """Each process looks a queue up before it sends there first; here all of them share one."""
    return {
        (name, "sqs:GetQueueUrl", queue)
        for name, action, queue in used
        if action == "sqs:SendMessage"
    }


def test_no_handler_and_not_the_watcher_exceeds_its_policy(used: tuple[Used, list[str]]) -> None:
    assert used[1] == []


def test_every_handler_ran(used: tuple[Used, list[str]]) -> None:
    ran = {name for name, action, _ in used[0] if not action.startswith("logs:")}
    assert ran >= {function.name for function in FUNCTIONS} | {WATCHER}


def test_no_grant_is_one_too_many(used: tuple[Used, list[str]]) -> None:
    unused = {line(*grant) for grant in grants(STAGE) - used[0]}
    explained = {text for texts in unreached().values() for text in texts}
    assert sorted(unused - explained) == []


def test_what_is_said_to_be_out_of_reach_is_granted_at_all() -> None:
    granted = {line(*grant) for grant in grants(STAGE)}
    explained = {text for texts in unreached().values() for text in texts}
    assert sorted(explained - granted) == []


def test_the_workflows_role_is_what_its_states_call() -> None:
    role = templates.parsed(templates.text("app"))["Resources"]["CopyTradeRole"]
    (policy,) = role["Properties"]["Policies"]
    plain = [one for one in policy["PolicyDocument"]["Statement"] if "Effect" in one]
    assert {one["Action"] for one in plain} == {"lambda:InvokeFunction", "sqs:SendMessage"}
    asl = json.loads((PROJECT_ROOT / "stepfunctions/copy_trade.asl.json").read_text())
    called = {state["Resource"] for state in asl["States"].values() if "Resource" in state}
    assert {one.removesuffix(".waitForTaskToken").split(":::")[1] for one in called} == {
        "lambda:invoke",
        "sqs:sendMessage",
    }


def line(name: str, action: str, resource: str) -> str:
    """One grant as it stands in the list."""
    return f"{name} {action} {resource.split(':', 5)[5].replace(f'{APP_NAME}-{STAGE}-', '')}"


def unreached() -> dict[str, list[str]]:
    """Reasons, and the grants each explains."""
    found: dict[str, list[str]] = json.loads(UNREACHED_FILE.read_text())
    return found
