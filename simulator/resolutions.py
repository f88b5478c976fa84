"""Which market resolves when: scheduled by an option or asked for at run time."""

from __future__ import annotations

import heapq
from typing import NamedTuple

from simulator.markets import Market, MarketList

PAYOUTS = {"0": (1_000_000, 0), "1": (0, 1_000_000), "draw": (500_000, 500_000)}
AT_S_MAX = 30 * 86_400


class ResolutionError(ValueError):
    """A resolution names no open market, no winner or an impossible time."""


class ScheduledResolution(NamedTuple):
    """`slug` pays `payouts` (micros per share) `at_ms` after the genesis."""

    at_ms: int
    slug: str
    payouts: tuple[int, int]


def winner_of(payouts: tuple[int, int]) -> int | None:
    """The outcome that takes all, None for a draw."""
    return payouts.index(1_000_000) if 1_000_000 in payouts else None


def payouts_of(winner: object) -> tuple[int, int]:
    """Payouts of winner 0, 1 or "draw". Raises ResolutionError."""
    payouts = None if isinstance(winner, bool) else PAYOUTS.get(str(winner))
    if payouts is None:
        raise ResolutionError('winner: expected 0, 1 or "draw"')
    return payouts


def parse_resolutions(text: str) -> tuple[ScheduledResolution, ...]:
    """Read `SECONDS:SLUG:WINNER,...`. Raises ResolutionError naming the bad entry."""
    plan = []
    for entry in filter(None, text.split(",")):
        parts = entry.strip().split(":")
        if len(parts) != 3 or not parts[0].isdecimal() or int(parts[0]) > AT_S_MAX:
            raise ResolutionError(f"expected SECONDS:SLUG:WINNER, not {entry!r}")
        plan.append(ScheduledResolution(int(parts[0]) * 1_000, parts[1], payouts_of(parts[2])))
    return tuple(plan)


class ResolutionPlan:
    """Markets that will resolve, in order of time. Raises ResolutionError for unknown ones."""

    def __init__(
        self, genesis_ms: int, listed: MarketList, plan: tuple[ScheduledResolution, ...]
    ) -> None:
        self.listed = listed
        self._queue: list[tuple[int, int, tuple[int, int]]] = []
        slugs = {market.slug: market for market in listed.singles if not market.closed}
        for entry in plan:
            if entry.slug not in slugs:
                raise ResolutionError(f"no such open market: {entry.slug}")
            self.add(genesis_ms + entry.at_ms, slugs[entry.slug], entry.payouts)

    def add(self, ts: int, market: Market, payouts: tuple[int, int]) -> None:
        heapq.heappush(self._queue, (ts, market.index, payouts))

    def due(self, start_ms: int, end_ms: int) -> list[int]:
        """Times in (start, end]; what was asked for too late comes at once."""
        return [max(ts, start_ms + 1) for ts, *_ in self._queue if ts <= end_ms]

    def take(self, _ts: int) -> tuple[Market, tuple[int, int]]:
        _, index, payouts = heapq.heappop(self._queue)
        return self.listed.all[index], payouts
