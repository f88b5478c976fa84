"""A real EVM node for tests: anvil, on this machine only, mining when told to."""

from __future__ import annotations

import http.client
import itertools
import json
import os
import platform
import shutil
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any

HERE = Path(__file__).parent
PACKAGED = HERE / "node_modules" / "@foundry-rs" / "anvil-linux-amd64" / "bin" / "anvil"
ACCOUNTS = 200
START_S_MAX = 30
STOP_S_MAX = 10
CALL_S_MAX = 20


def binary() -> str | None:
    """`$ANVIL`, the pinned package, or what the PATH has."""
    fits = platform.system() == "Linux" and platform.machine() == "x86_64"
    packaged = str(PACKAGED) if fits and PACKAGED.is_file() else None
    return os.environ.get("ANVIL") or packaged or shutil.which("anvil")


def missing() -> str | None:
    """What is not there, in words that say how to get it; None when everything is."""
    if binary():
        return None
    return "no anvil here: run `npm ci` in tests/chain (Linux on x86-64), or set ANVIL"


class RpcRefused(Exception):
    """The node answered a call with an error."""


class Anvil:
    """One node. Blocks are mined by `evm_mine` only, transactions in the order of their arrival."""

    def __init__(self, genesis: int) -> None:
        self._genesis = genesis
        self._port = _free_port()
        self._ids = itertools.count(1)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def http_url(self) -> str:
        """Where HTTP calls go."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def ws_url(self) -> str:
        """Where subscriptions are made."""
        return f"ws://127.0.0.1:{self._port}"

    def __enter__(self) -> Anvil:
        command = [
            str(binary()),
            "--host=127.0.0.1",
            f"--port={self._port}",
            "--chain-id=137",
            "--no-mining",
            "--order=fifo",
            f"--accounts={ACCOUNTS}",
            f"--timestamp={self._genesis}",
            "--silent",
        ]
        self._process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            self._wait_until_ready(self._process)
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_S_MAX
        while True:
            try:
                self.call("eth_chainId")
            except OSError:
                if process.poll() is not None:
                    raise RuntimeError(f"anvil ended with {process.returncode}") from None
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
            else:
                return

    def _stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(STOP_S_MAX)

    def call(self, method: str, *params: object) -> Any:
        """The result of one JSON-RPC call. Raises RpcRefused, or OSError without an answer."""
        request = {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": params}
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=CALL_S_MAX)
        try:
            connection.request(
                "POST", "/", json.dumps(request), {"content-type": "application/json"}
            )
            answer = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        if "error" in answer:
            raise RpcRefused(f"{method}: {answer['error']}")
        return answer["result"]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
