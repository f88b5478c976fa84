"""`python -m chalicelib.watcher`: listen for the leaders' fills until SIGTERM or SIGINT."""

from __future__ import annotations

import asyncio
import os
import signal

from chalicelib.watcher.runner import Watcher


async def serve(watcher: Watcher) -> None:
    """Run until the first signal, then drain."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await watcher.run(stop)


def main() -> None:
    """Build from the environment and serve."""
    from chalicelib.bootstrap import build_watcher

    asyncio.run(serve(build_watcher(os.environ)))


if __name__ == "__main__":
    main()
