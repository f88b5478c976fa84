"""Notice that a market somebody holds is decided, and give each lane its settlement."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace

from chalicelib.domain.errors import Conflict
from chalicelib.domain.lane import Work
from chalicelib.domain.market import Market
from chalicelib.domain.portfolio import Head
from chalicelib.domain.registry import PortfolioRef
from chalicelib.keyspace import head_key
from chalicelib.ports import Clock, Metrics, Put, Store
from chalicelib.services.market_directory import change_market
from chalicelib.services.portfolios import all_portfolios, open_positions

PORTFOLIOS_CACHED_MAX = 1_000
ROWS_MAX = 500
"""Settlements begun in one call; the others begin with the next."""


class SettleMarkets:
    """A work row per executable portfolio and decided market that it holds.

    `decided` names the tokens whose payouts are known to be final, as the marking cycle met them.
    What a portfolio holds is read again only when its head moved, so a call that has nothing to do
    costs one small read per portfolio. A row that was begun is begun once: its key says what of.
    """

    def __init__(
        self,
        store: Store,
        decided: Callable[[], Mapping[str, Market]],
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._store = store
        self._decided = decided
        self._clock = clock
        self._metrics = metrics
        self._held: dict[tuple[str, int], tuple[int, bool, frozenset[str]]] = {}

    def __call__(self) -> int:
        """How many settlements began. Raises Retryable when the store cannot answer."""
        decided = self._decided()
        if not decided:
            return 0
        begun = 0
        for ref in all_portfolios(self._store):
            if ref.kind == "shadow":
                continue
            markets = {
                decided[token].condition_id: decided[token]
                for token in self._tokens(ref)
                if token in decided
            }
            for market in markets.values():
                if begun >= ROWS_MAX:
                    return begun
                begun += self._begin(ref, market)
        return begun

    def _tokens(self, ref: PortfolioRef) -> frozenset[str]:
        """Tokens with shares, from memory where the head has not moved since two looks ago.

        The listing may lag behind the head by a moment: what was read at a head's first sight is
        read once more.
        """
        name = (ref.portfolio_id, ref.epoch)
        head = self._store.get(Head, head_key(*name))
        version = head.version if head else 0
        known = self._held.get(name)
        if known and known[0] == version and known[1]:
            return known[2]
        rows = open_positions(self._store, *name)
        tokens = frozenset(row.token_id for row in rows if row.shares)
        self._held[name] = (version, known is not None and known[0] == version, tokens)
        while len(self._held) > PORTFOLIOS_CACHED_MAX:
            del self._held[next(iter(self._held))]
        return tokens

    def _begin(self, ref: PortfolioRef, market: Market) -> bool:
        ts = self._ts_resolved(market)
        row = Work(
            portfolio_id=ref.portfolio_id,
            epoch=ref.epoch,
            ts_due=ts,
            kind="settlement",
            ref=market.condition_id,
            leader="",
            token_id="",
            side="SELL",
            group_number=0,
            ts_decided=ts,
            ts_block=ts,
            order=0,
        )
        # A row that waits already is the same row.
        with suppress(Conflict):
            self._store.commit([Put(row)])
            self._metrics.count("settlements_begun")
            return True
        return False

    def _ts_resolved(self, market: Market) -> int:
        """When it was decided; a market stored before that was kept gets its time now, once."""
        if market.resolution.ts:
            return market.resolution.ts
        now = self._clock.now_ms()

        def dated(known: Market) -> Market:
            ts = known.resolution.ts or now
            return replace(known, resolution=replace(known.resolution, ts=ts))

        stored = change_market(self._store, market.condition_id, dated)
        return stored.resolution.ts if stored else now
