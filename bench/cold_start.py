"""Cold import of the Lambda application and size of its package: `python -m bench.cold_start`.

Prints JSON lines. Imports are timed in fresh processes, the median of RUNS; the package is what
the deployment ships (`--package` builds it, which needs the package index).
"""

from __future__ import annotations

import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RUNS = 9
ROOT = Path(__file__).resolve().parents[1]
MODULES = ("app", "chalicelib.watcher.runner", "chalicelib.__main__")


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
    from infra.local.engine import AwsEngine

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
            environment={},
            app_parameters={},
            watcher_image="",
            with_dependencies=True,
            report=lambda _: None,
        )
        Deployment(target).up()
        print(json.dumps({"bench": "deploy", "seconds": round(time.monotonic() - started, 1)}))
        function = engine.client("lambda").get_function(FunctionName="papercopy-bench-ingest")
        size: int = function["Configuration"]["CodeSize"]
        return size


def main() -> None:
    machine = {"python": platform.python_version(), "machine": platform.machine()}
    for module in MODULES:
        row = {"bench": "cold import", "module": module, "ms": round(import_ms(module), 1)}
        print(json.dumps({**row, **machine}))
    if "--package" in sys.argv:
        print(json.dumps({"bench": "lambda package", "bytes": package_bytes()}))


if __name__ == "__main__":
    main()
