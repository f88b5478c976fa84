"""What papercopy costs a month: `make cost`, or `python -m bench.cost [--minutes N] [--fills N]`.

Counts every billable call of hours without fills, with N and with 2N of them, and of ten minutes
of an open dashboard, on the production topology in moto; prints the monthly bill by the dated
price table. JSON with every count goes to `build/cost.json`.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TextIO

from bench.cost_bill import (
    BOUNDS,
    WATCHERS,
    Line,
    Measured,
    bill,
    month,
    price_table,
    total,
    watcher,
)
from bench.cost_meter import Tally
from bench.cost_registry import walk_units

WARM_MINUTES, WARM_FILLS = 10, 20
DASHBOARD_MINUTES = 10
FILLS_PER_HOUR = 100
LINEAR_WITHIN = 0.2
"""Of the factor 2 that twice the fills must cost."""
SHOWN_CAUSES = 25
ROOT = Path(__file__).parents[1]
RESULT = ROOT / "build" / "cost.json"
QUEUES_POLLED = 2
Say = Callable[[str], None]


def per(units: Mapping[str, float], times: float) -> dict[str, float]:
    """Units divided by how often they were counted."""
    return {name: amount / times for name, amount in units.items()}


def less(units: Mapping[str, float], base: Mapping[str, float]) -> dict[str, float]:
    """What came on top of the base."""
    return {name: amount - base.get(name, 0.0) for name, amount in units.items()}


def series() -> int:
    """Metrics that CloudWatch keeps."""
    from chalicelib.metric_names import SERIES

    return len(SERIES)


def alarm_metrics(template: str) -> int:
    """Metrics that a template's alarms look at: each is charged, those of an expression too."""
    return len(re.findall(r"^ +MetricName:", template, re.MULTILINE)) - len(
        re.findall(r"AWS::Logs::MetricFilter", template)
    )


def measured(
    hour: Tally, with_fills: Tally, dashboard: Tally, minutes: int, fills: int
) -> Measured:
    """Rates from what was counted."""
    base = hour.totals()
    template = (ROOT / "infra/app.yaml").read_text() + (ROOT / "infra/base.yaml").read_text()
    return Measured(
        hour=per(base, minutes / 60),
        fill=per(less(with_fills.totals(), base), fills),
        dashboard_hour=per(dashboard.totals(), DASHBOARD_MINUTES / 60),
        registry_walk=walk_units(price_table()["assumed"]),
        metrics=series(),
        alarm_metrics=alarm_metrics(template),
        queues=QUEUES_POLLED,
    )


def marginal_usd(some: Tally, base: Tally, prices: Mapping[str, Any]) -> float:
    """USD at list of what fills add to an hour."""
    return total(bill(less(some.totals(), base.totals()), prices))[0]


def show(lines: list[Line], say: Say) -> None:
    """One line per unit, in USD."""
    for line in lines:
        say(
            f"  {line.of:15} {line.what[:58]:58} {line.units:14,.1f}"
            f" {line.listed:8.2f} {line.after_free:8.2f}"
        )


def causes(tally: Tally, times: float, say: Say) -> None:
    """Where DynamoDB's units go, largest in USD first."""
    prices = price_table()["prices"]

    def usd(key: tuple[str, str, str], units: float) -> float:
        of = "read" if key[1].startswith("read") else "write"
        return float(units * prices[f"dynamodb_{of}_units"]["usd"] * times)

    ranked = sorted(tally.kinds.items(), key=lambda item: -usd(*item))[:SHOWN_CAUSES]
    for (who, what, kind), units in ranked:
        say(f"  {usd((who, what, kind), units):8.3f}  {who:16} {what:20} {kind}")


