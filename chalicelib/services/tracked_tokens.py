"""Which tokens are worth watching, and for whose sake."""

from __future__ import annotations

from collections.abc import Callable

from chalicelib.domain.portfolio import Head, Position
from chalicelib.domain.registry import PortfolioRef
from chalicelib.keyspace import head_key
from chalicelib.ports import Clock, MarketCatalogue, Rules, Store
from chalicelib.services.manage_leaders import leaders
from chalicelib.services.market_directory import MarketDirectory
from chalicelib.services.portfolios import (
    all_portfolios,
    portfolio_ref,
    positions_of,
    shadow_id,
)

TRADED_WITHIN_MS = 86_400_000
TOKENS_PER_LEADER_MAX = 200
HELD_MAX = 2_000
PORTFOLIOS_KNOWN_MAX = 1_000
LIQUID_MS = 900_000
"""As often as the registry reads the venue's list of markets."""


class TrackedTokens:
    """Token → leaders who hold it or traded it within a day, both outcomes of each market.

    A trade that mints or merges is printed under the taker's token, which may be the other one.
    Of each leader the most recently traded TOKENS_PER_LEADER_MAX count. Positions are read again
    only when their shadow's head moved, and closed ones are kept in mind for a day only.
    """

    def __init__(self, store: Store, directory: MarketDirectory) -> None:
        self._store = store
        self._directory = directory
        self._positions = PositionMemory(store, positions_of)

    def __call__(self, now_ms: int) -> dict[str, frozenset[str]]:
        """The interest at `now_ms`. Raises Retryable."""
        interest: dict[str, set[str]] = {}
        for leader in leaders(self._store):
            ref = portfolio_ref(self._store, shadow_id(leader.leader))
            if leader.state == "off" or ref is None:
                continue
            rows = self._positions(ref, lambda row: _counts(row, now_ms))
            held = [row for row in rows if _counts(row, now_ms)]
            held.sort(key=lambda position: position.ts_last, reverse=True)
            for position in held[:TOKENS_PER_LEADER_MAX]:
                market = self._directory.known(position.token_id)
                for token in market.tokens if market else (position.token_id,):
                    interest.setdefault(token, set()).add(leader.leader)
        return {token: frozenset(found) for token, found in interest.items()}


class PositionMemory:
    """Positions of many portfolios, read again only when a head moved."""

    def __init__(self, store: Store, listed: Callable[[Store, str, int], list[Position]]) -> None:
        """`listed` reads one epoch's positions."""
        self._store = store
        self._listed = listed
        self._read: dict[tuple[str, int], tuple[int, tuple[Position, ...]]] = {}

    def __call__(
        self, ref: PortfolioRef, counts: Callable[[Position], bool]
    ) -> tuple[Position, ...]:
        """The positions that counted when they were read. Raises Retryable."""
        name = (ref.portfolio_id, ref.epoch)
        head = self._store.get(Head, head_key(*name))
        version = head.version if head else 0
        known = self._read.get(name)
        if known is None or known[0] != version:
            known = (version, tuple(row for row in self._listed(self._store, *name) if counts(row)))
            self._read[name] = known
            while len(self._read) > PORTFOLIOS_KNOWN_MAX:
                del self._read[next(iter(self._read))]
        return known[1]


def _counts(position: Position, now_ms: int) -> bool:
    is_recent = position.ts_last > now_ms - TRADED_WITHIN_MS
    return position.token_id != "" and (position.shares != 0 or is_recent)


class LiquidTokens:
    """Tokens of the most liquid markets, as many as `books_most_liquid` says, both outcomes.

    The registry keeps no liquidity, which changes with every trade: the venue sorts its own list,
    which costs a request per hundred markets and LIQUID_MS, and none while the setting is 0.
    """

    def __init__(self, catalogue: MarketCatalogue, rules: Rules, clock: Clock) -> None:
        self._catalogue = catalogue
        self._rules = rules
        self._clock = clock
        self._known: tuple[int, int, tuple[str, ...]] = (0, 0, ())

    def __call__(self) -> tuple[str, ...]:
        """Most liquid first. Raises Retryable or Permanent."""
        wanted = self._rules.system().books_most_liquid
        if wanted == 0:
            return ()
        now = self._clock.now_ms()
        ts, count, tokens = self._known
        if count != wanted or now - ts >= LIQUID_MS:
            markets = self._catalogue.most_liquid(wanted)
            tokens = tuple(token for market in markets for token in market)
            self._known = now, wanted, tokens
        return tokens


class HeldTokens:
    """Tokens of open positions in executable portfolios, at most HELD_MAX."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._positions = PositionMemory(store, positions_of)

    def __call__(self) -> frozenset[str]:
        """The tokens held now. Raises Retryable."""
        held = {
            position.token_id
            for ref in all_portfolios(self._store)
            if ref.kind != "shadow"
            for position in self._positions(ref, _is_held)
        }
        return frozenset(sorted(held)[:HELD_MAX])


def _is_held(position: Position) -> bool:
    return position.token_id != "" and position.shares > 0
