"""Counters, distributions and gaps that measure a copy, as pure folds."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain.fee import FeeSchedule
from chalicelib.domain.histogram import (
    SLIPPAGE_BOUNDS,
    histogram,
    less,
    merged,
    percentile,
    trimmed,
)
from chalicelib.domain.ledger import Entry
from chalicelib.domain.orderbook import Level
from chalicelib.domain.paper_order import AttemptStatus, Order, Outcome, Slice
from chalicelib.domain.performance import LeaderCounts, counted, since, tracking_gap
from chalicelib.domain.portfolio import Head, Position, apply_entry, fold
from chalicelib.domain.reasons import Reason
from chalicelib.domain.slippage import Slippage
from chalicelib.domain.snapshot import (
    GRAIN_MS,
    GRAINS,
    SPANS,
    Snapshot,
    minute_of,
    series_begun,
    series_of,
    snapshot_of,
)
from tests.unit.test_keyspace import ATTEMPT
from tests.unit.wire import LEADER

M = 1_000_000
HOUR = 3_600_000
NONE = LeaderCounts("main/global", 1, LEADER, 0)
values = st.lists(st.integers(-200_000, 200_000), max_size=40)


@given(values, values)
def test_histograms_of_parts_merge_into_that_of_the_whole(one: list[int], other: list[int]) -> None:
    parts = [histogram(SLIPPAGE_BOUNDS, part) for part in (one, other)]
    whole = histogram(SLIPPAGE_BOUNDS, one + other)
    assert merged(parts) == merged(reversed(parts)) == whole
    assert less(whole, parts[0]) == parts[1]
    assert sum(whole) == len(one) + len(other)


@given(st.lists(st.integers(-100_000, 100_000), min_size=1, max_size=40), st.integers(1, 100))
def test_a_percentile_is_its_buckets_upper_bound(found: list[int], percent: int) -> None:
    told = percentile(SLIPPAGE_BOUNDS, histogram(SLIPPAGE_BOUNDS, found), percent)
    assert told is not None
    true = sorted(found)[max(1, -(-len(found) * percent // 100)) - 1]
    lower = [bound for bound in SLIPPAGE_BOUNDS if bound < told]
    assert (lower[-1] if lower else -(10**9)) < true <= told


def test_no_counts_have_no_percentile_and_beyond_the_bounds_is_the_last() -> None:
    assert percentile(SLIPPAGE_BOUNDS, (), 50) is None
    assert percentile(SLIPPAGE_BOUNDS, histogram(SLIPPAGE_BOUNDS, [10**6]), 50) == 100_000
    assert trimmed([0, 1, 0, 0]) == (0, 1)


def ended(
    number: int,
    side: str,
    status: AttemptStatus,
    fills: list[tuple[int, int]],
    leader_price: int,
    ts: int = 0,
    reasons: tuple[Reason, ...] = (),
) -> object:
    """An attempt that is over; fills are (shares, price)."""
    slices = tuple(
        Slice(ts, shares, shares * price // M, 7, (Level(price, shares),))
        for shares, price in fills
    )
    decision = replace(ATTEMPT.decision, leader_price=leader_price, ts_decided=ts, reasons=reasons)
    order = Order("1", side, 10 * M, 500_000, ts, ts)  # type: ignore[arg-type]
    outcome = Outcome(status, reasons, slices, "rest", "", None, ts)
    skipped = status == "SKIPPED" and bool(reasons)
    return replace(
        ATTEMPT,
        attempt_id=f"a{number}",
        side=side,
        status=status,
        decision=decision,
        order=None if skipped else order,
        outcome=None if skipped else outcome,
        applied=len(slices),
        reasons=reasons,
        fee_schedule=FeeSchedule(),
        slippage=Slippage(1_000, None, -3_000) if slices else None,
    )


prices = st.integers(10_000, 990_000)
fills = st.lists(st.tuples(st.integers(M, 100 * M), prices), max_size=3)
attempts = st.lists(
    st.builds(
        ended,
        st.integers(0, 1000),
        st.sampled_from(["BUY", "SELL"]),
        st.sampled_from(["FILLED", "CANCELLED", "SKIPPED", "FAILED"]),
        fills,
        prices,
        st.integers(0, 5 * HOUR),
        st.sampled_from([(), (Reason.DUST,), (Reason.TOO_OLD, Reason.DUST)]),
    ),
    max_size=12,
)


@given(attempts)
def test_counters_add_up_and_never_fall(found: list) -> None:  # type: ignore[type-arg]
    rows = [NONE]
    for attempt in found:
        rows.append(counted(rows[-1], attempt))
    last = rows[-1]
    assert last.attempts == len(found)
    ends = last.skipped + last.filled + last.partial + last.no_fill + last.failed
    # What is FILLED without a fill does not occur, and neither does a skip with one.
    odd = sum(a.status == "FILLED" and not a.outcome.slices for a in found if a.outcome)
    odd -= sum(a.status == "SKIPPED" and bool(a.outcome.slices) for a in found if a.outcome)
    assert ends == last.attempts + odd
    slices = [s for a in found if a.outcome for s in a.outcome.slices]
    assert last.bought + last.sold == sum(part.cash for part in slices)
    assert last.fees == sum(part.fee for part in slices)
    assert sum(last.slippage_leader) == sum(bool(a.slippage) for a in found)
    for before, after in pairwise(rows):
        assert after.ts_hour >= before.ts_hour
        assert after.attempts == before.attempts + 1
    for cut in range(len(rows)):
        one = since(last, rows[cut])
        again = rows[0]
        for attempt in found[cut:]:
            again = counted(again, attempt)
        assert replace(one, ts_hour=0) == replace(again, ts_hour=0)


def test_the_gap_is_what_we_paid_beyond_his_price_and_our_fees() -> None:
    """100 shares bought at 0.52, his 0.50, 40 of them sold at 0.59, his 0.60; now worth 0.70."""
    counts = counted(NONE, ended(1, "BUY", "FILLED", [(100 * M, 520_000)], 500_000))  # type: ignore[arg-type]
    counts = counted(counts, ended(2, "SELL", "FILLED", [(40 * M, 590_000)], 600_000))  # type: ignore[arg-type]
    assert counts.paid_beyond_his == 2 * M + 400_000
    value = 60 * M * 700_000 // M
    ours = 40 * M * 590_000 // M + value - 52 * M
    gap = tracking_gap(counts, ours)
    assert gap is not None
    his = 40 * M * 600_000 // M + value - 50 * M
    assert gap.his == his * M // (50 * M)
    assert gap.ours == (ours - 14) * M // (52 * M)
    assert gap.gap == gap.ours - gap.his < 0
    assert tracking_gap(NONE, 0) is None


@given(st.lists(st.tuples(st.integers(1, 100), prices, st.booleans()), max_size=20))
def test_gains_of_closings_are_counted_by_the_fold(trades: list[tuple[int, int, bool]]) -> None:
    opening = Head("main/global", "global", "", 1, 0, 0)
    entries: list[Entry] = []
    held = closings = wins = 0
    position = Position("main/global", 1, "1", LEADER)
    head = opening
    for seq, (count, price, sells) in enumerate(trades):
        shares = -min(count, held) if sells else count
        if shares == 0:
            continue
        held += shares
        entry = Entry(
            "main/global", 1, seq, "TRADE_FILL", f"r{seq}", "1", LEADER,
            shares * M, -shares * price, seq,
        )  # fmt: skip
        entries.append(entry)
        before = position.realized
        head, position = apply_entry(head, position, entry)
        closings += shares < 0
        wins += shares < 0 and position.realized > before
    folded, _ = fold(opening, entries)
    assert (folded.closings, folded.wins) == (closings, wins) == (head.closings, head.wins)


@given(st.lists(st.integers(-(10**9), 10**9), min_size=1, max_size=30))
def test_drawdown_is_measured_from_the_highest_minute_or_the_opening(gains: list[int]) -> None:
    high, last = 0, None
    for number, gain in enumerate(gains):
        head = Head("main/global", "global", "", 1, 10**10, 10**10 + gain, realized=gain)
        high = max(high, gain)
        last = snapshot_of(head, [], {}, number * 60_000, last.gain_max if last else 0)
        assert last.gain == gain
        assert last.drawdown == high - gain >= 0
        assert last.equity + last.drawdown == 10**10 + high


@given(st.lists(st.integers(0, 400 * 24 * 60), min_size=1, max_size=60, unique=True))
def test_each_series_has_exactly_the_first_minute_of_each_of_its_steps(found: list[int]) -> None:
    minutes = sorted(each * 60_000 for each in found)
    begun: dict[str, list[int]] = {grain: [] for grain in GRAINS}
    for before, ts in zip([None, *minutes], minutes, strict=False):
        for grain in series_begun(before, ts):
            begun[grain].append(ts)
    for grain in GRAINS:
        steps = [ts // GRAIN_MS[grain] for ts in begun[grain]]
        assert steps == sorted({ts // GRAIN_MS[grain] for ts in minutes})
    assert begun["1m"] == minutes


def test_every_span_has_a_bounded_number_of_points() -> None:
    for span in SPANS:
        grain, points_max = series_of(span)
        assert grain in GRAINS
        assert points_max <= 1_000


def test_a_token_without_a_mark_counts_at_its_cost_and_shorts_below_zero() -> None:
    head = Head("main/global", "global", "", 1, 0, 0)
    held = [
        Position("main/global", 1, "1", "0xa", 10 * M, 4 * M),
        Position("main/global", 1, "2", "0xa", -10 * M, 0),
        Position("main/global", 1, "3", "0xb", 0, 0, 5 * M),
    ]
    made: Snapshot = snapshot_of(head, held, {"2": 300_000}, 61_000, 0)
    assert made.value == 4 * M - 3 * M
    assert (made.open_positions, made.ts) == (1, minute_of(61_000))
    assert [(part.leader, part.value, part.realized) for part in made.parts] == [
        ("0xa", M, 0),
        ("0xb", 0, 5 * M),
    ]
