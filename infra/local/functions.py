"""Execute deployed Lambda functions in this process, as moto's Lambda backend asks for them."""

import importlib
import importlib.util
import json
import sys
import threading
import time
import traceback
import uuid
from collections import Counter, deque
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from moto.awslambda_simple.models import LambdaSimpleBackend
from moto.core.config import default_user_config

from infra.local.patching import Patches
from infra.local.permissions import Permissions

ERRORS_KEPT = 100
APP_MODULE = "app"


@dataclass(frozen=True)
class Context:
    """What Lambda hands to a handler next to the event."""

    function_name: str
    invoked_function_arn: str
    memory_limit_in_mb: int
    deadline_s: float
    function_version: str = "$LATEST"
    aws_request_id: str = field(default_factory=lambda: str(uuid.uuid4()))

    @property
    def log_group_name(self) -> str:
        return f"/aws/lambda/{self.function_name}"

    @property
    def log_stream_name(self) -> str:
        return self.aws_request_id

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int((self.deadline_s - time.monotonic()) * 1000))


class FunctionRuntime:
    """Imports the project's `app` once and runs its handlers; time-outs are not enforced."""

    def __init__(self, project: Path, permissions: Permissions) -> None:
        self._project = project
        self._permissions = permissions
        self._module: ModuleType | None = None
        self._module_before: ModuleType | None = None
        self._path_added = False
        self._import_lock = threading.Lock()
        # Chalice keeps the current request on the application object: fine in Lambda, where an
        # instance serves one request at a time, and a race here.
        self._api_lock = threading.Lock()
        self._count_lock = threading.Lock()
        self.invocations: Counter[str] = Counter()
        self.running = 0
        self.errors: deque[dict[str, Any]] = deque(maxlen=ERRORS_KEPT)

    def _app(self) -> ModuleType:
        with self._import_lock:
            if self._module is None:
                root = str(self._project)
                if root not in sys.path:
                    sys.path.insert(0, root)
                    self._path_added = True
                spec = importlib.util.spec_from_file_location(
                    APP_MODULE, self._project / f"{APP_MODULE}.py"
                )
                assert spec is not None and spec.loader is not None
                module = importlib.util.module_from_spec(spec)
                self._module_before = sys.modules.get(APP_MODULE)
                sys.modules[APP_MODULE] = module
                spec.loader.exec_module(module)
                self._module = module
            return self._module

    @property
    def app_module(self) -> ModuleType:
        return self._app()

    def close(self) -> None:
        """Forget the application, and what its composition root built for this engine."""
        bootstrap = sys.modules.get("chalicelib.bootstrap")
        forget = getattr(getattr(bootstrap, "production", None), "cache_clear", None)
        if forget is not None:
            forget()
        if self._module is not None:
            if self._module_before is None:
                sys.modules.pop(APP_MODULE, None)
            else:
                sys.modules[APP_MODULE] = self._module_before
            self._module = None
        if self._path_added:
            sys.path.remove(str(self._project))
            self._path_added = False

    def _handler(self, name: str) -> Any:
        module_name, _, attribute = name.rpartition(".")
        module = self._app()
        if module_name != APP_MODULE:
            module = importlib.import_module(module_name)
        return getattr(module, attribute)

    def run(self, function: Any, body: str | bytes | None) -> tuple[bytes, bool]:
        """Answer of the function as JSON, and whether it is an error in Lambda's form."""
        name = function.function_name
        with self._count_lock:
            self.invocations[name] += 1
            self.running += 1
        try:
            event = json.loads(body or "null")
            with self._permissions.of(name):
                answer = self._call(function, event)
            return json.dumps(answer).encode(), False
        except Exception as error:
            report = {
                "errorType": type(error).__name__,
                "errorMessage": str(error),
                "stackTrace": traceback.format_exception(error),
            }
            self.errors.append({"function": name, **report})
            return json.dumps(report).encode(), True
        finally:
            with self._count_lock:
                self.running -= 1

    def _call(self, function: Any, event: Any) -> Any:
        context = Context(
            function_name=function.function_name,
            invoked_function_arn=function.function_arn,
            memory_limit_in_mb=int(function.memory_size),
            deadline_s=time.monotonic() + int(function.timeout),
        )
        handler = self._handler(function.handler)
        if function.handler == f"{APP_MODULE}.app":
            with self._api_lock:
                return handler(event, context)
        return handler(event, context)


def patch_lambda(patches: Patches, runtime: FunctionRuntime) -> None:
    def invoke(
        backend: LambdaSimpleBackend,
        function_name: str,
        qualifier: str | None,
        body: Any,
        _headers: Any,
        response_headers: Any,
    ) -> bytes:
        payload, failed = runtime.run(backend.get_function(function_name, qualifier), body)
        if failed:
            response_headers["x-amz-function-error"] = "Unhandled"
        response_headers["Content-Length"] = str(len(payload))
        return payload

    patches.replace_item(default_user_config, "lambda", {"use_docker": False})
    patches.replace(LambdaSimpleBackend, "invoke", invoke)
