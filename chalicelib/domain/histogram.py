"""Distributions as counters: fixed buckets that add up over hours, portfolios and leaders.

A histogram is a tuple of counts, one per bucket, trailing zeros left out. Bucket i holds values in
(bounds[i - 1], bounds[i]]; the first bucket also holds everything below, the last what exceeds the
last bound. The bounds belong to whoever counts.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import accumulate, zip_longest

Histogram = tuple[int, ...]

SLIPPAGE_BOUNDS: tuple[int, ...] = (
    *(-100_000, -50_000, -30_000, -20_000, -15_000, -10_000, -7_500, -5_000, -2_500, -1_000),
    0,
    *(1_000, 2_500, 5_000, 7_500, 10_000, 15_000, 20_000, 30_000, 50_000, 100_000),
)
"""Micros per share, from ten cents better to ten cents worse."""


def histogram(bounds: Sequence[int], values: Iterable[int]) -> Histogram:
    """The counts of these values."""
    counts = [0] * (len(bounds) + 1)
    for value in values:
        counts[bisect_left(bounds, value)] += 1
    return trimmed(counts)


def merged(parts: Iterable[Histogram]) -> Histogram:
    """The counts of all parts together."""
    total: list[int] = []
    for part in parts:
        total = [a + b for a, b in zip_longest(total, part, fillvalue=0)]
    return trimmed(total)


def less(counts: Histogram, earlier: Histogram) -> Histogram:
    """What was counted since `earlier`, which must be an earlier state of the same counters."""
    return trimmed(a - b for a, b in zip_longest(counts, earlier, fillvalue=0))


def percentile(bounds: Sequence[int], counts: Histogram, percent: int) -> int | None:
    """The upper bound of the bucket that holds the nearest-rank percentile, None without counts.

    In the last bucket it is the last bound, and the true percentile lies above it.
    """
    total = sum(counts)
    if total == 0:
        return None
    rank = max(1, -(-total * percent // 100))
    reached = list(accumulate(counts))
    return bounds[min(bisect_left(reached, rank), len(bounds) - 1)]


def trimmed(counts: Iterable[int]) -> Histogram:
    """Counts without trailing zeros."""
    kept = list(counts)
    while kept and kept[-1] == 0:
        kept.pop()
    return tuple(kept)
