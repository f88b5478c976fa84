"""Token → market from local state, asking the venue only for tokens never seen."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace

from chalicelib.domain.errors import Conflict, Permanent
from chalicelib.domain.market import Market
from chalicelib.domain.registry import TokenPointer
from chalicelib.keyspace import market_key, token_key
from chalicelib.ports import Clock, MarketCatalogue, Put, Store

CACHED_MAX = 5_000
CACHE_MS = 60_000


class MarketDirectory:
    """Remembers looked-up markets for CACHE_MS so that one decision costs no repeated read."""

    def __init__(self, store: Store, catalogue: MarketCatalogue, clock: Clock) -> None:
        self._store = store
        self._catalogue = catalogue
        self._clock = clock
        self._cached: OrderedDict[str, tuple[int, Market]] = OrderedDict()
        self._asked: dict[str, int] = {}

    def known(self, token_id: str) -> Market | None:
        """The market of a token without asking the venue."""
        now = self._clock.now_ms()
        cached = self._cached.get(token_id)
        if cached and now - cached[0] < CACHE_MS:
            return cached[1]
        pointer = self._store.get(TokenPointer, token_key(token_id))
        if pointer is None:
            return None
        market = self._store.get(Market, market_key(pointer.condition_id))
        if market:
            self._cached[token_id] = (now, market)
            if len(self._cached) > CACHED_MAX:
                self._cached.popitem(last=False)
        return market

    def lookup(self, token_id: str) -> Market | None:
        """The market of a token, asking the venue when it is new; None when nobody knows it.

        Raises Retryable when the venue could not be asked.
        """
        market = self.known(token_id)
        if market is None or self._may_have_closed(market):
            try:
                market = self._catalogue.market_of_token(token_id)
            except Permanent:
                return None
            if market:
                store_market(self._store, market)
                self._cached.pop(token_id, None)
        return market

    def _may_have_closed(self, market: Market) -> bool:
        """Closed markets leave the venue's open list, so their last stored state is not their end.

        Asked again at most once per CACHE_MS and market.
        """
        now = self._clock.now_ms()
        if market.closed or market.closes_at is None or market.closes_at > now:
            return False
        if now - self._asked.get(market.condition_id, 0) < CACHE_MS:
            return False
        self._asked[market.condition_id] = now
        while len(self._asked) > CACHED_MAX:
            del self._asked[next(iter(self._asked))]
        return True


def store_market(store: Store, market: Market) -> bool:
    """Keep a market and its token pointers; True when anything was new or changed.

    A concurrent writer wins: both wrote what the venue said moments apart.
    """
    known = store.get(Market, market_key(market.condition_id))
    version = known.version if known else 0
    current = replace(market, version=version)
    if known == current:
        return False
    pointers = [] if known else [TokenPointer(t, market.condition_id) for t in market.tokens]
    fresh = [p for p in pointers if store.get(TokenPointer, token_key(p.token_id)) is None]
    try:
        store.commit([Put(current), *(Put(p) for p in fresh)])
    except Conflict:
        return False
    return True
