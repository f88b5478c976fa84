"""Run moto's Step Functions interpreter at a scaled pace and with cached clients."""

import sys
import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import boto3
from botocore.config import Config
from moto.core.config import default_user_config
from moto.stepfunctions import models
from moto.stepfunctions.parser.asl.component.common.retry import retrier_decl
from moto.stepfunctions.parser.asl.component.state.wait.wait_function.wait_function import (
    WaitFunction,
)
from moto.stepfunctions.parser.asl.utils import boto_client
from moto.stepfunctions.parser.models import stepfunctions_parser_backends
from moto.stepfunctions.parser.utils import TMP_THREADS

from infra.local.patching import Patches

TASK_READ_TIMEOUT_S = 60
JOIN_TIMEOUT_S = 5.0


def _cached_clients(endpoint_url: str) -> Callable[..., Any]:
    """moto builds a client per task, which costs more than the task."""
    clients: dict[tuple[str, str], Any] = {}
    lock = threading.Lock()
    config = Config(
        parameter_validation=False,
        retries={"total_max_attempts": 1},
        read_timeout=TASK_READ_TIMEOUT_S,
        max_pool_connections=64,
    )

    def client_for(region: str, service: str, **_credentials: Any) -> Any:
        with lock:
            if (region, service) not in clients:
                clients[region, service] = boto3.client(
                    service, region_name=region, endpoint_url=endpoint_url, config=config
                )
            return clients[region, service]

    return client_for


def _scaled_wait(wait_scale: float) -> Callable[..., None]:
    def wait_interval(_self: WaitFunction, env: Any, wait_seconds: float) -> None:
        until = time.monotonic() + wait_seconds * wait_scale
        while env.is_running() and (left := until - time.monotonic()) > 0:
            # The event also wakes for reasons that do not end the execution; hence the loop.
            env.program_state_event.wait(left)

    return wait_interval


def patch_step_functions(patches: Patches, endpoint_url: str, wait_scale: float) -> None:
    patches.replace_item(default_user_config, "stepfunctions", {"execute_state_machine": True})
    # CloudFormation would create state machines in the backend that only pretends to run them.
    patches.replace(models, "stepfunctions_backends", stepfunctions_parser_backends)
    patches.replace(WaitFunction, "_wait_interval", _scaled_wait(wait_scale))
    scaled_time = SimpleNamespace(sleep=lambda seconds: time.sleep(seconds * wait_scale))
    patches.replace(retrier_decl, "time", scaled_time)
    client_for = _cached_clients(endpoint_url)
    # Every task module imported the function by name; each holds its own reference.
    for module in list(sys.modules.values()):
        name = getattr(module, "__name__", "")
        if name.startswith("moto.stepfunctions") and "boto_client_for" in vars(module):
            patches.replace(module, "boto_client_for", client_for)
    assert boto_client.boto_client_for is client_for


def running_executions(client: Any) -> list[str]:
    """ARNs of the executions under way, over all state machines."""
    found: list[str] = []
    for machine in client.list_state_machines()["stateMachines"]:
        running = client.list_executions(
            stateMachineArn=machine["stateMachineArn"], statusFilter="RUNNING"
        )
        found += [execution["executionArn"] for execution in running["executions"]]
    return found


def stop_executions(client: Any) -> None:
    """Stop what runs and join the interpreter's threads, for a bounded time each."""
    for arn in running_executions(client):
        client.stop_execution(executionArn=arn)
    for thread in list(TMP_THREADS):
        thread.join(JOIN_TIMEOUT_S)
    TMP_THREADS.clear()
