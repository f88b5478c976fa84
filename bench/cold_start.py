"""Cold start of every Lambda function and size of their package: `python -m bench.cold_start`.

Prints JSON lines. For each function, in fresh processes: importing the application, the first
invocation (which builds the clients and imports what only that function needs) and the second, all
against the production stacks in moto. Medians of RUNS. The package is what the deployment ships
(`--package` builds it, which needs the package index).
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from infra.functions import FUNCTIONS
from infra.local.engine import AwsEngine

RUNS = 5
ROOT = Path(__file__).resolve().parents[1]
ENTRY_POINTS = ("chalicelib.watcher.runner", "chalicelib.__main__")
NOWHERE = dict.fromkeys(("DATA_API_URL", "GAMMA_API_URL", "CLOB_API_URL"), "http://127.0.0.1:9")
EVENTS: dict[str, object] = {
    "api_handler": {
        "httpMethod": "GET",
        "path": "/health",
        "headers": {},
        "multiValueHeaders": {},
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "pathParameters": None,
        "stageVariables": None,
        "body": None,
        "isBase64Encoded": False,
        "requestContext": {
            "resourcePath": "/health",
            "httpMethod": "GET",
            "identity": {"sourceIp": "127.0.0.1"},
        },
    },
    "ingest": {"Records": []},
    "poll": {"Records": []},
    "advance": {"group_id": "none", "portfolios": [], "wait_seconds": 0, "rounds": 0},
    "config_test": {"job": "none"},
}
SCHEDULED = {
    "version": "0", "id": "1", "detail-type": "Scheduled Event", "source": "aws.events",
    "account": "1", "time": "2026-01-01T00:00:00Z", "region": "us-east-1", "resources": [],
    "detail": {},
}  # fmt: skip
PROGRAM = """
import json, sys, time
name, event = sys.argv[1], json.loads(sys.argv[2])
began = time.perf_counter()
import app
times = [time.perf_counter() - began]
handler = app.app if name == "api_handler" else getattr(app, name)
class Context:
    aws_request_id = "1"
    function_name = "papercopy-bench-" + name
    memory_limit_in_mb = 512
    invoked_function_arn = "arn:aws:lambda:us-east-1:1:function:x"
    def get_remaining_time_in_millis(self):
        return 30_000
for _ in range(2):
    began = time.perf_counter()
    try:
        handler(event, Context())
    except Exception as error:
        # Nobody is followed and no venue answers: what counts is how far it came, and how fast.
        print(type(error).__name__, file=sys.stderr)
    times.append(time.perf_counter() - began)
loaded = {m.partition(".")[0] for m in sys.modules}
heavy = sorted({"web3", "eth_account", "moto", "numpy"} & loaded)
print(json.dumps({"ms": [t * 1000 for t in times], "heavy": heavy}), file=sys.__stdout__)
"""
"""Run with a function's name and an event; its last line on stdout is the result."""


def start_ms(function: str, engine: AwsEngine) -> tuple[list[float], list[str]]:
    """Median milliseconds of import, first and second call, and heavy modules that were loaded."""
    event = json.dumps(EVENTS.get(function, SCHEDULED))
    environment = {**os.environ, **NOWHERE, "PAPERCOPY_STAGE": engine.stage}
    rows: list[list[float]] = []
    heavy: list[str] = []
    for _ in range(RUNS):
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, function, event],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        row = json.loads(done.stdout.splitlines()[-1])
        rows.append(row["ms"])
        heavy = row["heavy"]
    return [statistics.median(column) for column in zip(*rows, strict=True)], heavy


def import_ms(module: str) -> float:
    """Median milliseconds of importing `module` in a fresh process, interpreter start excluded."""
    code = (
        "import time; a = time.perf_counter(); "
        f"import {module}; print((time.perf_counter() - a) * 1000)"
    )
    times = []
    for _ in range(RUNS):
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
        )
        times.append(float(done.stdout))
    return statistics.median(times)


def package_bytes() -> int:
    """Size of the zip that `python -m infra.deploy up` would upload, built against moto."""
    from infra.deploy import Deployment, Target

    with (
        AwsEngine(stage="bench", schedules=False) as engine,
        tempfile.TemporaryDirectory() as build,
    ):
        started = time.monotonic()
        target = Target(
            stage="bench",
            endpoint_url=engine.endpoint_url,
            source=ROOT,
            build_root=Path(build),
            with_dependencies=True,
            edge=False,
            report=lambda _: None,
        )
        Deployment(target).up()
        print(json.dumps({"bench": "deploy", "seconds": round(time.monotonic() - started, 1)}))
        function = engine.client("lambda").get_function(FunctionName="papercopy-bench-ingest")
        size: int = function["Configuration"]["CodeSize"]
        return size


def main() -> None:
    machine = {"python": platform.python_version(), "machine": platform.machine()}
    with AwsEngine(stage="bench", environment=NOWHERE, schedules=False) as engine:
        for function in FUNCTIONS:
            (loaded, first, second), heavy = start_ms(function.name, engine)
            row = {
                "bench": "cold start",
                "function": function.name,
                "import_ms": round(loaded),
                "first_call_ms": round(first),
                "second_call_ms": round(second),
                "heavy_modules": heavy,
            }
            print(json.dumps({**row, **machine}), flush=True)
    for module in ENTRY_POINTS:
        row = {"bench": "cold import", "module": module, "ms": round(import_ms(module))}
        print(json.dumps({**row, **machine}), flush=True)
    if "--package" in sys.argv:
        print(json.dumps({"bench": "lambda package", "bytes": package_bytes()}))


if __name__ == "__main__":
    main()
