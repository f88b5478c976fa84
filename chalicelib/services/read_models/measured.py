"""What the measurement of completeness found: hours, sums of hours, and delays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from chalicelib.domain.completeness import HOUR_MS, HourTally, hour_of
from chalicelib.domain.lag import (
    BOUNDS_MS,
    PERCENTILES,
    STAGES,
    Lags,
    Stage,
    merged_lags,
    percentile,
)
from chalicelib.keyspace import hours_pk
from chalicelib.ports import Store
from chalicelib.services.manage_leaders import leaders
from chalicelib.services.read_models.listing import Json, names_of_leaders, page_of

DAY_HOURS = 24
_COUNTS = (
    "live",
    "recovered",
    "missed",
    "duplicated",
    "unconfirmed",
    "disagreeing",
    "chain_first",
    "api_first",
)


def last_day(store: Store, leader: str, now: int) -> list[HourTally]:
    """A leader's tallies of the running hour and the DAY_HOURS - 1 before it, oldest first."""
    oldest = hour_of(now) - (DAY_HOURS - 1) * HOUR_MS
    return store.query(
        HourTally, "activity", hours_pk(leader), start=f"{oldest:013d}", limit=DAY_HOURS
    )


def totals_of(hours: Sequence[HourTally]) -> Json:
    """The counts of some hours together, and the block time up to which they were judged."""
    return {**_counts(hours), "ts_until": max(tally.ts_until for tally in hours)}


def _counts(hours: Iterable[HourTally]) -> dict[str, int]:
    every = list(hours)
    return {name: sum(getattr(tally, name) for tally in every) for name in _COUNTS}


def list_hours(store: Store, now: int, cursor: str | None, limit: int, leader: str | None) -> Json:
    """Tallies newest hour first, of one leader or all."""
    names = names_of_leaders(store)
    found, following = page_of(
        store,
        HourTally,
        "activity",
        "hours#",
        now=now,
        cursor=cursor,
        limit=limit,
        wanted=lambda tally: leader is None or tally.leader == leader,
    )
    return {"items": [_row(tally, names) for tally in found], "next_cursor": following}


def _row(tally: HourTally, names: Mapping[str, str]) -> Json:
    return {
        "leader": tally.leader,
        "leader_name": names.get(tally.leader, ""),
        "ts_hour": tally.ts_hour,
        "ts_from": tally.ts_from,
        "ts_until": tally.ts_until,
        "final": tally.final,
        **_counts([tally]),
    }


def read_latency(store: Store, now: int) -> Json:
    """p50, p95 and p99 in milliseconds per stage over the last day, overall and per leader.

    Percentiles are upper bounds of their buckets: see `chalicelib.domain.lag`.
    """
    per_leader = [(leader, last_day(store, leader.leader, now)) for leader in leaders(store)]
    hours = [tally for _, tallies in per_leader for tally in tallies]
    return {
        "now": now,
        "hours": DAY_HOURS,
        "overall": _distribution(hours),
        "leaders": [
            {"leader": leader.leader, "leader_name": leader.name, **_distribution(tallies)}
            for leader, tallies in per_leader
        ],
    }


def read_delays(store: Store, leader: str, now: int) -> Json:
    """One leader's delays over the last day, as above with the buckets themselves."""
    hours = last_day(store, leader, now)
    lags = merged_lags(tally.lags for tally in hours)
    return {
        "hours": DAY_HOURS,
        "bounds_ms": list(BOUNDS_MS),
        "stages": [{**_stage(lags, stage), "counts": list(lags.of(stage))} for stage in STAGES],
    }


def _distribution(hours: Sequence[HourTally]) -> Json:
    lags = merged_lags(tally.lags for tally in hours)
    return {
        "chain_first": sum(tally.chain_first for tally in hours),
        "api_first": sum(tally.api_first for tally in hours),
        "stages": [_stage(lags, stage) for stage in STAGES],
    }


def _stage(lags: Lags, stage: Stage) -> Json:
    counts = lags.of(stage)
    figures = {f"p{p}_ms": percentile(counts, p) for p in PERCENTILES}
    return {"stage": stage, "count": sum(counts), **figures}
