"""What papercopy must know of a market to copy a trade in it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from chalicelib.domain.errors import InvalidInput
from chalicelib.domain.fee import FeeSchedule
from chalicelib.domain.money import MICROS

ResolutionState = Literal["open", "proposed", "disputed", "resolved"]


@dataclass(frozen=True, slots=True)
class Resolution:
    """How far a market is decided; `payouts` in micros per share of each outcome, empty if unknown.

    Payouts that are not `final` (proposed, disputed) may still change. `ts` is when it was decided
    as the venue states it, else when we first read it (milliseconds), 0 while it is not final.
    """

    state: ResolutionState = "open"
    payouts: tuple[int, ...] = ()
    final: bool = False
    ts: int = 0


@dataclass(frozen=True, slots=True)
class Market:
    """A binary market. `tick` and `order_shares_min` in micros, times in milliseconds.

    `tokens` and `outcomes` have the same order. `delay_ms` is how long the venue itself holds a
    marketable order. `closes_at` is None where the venue states no end. `game_starts_at` is set
    for games only, `game_ended` once the venue says that it is over. `tags` are the venue's, lower
    case, `category` is the one that counts.
    """

    condition_id: str
    question: str
    slug: str
    event_id: str
    category: str
    protocol: str
    tokens: tuple[str, ...]
    outcomes: tuple[str, ...]
    tick: int
    order_shares_min: int
    fee: FeeSchedule
    neg_risk: bool
    delay_ms: int
    closes_at: int | None
    closed: bool
    accepting_orders: bool
    tags: tuple[str, ...] = ()
    game_starts_at: int | None = None
    resolution: Resolution = Resolution()
    game_ended: bool = False
    version: int = 0

    def outcome_of(self, token: str) -> str:
        """The outcome's name, or an empty text for a token of another market."""
        return self.outcomes[self.tokens.index(token)] if token in self.tokens else ""

    def payout_of(self, token: str) -> int | None:
        """What a share of the token pays for good, in micros; None until that is final."""
        resolution = self.resolution
        if not resolution.final or token not in self.tokens:
            return None
        return resolution.payouts[self.tokens.index(token)]


def payouts_of(first: int) -> tuple[int, int]:
    """Payouts of both outcomes from the first one's, all in micros. Raises InvalidInput."""
    if not 0 <= first <= MICROS:
        raise InvalidInput("payouts", "between 0 and 1 per share was expected")
    return first, MICROS - first


def merged(known: Market, told: Market) -> Market:
    """What is known after the venue told of a market again, with the known version.

    A final resolution is never taken back by a source that merely lists the market, and one that
    knows neither texts nor an end (the CLOB) does not erase them.
    """
    if known.resolution.final and not told.resolution.final:
        told = replace(told, resolution=known.resolution, closed=known.closed or told.closed)
    if not told.question and not told.slug:
        told = replace(
            told,
            question=known.question,
            slug=known.slug,
            event_id=known.event_id,
            category=known.category,
            tags=known.tags,
            closes_at=told.closes_at or known.closes_at,
            game_starts_at=told.game_starts_at or known.game_starts_at,
            game_ended=told.game_ended or known.game_ended,
            closed=told.closed or (known.closed and not told.accepting_orders),
        )
    return replace(told, version=known.version)


def resolved(market: Market, resolution: Resolution) -> Market:
    """The market after its resolution was read; a final one closes it and stays."""
    if market.resolution.final:
        return market
    if not resolution.final:
        return replace(market, resolution=resolution)
    return replace(market, resolution=resolution, closed=True, accepting_orders=False)
