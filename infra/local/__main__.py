"""Start papercopy on this machine: `python -m infra.local run` or `demo`."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from chalicelib.domain.errors import PapercopyError
from infra.chalice_files import PROJECT_ROOT
from infra.local.demo import demo
from infra.local.embedded import AlreadyRunning
from infra.local.launcher import CannotStart, Launch, launch
from infra.local.simulator_process import SimulatorFailed
from infra.local.soak import WAYS, result_line, soak, soak_one

PORT_DEFAULT = 8000
FILLS_PER_MINUTE = 20
FILLS_MAX = 10_000
SOAK_SECONDS_MAX = 86_400
LEADERS_WAIT_S = 5


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line instead of the usage, which nobody asked `make` for."""
        self.exit(2, f"papercopy: {message}\n")


def say(line: str) -> None:
    """One line to the person at the terminal."""
    print(line, flush=True)


def _arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = _Parser(prog="papercopy", description=__doc__, allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run until Ctrl-C")
    run.add_argument("--venue", choices=("simulated", "live"), default="simulated")
    run.add_argument("--leaders", default="", help="addresses separated by commas")
    run.add_argument("--port", type=int, default=PORT_DEFAULT)
    run.add_argument("--data", type=Path, default=PROJECT_ROOT / ".data")
    run.add_argument("--fills-per-minute", type=int, default=FILLS_PER_MINUTE)
    run.add_argument("--leaders-wait", type=int, default=LEADERS_WAIT_S)
    bounded = commands.add_parser("demo", help="a bounded run with a verdict")
    bounded.add_argument("--fills", type=int, default=200)
    bounded.add_argument("--engine", choices=("embedded", "aws"), default="embedded")
    bounded.add_argument("--mode", choices=("", "api", "polygon", "both"), default="")
    bounded.add_argument("--seed", type=int, default=7)
    long = commands.add_parser("soak", help="every fault at random, held against the truth")
    long.add_argument("--seconds", type=int, default=300)
    long.add_argument("--ways", default=",".join(WAYS))
    long.add_argument("--seed", type=int, default=7)
    long.add_argument("--brief", action="store_true", help="without what takes minutes to settle")
    one = commands.add_parser("soak-one")
    one.add_argument("way", choices=tuple(WAYS))
    one.add_argument("seconds", type=int)
    one.add_argument("seed", type=int)
    one.add_argument("--brief", action="store_true")
    return parser.parse_args(given)


def _run(arguments: argparse.Namespace) -> int:
    launch(
        Launch(
            venue=arguments.venue,
            leaders=tuple(a.strip() for a in arguments.leaders.split(",") if a.strip()),
            port=arguments.port,
            data=arguments.data,
            fills_per_minute=arguments.fills_per_minute,
            leaders_wait_s=arguments.leaders_wait,
        ),
        os.environ,
        say,
    )
    return 0


def _demo(arguments: argparse.Namespace) -> int:
    if not 1 <= arguments.fills <= FILLS_MAX:
        raise CannotStart(f"FILLS: 1 to {FILLS_MAX} was expected")
    clean = demo(arguments.engine, arguments.fills, say, seed=arguments.seed, mode=arguments.mode)
    return 0 if clean else 1


def _soak(arguments: argparse.Namespace) -> int:
    ways = tuple(arguments.ways.split(","))
    if not 1 <= arguments.seconds <= SOAK_SECONDS_MAX:
        raise CannotStart(f"SECONDS: 1 to {SOAK_SECONDS_MAX} was expected")
    if not set(ways) <= WAYS.keys():
        raise CannotStart(f"WAYS: some of {','.join(WAYS)} were expected")
    clean = soak(arguments.seconds, ways, arguments.seed, say, brief=arguments.brief)
    return 0 if clean else 1


def _soak_one(arguments: argparse.Namespace) -> int:
    result = soak_one(arguments.way, arguments.seconds, arguments.seed, brief=arguments.brief)
    say(result_line(result))
    return 0 if result.clean else 1


COMMANDS = {"run": _run, "demo": _demo, "soak": _soak, "soak-one": _soak_one}


def main(given: Sequence[str] | None = None) -> int:
    """The exit code: 0 well, 1 the demo's verdict is bad, 2 it could not start, 130 Ctrl-C."""
    arguments = _arguments(given)
    try:
        return COMMANDS[arguments.command](arguments)
    except (AlreadyRunning, CannotStart, SimulatorFailed, PapercopyError, OSError) as error:
        print(f"papercopy: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _exit(code: int) -> NoReturn:
    """End the process, even when a thread still waits for a venue that does not answer."""
    sys.stdout.flush()
    sys.stderr.flush()
    if threading.active_count() > 1:
        os._exit(code)
    raise SystemExit(code)


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s: %(message)s")
    _exit(main())
