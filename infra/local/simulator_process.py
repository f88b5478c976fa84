"""The simulated venue as a child process that ends with its parent."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

ROOT = Path(__file__).resolve().parents[2]
READY_SECONDS_MAX = 60


class SimulatorFailed(RuntimeError):
    """The simulator did not start."""


@dataclass(slots=True)
class SimulatorProcess:
    """A running simulator; `ready` is the line it printed."""

    process: subprocess.Popen[str]
    ready: dict[str, Any]

    @classmethod
    def start(cls, *arguments: str) -> SimulatorProcess:
        """Start it and wait until it serves. Raises SimulatorFailed with its own words."""
        process = subprocess.Popen(
            [sys.executable, "-m", "simulator", "--exit-with-parent", *arguments],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        timer = threading.Timer(READY_SECONDS_MAX, process.kill)
        timer.start()
        assert process.stdout is not None
        line = process.stdout.readline()
        timer.cancel()
        if not line:
            raise SimulatorFailed(f"the simulator ended with code {process.wait(5)}")
        return cls(process, json.loads(line))

    def environment(self) -> dict[str, str]:
        """The venue's endpoints as papercopy's environment variables."""
        return {
            "VENUE": "simulated",
            "DATA_API_URL": self.ready["data_api"],
            "GAMMA_API_URL": self.ready["gamma_api"],
            "CLOB_API_URL": self.ready["clob_api"],
            "CLOB_WS_URL": self.ready["clob_ws"],
            "POLYGON_WS_URL": self.ready["polygon_ws"],
            "POLYGON_HTTP_URL": self.ready["polygon_http"],
        }

    def control(self, path: str, **query: object) -> Any:
        """A GET on the simulator's control endpoint."""
        answer = requests.get(f"{self.ready['control']}/{path}", params=dict(query), timeout=30)
        answer.raise_for_status()
        return answer.json()

    def leaders(self) -> list[dict[str, str]]:
        """The simulated leaders: wallet, name, style."""
        rows: list[dict[str, str]] = self.control("leaders")
        return rows

    def stop(self) -> None:
        """End it; bounded."""
        if self.process.stdin:
            self.process.stdin.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(5)
