"""Whether the watcher lives, told by itself to its own health check.

A hung event loop answers nobody, and one that works answers `well` only while heartbeats get
through to the store. Until the chain was heard for the first time the answer is `starting`, so a
deployment that cannot reach its node is rolled back; later a node that is down is no reason to
start again.

`python -m chalicelib.watcher.pulse` asks, and ends with 0 for `well` and 1 for anything else.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress

PORT_VARIABLE = "WATCHER_HEALTH_PORT"
SILENT_S_MAX = 60.0
"""Heartbeats come every few seconds; the store may be away for a while."""
ASK_SECONDS_MAX = 5.0
ANSWER_BYTES_MAX = 100
WELL = "well"


class Pulse:
    """Remembers the last heartbeat that was stored; safe to beat from any thread."""

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._beat_s = now_s()
        self._was_up = False

    def beat(self, up: bool) -> None:
        """A heartbeat was stored; `up` tells whether the chain is heard."""
        self._beat_s = self._now_s()
        self._was_up = self._was_up or up

    def answer(self) -> str:
        """`well`, or what is wrong."""
        silent_s = self._now_s() - self._beat_s
        if silent_s > SILENT_S_MAX:
            return f"silent for {silent_s:.0f} s"
        return WELL if self._was_up else "starting"


class PulsePort:
    """Answers every connection on a port of this machine alone, until told to stop."""

    def __init__(self, pulse: Pulse, port: int) -> None:
        self._pulse = pulse
        self._port = port

    async def run(self, stop: asyncio.Event) -> None:
        """Raises OSError when the port is taken."""
        server = await asyncio.start_server(self._tell, "127.0.0.1", self._port)
        try:
            await stop.wait()
        finally:
            server.close()

    async def _tell(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            writer.write(self._pulse.answer().encode())
            await writer.drain()
        writer.close()


def ask(port: int) -> str:
    """What the watcher behind `port` says of itself, or why nothing was heard."""
    try:
        with socket.create_connection(("127.0.0.1", port), ASK_SECONDS_MAX) as connection:
            return connection.recv(ANSWER_BYTES_MAX).decode(errors="replace") or "no answer"
    except OSError as error:
        return f"no answer: {error}"


def main() -> int:
    """Ask the port that the environment names."""
    answer = ask(int(os.environ[PORT_VARIABLE]))
    print(answer)
    return 0 if answer == WELL else 1


if __name__ == "__main__":
    sys.exit(main())
