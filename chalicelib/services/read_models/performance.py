"""How copying one leader fares, and what the guardrails gave up or saved."""

from __future__ import annotations

from collections.abc import Iterable

from chalicelib.domain.completeness import hour_of
from chalicelib.domain.hindsight import DecayPoint, Forgone, Hindsight, together
from chalicelib.domain.histogram import SLIPPAGE_BOUNDS, Histogram, percentile
from chalicelib.domain.lag import PERCENTILES
from chalicelib.domain.money import price_nearest
from chalicelib.domain.performance import LeaderCounts, ReasonCount, since, unjudged_together
from chalicelib.domain.reasons import EXPLANATIONS
from chalicelib.domain.registry import Leader, PortfolioRef
from chalicelib.domain.stress import DEPTHS_PERCENT
from chalicelib.keyspace import hindsight_key, leader_key, portfolio_pk
from chalicelib.ports import Store
from chalicelib.services.count_attempts import latest_counts
from chalicelib.services.portfolios import (
    global_id,
    head_of,
    leader_portfolio_id,
    portfolio_ref,
    shadow_id,
)
from chalicelib.services.read_models.listing import Json, names_of_leaders
from chalicelib.services.read_models.measured import read_delays
from chalicelib.services.read_models.measures import (
    gains_by_leader,
    gap_fields,
    measures,
    newest_snapshot,
    rates,
)
from chalicelib.services.read_models.portfolio import SPAN_MS, portfolio_named, span_of

LEADERS_MAX = 500


def read_performance(store: Store, leader: str, span: str, now: int) -> Json | None:
    """One leader's shadow and the portfolios that copy him; None when he was never followed.

    Counts and distributions are those of the span, from the start of its first hour; the tracking
    gap and what was learned later are those of the whole epoch.
    Raises InvalidInput for a span that there is not.
    """
    ts_from = now - SPAN_MS[span_of(span)]
    known = store.get(Leader, leader_key(leader))
    if known is None:
        return None
    copies = [portfolio_ref(store, p) for p in (leader_portfolio_id(leader), global_id())]
    shadow = portfolio_ref(store, shadow_id(leader))
    return {
        "now": now,
        "leader": leader,
        "leader_name": known.name,
        "span": span,
        "shadow": _shadow(store, shadow, now) if shadow else None,
        "portfolios": [_copied(store, ref, leader, ts_from) for ref in copies if ref],
        "delays": read_delays(store, leader, now),
    }


def _shadow(store: Store, ref: PortfolioRef, now: int) -> Json:
    head = head_of(store, ref)
    return {
        "portfolio_id": ref.portfolio_id,
        **measures(store, head, newest_snapshot(store, head), now),
    }


def _copied(store: Store, ref: PortfolioRef, leader: str, ts_from: int) -> Json:
    head = head_of(store, ref)
    name = (ref.portfolio_id, ref.epoch)
    total = latest_counts(store, *name, leader)
    earlier = latest_counts(store, *name, leader, before=hour_of(max(ts_from, 0)))
    counts = since(total, earlier) if total else LeaderCounts(*name, leader, 0)
    seen = store.get(Hindsight, hindsight_key(*name, leader))
    return {
        "portfolio_id": ref.portfolio_id,
        "epoch": ref.epoch,
        "rates": rates(counts),
        "skips": _by_reason(counts.reasons),
        "slippage": {
            "bounds_micros": list(SLIPPAGE_BOUNDS),
            "leader": _distribution(counts.slippage_leader),
            "mid": _distribution(counts.slippage_mid),
            "arrival": _distribution(counts.slippage_arrival),
        },
        "tracking": gap_fields(total, gains_by_leader(head, newest_snapshot(store, head))),
        "decay": _decay(seen.decay if seen else ()),
    }


def _by_reason(counts: Iterable[ReasonCount]) -> list[Json]:
    """Reasons by how often they occurred, most frequent first."""
    ordered = sorted(counts, key=lambda one: (-one.count, one.reason))
    return [
        {"code": one.reason.value, "text": EXPLANATIONS[one.reason], "count": one.count}
        for one in ordered
    ]


def _distribution(counts: Histogram) -> Json:
    figures = {f"p{p}_micros": percentile(SLIPPAGE_BOUNDS, counts, p) for p in PERCENTILES}
    return {"counts": list(counts), "count": sum(counts), **figures}


def _decay(points: Iterable[DecayPoint]) -> list[Json]:
    """Per latency: filled parts, and cost per share beyond the leader's price, by depth.

    `undelayed_micros` is what the same orders would have cost beyond it without any delay.
    """
    return [
        {
            "latency_ms": point.latency_ms,
            "count": point.count,
            "target_shares_micros": point.target,
            "undelayed_micros": _per_share(point.base_worse, point.base_shares),
            "depths": [
                {
                    "depth_percent": depth,
                    "shares_micros": shares,
                    "beyond_leader_micros": _per_share(worse, shares),
                }
                for depth, shares, worse in zip(
                    DEPTHS_PERCENT, point.shares, point.worse, strict=True
                )
            ],
        }
        for point in points
    ]


def _per_share(cash: int, shares: int) -> int | None:
    return price_nearest(cash, shares) if shares > 0 else None


def read_skip_ledger(store: Store, portfolio: str, leader: str | None, now: int) -> Json | None:
    """What skipped signals would have earned, per reason and horizon; None without the portfolio.

    A `gain_micros` below zero is what a guardrail saved. `unjudged` skips are in no sum: of them
    no order is known. Raises InvalidInput for a bad name.
    """
    ref = portfolio_named(store, portfolio)
    if ref is None or ref.kind == "shadow":
        return None
    rows = store.query(
        Hindsight,
        "portfolio",
        portfolio_pk(ref.portfolio_id, ref.epoch),
        start="hindsight#",
        end="hindsight$",
        limit=LEADERS_MAX,
    )
    rows = [row for row in rows if leader in (None, row.leader)]
    names = names_of_leaders(store)
    counts = _counts(store, ref, [leader] if leader else sorted(names)[:LEADERS_MAX])
    return {
        "now": now,
        "portfolio_id": ref.portfolio_id,
        "epoch": ref.epoch,
        "leader": leader,
        "unjudged": sum(one.unjudged for one in counts),
        "unjudged_reasons": _by_reason(unjudged_together(counts)),
        "total": [_forgone(cell) for cell in together(rows).forgone] if rows else [],
        "leaders": [
            {
                "leader": row.leader,
                "leader_name": names.get(row.leader, ""),
                "skips": [_forgone(cell) for cell in row.forgone if cell.reason is None],
            }
            for row in rows
        ],
    }


def _counts(store: Store, ref: PortfolioRef, leaders: Iterable[str]) -> list[LeaderCounts]:
    found = [latest_counts(store, ref.portfolio_id, ref.epoch, leader) for leader in leaders]
    return [counts for counts in found if counts]


def _forgone(cell: Forgone) -> Json:
    return {
        "reason": cell.reason.value if cell.reason else None,
        "text": EXPLANATIONS[cell.reason] if cell.reason else "Every skipped signal, counted once.",
        "alone": cell.alone,
        "horizon": cell.horizon,
        "signals": cell.signals,
        "unfilled": cell.unfilled,
        "unvalued": cell.unvalued,
        "notional_micros": cell.notional,
        "gain_micros": cell.gain,
        "won": cell.won,
        "estimated": cell.estimated,
    }
