"""The most liquid markets: asked for only when wanted, and seldom."""

from __future__ import annotations

from dataclasses import replace

from chalicelib.domain.rules import SystemRules
from chalicelib.services.tracked_tokens import LIQUID_MS, LiquidTokens
from tests.workflow.harness import System

PAIRS = [("1", "2"), ("3", "4"), ("5", "6")]


class Sorted:
    """A catalogue that only sorts, and the setting."""

    def __init__(self) -> None:
        self.rules = SystemRules()
        self.asked: list[int] = []

    def system(self) -> SystemRules:
        return self.rules

    def most_liquid(self, count: int) -> list[tuple[str, str]]:
        self.asked.append(count)
        return PAIRS[:count]


def test_they_cost_nothing_until_wanted_and_little_then() -> None:
    clock, venue = System().clock, Sorted()
    liquid = LiquidTokens(venue, venue, clock)  # type: ignore[arg-type]
    assert liquid() == ()
    assert venue.asked == []
    venue.rules = replace(venue.rules, books_most_liquid=2)
    assert liquid() == ("1", "2", "3", "4")
    clock.advance(LIQUID_MS - 1)
    assert liquid() == ("1", "2", "3", "4")
    assert venue.asked == [2]
    clock.advance(1)
    liquid()
    assert venue.asked == [2, 2]
    venue.rules = replace(venue.rules, books_most_liquid=1)
    assert liquid() == ("1", "2")
    venue.rules = replace(venue.rules, books_most_liquid=0)
    assert liquid() == ()
    assert venue.asked == [2, 2, 1]
