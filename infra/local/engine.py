"""The production topology on one machine: real stacks and functions in a moto server of our own."""

import json
import logging
import shutil
import tempfile
import threading
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import boto3
from botocore.config import Config
from botocore.httpsession import URLLib3Session
from moto.moto_api._internal.models import moto_api_backend
from moto.server import ThreadedMotoServer

from chalicelib.adapters.clock import SystemClock
from chalicelib.adapters.node_addresses import HTTP_NAME, WS_NAME
from infra.chalice_files import PROJECT_ROOT
from infra.deploy import Deployment, Target
from infra.functions import APP_NAME
from infra.local.dispatch import patch_dispatch
from infra.local.dynamo import patch_dynamodb
from infra.local.edge_models import know_the_edge
from infra.local.functions import FunctionRuntime, patch_lambda
from infra.local.http_server import HttpServer
from infra.local.isolation import (
    REGION,
    Environment,
    guarded_send,
    local_environment,
    require_local,
)
from infra.local.patching import Patches
from infra.local.permissions import Permissions
from infra.local.poller import Pollers
from infra.local.queues import Doorbells, patch_sqs, queue_depths
from infra.local.rest_api import patch_api_gateway
from infra.local.schedules import Ticker
from infra.local.sign_in import LocalSignIn, new_key
from infra.local.stack_gaps import patch_cloudformation
from infra.local.workflows import patch_step_functions, running_executions, stop_executions
from infra.node import NodeAddresses

log = logging.getLogger(__name__)

IDLE_STEP_S = 0.02
_one_at_a_time = threading.Lock()


class NotIdle(TimeoutError):
    """Work was still under way when the wait ended; the message says where."""


