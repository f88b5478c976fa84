"""Faults on a timetable of venue time: from a file, or drawn at random from a seed."""

from __future__ import annotations

import heapq
import json
import math
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulator import ids
from simulator.faults import ACTIONS, Faults, changed_faults
from simulator.interventions import Interventions

STEPS_MAX = 10_000
AT_S_MAX = 30 * 86_400
APPLIED_KEPT = 5_000


class ScenarioError(ValueError):
    """A scenario cannot be read; the message names the step."""


@dataclass(frozen=True, slots=True)
class ScenarioStep:
    """Switches and actions due `at_ms` after the genesis; switches go back after `for_ms`."""

    at_ms: int
    faults: dict[str, Any]
    for_ms: int | None = None


def load_scenario(path: str) -> list[ScenarioStep]:
    """Read a JSON list of {at_s, faults, for_s?} (or {"steps": [...]}), sorted by time."""
    try:
        document = json.loads(Path(path).read_text())
    except OSError as error:
        raise ScenarioError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise ScenarioError(f"{path}: not JSON: {error}") from error
    entries = document.get("steps") if isinstance(document, dict) else document
    if not isinstance(entries, list) or len(entries) > STEPS_MAX:
        raise ScenarioError(f"{path}: expected a list of at most {STEPS_MAX} steps")
    steps = [_step(path, place, entry) for place, entry in enumerate(entries, 1)]
    return sorted(steps, key=lambda step: step.at_ms)


def _step(path: str, place: int, entry: object) -> ScenarioStep:
    where = f"{path}: step {place}"
    if not isinstance(entry, dict) or not {"at_s", "faults"} <= entry.keys():
        raise ScenarioError(f"{where}: expected an object with at_s and faults")
    unknown = sorted(entry.keys() - {"at_s", "faults", "for_s"})
    if unknown:
        raise ScenarioError(f"{where}: unknown field {unknown[0]}")
    at_ms = _milliseconds(f"{where}: at_s", entry["at_s"])
    for_ms = _milliseconds(f"{where}: for_s", entry["for_s"]) if "for_s" in entry else None
    try:
        changed_faults(Faults(), entry["faults"])
    except ValueError as error:
        raise ScenarioError(f"{where}: {error}") from error
    return ScenarioStep(at_ms, entry["faults"], for_ms)


