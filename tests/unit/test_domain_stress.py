"""The preview of other latencies and thinner books."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain.slippage import Slippage, slippage
from chalicelib.domain.stress import LATENCIES_MS, StressPoint, stress
from tests.unit.tapes import M, segment, tape
from tests.unit.test_domain_resting_order import ORDERS, tapes
from tests.unit.wire import NOW_MS


def test_each_latency_meets_the_book_of_its_moment() -> None:
    on = tape(
        segment([(50, 9)], [(51, 100)], [(600, "ask", 51, 40), (700, "ask", 52, 80)], length=4_000)
    )
    found = stress(on, "BUY", 100 * M, 520_000, NOW_MS)
    # From 1 s on: 40 @ 0.51 and 60 @ 0.52 = 51.6; half the depth: 20 and 40; a quarter: 10 and 20.
    moved = ((100 * M, 60 * M, 30 * M), (516_000, 516_667, 516_667))
    assert found == (
        StressPoint(0, (100 * M, 50 * M, 25 * M), (510_000, 510_000, 510_000)),
        StressPoint(500, (100 * M, 50 * M, 25 * M), (510_000, 510_000, 510_000)),
        StressPoint(1_000, *moved),
        StressPoint(2_000, *moved),
    ), "as far as the tape reaches"


def test_nothing_inside_the_limit_has_no_price() -> None:
    on = tape(segment([(50, 9)], [(60, 100)], length=100))
    assert stress(on, "BUY", M, 520_000, NOW_MS) == (StressPoint(0, (0, 0, 0), (None, None, None)),)
    assert stress(tape(), "BUY", M, 520_000, NOW_MS) == ()


@given(ORDERS, tapes(), st.integers(-100, 70_000))
def test_less_depth_never_fills_more(of: object, on: object, ms: int) -> None:
    found = stress(on, of.side, of.shares, of.limit, NOW_MS + ms)  # type: ignore[attr-defined,arg-type]
    assert len(found) <= len(LATENCIES_MS)
    for point in found:
        assert list(point.shares) == sorted(point.shares, reverse=True)
        assert [v is None for v in point.vwap] == [s == 0 for s in point.shares]


def test_slippage_is_positive_to_our_disadvantage() -> None:
    assert slippage("BUY", 520_000, 510_000, 515_000, None) == Slippage(10_000, 5_000, None)
    assert slippage("SELL", 480_000, 500_000, None, 490_000) == Slippage(20_000, None, 10_000)
