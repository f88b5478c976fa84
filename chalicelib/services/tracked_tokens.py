"""Which tokens are worth watching, and for whose sake."""

from __future__ import annotations

from chalicelib.ports import Store
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


def tracked_tokens(
    store: Store, directory: MarketDirectory, now_ms: int
) -> dict[str, frozenset[str]]:
    """Token → leaders who hold it or traded it within a day, both outcomes of each market.

    A trade that mints or merges is printed under the taker's token, which may be the other one.
    Of each leader the most recently traded TOKENS_PER_LEADER_MAX count.
    """
    interest: dict[str, set[str]] = {}
    for leader in leaders(store):
        ref = portfolio_ref(store, shadow_id(leader.leader))
        if leader.state == "off" or ref is None:
            continue
        held = [
            position
            for position in positions_of(store, ref.portfolio_id, ref.epoch)
            if position.token_id
            and (position.shares != 0 or position.ts_last > now_ms - TRADED_WITHIN_MS)
        ]
        held.sort(key=lambda position: position.ts_last, reverse=True)
        for position in held[:TOKENS_PER_LEADER_MAX]:
            market = directory.known(position.token_id)
            for token in market.tokens if market else (position.token_id,):
                interest.setdefault(token, set()).add(leader.leader)
    return {token: frozenset(found) for token, found in interest.items()}


def held_tokens(store: Store) -> frozenset[str]:
    """Tokens of open positions in executable portfolios, at most HELD_MAX."""
    held: list[str] = []
    for ref in all_portfolios(store):
        if ref.kind == "shadow":
            continue
        held += [
            position.token_id
            for position in positions_of(store, ref.portfolio_id, ref.epoch)
            if position.token_id and position.shares > 0
        ]
    return frozenset(sorted(set(held))[:HELD_MAX])
