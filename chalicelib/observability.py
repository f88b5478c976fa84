"""Structured logs and counters of the Lambdas and the watcher."""

from __future__ import annotations

import os
from threading import Lock

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

logger = Logger(service="papercopy")


class EmfMetrics:
    """Counters as embedded metric log lines, one line per flush; safe between threads.

    With POWERTOOLS_METRICS_DISABLED=true it counts nothing: the library would collect for ever.
    """

    def __init__(self) -> None:
        namespace = os.environ.get("POWERTOOLS_METRICS_NAMESPACE", "papercopy")
        self._emf = Metrics(namespace=namespace, service="papercopy")
        self._enabled = os.environ.get("POWERTOOLS_METRICS_DISABLED", "").lower() != "true"
        self._lock = Lock()

    def count(self, name: str, value: int = 1) -> None:
        if value and self._enabled:
            with self._lock:
                self._emf.add_metric(name=name, unit=MetricUnit.Count, value=value)

    def flush(self) -> None:
        """Write what was counted since the last flush."""
        with self._lock:
            if self._emf.metric_set:
                self._emf.flush_metrics()
