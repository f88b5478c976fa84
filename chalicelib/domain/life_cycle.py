"""Where a market stands in its life, and what that forbids."""

from __future__ import annotations

from typing import Literal

from chalicelib.domain.market import Market
from chalicelib.domain.reasons import Reason

LifeCycle = Literal["open", "closing_soon", "halted", "closed", "resolved"]

CLOSE_GUARD_MS = 1_800_000
"""Default of the setting `close_guard_ms`."""
LIFE_CYCLE_REASONS = frozenset({Reason.MARKET_CLOSED, Reason.MARKET_CLOSES_SOON})
"""Skips that say no more than that the market's life forbade a new position."""


def closing_time(market: Market) -> int | None:
    """When trading is expected to end, in milliseconds; None where nothing says it.

    A game's stated end is its start, and it is traded while it is played. No source states when
    it will be over; that it is, the venue's `game_ended` tells, and then its flags.
    """
    start, end = market.game_starts_at, market.closes_at
    return None if end is None or (start is not None and end <= start) else end


def life_cycle(market: Market, now_ms: int, close_guard_ms: int = CLOSE_GUARD_MS) -> LifeCycle:
    """Where the market stands; the venue's word counts before the clock.

    One past its stated end that the venue has not closed is closing, whatever remains of it; so
    is one whose game is over: all that is left to wait for is its resolution.
    """
    if market.resolution.final:
        return "resolved"
    if market.closed:
        return "closed"
    if not market.accepting_orders:
        return "halted"
    if market.game_ended:
        return "closing_soon"
    end = closing_time(market)
    return "open" if end is None or end - now_ms >= close_guard_ms else "closing_soon"


def opening_refused(market: Market, now_ms: int, close_guard_ms: int) -> Reason | None:
    """Why no position may be opened now, None where it may; reductions are always allowed."""
    stands = life_cycle(market, now_ms, close_guard_ms)
    if stands == "open":
        return None
    return Reason.MARKET_CLOSES_SOON if stands == "closing_soon" else Reason.MARKET_CLOSED


def worth_refreshing(market: Market, now_ms: int, close_guard_ms: int = CLOSE_GUARD_MS) -> bool:
    """Whether the stored state may have ended since: near or after its end, or during its game.

    What is final, or closed with nothing left to settle on demand, is not asked for again.
    """
    if market.closed or market.resolution.final:
        return False
    started = market.game_starts_at is not None and now_ms >= market.game_starts_at
    near = market.closes_at is not None and now_ms >= market.closes_at - close_guard_ms
    return started or near or not market.accepting_orders