def _milliseconds(name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= AT_S_MAX:
        raise ScenarioError(f"{name}: expected seconds from 0 to {AT_S_MAX}")
    return int(value * 1_000)


# Name -> how a value is drawn. Actions stand beside the switches they usually come with.
_DRAWS: dict[str, Callable[[Any], Any]] = {
    "disconnect": lambda _: True,
    "clob_disconnect": lambda _: True,
    "ws_stall": lambda _: True,
    "clob_ws_stall": lambda _: True,
    "ws_stall_subscriptions": lambda rng: rng.choice((0.5, "one")),
    "duplicate_logs": lambda _: True,
    "reorder_logs": lambda rng: rng.randint(500, 3_000),
    "logs_drop_rate": lambda rng: round(rng.uniform(0.05, 0.5), 2),
    "reorg": lambda rng: rng.randint(1, 12),
    "reorg_silent": lambda rng: rng.randint(1, 8),
    "http_error_rate": lambda rng: round(rng.uniform(0.05, 0.5), 2),
    "http_429_rate": lambda rng: round(rng.uniform(0.02, 0.3), 2),
    "maintenance_rate": lambda rng: round(rng.uniform(0.05, 0.5), 2),
    "clob_ws_stall_assets": lambda rng: rng.choice((0.5, "one")),
    "slow_ms": lambda rng: rng.randint(100, 1_500),
    "late_rows_ms": lambda rng: rng.randint(2_000, 30_000),
    "stale_cache": lambda _: True,
    "missing_fields_rate": lambda rng: round(rng.uniform(0.05, 0.5), 2),
    "broken_rows_rate": lambda rng: round(rng.uniform(0.02, 0.2), 2),
    "unknown_types_rate": lambda rng: round(rng.uniform(0.05, 0.3), 2),
    "positions_lag_blocks": lambda rng: rng.randint(5, 400),
    "omit_block_timestamp": lambda _: True,
    "http_head_lag_blocks": lambda rng: rng.randint(1, 10),
    "receipt_missing_rate": lambda rng: round(rng.uniform(0.1, 0.8), 2),
}
_DRAWN_ON_REQUEST: dict[str, Callable[[Any], Any]] = {
    "reorg_drop": lambda rng: rng.randint(2, 8),
    "rotate_exchange": lambda _: True,
}
CHAOS_DEFAULT = tuple(_DRAWS)
CHAOS_KINDS = (*CHAOS_DEFAULT, *_DRAWN_ON_REQUEST)


def chaos(seed: int, per_minute: float, kinds: tuple[str, ...]) -> Iterator[ScenarioStep]:
    """Endless random steps at `per_minute` on average. Deterministic in its arguments.

    A switch lasts 2 to 30 s and is not drawn again while it is on.
    """
    rng, draws = ids.stream(seed, "chaos"), _DRAWS | _DRAWN_ON_REQUEST
    at_ms, busy_until = 0, dict.fromkeys(kinds, -1)
    while True:
        at_ms += 1 + int(-math.log(1 - rng.random()) * 60_000 / per_minute)
        name, for_ms = rng.choice(kinds), rng.randint(2_000, 30_000)
        value = draws[name](rng)
        if busy_until[name] > at_ms:
            continue
        if name in ACTIONS:
            yield ScenarioStep(at_ms, {name: value})
        else:
            busy_until[name] = at_ms + for_ms
            yield ScenarioStep(at_ms, {name: value}, for_ms)


class ScenarioRunner:
    """Applies steps when venue time reaches them and notes what was done.

    Steps that were over before the server started are skipped; those under way are applied.
    """

    def __init__(self, interventions: Interventions, steps: Iterator[ScenarioStep]) -> None:
        self.interventions = interventions
        self.venue = interventions.venue
        self.applied: deque[dict[str, Any]] = deque(maxlen=APPLIED_KEPT)
        self.skipped = 0
        self._steps = steps
        self._next = next(steps, None)
        self._restores: list[tuple[int, int, dict[str, Any], dict[str, Any]]] = []
        self._serial = 0
        self._started_ms = self.venue.now
        self.venue.time_listeners.append(self.tick)
        self.tick(self.venue.now)

    def tick(self, now: int) -> None:
        """Do everything that is due, in order of time: ends before beginnings."""
        genesis = self.venue.world.genesis_ms
        while True:
            begins = None if self._next is None else genesis + self._next.at_ms
            ends = self._restores[0][0] if self._restores else None
            if ends is not None and ends <= now and (begins is None or ends <= begins):
                self._restore(now)
            elif begins is not None and begins <= now:
                step, self._next = self._next, next(self._steps, None)
                assert step is not None
                self._begin(step, begins, now)
            else:
                return

    def _begin(self, step: ScenarioStep, begins: int, now: int) -> None:
        ends = None if step.for_ms is None else begins + step.for_ms
        # What happened before the server was there cannot be made up for, except a lasting state.
        lasting = {name for name in step.faults if name not in ACTIONS}
        if begins < self._started_ms and (not lasting or (ends is not None and ends <= now)):
            self.skipped += 1
            return
        before = self.venue.faults.to_json()
        entry: dict[str, Any] = {"at_s": step.at_ms / 1_000, "ts": now, "faults": step.faults}
        try:
            answer = self.interventions.apply(step.faults)
            entry["done"] = {name: answer[name] for name in step.faults if name in ACTIONS}
        except ValueError as error:
            entry["error"] = str(error)
        self.applied.append(entry)
        if ends is not None and lasting and "error" not in entry:
            entry["until"] = ends
            self._serial += 1
            old = {name: before[name] for name in sorted(lasting)}
            heapq.heappush(self._restores, (ends, self._serial, old, entry))

    def _restore(self, now: int) -> None:
        """Set switches back that still have the value this step gave them."""
        _, _, old, entry = heapq.heappop(self._restores)
        present = self.venue.faults.to_json()
        given, _ = changed_faults(self.venue.faults, {name: entry["faults"][name] for name in old})
        same = {n: v for n, v in old.items() if present[n] == given.to_json()[n]}
        self.interventions.apply(same)
        entry["restored_ts"] = now

    def stop(self) -> None:
        """Begin nothing more; switches that are on stay to whoever ends the scenario."""
        self._next = None
        self._restores.clear()

    def to_json(self) -> dict[str, Any]:
        """What was applied when (newest last), what is next, and how many steps were skipped."""
        coming = None
        if self._next is not None:
            coming = {"at_s": self._next.at_ms / 1_000, "faults": self._next.faults}
        return {"applied": list(self.applied), "next": coming, "skipped": self.skipped}
