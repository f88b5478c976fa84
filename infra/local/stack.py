"""One running papercopy on either engine, behind the few calls the launcher and tests need."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

from chalicelib.bootstrap import Services, production
from chalicelib.ports import Store
from chalicelib.settings import environment
from infra.chalice_files import PROJECT_ROOT
from infra.local.embedded import EmbeddedEngine
from infra.local.engine import AwsEngine

EngineName = Literal["embedded", "aws"]
STOP_SECONDS_MAX = 25


class Stack(Protocol):
    """A running system."""

    store: Store
    services: Services

    @property
    def url(self) -> str:
        """Where the dashboard is."""

    def follow(self, wallets: Sequence[tuple[str, str]]) -> None:
        """Follow (address, name) pairs."""

    def start(self) -> None:
        """Start everything."""

    def stop(self) -> None:
        """Stop everything."""

    def idle(self) -> bool:
        """Whether nothing is queued or waiting for its time."""


class AwsStack:
    """The production topology in moto, with the watcher as its own process."""

    def __init__(self, variables: Mapping[str, str], *, port: int = 0, scale: float = 1.0) -> None:
        # The functions' logs and counters would drown what the terminal is for.
        quiet = {"POWERTOOLS_METRICS_DISABLED": "true", "POWERTOOLS_LOG_LEVEL": "WARNING"}
        self._variables = {**dict(variables), **quiet}
        self._engine = AwsEngine(
            environment=self._variables, api_port=port, time_scale=scale, wait_scale=1.0
        )
        for noisy in ("urllib3.connectionpool", "moto", "werkzeug"):
            logging.getLogger(noisy).setLevel(logging.CRITICAL)
        os.environ.update(quiet)
        production.cache_clear()
        self._engine.start()
        made = production()
        self.store, self.services = made.ports.store, made.services
        self._watcher: subprocess.Popen[bytes] | None = None

    @property
    def engine(self) -> AwsEngine:
        """The engine below, for tests that reach into it."""
        return self._engine

    @property
    def url(self) -> str:
        return f"{self._engine.api_url}/"

    def follow(self, wallets: Sequence[tuple[str, str]]) -> None:
        for wallet, name in wallets:
            self.services.follow([wallet], name)

    def start(self) -> None:
        self._engine.fire("sync_markets")
        self._engine.fire("poll_tick")
        if environment(self._watcher_environment()).mode[0] != "api":
            self._watcher = subprocess.Popen(
                [sys.executable, "-m", "chalicelib.watcher"],
                cwd=PROJECT_ROOT,
                env={**os.environ, **self._watcher_environment()},
            )

    def stop(self) -> None:
        if self._watcher:
            self._watcher.terminate()
            try:
                self._watcher.wait(STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                self._watcher.kill()
        self._engine.stop()
        production.cache_clear()

    def idle(self) -> bool:
        depths = self._engine.queue_depths()
        waiting = sum(depths[name] for name in ("fills.fifo",))
        return waiting == 0 and self._engine.running_executions() == 0

    def _watcher_environment(self) -> dict[str, str]:
        return {**self._variables, "PAPERCOPY_STAGE": self._engine.stage}


def open_stack(
    engine: EngineName, variables: Mapping[str, str], folder: Path, *, port: int = 0
) -> Stack:
    """A stack that is not started yet. Raises InvalidInput, AlreadyRunning or OSError."""
    if engine == "aws":
        environment(variables)
        return AwsStack(variables, port=port)
    return EmbeddedEngine(environment(variables), folder, port=port)


def wait_until(condition: Any, seconds_max: float, step_s: float = 0.5) -> bool:
    """Poll until `condition()` is true; False when it never was."""
    deadline = time.monotonic() + seconds_max
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(step_s)
    return bool(condition())
