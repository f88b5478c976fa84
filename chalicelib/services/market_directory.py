"""Token → market from local state, asking the venue only for tokens never seen."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

from chalicelib.domain.errors import Conflict, Permanent
from chalicelib.domain.life_cycle import worth_refreshing
from chalicelib.domain.market import Market, merged
from chalicelib.domain.registry import TokenPointer
from chalicelib.keyspace import market_key, token_key
from chalicelib.ports import WRITES_MAX, Clock, MarketCatalogue, Put, Store

CACHED_MAX = 5_000
CACHE_MS = 60_000
ROUNDS_MAX = 3
"""Tries of a write that others contend for."""


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
            self._remember(market)
        return market

    def lookup(self, token_id: str, *, suspect: bool = False) -> Market | None:
        """The market of a token; the venue is asked when it is new or may have ended meanwhile.

        `suspect` says that something speaks against what is stored, a book that is gone, say.
        None when nobody knows it. Raises Retryable when the venue could not be asked.
        """
        market = self.known(token_id)
        if market is None or self._may_have_ended(market, suspect):
            try:
                told = self._catalogue.market_of_token(token_id)
            except Permanent:
                return market
            if told is None:
                return market
            market = self._keep(told)
        return market

    def of_condition(self, condition_id: str) -> Market | None:
        """The market of a condition, asking the venue when it is new; None when nobody knows it.

        Raises Retryable when the venue could not be asked.
        """
        market = self._store.get(Market, market_key(condition_id))
        if market is None:
            try:
                market = self._catalogue.market_of_condition(condition_id)
            except Permanent:
                return None
            if market:
                market = self._keep(market)
        return market

    def learn(self, market: Market, change: Callable[[Market], Market]) -> Market:
        """Change what is stored of a market by a pure function; the market as it is then.

        Raises Conflict when others keep changing it, Retryable when the store cannot answer.
        """
        changed = change_market(self._store, market.condition_id, change)
        if changed is None:
            return market
        self._remember(changed)
        return changed

    def _keep(self, told: Market) -> Market:
        """Store what the venue told; the market as it is then stored."""
        # Who keeps losing to others finds what they stored moments ago.
        with suppress(Conflict):
            store_market(self._store, told)
        market = self._store.get(Market, market_key(told.condition_id)) or told
        self._remember(market)
        return market

    def _remember(self, market: Market) -> None:
        now = self._clock.now_ms()
        for token in market.tokens:
            self._cached[token] = (now, market)
            self._cached.move_to_end(token)
        while len(self._cached) > CACHED_MAX:
            self._cached.popitem(last=False)

    def _may_have_ended(self, market: Market, suspect: bool) -> bool:
        """Closed markets leave the venue's open list, so their last stored state is not their end.

        Asked again at most once per CACHE_MS and market, near its end and after it.
        """
        now = self._clock.now_ms()
        if market.closed or not (suspect or worth_refreshing(market, now)):
            return False
        if now - self._asked.get(market.condition_id, 0) < CACHE_MS:
            return False
        self._asked[market.condition_id] = now
        while len(self._asked) > CACHED_MAX:
            del self._asked[next(iter(self._asked))]
        return True


def store_market(store: Store, market: Market, *, is_new: bool = False) -> bool:
    """Keep a market and the pointers of its tokens; True when anything was new or changed.

    Pointers come first: one whose market is missing is looked up again, a market without its
    pointers would never be found. With `is_new` nothing is read unless it turns out to be known.
    Raises Conflict when others keep changing it.
    """
    if is_new and _created(store, market):
        return True
    for _ in range(ROUNDS_MAX):
        known = store.get(Market, market_key(market.condition_id))
        if known is None:
            if _created(store, market):
                return True
            continue
        current = merged(known, market)
        if current == known:
            return False
        try:
            store.commit([Put(current)])
        except Conflict:
            continue
        return True
    raise Conflict(f"the market {market.condition_id} keeps changing")


def store_new_markets(store: Store, markets: Sequence[Market]) -> int:
    """Keep many markets that are probably new, in few commits; how many were new or changed.

    Costs twice the write units of one at a time and a tenth of the round trips.
    """
    written = 0
    per_commit = WRITES_MAX // 3
    for start in range(0, len(markets), per_commit):
        some = markets[start : start + per_commit]
        try:
            store.commit([write for market in some for write in _creation(market)])
            written += len(some)
        except (Conflict, ValueError):
            # Some are stored already, or two share a key.
            written += sum(store_market(store, market) for market in some)
    return written


def change_market(
    store: Store, condition_id: str, change: Callable[[Market], Market]
) -> Market | None:
    """Change a stored market by a pure function; what is stored then, None when it is unknown.

    Raises Conflict when others keep changing it.
    """
    for _ in range(ROUNDS_MAX):
        known = store.get(Market, market_key(condition_id))
        if known is None:
            return None
        changed = replace(change(known), version=known.version)
        if changed == known:
            return known
        try:
            store.commit([Put(changed)])
        except Conflict:
            continue
        return replace(changed, version=changed.version + 1)
    raise Conflict(f"the market {condition_id} keeps changing")


def _creation(market: Market) -> list[Put]:
    pointers = [Put(TokenPointer(token, market.condition_id)) for token in market.tokens]
    return [*pointers, Put(replace(market, version=0))]


def _created(store: Store, market: Market) -> bool:
    """Write pointers and market where nothing is stored yet; False when the market was there."""
    for write in _creation(market):
        try:
            store.commit([write])
        except Conflict:
            if isinstance(write.record, Market):
                return False
    return True
