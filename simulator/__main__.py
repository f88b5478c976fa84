"""Command line: `python -m simulator --port 0 --seed 7`.

Prints one JSON line with every address once the port is open, then serves until SIGTERM,
SIGINT or, with --exit-with-parent, the end of its standard input.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import heapq
import json
import os
import signal
import sys
import time
from collections.abc import Iterator

from simulator.resolutions import ResolutionError, parse_resolutions
from simulator.scenario import (
    CHAOS_DEFAULT,
    CHAOS_KINDS,
    ScenarioError,
    ScenarioStep,
    chaos,
    load_scenario,
)
from simulator.scenes import SCENES
from simulator.server import endpoints, start
from simulator.venue import Venue, VenueClock
from simulator.world import BLOCK_MS, World, WorldConfig

EXIT_REFUSED = 2
RATES = ("fills_per_minute", "other_activity_per_minute", "combos_per_minute",
         "oddities_per_minute", "chaos_rate")  # fmt: skip
RATE_MAX = 6_000


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="simulator", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8765, help="0 takes any free port")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--genesis", type=int, metavar="MS", help="ms UTC; default: now")
    parser.add_argument("--fills-per-minute", type=float, default=30.0)
    parser.add_argument("--max-fills", type=int, metavar="N", help="then leaders go quiet")
    parser.add_argument(
        "--leaders-wait", type=float, default=0.0, metavar="S", help="venue seconds without leaders"
    )
    parser.add_argument("--time-scale", type=float, default=1.0)
    parser.add_argument("--leaders", type=int, default=4)
    parser.add_argument("--other-activity-per-minute", type=float, default=0.0)
    parser.add_argument("--combos-per-minute", type=float, default=0.0)
    parser.add_argument("--oddities-per-minute", type=float, default=0.0)
    parser.add_argument("--holdings", action="store_true", help="leaders own tokens at genesis")
    parser.add_argument("--stage", action="store_true", help="a leader plays the scripted scenes")
    parser.add_argument("--resolutions", default="", metavar="S:SLUG:WINNER,...")
    parser.add_argument("--scenario", metavar="FILE", help="JSON timetable of faults")
    parser.add_argument("--chaos", type=int, metavar="SEED", help="random faults")
    parser.add_argument("--chaos-rate", type=float, default=4.0, help="faults per minute")
    parser.add_argument("--chaos-kinds", default=",".join(CHAOS_DEFAULT), metavar="A,B,...")
    parser.add_argument("--exit-with-parent", action="store_true")
    arguments = parser.parse_args(argv)
    if arguments.time_scale <= 0:
        parser.error("--time-scale must be above 0")
    if arguments.leaders < 0:
        parser.error("--leaders must not be negative")
    for name in RATES:
        if not 0 <= getattr(arguments, name) <= RATE_MAX:
            parser.error(f"--{name.replace('_', '-')} must be 0 to {RATE_MAX}")
    unknown = sorted(set(arguments.chaos_kinds.split(",")) - set(CHAOS_KINDS))
    if unknown:
        parser.error(f"--chaos-kinds: unknown fault {unknown[0]!r}")
    if arguments.chaos is not None and not arguments.chaos_rate:
        parser.error("--chaos-rate must be above 0")
    if not 0 <= arguments.leaders_wait <= 86_400:
        parser.error("--leaders-wait must be 0 to 86400")
    if arguments.max_fills is not None and arguments.max_fills < 0:
        parser.error("--max-fills must not be negative")
    return arguments


def make_venue(arguments: argparse.Namespace) -> Venue:
    """The venue of these arguments, already caught up with the clock."""
    now_ms = time.time_ns() // 1_000_000
    genesis_ms = now_ms if arguments.genesis is None else arguments.genesis
    genesis_ms -= genesis_ms % BLOCK_MS
    config = WorldConfig(
        leaders=arguments.leaders,
        fills_per_minute=arguments.fills_per_minute,
        fills_max=arguments.max_fills,
        leaders_wait_ms=int(arguments.leaders_wait * 1_000),
        other_activity_per_minute=arguments.other_activity_per_minute,
        combos_per_minute=arguments.combos_per_minute,
        oddities_per_minute=arguments.oddities_per_minute,
        holdings=arguments.holdings,
        resolutions=parse_resolutions(arguments.resolutions),
        scenes=SCENES if arguments.stage else (),
    )
    clock = VenueClock(genesis_ms, arguments.time_scale)
    venue = Venue(World(arguments.seed, genesis_ms, config), clock)
    # History is built of millions of small objects that all stay: collecting only costs time.
    gc.disable()
    while not venue.advance():
        pass
    gc.freeze()
    gc.enable()
    return venue


def make_scenario(arguments: argparse.Namespace) -> Iterator[ScenarioStep] | None:
    """The timetable of faults in order of time, None without one. Raises ScenarioError."""
    parts: list[Iterator[ScenarioStep]] = []
    if arguments.scenario is not None:
        parts.append(iter(load_scenario(arguments.scenario)))
    if arguments.chaos is not None:
        kinds = tuple(arguments.chaos_kinds.split(","))
        parts.append(chaos(arguments.chaos, arguments.chaos_rate, kinds))
    return heapq.merge(*parts, key=lambda step: step.at_ms) if parts else None


async def serve(arguments: argparse.Namespace) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        steps = make_scenario(arguments)
        venue = make_venue(arguments)
    except (ScenarioError, ResolutionError) as error:
        print(f"simulator: {error}", file=sys.stderr)
        return EXIT_REFUSED
    try:
        runner, port = await start(venue, arguments.host, arguments.port, steps)
    except OSError as error:
        print(f"simulator: cannot listen on port {arguments.port}: {error}", file=sys.stderr)
        return EXIT_REFUSED
    ready = {
        "ready": True,
        "port": port,
        **endpoints(arguments.host, port),
        "leaders": [leader.wallet for leader in venue.world.leaders],
        "genesis": venue.world.genesis_ms,
        "seed": arguments.seed,
    }
    print(json.dumps(ready), flush=True)
    if arguments.exit_with_parent:
        loop.add_reader(sys.stdin.fileno(), _watch_parent, stop)
    await stop.wait()
    await runner.cleanup()
    return 0


def _watch_parent(stop: asyncio.Event) -> None:
    """Called when standard input is readable: its end means the parent is gone."""
    if not os.read(sys.stdin.fileno(), 4_096):
        asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
        stop.set()


if __name__ == "__main__":
    sys.exit(asyncio.run(serve(parse_arguments())))
