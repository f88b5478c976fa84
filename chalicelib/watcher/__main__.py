"""`python -m chalicelib.watcher`: listen for the leaders' fills until SIGTERM or SIGINT.

The first signal drains, the second ends the process at once.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
from collections.abc import Callable
from typing import NoReturn, Protocol

GC_THRESHOLDS = (20_000, 50, 100)


class Watch(Protocol):
    """Something that listens until it is told to stop."""

    async def run(self, stop: asyncio.Event) -> None:
        """Listen until `stop` is set, then drain."""


def leave(code: int) -> NoReturn:
    """End the process now: a thread that hangs in a call must not outlive its time to drain."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def settle() -> None:
    """Collect garbage rarely from here on, and never what was built so far.

    With the defaults every few hundred logs are interrupted, now and then for many milliseconds.
    Nearly everything that lives longer than a log is bounded and without cycles.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


async def serve(*watches: Watch, at_once: Callable[[int], object] = leave) -> None:
    """Run until the first signal, then drain; a second one calls `at_once` with its exit code."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def told(number: signal.Signals) -> None:
        if stop.is_set():
            at_once(128 + number)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told, number)
    async with asyncio.TaskGroup() as tasks:
        for watch in watches:
            tasks.create_task(watch.run(stop))


def main() -> None:
    """Build from the environment and serve."""
    from chalicelib.bootstrap import build_watches
    from chalicelib.observability import structure_logs
    from chalicelib.watcher.pulse import PORT_VARIABLE, Pulse, PulsePort

    structure_logs()
    pulse = Pulse()
    watches: list[Watch] = list(build_watches(os.environ, pulse.beat))
    if port := os.environ.get(PORT_VARIABLE):
        watches.append(PulsePort(pulse, int(port)))
    settle()
    asyncio.run(serve(*watches))
    leave(0)


if __name__ == "__main__":
    main()
