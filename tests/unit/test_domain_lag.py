"""Lag histograms: they add up, and a percentile is known to the width of its bucket."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain.lag import (
    BOUNDS_MS,
    PERCENTILES,
    Lags,
    bucket_of,
    histogram,
    merged,
    merged_lags,
    percentile,
)

LAGS = st.lists(st.integers(-5_000, 20_000_000), max_size=80)


def test_the_bounds_are_ten_per_decade_and_frozen() -> None:
    assert len(BOUNDS_MS) == 51
    assert (BOUNDS_MS[0], BOUNDS_MS[10], BOUNDS_MS[-1]) == (100, 1_000, 10_000_000)
    assert all(100 * b <= 128 * a for a, b in pairwise(BOUNDS_MS))


@pytest.mark.parametrize(
    ("lag", "bucket"),
    [(-3_000, 0), (0, 0), (100, 0), (101, 1), (1_000, 10), (10_000_000, 50), (10_000_001, 51)],
)
def test_bounds_are_inclusive(lag: int, bucket: int) -> None:
    assert bucket_of(lag) == bucket


@given(LAGS, LAGS, LAGS)
def test_histograms_of_parts_add_up_to_the_histogram_of_all(
    a: list[int], b: list[int], c: list[int]
) -> None:
    assert merged([histogram(a), histogram(b), histogram(c)]) == histogram(a + b + c)
    assert sum(histogram(a)) == len(a)


@given(LAGS)
def test_a_histogram_says_nothing_about_empty_buckets_at_its_end(lags: list[int]) -> None:
    counts = histogram(lags)
    assert not counts or counts[-1] > 0
    assert merged([counts, (), counts]) == merged([counts, counts])


@given(LAGS.filter(bool), st.sampled_from(PERCENTILES))
def test_a_percentile_is_the_upper_bound_of_the_true_ones_bucket(
    lags: list[int], percent: int
) -> None:
    rank = max(1, -(-len(lags) * percent // 100))
    true = sorted(lags)[rank - 1]
    shown = percentile(histogram(lags), percent)
    assert shown is not None
    if true > BOUNDS_MS[-1]:
        assert shown == BOUNDS_MS[-1]
    else:
        assert true <= shown
        assert true <= BOUNDS_MS[0] or 100 * shown < 128 * true


@given(LAGS.filter(bool))
def test_percentiles_rise(lags: list[int]) -> None:
    p50, p95, p99 = (percentile(histogram(lags), p) or 0 for p in PERCENTILES)
    assert p50 <= p95 <= p99


def test_nothing_counted_has_no_percentile() -> None:
    assert percentile((), 95) is None


def test_stages_are_merged_each_for_itself() -> None:
    one = Lags(chain=histogram([500]), done=histogram([3_000]))
    two = Lags(chain=histogram([700, 700]), api=histogram([6_000]))
    total = merged_lags([one, two])
    assert sum(total.of("chain")) == 3
    assert (total.api, total.done, total.placed) == (two.api, one.done, ())
