"""`make soak`: every fault at random against the ground truth, in every way of detecting fills.

Each way runs in a process of its own with a simulated venue of its own: leaders trade, faults come
and go, then the venue calms down and the books must agree with the truth to the micro-share.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import requests

from chalicelib.adapters.clock import SystemClock
from chalicelib.adapters.stored_rules import change_settings
from chalicelib.domain.errors import PapercopyError
from chalicelib.ports import Put
from chalicelib.services.holdings_checks import holdings_check
from infra.local.embedded import EmbeddedEngine
from infra.local.ground_truth import Verdict, compare, ledgers_hold, stored_attempts
from infra.local.simulator_process import ROOT, SimulatorProcess
from infra.local.stack import open_stack, wait_until
from simulator.scenario import CHAOS_KINDS

WAYS: dict[str, tuple[str, dict[str, object]]] = {
    "api": ("api", {}),
    "both": ("both", {}),
    "polygon": ("polygon", {}),
    "polygon+sweep": ("polygon", {"gap_fill": "sweep", "gap_fill_blocks_max": 100}),
}
"""Name → trigger mode and system settings."""

FILLS_PER_MINUTE = 40
FAULTS_PER_MINUTE = 24
CALM_SECONDS_MAX = 1_200
"""A split that a reorganisation took away is booked once its token was quiet for ten minutes."""
ROUNDING = 200
"""Micro-shares: the venue states holdings to four decimals, and a leader may own two wallets."""
COMPARE_AGAIN_MS = 60_000
SLOW_TO_SETTLE = frozenset({"reorg_drop"})
WARM_UP_S = 6
CLOCK = SystemClock()
Say = Callable[[str], None]


@dataclass(slots=True)
class Result:
    """What one way of detecting ended with."""

    way: str
    fills: int = 0
    seen_chain: int = 0
    seen_api: int = 0
    missed: list[str] = field(default_factory=list)
    duplicated: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    ledger: list[str] = field(default_factory=list)
    faults: int = 0
    reorgs: int = 0
    disconnects: int = 0
    calls: int = 0
    limited: int = 0
    get_logs: int = 0
    unfiltered: int = 0
    books: int = 0
    needless_books: int = 0
    seconds: float = 0.0
    counted: dict[str, int] = field(default_factory=dict)

    @property
    def clean(self) -> bool:
        """Whether the books are exactly the truth, and no order book was asked for needlessly.

        A book the market channel tells everything about is needed from nobody else: while the
        watcher was subscribed to it for a while and the CLOB had no fault, no request is allowed.
        """
        wrong = self.missed or self.duplicated or self.wrong or self.ledger
        return self.fills > 0 and not wrong and self.needless_books == 0


def soak(seconds: int, ways: Sequence[str], seed: int, say: Say, *, brief: bool = False) -> bool:
    """Run every way at once for so long; True when all of them end clean.

    A brief one leaves out what takes minutes to be sure of.
    """
    say(f"{seconds} s of faults at random (seed {seed}) in the modes {', '.join(ways)}")
    children = {way: _child(way, seconds, seed, brief) for way in ways}
    results = []
    try:
        for way, child in children.items():
            out, complaints = child.communicate(timeout=seconds + CALM_SECONDS_MAX + 180)
            lines = out.strip().splitlines()
            if child.returncode not in (0, 1) or not lines:
                last = complaints.strip().splitlines()[-1:] or ["without a word"]
                say(f"{way} ended with code {child.returncode}: {last[0]}")
                continue
            results.append(Result(**json.loads(lines[-1])))
    finally:
        for child in children.values():
            child.kill()
    say(_table(results))
    for result in results:
        for title in ("missed", "duplicated", "wrong", "ledger"):
            for line in getattr(result, title)[:10]:
                say(f"{result.way}: {title}: {line}")
    return len(results) == len(ways) and all(result.clean for result in results)


def _child(way: str, seconds: int, seed: int, brief: bool) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "infra.local", "soak-one", way, str(seconds), str(seed)]
        + (["--brief"] if brief else []),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def soak_one(way: str, seconds: int, seed: int, *, brief: bool = False) -> Result:
    """One way of detecting fills, in this process."""
    kinds = [kind for kind in CHAOS_KINDS if not (brief and kind in SLOW_TO_SETTLE)]
    mode, settings = WAYS[way]
    simulator = SimulatorProcess.start(
        "--port", "0", "--seed", str(seed), "--fills-per-minute", str(FILLS_PER_MINUTE),
        "--leaders-wait", str(WARM_UP_S), "--holdings",
        "--other-activity-per-minute", "0" if brief else "6", "--combos-per-minute", "2",
        "--oddities-per-minute", "6", "--chaos", str(seed), "--chaos-rate", str(FAULTS_PER_MINUTE),
        "--chaos-kinds", ",".join(kinds),
    )  # fmt: skip
    variables = {**simulator.environment(), "TRIGGER_MODE": mode, "POLL_INTERVAL_S": "5"}
    try:
        with tempfile.TemporaryDirectory(prefix="papercopy-soak-") as folder:
            engine = open_stack("embedded", variables, Path(folder))
            assert isinstance(engine, EmbeddedEngine)
            try:
                change_settings(engine.store, engine.clock, "system", settings)
                for row in simulator.leaders():
                    engine.services.follow(row["wallets"], row["name"])
                engine.start()
                return _run(way, engine, simulator, seconds)
            finally:
                engine.stop()
    finally:
        simulator.stop()


def _run(way: str, engine: EmbeddedEngine, simulator: SimulatorProcess, seconds: int) -> Result:
    started = time.monotonic()
    time.sleep(seconds)
    applied = simulator.control("scenario")["applied"]
    _post(simulator, "stop_leaders", {})
    _post(simulator, "calm", {})
    mode = WAYS[way][0]
    wait_until(lambda: simulator.control("truth", after=0, limit=1)["done"], CALM_SECONDS_MAX)
    _reconcile(engine, simulator)
    wait_until(lambda: _settled(engine, simulator, mode), CALM_SECONDS_MAX, 2.0)
    verdict = compare(engine.store, simulator, mode, CLOCK.now_ms(), ROUNDING)
    counters = simulator.control("counters")
    counted = engine.metrics.snapshot()
    return Result(
        way=way,
        fills=verdict.truth,
        seen_chain=verdict.seen_chain,
        seen_api=verdict.seen_api,
        missed=verdict.missed,
        duplicated=verdict.duplicated,
        wrong=verdict.wrong,
        ledger=ledgers_hold(engine.store),
        faults=len(applied),
        reorgs=counters.get("reorgs", 0),
        disconnects=counted.get("watcher_reconnects", 0),
        calls=_calls(counters),
        limited=counters["429"],
        get_logs=counters["rpc eth_getLogs"],
        unfiltered=counters["polygon unfiltered subscriptions"],
        books=counters["GET /clob/book"],
        needless_books=counters["clob books asked for needlessly"],
        seconds=round(time.monotonic() - started, 1),
        counted={name: counted[name] for name in sorted(counted)},
    )


def _post(simulator: SimulatorProcess, path: str, body: dict[str, object]) -> None:
    answer = requests.post(f"{simulator.ready['control']}/{path}", json=body, timeout=30)
    answer.raise_for_status()


def _calls(counters: dict[str, Any]) -> int:
    routes = ("GET ", "POST ", "rpc ")
    return sum(n for name, n in counters.items() if name.startswith(routes))


def _reconcile(engine: EmbeddedEngine, simulator: SimulatorProcess) -> None:
    """What every mode does at least once a day: hold the books against the venue's own record."""
    began = simulator.control("health")["genesis"]
    for row in simulator.leaders():
        with suppress(PapercopyError):
            engine.services.measure.reconcile(row["wallet"], began, CLOCK.now_ms())
        check = holdings_check(engine.store, row["wallet"])
        if CLOCK.now_ms() - check.ts_checked >= COMPARE_AGAIN_MS:
            with suppress(PapercopyError):
                engine.store.commit([Put(replace(check, ts_checked=0))])


