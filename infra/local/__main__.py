"""Start papercopy on this machine: `python -m infra.local run` or `demo`."""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path

from chalicelib.domain.errors import InvalidInput, PapercopyError
from chalicelib.settings import environment
from infra.chalice_files import PROJECT_ROOT
from infra.local.demo import demo
from infra.local.embedded import AlreadyRunning
from infra.local.simulator_process import SimulatorFailed, SimulatorProcess
from infra.local.stack import open_stack

PORT_DEFAULT = 8000
FILLS_PER_MINUTE = 20


def say(line: str) -> None:
    """One line to the person at the terminal."""
    print(line, flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="papercopy", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run until Ctrl-C")
    run.add_argument("--venue", choices=("simulated", "live"), default="simulated")
    run.add_argument("--leaders", default="", help="addresses separated by commas")
    run.add_argument("--port", type=int, default=PORT_DEFAULT)
    run.add_argument("--data", type=Path, default=PROJECT_ROOT / ".data")
    run.add_argument("--fills-per-minute", type=int, default=FILLS_PER_MINUTE)
    bounded = commands.add_parser("demo", help="a bounded run with a verdict")
    bounded.add_argument("--fills", type=int, default=200)
    bounded.add_argument("--engine", choices=("embedded", "aws"), default="embedded")
    bounded.add_argument("--mode", choices=("api", "polygon", "both"), default="")
    bounded.add_argument("--seed", type=int, default=7)
    return parser.parse_args()


def _simulator(arguments: argparse.Namespace, folder: Path) -> SimulatorProcess:
    """The simulated venue of this data folder: the same world again after a restart."""
    record = folder / "venue.json"
    folder.mkdir(parents=True, exist_ok=True)
    if record.exists():
        known = json.loads(record.read_text())
    else:
        known = {"seed": 7, "genesis": time.time_ns() // 1_000_000}
        record.write_text(json.dumps(known))
    return SimulatorProcess.start(
        "--port",
        "0",
        "--seed",
        str(known["seed"]),
        "--genesis",
        str(known["genesis"]),
        "--fills-per-minute",
        str(arguments.fills_per_minute),
        "--leaders-wait",
        "5",
    )


def _check_port(port: int) -> None:
    """Raises OSError when somebody listens there already."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))


def _run(arguments: argparse.Namespace) -> int:
    try:
        _check_port(arguments.port)
    except (OSError, OverflowError):
        return _fail(
            f"port {arguments.port} is taken; choose another: make run PORT={arguments.port + 1}"
        )
    folder = arguments.data / arguments.venue
    leaders = [a.strip() for a in arguments.leaders.split(",") if a.strip()]
    simulator = None
    variables = {k: v for k, v in os.environ.items() if v}
    variables["VENUE"] = arguments.venue
    if arguments.venue == "live":
        if not leaders and not (folder / "papercopy.sqlite3").exists():
            return _fail("whom to follow? make run VENUE=live LEADERS=0x…,0x…")
        wallets = [(address, "") for address in leaders]
        if not variables.get("POLYGON_WS_URL") and not variables.get("TRIGGER_MODE"):
            say("no POLYGON_WS_URL given: the chain is not watched, mode is api")
            variables["TRIGGER_MODE"] = "api"
    else:
        say("starting the simulated venue …")
        simulator = _simulator(arguments, folder)
        variables.update(simulator.environment())
        wallets = [(row["wallet"], row["name"]) for row in simulator.leaders()]
        wallets += [(address, "") for address in leaders]
    try:
        stack = open_stack("embedded", variables, folder, port=arguments.port)
        try:
            stack.follow(wallets)
            say("starting papercopy …")
            stack.start()
            _announce(variables, stack.url, folder, len(wallets), simulator)
            _wait_for_the_end()
            say("\nstopping …")
        finally:
            stack.stop()
    finally:
        if simulator:
            simulator.stop()
    say("stopped; everything is kept in " + str(_shown(folder)))
    return 0


def _announce(
    variables: dict[str, str],
    url: str,
    folder: Path,
    leaders: int,
    simulator: SimulatorProcess | None,
) -> None:
    env = environment(variables)
    mode, origin = env.mode
    chain = "Polygon logs and Data API" if mode == "both" else f"{mode} only"
    say(f"papercopy is up: {url}")
    say(f"  venue     {env.venue}{'' if simulator is None else ', seeded and deterministic'}")
    say(f"  detection {chain} (mode {mode}, from {origin})")
    say(f"  following {leaders} leader{'s' if leaders != 1 else ''}")
    say(f"  data      {_shown(folder)}")
    say("Ctrl-C stops it; the next start goes on where this one ended.")


def _shown(folder: Path) -> Path:
    return folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder


def _wait_for_the_end() -> None:
    end = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: end.set())
    end.wait()


def _fail(message: str) -> int:
    print(f"papercopy: {message}", file=sys.stderr)
    return 2


def main() -> int:
    """The exit code: 0 well, 1 the demo's verdict is bad, 2 it could not start."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s: %(message)s")
    arguments = _arguments()
    try:
        if arguments.command == "run":
            return _run(arguments)
        if not 1 <= arguments.fills <= 10_000:
            return _fail("FILLS: 1 to 10000 was expected")
        clean = demo(
            arguments.engine, arguments.fills, say, seed=arguments.seed, mode=arguments.mode
        )
    except (AlreadyRunning, SimulatorFailed, InvalidInput, PapercopyError, OSError) as error:
        return _fail(str(error))
    except KeyboardInterrupt:
        return 130
    return 0 if clean else 1


if __name__ == "__main__":
    raise SystemExit(main())
