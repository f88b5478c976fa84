"""The table `make demo` ends with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from chalicelib.domain.lane import Attempt
from chalicelib.domain.money import MICROS
from chalicelib.domain.trade import Trade
from infra.local.ground_truth import Verdict

SHOWN_MAX = 5


def percentile(values: Sequence[int], fraction: float) -> int | None:
    """Nearest-rank percentile; None without values."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(fraction * len(ordered)))]


def _latency(values: Sequence[int]) -> str:
    p50, p95 = percentile(values, 0.5), percentile(values, 0.95)
    if p50 is None or p95 is None:
        return "-"
    return f"p50 {p50 / 1000:.2f} s, p95 {p95 / 1000:.2f} s"


def rows(
    verdict: Verdict,
    trades: Sequence[Trade],
    attempts: Sequence[Attempt],
    overview: dict[str, Any],
    ts_match: Callable[[Trade], int | None],
    ledger_errors: Sequence[str],
) -> list[tuple[str, str]]:
    """Label and value of every line of the table."""
    detected = [
        min(t for t in (trade.ts_seen_chain, trade.ts_seen_api) if t) - matched
        for trade in trades
        if (matched := ts_match(trade)) is not None
    ]
    placed = [a.order.ts_placed - a.ts_opened for a in attempts if a.order]
    decisions = Counter(
        f"{a.decision.verdict} {', '.join(a.reasons) or a.status}" for a in attempts
    )
    late = [a.late_by_ms for a in attempts]
    filled = [a for a in attempts if a.outcome and a.outcome.slices]
    table = [
        ("leader fills (ground truth)", str(verdict.truth)),
        ("  seen by chain", str(verdict.seen_chain)),
        ("  seen by API", str(verdict.seen_api)),
        ("trades", str(len(trades))),
        ("attempts", str(len(attempts))),
        *((f"  {name}", str(count)) for name, count in decisions.most_common()),
        ("attempts with paper fills", str(len(filled))),
        (
            "  on the recorded book",
            str(sum(bool(a.outcome and a.outcome.segments) for a in filled)),
        ),
    ]
    for portfolio in overview["portfolios"]:
        name = portfolio["leader_name"] or ""
        equity = portfolio["equity_micros"] / MICROS
        table.append((f"equity {portfolio['kind']} {name}".rstrip(), f"{equity:,.2f}"))
    table += [
        ("detection after the match", _latency(detected)),
        ("placement after detection", _latency(placed)),
        ("steps ran after their time by", _latency(late)),
        ("missed", str(len(verdict.missed))),
        ("duplicated", str(len(verdict.duplicated))),
        ("wrong", str(len(verdict.wrong))),
        ("ledgers that are not the fold of their entries", str(len(ledger_errors))),
    ]
    return table


def render(table: Sequence[tuple[str, str]]) -> str:
    """Two aligned columns."""
    width = max(len(label) for label, _ in table)
    return "\n".join(f"{label:<{width}}  {value}" for label, value in table)
