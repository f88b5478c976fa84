"""A portfolio's exposures kept as sums, so that asking costs the same however much is held.

What it answers is what `exposure_of` says of the same stakes.
"""

from __future__ import annotations

from chalicelib.domain.risk import Exposure, Stake


class RunningExposure:
    """Σ cash at risk by what stakes share; each stake is put in and taken out as a whole."""

    __slots__ = ("_categories", "_counts", "_events", "_leaders", "_markets", "_tokens", "_total")

    def __init__(self) -> None:
        self._total = 0
        self._tokens: dict[str, int] = {}
        self._counts: dict[str, int] = {}
        self._leaders: dict[str, int] = {}
        self._markets: dict[str, int] = {}
        self._events: dict[str, int] = {}
        self._categories: dict[str, int] = {}

    def put(self, stake: Stake) -> None:
        """One more stake."""
        counts, token = self._counts, stake.token_id
        counts[token] = counts.get(token, 0) + 1
        self._move(stake, stake.cash)

    def take(self, stake: Stake) -> None:
        """Without a stake that was put in, exactly as it was."""
        token = stake.token_id
        left = self._counts[token] - 1
        self._move(stake, -stake.cash)
        if left:
            self._counts[token] = left
        else:
            del self._counts[token], self._tokens[token]

    def _move(self, stake: Stake, amount: int) -> None:
        _, token, leader, market, event, category = stake
        self._total += amount
        self._tokens[token] = self._tokens.get(token, 0) + amount
        self._leaders[leader] = self._leaders.get(leader, 0) + amount
        if market:
            self._markets[market] = self._markets.get(market, 0) + amount
        if event:
            self._events[event] = self._events.get(event, 0) + amount
        if category:
            self._categories[category] = self._categories.get(category, 0) + amount

    def beside(self, order: Stake, *, one_leader: bool = False) -> Exposure:
        """What stands beside `order`, whose own cash takes no part."""
        _, token, leader, market, event, category = order
        # A token whose market is not known shares with nobody but itself.
        alone = self._tokens.get(token, 0)
        return Exposure(
            total=self._total,
            market=self._markets.get(market, 0) if market else alone,
            event=self._events.get(event, 0) if event else alone,
            category=self._categories.get(category, 0) if category else alone,
            leader=self._leaders.get(leader, 0),
            open_positions=len(self._counts),
            holds_token=token in self._counts,
            one_leader=one_leader,
        )
