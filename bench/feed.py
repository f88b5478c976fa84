"""Speed of the feed, from a log's bytes to the message's bytes: `python -m bench.feed [--quick]`.

Prints JSON lines and a table. Everything a log goes through is the project's own code; the only
part left out is the queue's service. The comparison, a web3.py handler with `process_log`, gets the
same logs in the same run. See bench/README.md.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from bench import feed_clients
from bench.feed_logs import WALLETS, logs, notification
from bench.feed_server import serve
from chalicelib.domain.exchange_log import decode_order_filled

RATE = 200
RUN_S_MAX = 180
PARSED_TOGETHER = 50
"""Logs parsed before their decoding is timed: few, so that they are as near as in a real feed."""
_processes = multiprocessing.get_context("spawn")


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured; logs per run."""

    runs: int
    ours: int
    web3: int
    paced: int
    in_process: int


FULL = Sizes(runs=5, ours=100_000, web3=6_000, paced=1_000, in_process=20_000)
QUICK = Sizes(runs=3, ours=40_000, web3=3_000, paced=400, in_process=5_000)


@dataclass(frozen=True, slots=True)
class Row:
    """One measure: a figure for every run, and the bound it is held against."""

    name: str
    unit: str
    figures: tuple[float, ...]
    best: float
    median: float
    target: float | None
    loads: tuple[float, ...]

    @property
    def verdict(self) -> str:
        """PASS by the median, "best only" when the machine was quiet enough just once."""
        if self.target is None:
            return ""
        higher = self.unit in ("logs/s", "times")
        meets = (lambda x: x >= self.target) if higher else (lambda x: x <= self.target)
        return "PASS" if meets(self.median) else "best only" if meets(self.best) else "FAIL"


def row(
    name: str,
    unit: str,
    figures: Sequence[float],
    target: float | None = None,
    loads: Sequence[float] = (),
) -> Row:
    """The row of some figures, printed as a JSON line."""
    best = max(figures) if unit in ("logs/s", "times") else min(figures)
    made = Row(
        name,
        unit,
        tuple(round(f, 2) for f in figures),
        round(best, 2),
        round(statistics.median(figures), 2),
        target,
        tuple(round(load, 2) for load in loads),
    )
    print(
        json.dumps(
            {
                "bench": "feed",
                "measure": made.name,
                "unit": made.unit,
                "figures": made.figures,
                "best": made.best,
                "median": made.median,
                "target": made.target,
                "verdict": made.verdict,
                "load_1m": made.loads,
            }
        ),
        flush=True,
    )
    return made


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest-rank percentile."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


class Lost(Exception):
    """A run gave no figures."""


class Incomplete(Lost):
    """Not every log became exactly one message."""


@dataclass(frozen=True, slots=True)
class Run:
    """Moments of sending (one, the beginning, without a pace) and of being queued, nanoseconds.

    `cpu_s` is the processor time of the client from its first to its last log.
    """

    sent: list[int]
    queued: list[int]
    cpu_s: float


class Node:
    """The server process and the clients that are sent to it."""

    def __init__(self, control: Any) -> None:
        self._control = control
        self._port = control.recv()

    def run(self, client: Callable[..., None], count: int, rate: int) -> Run:
        """One run. Raises Incomplete when a log was lost or came twice."""
        here, there = _processes.Pipe()
        self._control.send((count, rate))
        process = _processes.Process(target=client, args=(self._port, count, there))
        process.start()
        try:
            there.close()
            if not here.poll(RUN_S_MAX):
                raise Lost(f"{client.__name__}: no result after {RUN_S_MAX} s")
            result = here.recv()
        except EOFError:
            raise Lost(f"{client.__name__}: the client ended early") from None
        finally:
            process.terminate()
            process.join()
        sent: list[int] = self._control.recv()
        queued: list[int] = result["queued_ns"]
        if not len(queued) == result["distinct"] == count:
            raise Incomplete(
                f"{client.__name__}: {len(queued)} messages of {count} logs, "
                f"{result['distinct']} distinct"
            )
        return Run(sent, queued, result["cpu_s"])


@contextmanager
def node(count_max: int) -> Iterator[Node]:
    """A node with `count_max` logs, ended in the end."""
    here, there = _processes.Pipe()
    process = _processes.Process(target=serve, args=(there, count_max))
    process.start()
    try:
        yield Node(here)
        here.send(None)
    finally:
        process.terminate()
        process.join()


def throughput(server: Node, sizes: Sizes) -> list[Row]:
    """Logs per second from the first byte sent to the last message's bytes."""
    found: dict[str, list[float]] = {"papercopy": [], "web3": []}
    cpu: dict[str, list[float]] = {"papercopy": [], "web3": []}
    loads = []
    for _ in range(sizes.runs):
        loads.append(os.getloadavg()[0])
        for client, count in (
            (feed_clients.papercopy, sizes.ours),
            (feed_clients.web3, sizes.web3),
        ):
            name = client.__name__
            try:
                run = server.run(client, count, 0)
            except Incomplete as lost:
                print(json.dumps({"bench": "feed", "lost": str(lost)}), flush=True)
                found[name].append(0.0)
                continue
            found[name].append(count / (run.queued[-1] - run.sent[0]) * 1e9)
            cpu[name].append(run.cpu_s / count * 1e6)
    pairs = zip(found["papercopy"], found["web3"], strict=True)
    return [
        row("end to end", "logs/s", found["papercopy"], 45_000, loads),
        row("end to end, web3", "logs/s", found["web3"], None, loads),
        row("end to end, against web3", "times", [a / b for a, b in pairs], 20, loads),
        *(row(f"processor time, {name}", "µs/log", spent) for name, spent in cpu.items() if spent),
    ]


