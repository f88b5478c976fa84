"""Structured logs and metrics of the Lambdas and the watcher."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections import Counter
from collections.abc import Callable
from threading import Lock

from aws_lambda_powertools import Logger

from chalicelib.metric_names import SERIES, UNITS

logger = Logger(service="papercopy")

VALUES_MAX = 100
"""Values of one metric in one line of the embedded metric format."""


def structure_logs() -> None:
    """Have everything papercopy logs in this process written as JSON lines.

    Ids given as `extra` become fields, so that a trade is followed by its id from the message to
    the ledger.
    """
    root = logging.getLogger()
    if not root.handlers:
        root.addHandler(logging.StreamHandler(sys.stdout))
    for handler in root.handlers:
        handler.setFormatter(logger.registered_formatter)
    logging.getLogger("chalicelib").setLevel(logging.INFO)


def _to_stdout(line: str) -> None:
    print(line, flush=True)


class EmfMetrics:
    """Metrics as lines of the embedded metric format, one per flush; safe between threads.

    Only series become metrics of CloudWatch, without dimensions; counters are fields of the same
    line. With POWERTOOLS_METRICS_DISABLED=true nothing is kept.
    """

    def __init__(self, write: Callable[[str], None] = _to_stdout) -> None:
        self._namespace = os.environ.get("POWERTOOLS_METRICS_NAMESPACE", "papercopy")
        self._enabled = os.environ.get("POWERTOOLS_METRICS_DISABLED", "").lower() != "true"
        self._write = write
        self._counts: Counter[str] = Counter()
        self._values: dict[str, list[int]] = {}
        self._lock = Lock()

    def count(self, name: str, value: int = 1) -> None:
        """Add to a counter; adding nothing writes nothing."""
        if value and self._enabled:
            with self._lock:
                self._counts[name] += value

    def observe(self, name: str, value: int) -> None:
        """Note one value of a distribution."""
        if self._enabled:
            with self._lock:
                self._values.setdefault(name, []).append(value)

    def flush(self) -> None:
        """Write what was noted since the last flush."""
        with self._lock:
            counts, self._counts = self._counts, Counter()
            values, self._values = self._values, {}
        now_ms = int(time.time() * 1000)
        while counts or values:
            some: dict[str, int | list[int]] = dict(counts)
            some |= {name: noted[:VALUES_MAX] for name, noted in values.items()}
            self._write(_line(self._namespace, now_ms, some))
            rest = {name: noted[VALUES_MAX:] for name, noted in values.items()}
            counts, values = Counter(), {name: noted for name, noted in rest.items() if noted}


def _line(namespace: str, now_ms: int, noted: dict[str, int | list[int]]) -> str:
    """One line: CloudWatch makes metrics of what `_aws` names, the rest is text to search."""
    series = [
        {"Name": name, "Unit": UNITS.get(name, "Count")} for name in sorted(noted) if name in SERIES
    ]
    told: dict[str, object] = {"service": "papercopy", "message": "counted", **noted}
    if series:
        metrics = [{"Namespace": namespace, "Dimensions": [[]], "Metrics": series}]
        told = {"_aws": {"Timestamp": now_ms, "CloudWatchMetrics": metrics}, **told}
    return json.dumps(told, separators=(",", ":"))