class AwsEngine:
    """Deploys `project` into moto and runs it; one engine per process at a time.

    `environment` is added to the functions' environment. `time_scale` shrinks schedules, queue
    delays and visibility time-outs; `wait_scale` shrinks the waits and back-offs of workflows.
    With `schedules=False` rules only run when fired.
    """

    def __init__(
        self,
        stage: str = "local",
        environment: Mapping[str, str] | None = None,
        *,
        project: Path = PROJECT_ROOT,
        time_scale: float = 1.0,
        wait_scale: float | None = None,
        schedules: bool = True,
        api_port: int = 0,
        app_parameters: Mapping[str, str] | None = None,
        watcher_image: str = "",
        edge: bool = False,
    ) -> None:
        self.stage = stage
        self.prefix = f"{APP_NAME}-{stage}"
        self._given_environment = dict(environment or {})
        self._project = project
        self._time_scale = time_scale
        self._wait_scale = time_scale if wait_scale is None else wait_scale
        self._runs_schedules = schedules
        self._api_port = api_port
        self._app_parameters = dict(app_parameters or {})
        self._watcher_image = watcher_image
        self._edge = edge
        self._patches = Patches()
        self._environment = Environment()
        self._clients: dict[str, Any] = {}
        self._clients_lock = threading.Lock()
        self._doorbells = Doorbells()
        self._permissions = Permissions(stage)
        self.runtime = FunctionRuntime(project, self._permissions)
        self.progress: list[str] = []
        self.endpoint_url = ""
        self.deployment: Deployment | None = None
        self._server: ThreadedMotoServer | None = None
        self._pollers: Pollers | None = None
        self._ticker: Ticker | None = None
        self._http: HttpServer | None = None
        self._build_root: Path | None = None
        self._resources: list[str] | None = None
        self.sign_in: LocalSignIn | None = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> Self:
        if not _one_at_a_time.acquire(blocking=False):
            raise RuntimeError("Another AwsEngine runs in this process; moto's state is global")
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def _start(self) -> None:
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        # moto says of every alarm, each time it reads the stack, that it leaves it out.
        logging.getLogger("moto").setLevel(logging.ERROR)
        warnings.filterwarnings("ignore", message="Tried to parse AWS::")
        moto_api_backend.reset()
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._server.start()
        host, port = self._server.get_host_and_port()
        self.endpoint_url = f"http://{host}:{port}"
        self._environment.enter({**local_environment(self.endpoint_url), "MOTO_PORT": str(port)})
        self._patches.replace(URLLib3Session, "send", guarded_send(URLLib3Session.send))
        patch_dynamodb(self._patches)
        patch_sqs(self._patches, self._doorbells, self._time_scale)
        patch_step_functions(self._patches, self.endpoint_url, self._wait_scale)
        patch_lambda(self._patches, self.runtime)
        patch_api_gateway(self._patches)
        patch_dispatch(self._patches)
        patch_cloudformation(self._patches)
        know_the_edge()
        self._permissions.patch_watcher(self._patches)
        self._build_root = Path(tempfile.mkdtemp(prefix="papercopy-"))
        functions, sqs = self.client("lambda"), self.client("sqs")
        self._pollers = Pollers(sqs, functions, self._doorbells)
        self._ticker = Ticker(self.client("events"), functions, self.prefix, self._time_scale)
        self._http = HttpServer(
            self._project / "dashboard", self._api_port, self._api_resources, self._invoke_api
        )
        self._let_owner_in(self._http)
        self._keep_node_addresses()
        self.deploy()
        self._http.start()

    def _let_owner_in(self, http: HttpServer) -> None:
        """A signing key where the functions look for it, and links that are signed with it."""
        key = new_key()
        self.client("ssm").put_parameter(
            Name=f"/{APP_NAME}/{self.stage}/auth/session_key", Value=key, Type="SecureString"
        )
        self.sign_in = LocalSignIn(http.port, key.encode(), SystemClock().now_ms)
        http.put_before(self.sign_in)
        self._given_environment["PUBLIC_ORIGIN"] = http.url

    def _keep_node_addresses(self) -> None:
        """Addresses of the node go where a stage keeps them, and to no function's environment."""
        addresses = NodeAddresses(self.client("ssm"), self.stage)
        for which in (HTTP_NAME, WS_NAME):
            if address := self._given_environment.pop(which.upper(), ""):
                addresses.put(which, address)

    def deploy(self) -> None:
        """Deploy, or deploy again, and follow what changed."""
        assert self._build_root is not None and self._pollers is not None
        assert self._ticker is not None
        target = Target(
            stage=self.stage,
            endpoint_url=self.endpoint_url,
            source=self._project,
            build_root=self._build_root,
            environment=self._given_environment,
            parameters=self._app_parameters,
            watcher_image=self._watcher_image,
            edge=self._edge,
            # Handlers run in this process and import from its own environment.
            with_dependencies=False,
            report=self._note,
        )
        self._ticker.stop()
        self.deployment = Deployment(target)
        self.deployment.up()
        self._environment.enter(
            {**self._deployed_environment(), **local_environment(self.endpoint_url)}
        )
        self._resources = None
        self._pollers.sync()
        if self._runs_schedules:
            self._ticker.start()

    def take_down(self) -> None:
        """Remove the stage from moto, as `infra.deploy down` does."""
        assert self.deployment is not None and self._ticker is not None
        assert self._pollers is not None
        self._ticker.stop()
        self._pollers.stop()
        self.deployment.down(delete_data=True)

    def stop(self) -> None:
        """Stop every thread, forget everything, and restore the process's environment."""
        if self._http is not None:
            self._http.stop()
        if self._ticker is not None:
            self._ticker.stop()
        if self._pollers is not None:
            self._pollers.stop()
        if self._server is not None:
            if self.endpoint_url:
                stop_executions(self.client("stepfunctions"))
            self._server.stop()
        self.runtime.close()
        moto_api_backend.reset()
        self._patches.undo()
        self._environment.restore()
        if self._build_root is not None:
            shutil.rmtree(self._build_root, ignore_errors=True)
        self._http = self._ticker = self._pollers = self._server = None
        self._clients.clear()
        if _one_at_a_time.locked():
            _one_at_a_time.release()

    @property
    def api_url(self) -> str:
        assert self._http is not None
        return self._http.url

    def client(self, service: str) -> Any:
        """A shared boto3 client of the local endpoint."""
        require_local(self.endpoint_url)
        with self._clients_lock:
            if service not in self._clients:
                self._clients[service] = boto3.client(
                    service,
                    endpoint_url=self.endpoint_url,
                    region_name=REGION,
                    config=Config(max_pool_connections=64, retries={"total_max_attempts": 1}),
                )
            return self._clients[service]

    def fire(self, schedule: str) -> Any:
        """Run one schedule now, e.g. `fire("poll_tick")`, and return the function's answer."""
        assert self._ticker is not None
        return self._ticker.fire(schedule)

    def invoke(self, function: str, event: Any) -> Any:
        """Call a function by its short name; raises RuntimeError with Lambda's error report."""
        name = self.prefix if function == "api_handler" else f"{self.prefix}-{function}"
        response = self.client("lambda").invoke(FunctionName=name, Payload=json.dumps(event))
        answer = json.loads(response["Payload"].read() or b"null")
        if response.get("FunctionError"):
            raise RuntimeError(f"{name}: {answer}")
        return answer

    def queue_url(self, queue: str) -> str:
        """URL of e.g. `fills.fifo`."""
        url: str = self.client("sqs").get_queue_url(QueueName=f"{self.prefix}-{queue}")["QueueUrl"]
        return url

    def queue_depths(self) -> dict[str, int]:
        """Messages per queue by short name: visible, in flight and delayed together."""
        return queue_depths(self.client("sqs"), f"{self.prefix}-")

    def running_executions(self) -> int:
        return len(running_executions(self.client("stepfunctions")))

    def wait_idle(self, timeout: float) -> None:
        """Return when no message waits for a function and nothing runs. Raises NotIdle."""
        give_up_at = time.monotonic() + timeout
        quiet = 0
        # A message can be between a queue and an execution at one look, so it takes two.
        while quiet < 2:
            busy = self._busy()
            quiet = 0 if busy else quiet + 1
            if busy and time.monotonic() > give_up_at:
                raise NotIdle(f"Still busy after {timeout} s: {busy}")
            time.sleep(IDLE_STEP_S)

    def _busy(self) -> dict[str, int]:
        assert self._pollers is not None
        consumed = {
            mapping.queue_name.removeprefix(f"{self.prefix}-") for mapping in self._pollers.mappings
        }
        busy = {name: count for name, count in self.queue_depths().items() if name in consumed}
        busy["invocations"] = self.runtime.running
        busy["executions"] = self.running_executions()
        return {name: count for name, count in busy.items() if count}

    def _deployed_environment(self) -> dict[str, str]:
        """What the deployed functions are given; all of a stage share one environment."""
        merged: dict[str, str] = {}
        for function in self.client("lambda").list_functions()["Functions"]:
            merged.update(function.get("Environment", {}).get("Variables", {}))
        return merged

    def _api_resources(self) -> list[str]:
        if self._resources is None:
            apis = self.client("apigateway")
            assert self.deployment is not None
            self._resources = [
                resource["path"]
                for api_id in self.deployment.state.rest_api_ids()
                for resource in apis.get_resources(restApiId=api_id, limit=500)["items"]
                if resource.get("resourceMethods")
            ]
        return self._resources

    def _invoke_api(self, event: dict[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = self.invoke("api_handler", event)
        return answer

    def _note(self, line: str) -> None:
        self.progress.append(line)
        log.info(line)