def report(found: Measured, calls_per_fill: float, say: Say) -> dict[str, Any]:
    """Print the bill now, at 10 and at 100 times the fills; the totals."""
    table = price_table()
    prices, fills = table["prices"], table["assumed"]["fills_per_month"]
    result: dict[str, Any] = {"as_of": table["as_of"], "calls_per_fill": calls_per_fill}
    lines = bill(month(found, table, fills), prices)
    say(f"a month of {fills:,} fills, {table['region']}, prices of {table['as_of']}, USD")
    say(f"  {'':15} {'':58} {'units':>14} {'list':>8} {'free':>8}")
    show(lines, say)
    say(f"  DynamoDB calls per fill: {calls_per_fill:.1f}")
    for times in (1, 10, 100):
        listed, after = total(bill(month(found, table, fills * times), prices))
        fixed, fixed_after = total(bill(month(found, table, 0), prices))
        each = (listed - fixed) / (fills * times) * 1000
        result[f"times_{times}"] = {
            "listed": listed, "after_free": after, "fixed_listed": fixed,
            "fixed_after_free": fixed_after, "per_1000_fills_listed": each,
        }  # fmt: skip
        say(
            f"\n{fills * times:,} fills without the watcher: {listed:.2f} at list,"
            f" {after:.2f} after what is free; of it fixed {fixed:.2f} and {fixed_after:.2f};"
            f" per 1,000 fills {each:.3f}"
        )
        for name, (spot, ipv4) in WATCHERS.items():
            task = watcher(table, spot=spot, ipv4=ipv4)
            bound = f", bound {BOUNDS[name]}" if times == 1 else ""
            if times == 1:
                met = after + task <= BOUNDS[name]
                bound += " met" if met else f" missed by {after + task - BOUNDS[name]:.2f}"
                result[name] = {"listed": listed + task, "after_free": after + task, "met": met}
            say(f"  {name:20} {listed + task:8.2f} {after + task:8.2f}{bound}")
    return result


def run(minutes: int, fills: int, out: TextIO) -> dict[str, Any]:
    """Count, print and keep everything."""
    from bench.cost_scene import Scene
    from chalicelib.services.portfolios import global_id
    from tests.e2e.ledgers import attempts_of

    def say(line: str) -> None:
        print(line, file=out, flush=True)

    table = price_table()
    with Scene(
        {**table["latency_ms"], "lambda_report_bytes": table["lambda_report_bytes"]}
    ) as scene:
        scene.hour(WARM_FILLS, WARM_MINUTES)
        say("warm; counting the schedules alone")
        quiet = scene.hour(0, minutes)
        say(f"counting {fills} fills in {minutes} minutes")
        once = scene.hour(fills, minutes)
        say(f"counting {2 * fills} fills in {minutes} minutes")
        twice = scene.hour(2 * fills, minutes)
        dashboard = scene.dashboard(DASHBOARD_MINUTES)
        endings = Counter(str(a.status) for a in attempts_of(scene.store, global_id()))
        errors = list(scene.engine.runtime.errors)
    say(f"copies of the global portfolio: {dict(endings)}; functions that failed: {len(errors)}")
    ratio = marginal_usd(twice, quiet, table["prices"]) / marginal_usd(once, quiet, table["prices"])
    say(f"twice the fills add {ratio:.2f} times as much")
    calls = (twice.dynamo_calls() - quiet.dynamo_calls()) / (2 * fills)
    found = measured(quiet, twice, dashboard, minutes, 2 * fills)
    result = report(found, calls, say)
    hours = table["assumed"]["hours_per_month"]
    say("\nDynamoDB without fills, by cause, USD a month")
    causes(quiet, hours * 60 / minutes, say)
    say("\nDynamoDB of the fills, by cause, USD a month")
    causes(twice.minus(quiet), table["assumed"]["fills_per_month"] / (2 * fills), say)
    result |= {
        "linear": ratio, "failed": len(errors), "endings": dict(endings),
        "hour": found.hour, "fill": found.fill,
        "dashboard_hour": found.dashboard_hour, "minutes": minutes, "fills": fills,
    }  # fmt: skip
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=1))
    return result


def main() -> None:
    """Parse and run; exits with 1 where a function failed or the cost is not linear."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=int, default=60)
    parser.add_argument("--fills", type=int, help="by default 100 an hour")
    given = parser.parse_args()
    fills = given.fills or max(1, round(FILLS_PER_HOUR * given.minutes / 60))
    result = run(given.minutes, fills, sys.stdout)
    if result["failed"] or not 2 - LINEAR_WITHIN <= result["linear"] <= 2 + LINEAR_WITHIN:
        sys.exit(1)


if __name__ == "__main__":
    main()
