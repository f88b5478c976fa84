"""What a skip gave up: the order that its guardrail stopped, on the book there was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain.fee import FeeSchedule
from chalicelib.domain.hindsight import (
    HORIZONS,
    PRICE_GUARDS,
    Forgone,
    Hindsight,
    Hypothesis,
    given_up,
    looks_back,
    together,
    unjudged,
    with_forgone,
)
from chalicelib.domain.lane import Attempt
from chalicelib.domain.orderbook import Book, Level
from chalicelib.domain.paper_order import Order
from chalicelib.domain.performance import LeaderCounts, counted, since, unjudged_together
from chalicelib.domain.reasons import Reason
from tests.unit.test_keyspace import ATTEMPT

M = 1_000_000
CENT = 10_000
RATE = FeeSchedule(50_000)
OTHERS = sorted(set(Reason) - PRICE_GUARDS)

cents = st.integers(1, 99)
offers = st.dictionaries(cents, st.integers(1, 60), max_size=6)
guards = st.sampled_from(sorted(PRICE_GUARDS))
others = st.lists(st.sampled_from(OTHERS), max_size=3, unique=True)


def skipped(
    *reasons: Reason,
    target: int | None = 100,
    limit: int | None = 52,
    best: int | None = 60,
    side: str = "BUY",
) -> Attempt:
    """A skip for 100 shares; prices in cents, shares in whole ones."""
    decision = replace(
        ATTEMPT.decision,
        verdict="SKIP",
        reasons=reasons,
        target_shares=None if target is None else target * M,
        limit=None if limit is None else limit * CENT,
        best=None if best is None else best * CENT,
        segment="",
    )
    return replace(
        ATTEMPT,
        decision=decision,
        reasons=reasons,
        status="SKIPPED",
        side=side,
        order=None,
        fee_schedule=RATE,
    )


def offered(asks: dict[int, int]) -> Book:
    levels = tuple(Level(price * CENT, shares * M) for price, shares in sorted(asks.items()))
    return Book("1", (), levels, 0, 0)


def gain(fill: Hypothesis | None, price: int) -> int:
    assert fill
    (cell,) = with_forgone((), (), "1h", fill, price)
    return cell.gain


def test_a_worked_example_of_a_price_guard() -> None:
    """100 shares wanted to 0.52; a second later 60 are offered at 0.60 and 100 at 0.62.

    Without the guard: 60 × 0.60 + 40 × 0.62 = 60.80, fee 0.05 × 100 × 0.608 × 0.392 = 1.19168.
    """
    book = offered({60: 60, 62: 100})
    fill = given_up(skipped(Reason.WORSE_THAN_LEADER), book)
    assert fill == Hypothesis(100 * M, 60_800_000, 1_191_680)
    assert gain(fill, 700_000) == 8_008_320, "an hour later at 0.70 the guard had cost 8.01"
    assert gain(fill, 550_000) == -6_991_680, "at 0.55 it had saved 6.99"
    assert gain(fill, M) == 38_008_320, "as the market paid 1"
    assert given_up(skipped(Reason.WORSE_THAN_LEADER), offered({60: 60})) == Hypothesis(
        60 * M, 36_000_000, 720_000
    ), "no more than there was"


def test_a_worked_example_without_a_recording() -> None:
    """All 100 at the best offer: 60.00, fee 0.05 × 100 × 0.60 × 0.40 = 1.20."""
    fill = given_up(skipped(Reason.SPREAD_TOO_WIDE), None)
    assert fill == Hypothesis(100 * M, 60 * M, 1_200_000, estimated=True)
    (cell,) = with_forgone((), (), "1h", fill, 700_000)
    assert (cell.gain, cell.estimated, cell.won) == (8_800_000, 1, 1)


def test_an_order_that_a_cap_stopped_keeps_its_limit() -> None:
    cap = skipped(Reason.RISK_CAP_TOTAL)
    assert given_up(cap, offered({60: 60})) == Hypothesis()
    assert given_up(cap, None) == Hypothesis(estimated=True)
    near = given_up(cap, offered({51: 30, 53: 900}))
    assert near and (near.shares, near.cash) == (30 * M, 15_300_000)


def taken(asks: dict[int, int], wanted: int, limit: int) -> list[int]:
    """The prices of the shares an order takes, share by share."""
    shares = [price for price in sorted(asks) for _ in range(asks[price]) if price <= limit]
    return shares[:wanted]


@given(offers, st.integers(1, 150), cents, st.one_of(guards, st.none()), others)
def test_a_skip_takes_what_was_offered_to_the_order_it_was(
    asks: dict[int, int], wanted: int, limit: int, guard: Reason | None, also: list[Reason]
) -> None:
    """Its limit goes with a price guard, whatever else stopped it, and with nothing else."""
    reasons = [*also, guard] if guard else also
    attempt = skipped(*reasons, target=wanted, limit=limit)
    prices = taken(asks, wanted, 99 if guard else limit)
    fill = given_up(attempt, offered(asks))
    assert fill
    assert (fill.shares, fill.cash) == (len(prices) * M, sum(prices) * CENT)
    assert not fill.estimated
    assert 0 <= fill.fee <= fill.cash


@given(
    st.one_of(st.none(), st.integers(0, 5)),
    st.one_of(st.none(), cents),
    st.sampled_from(["BUY", "SELL"]),
    st.booleans(),
)
def test_every_skipped_buy_is_either_judged_or_counted_as_unjudged(
    target: int | None, limit: int | None, side: str, placed: bool
) -> None:
    attempt = skipped(Reason.PAUSED, target=target, limit=limit, side=side)
    if placed:
        attempt = replace(attempt, order=Order("1", side, M, CENT, 0, 0), status="CANCELLED")  # type: ignore[arg-type]
    judged = given_up(attempt, None) is not None
    assert unjudged(attempt) + judged == (side == "BUY" and not placed)
    later = looks_back(attempt, "main")
    assert (later is not None and later.awaits_mark) == judged


@given(st.lists(st.tuples(st.booleans(), others), max_size=8), st.integers(0, 8))
def test_unjudged_skips_are_counted_by_reason(
    found: list[tuple[bool, list[Reason]]], cut: int
) -> None:
    none = LeaderCounts("main/global", 1, ATTEMPT.leader, 0)
    rows = [none]
    for known, reasons in found:
        attempt = skipped(*reasons, target=100 if known else None)
        rows.append(counted(rows[-1], attempt))
    unknown = [reasons for known, reasons in found if not known]
    last = rows[-1]
    assert last.unjudged == len(unknown) <= last.skipped
    told = {one.reason: one.count for one in last.unjudged_reasons}
    flat = [reason for reasons in unknown for reason in reasons]
    assert told == {reason: flat.count(reason) for reason in flat}
    middle = rows[min(cut, len(found))]
    assert unjudged_together([since(last, middle), middle]) == last.unjudged_reasons


looks = st.lists(
    st.tuples(
        st.lists(st.sampled_from(sorted(Reason)[:4]), min_size=1, max_size=2, unique=True),
        st.sampled_from(HORIZONS),
        st.integers(0, 50),
        st.booleans(),
        st.one_of(st.none(), st.integers(0, M)),
    ),
    max_size=10,
)


def summed(found: Sequence[tuple[list[Reason], str, int, bool, int | None]]) -> Hindsight:
    cells: tuple[Forgone, ...] = ()
    for reasons, horizon, shares, estimated, price in found:
        fill = Hypothesis(shares * M, shares * 500_000, 7, estimated)
        cells = with_forgone(cells, reasons, horizon, fill, price)  # type: ignore[arg-type]
    return Hindsight("main/global", 1, ATTEMPT.leader, cells)


@given(looks, looks)
def test_the_sums_add_up(
    one: list[tuple[list[Reason], str, int, bool, int | None]],
    other: list[tuple[list[Reason], str, int, bool, int | None]],
) -> None:
    whole = summed(one + other)
    assert together([summed(one), summed(other)]).forgone == whole.forgone
    for horizon in HORIZONS:
        mine = [row for row in one + other if row[1] == horizon]
        cells = [c for c in whole.forgone if c.reason is None and c.horizon == horizon]
        assert sum(cell.signals for cell in cells) == len(mine)
        valued = [row for row in mine if row[2] and row[4] is not None]
        for cell in cells:
            assert cell.signals - cell.unfilled - cell.unvalued == len(valued)
            assert cell.estimated == sum(row[3] for row in valued)
            assert cell.notional == sum(row[2] * 500_000 for row in valued)
    for cell in whole.forgone:
        assert cell.estimated <= cell.signals - cell.unfilled - cell.unvalued
