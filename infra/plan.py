"""What a deployment would do, found out without changing anything."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from infra.functions import FUNCTIONS
from infra.stacks import Stacks
from infra.templates import declared, parsed

CONCURRENCY_WANTED = 100
"""Ten batches of fills, five polls, and as many workflow steps, schedules and page requests as
meet them in a busy minute: about forty at once, and room for another stage."""
QUOTA_CODE = "L-B99A9384"


def merged(
    body: str, given: Mapping[str, str], before: Mapping[str, str], body_before: str
) -> dict[str, str]:
    """Parameters for a template: what is given, and what was once given to the stack.

    A value that was only the former template's default is left to the new one's.
    """
    names = declared(body)
    defaults = {
        name: str(parameter.get("Default", ""))
        for name, parameter in parsed(body_before).get("Parameters", {}).items()
    }
    kept = {name: value for name, value in before.items() if defaults.get(name) != value}
    return {name: value for name, value in {**kept, **given}.items() if name in names}


def wanted(stacks: Stacks, name: str, body: str, given: Mapping[str, str]) -> dict[str, str]:
    """Parameters that a stack is to be given."""
    if stacks.status(name) is None:
        return merged(body, given, {}, body)
    return merged(body, given, stacks.parameters(name), stacks.body(name))


def stack_lines(stacks: Stacks, name: str, body: str, given: Mapping[str, str]) -> list[str]:
    """What happens to one stack: its parameters and resources that come, go or change."""
    if stacks.status(name) is None:
        return [f"stack {name}: create, {len(parsed(body)['Resources'])} resources declared"]
    before = stacks.parameters(name)
    changes = [
        f"  parameter {key}: {before.get(key, 'default')!r} becomes {value!r}"
        for key, value in sorted(wanted(stacks, name, body, given).items())
        if key != "CopyTradeDefinition" and before.get(key, value) != value
    ]
    now, then = parsed(stacks.body(name)).get("Resources", {}), parsed(body)["Resources"]
    changes += [f"  resource {key}: add" for key in sorted(set(then) - set(now))]
    changes += [f"  resource {key}: remove" for key in sorted(set(now) - set(then))]
    changes += [
        f"  resource {key}: change" for key in sorted(set(then) & set(now)) if then[key] != now[key]
    ]
    return [f"stack {name}: {'update' if changes else 'unchanged'}", *changes]


def function_lines(deployed: Mapping[str, str], stage: str) -> list[str]:
    """What happens to each function."""
    lines = [
        f"function {function.deployed_name(stage)}: "
        f"{'update' if function.name in deployed else 'create'}, "
        f"{function.memory_mb} MB, {function.timeout_s} s"
        for function in FUNCTIONS
    ]
    gone = sorted(set(deployed) - {function.name for function in FUNCTIONS})
    return lines + [f"function {name}: delete" for name in gone]


def concurrency_lines(limit_of: Callable[[], int | None]) -> list[str]:
    """How many functions the account may run at once, and what to ask for."""
    limit = limit_of()
    if limit is None:
        return ["concurrency: this endpoint does not tell the account's limit"]
    line = f"concurrency: the account runs at most {limit} functions at once"
    if limit >= CONCURRENCY_WANTED:
        return [line]
    return [
        f"{line}; {CONCURRENCY_WANTED} are wanted. Ask for them once:",
        "  aws service-quotas request-service-quota-increase --service-code lambda "
        f"--quota-code {QUOTA_CODE} --desired-value 1000",
    ]


def account_limit(functions: Any) -> int | None:
    """The account's limit of concurrent executions; None where the endpoint does not know it."""
    from botocore.exceptions import ClientError

    try:
        limits = functions.get_account_settings()["AccountLimit"]
    except (ClientError, KeyError):
        return None
    return int(limits["ConcurrentExecutions"])
