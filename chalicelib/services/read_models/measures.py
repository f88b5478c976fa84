"""What is measured of a portfolio, from its newest snapshot and counters; no history is read."""

from __future__ import annotations

from collections.abc import Mapping

from chalicelib.domain.money import MICROS
from chalicelib.domain.performance import LeaderCounts, TrackingGap, tracking_gap
from chalicelib.domain.portfolio import Head
from chalicelib.domain.snapshot import Snapshot, day_start, gained
from chalicelib.ports import Store
from chalicelib.services.read_models.listing import Json
from chalicelib.services.snapshot_portfolios import latest_snapshots

WEEK_DAYS_BACK = 6
"""Seven days are today and the six before it."""


def rate(part: int, of: int) -> int | None:
    """A fraction in micros, rounded to the nearest; None of nothing."""
    return (2 * part * MICROS + of) // (2 * of) if of > 0 else None


def newest_snapshot(store: Store, head: Head) -> Snapshot | None:
    """The last minute's snapshot of an epoch."""
    found = latest_snapshots(store, head.portfolio_id, head.epoch)
    return found[0] if found else None


def snapshot_fields(snapshot: Snapshot) -> Json:
    """One snapshot as a point of a chart."""
    return {
        "ts": snapshot.ts,
        "equity_micros": snapshot.equity,
        "cash_micros": snapshot.cash,
        "exposure_micros": snapshot.exposure,
        "realized_micros": snapshot.realized,
        "unrealized_micros": snapshot.unrealized,
        "fees_micros": snapshot.fees,
        "gain_micros": snapshot.gain,
        "drawdown_micros": snapshot.drawdown,
        "open_positions": snapshot.open_positions,
    }


def measures(store: Store, head: Head, newest: Snapshot | None, now: int) -> Json:
    """Gains of today and of seven days in UTC, drawdown, and the counters that the head keeps."""
    return {
        "today_micros": _gain_since(store, head, newest, day_start(now)),
        "week_micros": _gain_since(store, head, newest, day_start(now, WEEK_DAYS_BACK)),
        "gain_micros": newest.gain if newest else None,
        "drawdown_micros": newest.drawdown if newest else None,
        "drawdown_fraction_micros": _fall(newest) if newest else None,
        "exposure_micros": newest.exposure if newest else None,
        "closings": head.closings,
        "wins": head.wins,
        "win_rate_micros": rate(head.wins, head.closings),
    }


def _gain_since(store: Store, head: Head, newest: Snapshot | None, ts: int) -> int | None:
    if newest is None:
        return None
    if newest.ts < ts:
        return 0
    before = latest_snapshots(store, head.portfolio_id, head.epoch, before=ts)
    return gained(newest, before[0] if before else None)


def _fall(snapshot: Snapshot) -> int | None:
    """The drawdown as a part of the equity it fell from."""
    return rate(snapshot.drawdown, snapshot.equity + snapshot.drawdown)


def rates(counts: LeaderCounts) -> Json:
    """Attempts that are over and how they ended; rates are parts of what each could be."""
    return {
        "attempts": counts.attempts,
        "skipped": counts.skipped,
        "executed": counts.executed,
        "filled": counts.filled,
        "partial": counts.partial,
        "no_fill": counts.no_fill,
        "failed": counts.failed,
        "attempt_rate_micros": rate(counts.executed, counts.attempts),
        "fill_rate_micros": rate(counts.filled, counts.executed),
        "partial_rate_micros": rate(counts.partial, counts.executed),
    }


def gap_fields(counts: LeaderCounts | None, gains: Mapping[str, int]) -> Json | None:
    """The tracking gap of one leader, where `gains` has what his part earned before fees."""
    if counts is None or counts.leader not in gains:
        return None
    gap = tracking_gap(counts, gains[counts.leader])
    return _gap(gap, counts) if gap else None


def _gap(gap: TrackingGap, counts: LeaderCounts) -> Json:
    return {
        "return_micros": gap.ours,
        "shadow_return_micros": gap.his,
        "gap_micros": gap.gap,
        "paid_beyond_his_micros": gap.paid_beyond_his,
        "bought_micros": counts.bought,
        "sold_micros": counts.sold,
        "fees_micros": gap.fees,
    }


def gains_by_leader(head: Head, snapshot: Snapshot | None) -> dict[str, int]:
    """What came of each leader before fees, at the last minute's marks."""
    if snapshot is None:
        return {}
    if head.kind != "global":
        return {head.leader: snapshot.realized + snapshot.unrealized}
    return {part.leader: part.realized + part.value - part.cost for part in snapshot.parts}
