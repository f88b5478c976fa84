"""What papercopy must know of a market to copy a trade in it."""

from __future__ import annotations

from dataclasses import dataclass

from chalicelib.domain.fee import FeeSchedule


@dataclass(frozen=True, slots=True)
class Market:
    """A binary market. `tick` and `order_shares_min` in micros, times in milliseconds.

    `tokens` and `outcomes` have the same order. `delay_ms` is how long the venue itself holds a
    marketable order. `closes_at` is None where the venue states no end.
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
    version: int = 0

    def outcome_of(self, token: str) -> str:
        """The outcome's name, or an empty text for a token of another market."""
        return self.outcomes[self.tokens.index(token)] if token in self.tokens else ""
