"""From counts to a monthly bill by the dated price table `prices.json`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PRICES = Path(__file__).with_name("prices.json")
GB = 1_000_000_000
FREE_TOGETHER = (("sqs_requests", "sqs_fifo_requests"), ("log_gb", "log_stored_gb"))
"""Units that share the allowance of the first one."""
WATCHERS = {
    "on demand, IPv4": (False, True),
    "Spot, IPv4": (True, True),
    "on demand, IPv6 only": (False, False),
    "Spot, IPv6 only": (True, False),
}
BOUNDS = dict(zip(WATCHERS, (16.0, 12.5, 12.5, 8.5), strict=True))
"""USD a month at 60,000 fills."""

Units = Mapping[str, float]


def price_table() -> dict[str, Any]:
    """The dated table."""
    table: dict[str, Any] = json.loads(PRICES.read_text())
    return table


@dataclass(frozen=True)
class Line:
    """One unit of a bill in USD: at list, and after what is free for everybody for ever."""

    of: str
    what: str
    units: float
    listed: float
    after_free: float


def bill(units: Units, prices: Mapping[str, Mapping[str, Any]]) -> list[Line]:
    """A line per unit that the table knows, in its order."""
    left = {name: float(price["free"]) for name, price in prices.items()}
    shared = {other: first for first, *others in FREE_TOGETHER for other in others}
    lines = []
    for name, price in prices.items():
        amount = units.get(name, 0.0)
        if not amount:
            continue
        allowance = shared.get(name, name)
        free = min(amount, left[allowance])
        left[allowance] -= free
        lines.append(
            Line(
                price["of"], price["what"], amount, amount * price["usd"],
                (amount - free) * price["usd"],
            )
        )  # fmt: skip
    return lines


def total(lines: Iterable[Line]) -> tuple[float, float]:
    """At list and after free allowances."""
    listed, after = 0.0, 0.0
    for line in lines:
        listed, after = listed + line.listed, after + line.after_free
    return listed, after


@dataclass(frozen=True)
class Measured:
    """Units per hour without fills, per fill, and per hour of an open dashboard."""

    hour: Units
    fill: Units
    dashboard_hour: Units
    registry_walk: Units
    metrics: int
    alarm_metrics: int
    queues: int


def month(measured: Measured, table: Mapping[str, Any], fills: float) -> dict[str, float]:
    """Units of a month with so many fills, the watcher's own aside."""
    assumed = table["assumed"]
    hours = assumed["hours_per_month"]
    found: dict[str, float] = {}

    def add(units: Units, times: float) -> None:
        for name, amount in units.items():
            found[name] = found.get(name, 0.0) + amount * times

    add(measured.hour, hours)
    add(measured.fill, fills)
    add(measured.dashboard_hour, assumed["dashboard_hours_per_month"])
    add(measured.registry_walk, hours * 4)
    empty = assumed["empty_receives_per_hour_and_queue"] * hours
    add({"sqs_requests": empty, "sqs_fifo_requests": empty}, 1)
    add({"custom_metrics": measured.metrics, "alarm_metrics": measured.alarm_metrics}, 1)
    add({"image_gb": assumed["image_gb"]}, 1)
    found["log_gb"] = found.pop("log_bytes", 0.0) / GB
    found["log_stored_gb"] = found["log_gb"] * assumed["log_months_kept"]
    found["bytes_out_gb"] = found.pop("bytes_out", 0.0) / GB
    found["states_gb_s"] = found.pop("states_wait_ms", 0.0) / 1000 * assumed["workflow_gb"]
    stored = {name: amount / GB for name, amount in found.items() if name[:7] == "stored_"}
    # What a month adds, kept for all of it.
    found["stored_gb"] = sum(stored.values())
    found["backed_up_gb"] = sum(
        amount for name, amount in stored.items() if name.endswith(("portfolio", "audit"))
    )
    return found


def watcher(table: Mapping[str, Any], *, spot: bool, ipv4: bool) -> float:
    """USD a month for the task and its address."""
    assumed, prices = table["assumed"], table["prices"]
    task = (
        assumed["watcher_vcpu"] * prices["fargate_vcpu_hours"]["usd"]
        + assumed["watcher_gb"] * prices["fargate_gb_hours"]["usd"]
    ) * assumed["hours_per_month"]
    address = prices["ipv4_hours"]["usd"] * assumed["hours_per_month"]
    return float(task * (table["spot_fraction"] if spot else 1) + (address if ipv4 else 0))
