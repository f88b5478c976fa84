"""`make demo`: a bounded run against the simulated venue, held against its ground truth.

Beside the leaders who trade at random another one plays scripted scenes: books that run away, go
thin, are wide or silent. Together they end in every outcome and every reason of prices and books.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from chalicelib.adapters.clock import SystemClock
from chalicelib.adapters.stored_rules import change_settings
from chalicelib.domain.errors import PapercopyError
from chalicelib.domain.trade import Trade
from infra.local.ground_truth import (
    Verdict,
    compare,
    ledgers_hold,
    stored_attempts,
    stored_trades,
    true_fills,
)
from infra.local.simulator_process import SimulatorProcess
from infra.local.stack import EngineName, Stack, open_stack, wait_until
from infra.local.staged import SETTINGS, Scenes, scenes_of
from infra.local.summary import render, rows

FILLS_PER_MINUTE = {"embedded": 240, "aws": 60}
"""As fast as one machine plays the whole venue and the whole of AWS without falling behind."""
LEADERS_WAIT_S = {"embedded": 5, "aws": 15}
MARGIN_SECONDS = 120
SETTLE_SECONDS_MAX = 120
SCRIPTED = "scripted"
"""The style of the leader who plays the scenes."""
CLOCK = SystemClock()
Say = Callable[[str], None]


def demo(
    engine: EngineName,
    fills: int,
    say: Say,
    *,
    seed: int = 7,
    mode: str = "",
    poll_s: int = 5,
    scenes: bool = True,
) -> bool:
    """Run until `fills` leader fills went through, and the scripted ones with `scenes`.

    True when the books agree with the truth and every scene ended as it must. In mode `api` no
    scene is played: their books move faster than polling can follow.
    """
    scenes = scenes and mode != "api"
    say(f"simulated venue with {fills} leader fills, engine {engine}")
    simulator = SimulatorProcess.start(
        "--port",
        "0",
        "--seed",
        str(seed),
        "--max-fills",
        str(fills),
        "--fills-per-minute",
        str(FILLS_PER_MINUTE[engine]),
        # What happened before somebody was followed is history and never ingested.
        "--leaders-wait",
        str(LEADERS_WAIT_S[engine]),
        *(["--stage"] if scenes else []),
    )
    variables = {**simulator.environment(), "POLL_INTERVAL_S": str(poll_s)}
    if mode:
        variables["TRIGGER_MODE"] = mode
    try:
        with tempfile.TemporaryDirectory(prefix="papercopy-demo-") as folder:
            started = time.monotonic()
            stack = open_stack(engine, variables, Path(folder))
            try:
                leaders = simulator.leaders()
                stack.follow([(row["wallet"], row["name"]) for row in leaders])
                for row in leaders:
                    if row["style"] == SCRIPTED:
                        change_settings(stack.store, CLOCK, row["wallet"], SETTINGS)
                stack.start()
                say(f"up after {time.monotonic() - started:.1f} s at {stack.sign_in_link()}")
                play = scenes_of(simulator.control("stage"))
                return _run(stack, simulator, fills, FILLS_PER_MINUTE[engine], play, say)
            finally:
                stack.stop()
    finally:
        simulator.stop()


def _run(
    stack: Stack,
    simulator: SimulatorProcess,
    fills: int,
    per_minute: int,
    play: Scenes,
    say: Say,
) -> bool:
    fills += play.fills
    mode = stack.services.rules.system().trigger_mode
    limit = fills / per_minute * 60 * 3 + MARGIN_SECONDS
    shown = 0

    def emitted() -> bool:
        nonlocal shown
        truth = simulator.control("truth", after=0, limit=1)
        if truth["total"] - shown >= max(10, fills // 10):
            shown = truth["total"]
            say(f"{shown} of {fills} leader fills")
        return bool(truth["done"])

    if not wait_until(emitted, limit):
        say(f"the simulator did not finish within {limit:.0f} s")
        return False
    wait_until(lambda: _complete(stack, simulator, mode), SETTLE_SECONDS_MAX, 1.0)
    stack.services.mark_portfolios(afresh=True)
    return _report(stack, simulator, mode, play, say)


def _complete(stack: Stack, simulator: SimulatorProcess, mode: str) -> bool:
    """Every fill seen by every source that is on, and no work left."""
    try:
        verdict = compare(stack.store, simulator, mode, CLOCK.now_ms())
    except PapercopyError:
        return False
    seen = min(
        verdict.seen_chain if mode != "api" else verdict.truth,
        verdict.seen_api if mode != "polygon" else verdict.truth,
    )
    attempts = stored_attempts(stack.store, CLOCK.now_ms())
    open_attempts = any(a.status in ("SUBMITTED", "PARTIAL") for a in attempts)
    return verdict.clean and seen == verdict.truth and not open_attempts and stack.idle()


def _report(stack: Stack, simulator: SimulatorProcess, mode: str, play: Scenes, say: Say) -> bool:
    now = CLOCK.now_ms()
    verdict = compare(stack.store, simulator, mode, now)
    errors = ledgers_hold(stack.store)
    matched = {(f["wallet"], f["tx_hash"]): f["ts_match"] for f in true_fills(simulator)}

    def ts_match(trade: Trade) -> int | None:
        return matched.get((trade.wallet, trade.tx_hash))

    attempts = stored_attempts(stack.store, now)
    if play.tokens:
        say(render([("scripted outcome or reason", "attempts"), *play.rows(attempts)]) + "\n")
    table = rows(
        verdict,
        stored_trades(stack.store, now),
        attempts,
        stack.services.read.overview(),
        ts_match,
        errors,
    )
    say(render(table))
    missing = play.missing(attempts)
    _explain(verdict, errors, missing, say)
    return verdict.clean and not errors and not missing


def _explain(verdict: Verdict, errors: list[str], missing: list[str], say: Say) -> None:
    for title, found in (
        ("missed", verdict.missed),
        ("duplicated", verdict.duplicated),
        ("wrong", verdict.wrong),
        ("ledger", errors),
        ("did not occur", missing),
    ):
        for line in found[:10]:
            say(f"{title}: {line}")
