"""The aws engine as a running system: stacks and functions in moto, the watcher beside them."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress

from chalicelib.bootstrap import production
from chalicelib.domain.errors import PapercopyError
from infra.chalice_files import PROJECT_ROOT
from infra.local.engine import AwsEngine
from infra.local.permissions import WATCHER_KEY

STOP_SECONDS_MAX = 25


class AwsStack:
    """The production topology in moto, with the watcher as its own process."""

    def __init__(self, variables: Mapping[str, str], *, port: int = 0, scale: float = 1.0) -> None:
        # The functions' logs and counters would drown what the terminal is for.
        quiet = {"POWERTOOLS_METRICS_DISABLED": "true", "POWERTOOLS_LOG_LEVEL": "WARNING"}
        # All functions share one interpreter, and the watcher is the second process.
        self._variables = {"VENUE_BUDGET_SHARES": "2", **dict(variables), **quiet}
        self._engine = AwsEngine(
            environment=self._variables, api_port=port, time_scale=scale, wait_scale=1.0
        )
        for noisy in ("urllib3.connectionpool", "moto", "werkzeug"):
            logging.getLogger(noisy).setLevel(logging.CRITICAL)
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

    def sign_in_link(self) -> str:
        assert self._engine.sign_in is not None
        return self._engine.sign_in.link()

    def follow(self, wallets: Sequence[tuple[str, str]]) -> None:
        for wallet, name in wallets:
            self.services.follow([wallet], name)
        # Whoever does not answer now is asked again by every sweep.
        with suppress(PapercopyError):
            self.services.holdings()

    def start(self) -> None:
        self._engine.fire("sync_markets")
        self._engine.fire("poll_tick")
        if self.services.rules.system().trigger_mode != "api":
            self._watcher = subprocess.Popen(
                [sys.executable, "-m", "chalicelib.watcher"],
                cwd=PROJECT_ROOT,
                env={**os.environ, **self._watcher_environment()},
                # Ctrl-C is for us; the watcher is told to drain.
                start_new_session=True,
            )

    def stop(self) -> None:
        if self._watcher:
            self._watcher.terminate()
            try:
                self._watcher.wait(STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                self._watcher.kill()
                self._watcher.wait(STOP_SECONDS_MAX)
        self._engine.stop()
        production.cache_clear()

    def idle(self) -> bool:
        depths = self._engine.queue_depths()
        waiting = sum(depths[name] for name in ("fills.fifo",))
        return waiting == 0 and self._engine.running_executions() == 0

    def _watcher_environment(self) -> dict[str, str]:
        # By its key it is held to its own role.
        return {
            **self._variables,
            "PAPERCOPY_STAGE": self._engine.stage,
            "AWS_ACCESS_KEY_ID": WATCHER_KEY,
        }
