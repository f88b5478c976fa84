"""Exposures kept as sums are those of all stakes together."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain.risk import Stake, exposure_of
from chalicelib.domain.running_exposure import RunningExposure

MARKETS = {
    "1": ("m1", "e1", "sports"),
    "2": ("m1", "e1", "sports"),
    "3": ("m2", "e1", "politics"),
    "4": ("m3", "", ""),
    "5": ("", "", ""),
    "6": ("", "", ""),
}
STAKES = st.builds(
    lambda cash, token, leader: Stake(cash, token, leader, *MARKETS[token]),
    st.integers(-5, 1_000),
    st.sampled_from(sorted(MARKETS)),
    st.sampled_from(["ann", "bob"]),
)


@given(st.lists(st.tuples(STAKES, st.booleans()), max_size=30), STAKES, st.booleans())
def test_sums_are_those_of_the_stakes(
    steps: list[tuple[Stake, bool]], order: Stake, one_leader: bool
) -> None:
    running, held = RunningExposure(), list[Stake]()
    for stake, goes in steps:
        running.put(stake)
        held.append(stake)
        if goes:
            gone = held.pop(len(held) // 2)
            running.take(gone)
        expected = exposure_of(held, order, one_leader=one_leader)
        assert running.beside(order, one_leader=one_leader) == expected
