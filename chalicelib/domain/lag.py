"""Lag distributions as counters: fixed buckets that add up over hours and leaders.

A histogram is a tuple of counts, one per bucket, trailing zeros left out. The bounds are the R10
series of preferred numbers, ten per decade from 100 ms to 10,000 s, so a percentile is known to
about a quarter of its value. Lags at or below the first bound, also negative ones (block times are
whole seconds), share the first bucket; what exceeds the last bound shares the last.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Literal, get_args

from chalicelib.domain import histogram as counting
from chalicelib.domain.histogram import Histogram, merged

Stage = Literal["chain", "api", "first_seen", "decided", "placed", "first_fill", "done"]
STAGES: tuple[Stage, ...] = get_args(Stage)

_R10 = (100, 125, 160, 200, 250, 315, 400, 500, 630, 800)
BOUNDS_MS: tuple[int, ...] = (
    *(step * 10**decade for decade in range(5) for step in _R10),
    100 * 10**5,
)
"""Upper bounds of the buckets in milliseconds, inclusive."""

PERCENTILES = (50, 95, 99)


def bucket_of(lag_ms: int) -> int:
    """The index of a lag's bucket, 0..len(BOUNDS_MS)."""
    return bisect_left(BOUNDS_MS, lag_ms)


def histogram(lags_ms: Iterable[int]) -> Histogram:
    """The counts of these lags."""
    return counting.histogram(BOUNDS_MS, lags_ms)


def percentile(counts: Histogram, percent: int) -> int | None:
    """The upper bound in milliseconds of the bucket that holds the nearest-rank percentile.

    None when nothing was counted. The true percentile is at most this and above 100/128 of it,
    except in the first bucket (it is at most the bound) and the last (it is above it).
    """
    return counting.percentile(BOUNDS_MS, counts, percent)


@dataclass(frozen=True, slots=True)
class Lags:
    """Delays after the block's time, a histogram per stage of a trade's way to our order."""

    chain: Histogram = ()
    api: Histogram = ()
    first_seen: Histogram = ()
    decided: Histogram = ()
    placed: Histogram = ()
    first_fill: Histogram = ()
    done: Histogram = ()

    def of(self, stage: Stage) -> Histogram:
        """The histogram of one stage."""
        counts: Histogram = getattr(self, stage)
        return counts


NO_LAGS = Lags()


def merged_lags(parts: Iterable[Lags]) -> Lags:
    """All parts together, stage by stage."""
    every = list(parts)
    return Lags(**{f.name: merged(getattr(part, f.name) for part in every) for f in fields(Lags)})
