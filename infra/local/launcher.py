"""`make run`: check everything that can be wrong, then start, tell, wait, and stop."""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chalicelib.adapters.embedded import DATABASE
from chalicelib.domain.errors import InvalidInput
from chalicelib.domain.identifiers import address
from chalicelib.services.manage_leaders import leaders
from chalicelib.settings import environment
from infra.local.embedded import lock_folder
from infra.local.simulator_process import READY_SECONDS_MAX, SimulatorProcess
from infra.local.stack import Stack, open_stack

SEED = 7
PORT_MAX = 65_535
FILLS_PER_MINUTE_MAX = 6_000
DAY_MS = 86_400_000
READY_SECONDS_PER_DAY = 20
"""The simulated venue computes what happened while nobody looked; a day took 7 s when measured."""
TELL_CATCH_UP_MS = DAY_MS // 4
CATCH_UP_DAYS_MAX = 30
WAKE_S = 0.5

Say = Callable[[str], None]


class CannotStart(RuntimeError):
    """What the person at the terminal has to change, in one line."""


@dataclass(frozen=True, slots=True)
class Launch:
    """What was asked for."""

    venue: str
    leaders: tuple[str, ...]
    port: int
    data: Path
    fills_per_minute: int
    leaders_wait_s: int

    @property
    def folder(self) -> Path:
        """Everything that is kept; each venue has its own."""
        return self.data / self.venue


def launch(asked: Launch, surroundings: Mapping[str, str], say: Say) -> None:
    """Run until Ctrl-C or SIGTERM. Raises CannotStart and what `open_stack` raises."""
    variables = {key: value for key, value in surroundings.items() if value}
    variables["VENUE"] = asked.venue
    wallets = _checked(asked, variables, say)
    # A SIGTERM while it starts unwinds like Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    simulator = None
    try:
        if asked.venue == "simulated":
            simulator = _simulator(asked, say)
            variables.update(simulator.environment())
            wallets = [(row["wallet"], row["name"]) for row in simulator.leaders()] + wallets
        stack = _opened(asked, variables)
        try:
            stack.follow(wallets)
            say("starting papercopy …")
            stack.start()
            _announce(asked, stack, say)
            _wait_for_the_end()
            say("\nstopping …")
        finally:
            stack.stop()
    finally:
        if simulator:
            simulator.stop()
    say(f"stopped; everything is kept in {_shown(asked.folder)}")


def _checked(asked: Launch, variables: dict[str, str], say: Say) -> list[tuple[str, str]]:
    """The wallets that were named, after everything was checked that needs nothing started."""
    wallets = [(address(leader, "LEADERS"), "") for leader in asked.leaders]
    if not 0 <= asked.fills_per_minute <= FILLS_PER_MINUTE_MAX:
        raise CannotStart(f"--fills-per-minute: 0 to {FILLS_PER_MINUTE_MAX} was expected")
    if asked.venue == "live":
        if not wallets and not (asked.folder / DATABASE).exists():
            raise CannotStart("whom to follow? make run VENUE=live LEADERS=0x…,0x…")
        if not variables.get("POLYGON_WS_URL") and not variables.get("TRIGGER_MODE"):
            say("no POLYGON_WS_URL given: the chain is not watched, mode is api")
            variables["TRIGGER_MODE"] = "api"
    env = environment(variables)
    mode = env.trigger_mode
    if asked.venue == "live" and mode not in ("", "api") and not env.polygon_ws_url:
        raise InvalidInput("POLYGON_WS_URL", f"is needed in mode {mode}")
    _check_port(asked.port)
    try:
        lock_folder(asked.folder).close()
    except OSError as error:
        raise CannotStart(f"the data folder {asked.folder} cannot be used: {error}") from error
    return wallets


def _check_port(port: int) -> None:
    if not 0 <= port <= PORT_MAX:
        raise CannotStart(f"PORT: 0 to {PORT_MAX} was expected, got {port}")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise _port_refused(port, error) from error