def latency(server: Node, sizes: Sizes) -> list[Row]:
    """Microseconds from before the sending to queued, at RATE logs per second."""
    p50: dict[str, list[float]] = {"papercopy": [], "web3": []}
    p99: dict[str, list[float]] = {"papercopy": [], "web3": []}
    loads = []
    for _ in range(sizes.runs):
        loads.append(os.getloadavg()[0])
        for client in (feed_clients.papercopy, feed_clients.web3):
            run = server.run(client, sizes.paced, RATE)
            waits = [(q - s) / 1000 for s, q in zip(run.sent, run.queued, strict=True)]
            p50[client.__name__].append(percentile(waits, 0.5))
            p99[client.__name__].append(percentile(waits, 0.99))
    rows = []
    for name, by_client, target in (("p50", p50, 350), ("p99", p99, 800)):
        ours, theirs = by_client["papercopy"], by_client["web3"]
        rows += [
            row(f"socket to queued, {name}", "µs", ours, target, loads),
            row(f"socket to queued, {name}, web3", "µs", theirs, None, loads),
            row(
                f"socket to queued, {name}, part of web3's",
                "part",
                [a / b for a, b in zip(ours, theirs, strict=True)],
                0.5,
                loads,
            ),
        ]
    return rows


def _thread(_: Callable[[], Any]) -> Any:
    raise AssertionError("nothing is delivered here")


def in_process(sizes: Sizes) -> list[Row]:
    """Microseconds from a frame's bytes to the message queued and its bytes made."""
    from chalicelib.watcher.delivery import Delivery
    from chalicelib.watcher.outputs import Evidence
    from chalicelib.watcher.session import PolygonSession

    frames = [notification(log) for log in logs(sizes.in_process)]
    clock = time.perf_counter_ns
    p50, p99, loads = [], [], []
    for _ in range(sizes.runs):
        loads.append(os.getloadavg()[0])
        session = PolygonSession({wallet: wallet for wallet in WALLETS})
        session.connected(0)
        delivery = Delivery(
            feed_clients.EncodingQueue(),
            lambda *_: None,
            feed_clients.Tally(),  # type: ignore[arg-type]
            _thread,
            jitter=lambda: 0.0,
        )
        waits = []
        for frame in frames:
            begun = clock()
            (output,) = session.receive(frame, 1)
            assert isinstance(output, Evidence)
            # Makes the message's bytes too.
            delivery.evidence(output.message)
            waits.append((clock() - begun) / 1000)
        p50.append(percentile(waits, 0.5))
        p99.append(percentile(waits, 0.99))
    return [
        row("bytes to queued, p50", "µs", p50, 40, loads),
        row("bytes to queued, p99", "µs", p99, 150, loads),
    ]


def decoding(sizes: Sizes) -> list[Row]:
    """Microseconds from a log that has just been parsed to the fill."""
    frames = [json.dumps(log) for log in logs(sizes.in_process)]
    wallets = {wallet: wallet for wallet in WALLETS}
    means, loads = [], []
    for _ in range(sizes.runs):
        loads.append(os.getloadavg()[0])
        spent = 0.0
        for first in range(0, len(frames), PARSED_TOGETHER):
            parsed = [json.loads(frame) for frame in frames[first : first + PARSED_TOGETHER]]
            begun = time.perf_counter()
            for log in parsed:
                decode_order_filled(log, wallets)
            spent += time.perf_counter() - begun
        means.append(spent / len(frames) * 1e6)
    return [row("decode", "µs", means, 6, loads)]


def _cpu() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            return next(line.split(":")[1].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        return platform.processor()


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.feed", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="smaller runs, about half a minute")
    parser.add_argument(
        "--only", choices=("throughput", "latency", "in-process", "decode"), action="append"
    )
    arguments = parser.parse_args()
    sizes = QUICK if arguments.quick else FULL
    wanted = arguments.only or ["decode", "in-process", "latency", "throughput"]
    machine = {
        "bench": "feed",
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "load": os.getloadavg(),
    }
    print(json.dumps(machine), flush=True)
    rows: list[Row] = []
    if "decode" in wanted:
        rows += decoding(sizes)
    if "in-process" in wanted:
        rows += in_process(sizes)
    if {"latency", "throughput"} & set(wanted):
        try:
            with node(max(sizes.ours, sizes.web3, sizes.paced)) as server:
                if "latency" in wanted:
                    rows += latency(server, sizes)
                if "throughput" in wanted:
                    rows += throughput(server, sizes)
        except Lost as lost:
            parser.exit(1, f"{lost}\n")
    print(f"\n{'':44} {'best':>10} {'median':>10} {'target':>8}")
    for made in rows:
        target = "" if made.target is None else f"{made.target:g}"
        unit = "" if made.unit in ("times", "part") else made.unit
        print(
            f"{made.name:36} {unit:>7} {made.best:>10} {made.median:>10} {target:>8} {made.verdict}"
        )


if __name__ == "__main__":
    main()
