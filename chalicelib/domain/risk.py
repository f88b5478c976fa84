"""What a portfolio may still risk: its exposures, its spending and its breakers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Exposure:
    """What a portfolio has at risk before an order, by what the order would add to, in micros.

    Exposure is Σ shares × mark plus what unfinished attempts hold back. `market`, `event`,
    `category` and `leader` are the parts of `total` that share them with the order;
    `open_positions` counts tokens held or being bought, `holds_token` says that the order's token
    is among them.
    """

    total: int = 0
    market: int = 0
    event: int = 0
    category: int = 0
    leader: int = 0
    open_positions: int = 0
    holds_token: bool = False


@dataclass(frozen=True, slots=True)
class Spending:
    """What a portfolio's BUYs cost on one UTC day and how many fills it had in one hour.

    `day` and `hour` count from the epoch; a figure of another day or hour counts as nothing.
    """

    day: int = 0
    cash: int = 0
    hour: int = 0
    fills: int = 0


UNSPENT = Spending()