def _settled(engine: EmbeddedEngine, simulator: SimulatorProcess, mode: str) -> bool:
    """Whether the books agree and nothing is left to do."""
    try:
        verdict: Verdict = compare(engine.store, simulator, mode, CLOCK.now_ms(), ROUNDING)
        attempts = stored_attempts(engine.store, CLOCK.now_ms())
    except (PapercopyError, requests.RequestException):
        return False
    if not verdict.clean:
        _reconcile(engine, simulator)
    unfinished = any(attempt.status == "SUBMITTED" for attempt in attempts)
    return verdict.clean and not unfinished and engine.idle()


def _table(results: Sequence[Result]) -> str:
    columns: list[tuple[str, Callable[[Result], object]]] = [
        ("mode", lambda r: r.way),
        ("fills", lambda r: r.fills),
        ("by chain", lambda r: r.seen_chain),
        ("by API", lambda r: r.seen_api),
        ("missed", lambda r: len(r.missed)),
        ("duplicated", lambda r: len(r.duplicated)),
        ("wrong", lambda r: len(r.wrong)),
        ("ledger", lambda r: len(r.ledger)),
        ("faults", lambda r: r.faults),
        ("reorgs", lambda r: r.reorgs),
        ("sockets lost", lambda r: r.disconnects),
        ("getLogs", lambda r: r.get_logs),
        ("unfiltered", lambda r: r.unfiltered),
        ("/book", lambda r: r.books),
        ("needless", lambda r: r.needless_books),
        ("seconds", lambda r: r.seconds),
    ]
    rows = [[title for title, _ in columns]]
    rows += [[str(value(result)) for _, value in columns] for result in results]
    widths = [max(len(row[i]) for row in rows) for i in range(len(columns))]
    lines = [[cell.rjust(width) for cell, width in zip(r, widths, strict=True)] for r in rows]
    return "\n".join("  ".join(line) for line in lines)


def result_line(result: Result) -> str:
    """One line of JSON for the process that asked."""
    return json.dumps(asdict(result))
