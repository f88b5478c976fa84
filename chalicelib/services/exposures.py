"""What a portfolio is worth and has at risk when it decides."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from chalicelib.domain.lane import Work
from chalicelib.domain.money import MICROS
from chalicelib.domain.portfolio import Head, Position
from chalicelib.domain.registry import Leader
from chalicelib.domain.risk import Exposure, Stake, exposure_of
from chalicelib.keyspace import head_key
from chalicelib.ports import Store
from chalicelib.services import portfolios
from chalicelib.services.market_directory import MarketDirectory
from chalicelib.services.portfolio_view import LatestMarks, PortfolioView, PortfolioViews

TOKENS_KNOWN_MAX = 20_000

Shared = tuple[str, str, str]
"""Condition, event and category of a token's market; they never change."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A portfolio before an order, amounts in micros; `ts_marks` is when its marks were made."""

    equity: int
    exposure: Exposure
    ts_marks: int


class Exposures:
    """Equity, exposures and leaders' equity, from remembered views and the latest marks."""

    def __init__(
        self,
        store: Store,
        views: PortfolioViews,
        marks: LatestMarks,
        directory: MarketDirectory,
    ) -> None:
        self._store = store
        self._views = views
        self._marks = marks
        self._directory = directory
        self._shared: OrderedDict[str, Shared] = OrderedDict()

    def standing(self, head: Head, token_id: str, leader: str) -> Standing:
        """Before an order of a token that copies a leader. Raises Retryable."""
        marks, ts_marks = self._marks()
        view = self._views.of(head)
        order = self._stake(0, token_id, leader)
        stakes = self._stakes(view, marks)
        exposure = exposure_of(stakes, order, one_leader=head.kind == "leader")
        return Standing(head.cash + view.value(marks), exposure, ts_marks)

    def leader_equity(self, leader: Leader) -> int | None:
        """What the leader's known positions are worth at marks, in micros.

        His cash is not known to us and takes no part, nor do shares whose purchase is not known.
        None while his holdings were not read, and where he holds nothing of value.
        """
        if leader.holdings_as_of is None:
            return None
        ref = portfolios.portfolio_ref(self._store, portfolios.shadow_id(leader.leader))
        head = self._store.get(Head, head_key(ref.portfolio_id, ref.epoch)) if ref else None
        if head is None:
            return None
        marks, _ = self._marks()
        held = self._views.of(head).positions.values()
        return sum(_worth(position, marks) for position in held if position.shares > 0) or None

    def _stakes(self, view: PortfolioView, marks: Mapping[str, int]) -> Iterator[Stake]:
        """Everything held at its mark, and everything that unfinished BUYs hold back."""
        for position in view.positions.values():
            yield self._stake(_worth(position, marks), position.token_id, position.leader)
        for row in view.orders.values():
            if _buys(row):
                yield self._stake(row.reserved, row.token_id, row.leader)

    def _stake(self, cash: int, token_id: str, leader: str) -> Stake:
        shared = self._shared.get(token_id) or self._of_token(token_id)
        return Stake(cash, token_id, leader, *shared)

    def _of_token(self, token_id: str) -> Shared:
        known = self._shared.get(token_id)
        if known:
            return known
        market = self._directory.known(token_id)
        if market is None:
            return "", "", ""
        found = (market.condition_id, market.event_id, market.category)
        self._shared[token_id] = found
        while len(self._shared) > TOKENS_KNOWN_MAX:
            self._shared.popitem(last=False)
        return found


def _worth(position: Position, marks: Mapping[str, int]) -> int:
    mark = marks.get(position.token_id)
    return position.cost if mark is None else position.shares * mark // MICROS


def _buys(row: Work) -> bool:
    return row.side == "BUY" and row.kind in ("attempt", "resting")