def _port_refused(port: int, error: OSError) -> CannotStart:
    other = port + 1 if port < PORT_MAX else port - 1
    if error.errno == errno.EADDRINUSE:
        return CannotStart(f"port {port} is taken; choose another: make run PORT={other}")
    return CannotStart(f"port {port} cannot be used: {error.strerror or error}")


def _opened(asked: Launch, variables: Mapping[str, str]) -> Stack:
    try:
        return open_stack("embedded", variables, asked.folder, port=asked.port)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            # Somebody was faster than we were after the check.
            raise _port_refused(asked.port, error) from error
        raise


def _simulator(asked: Launch, say: Say) -> SimulatorProcess:
    """The simulated venue of this data folder: the same world again after a restart."""
    world = _world(asked.folder / "venue.json")
    past_ms = max(0, time.time_ns() // 1_000_000 - world["genesis"])
    days = past_ms / DAY_MS
    say("starting the simulated venue …")
    if past_ms > TELL_CATCH_UP_MS:
        say(f"  it catches up with {days:.1f} days, about {max(2, days * 7):.0f} s …")
    return SimulatorProcess.start(
        "--port",
        "0",
        "--seed",
        str(world["seed"]),
        "--genesis",
        str(world["genesis"]),
        "--fills-per-minute",
        str(asked.fills_per_minute),
        "--leaders-wait",
        str(asked.leaders_wait_s),
        ready_seconds_max=READY_SECONDS_MAX + days * READY_SECONDS_PER_DAY,
    )


def _world(record: Path) -> dict[str, int]:
    """Seed and genesis of the folder's venue, chosen at its first start."""
    if not record.exists():
        world = {"seed": SEED, "genesis": time.time_ns() // 1_000_000}
        # Whole or not at all: half a record would be another world.
        draft = record.with_suffix(".new")
        draft.write_text(json.dumps(world))
        os.replace(draft, record)
    try:
        known: Any = json.loads(record.read_text())
        world = {"seed": int(known["seed"]), "genesis": int(known["genesis"])}
    except (ValueError, TypeError, KeyError) as error:
        raise CannotStart(f"{record} is damaged; remove its folder to begin anew") from error
    if time.time_ns() // 1_000_000 - world["genesis"] > CATCH_UP_DAYS_MAX * DAY_MS:
        raise CannotStart(
            f"the simulated venue in {record.parent} began more than {CATCH_UP_DAYS_MAX} days ago,"
            " too much to compute again; remove the folder to begin anew"
        )
    return world


def _announce(asked: Launch, stack: Stack, say: Say) -> None:
    system = stack.services.rules.system()
    mode = system.trigger_mode
    chain = "Polygon logs and Data API" if mode == "both" else f"{mode} only"
    followed = sum(leader.state != "off" for leader in leaders(stack.store))
    kind = ", seeded and deterministic" if asked.venue == "simulated" else ""
    say(f"papercopy is up: {stack.url}")
    say(f"  venue     {asked.venue}{kind}")
    say(f"  detection {chain} (mode {mode}, from {system.mode_origin})")
    say(f"  following {followed} leader{'' if followed == 1 else 's'}")
    say(f"  data      {_shown(asked.folder)}")
    say(f"  sign in   {stack.sign_in_link()}")
    say("            works once; `.venv/bin/python -m infra.link` prints another")
    say("Ctrl-C stops it; the next start goes on where this one ended.")


def _shown(folder: Path) -> Path:
    return folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder


def _wait_for_the_end() -> None:
    """Until the first signal; a second one ends the process at once, which costs nothing kept."""
    end = threading.Event()

    def asked_to_end(*_: object) -> None:
        if end.is_set():
            os._exit(130)
        end.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, asked_to_end)
    # The kernel may hand a signal to another thread, which does not wake this one.
    while not end.wait(WAKE_S):
        pass
