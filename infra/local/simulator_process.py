"""The simulated venue as a child process that ends with its parent."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import requests

ROOT = Path(__file__).resolve().parents[2]
READY_SECONDS_MAX = 60
STOP_SECONDS_MAX = 5
LINES_KEPT = 20
log = logging.getLogger(__name__)


class SimulatorFailed(RuntimeError):
    """The simulator did not start."""


@dataclass(slots=True)
class SimulatorProcess:
    """A running simulator; `ready` is the line it printed."""

    process: subprocess.Popen[str]
    ready: dict[str, Any]

    @classmethod
    def start(cls, *arguments: str, ready_seconds_max: float = READY_SECONDS_MAX) -> Self:
        """Start it and wait until it serves. Raises SimulatorFailed with its last words."""
        process = subprocess.Popen(
            [sys.executable, "-m", "simulator", "--exit-with-parent", *arguments],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # Ctrl-C at the terminal is for us: the venue is closed after papercopy, not before.
            start_new_session=True,
        )
        words: deque[str] = deque(maxlen=LINES_KEPT)
        listener = threading.Thread(target=_listen, args=(process, words), daemon=True)
        listener.start()
        timer = threading.Timer(ready_seconds_max, process.kill)
        timer.start()
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
        except BaseException:
            process.kill()
            raise
        finally:
            timer.cancel()
        if not line:
            code = process.wait(STOP_SECONDS_MAX)
            listener.join(STOP_SECONDS_MAX)
            said = words[-1] if words else "without a word"
            raise SimulatorFailed(f"the simulated venue did not start (code {code}): {said}")
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
            self.process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(STOP_SECONDS_MAX)


def _listen(process: subprocess.Popen[str], words: deque[str]) -> None:
    """Read what it complains about, so that its pipe never fills up."""
    assert process.stderr is not None
    for line in process.stderr:
        words.append(line.strip())
        log.info("simulator: %s", line.rstrip())
