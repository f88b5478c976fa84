"""Holdings that leaders bring along from before the genesis."""

from __future__ import annotations

from typing import NamedTuple

from simulator import ids
from simulator.leaders import Leader
from simulator.markets import DAY_MS, MarketList


class Opening(NamedTuple):
    """Shares and their cost (micros) with the time of the first entry (epoch seconds)."""

    shares: int
    cost: int
    first_entry_s: int


def give_openings(
    seed: int, genesis_ms: int, leaders: tuple[Leader, ...], listed: MarketList
) -> dict[str, dict[str, Opening]]:
    """Give every leader 3 to 6 tokens, among them dust and a market resolved before the genesis.

    Returns wallet -> token -> opening; the leaders may sell these shares.
    """
    rng = ids.stream(seed, "openings")
    openings: dict[str, dict[str, Opening]] = {}
    for place, leader in enumerate(leaders):
        given: dict[str, Opening] = {}
        markets = rng.sample([m for m in listed.ordinary if not m.closed], rng.randint(3, 6))
        for market in markets:
            token = market.tokens[int(rng.random() < 0.4)]
            shares = rng.randint(2_000, 400_000) * 10_000
            price = market.center if token.outcome_index == 0 else 1_000_000 - market.center
            given[token.id] = _opening(shares, price, genesis_ms, rng.randint(1, 15))
        dust = rng.choice([m for m in listed.ordinary if not m.closed and m not in markets])
        given[dust.tokens[0].id] = _opening(50_000, dust.center, genesis_ms, 9)
        if place % 2 == 0:
            closed = next(m for m in listed.singles if m.closed)
            token = closed.tokens[place // 2 % 2]
            given[token.id] = _opening(120_000_000, 500_000, genesis_ms, 4)
        openings[leader.wallet] = given
        for token_id, opening in given.items():
            leader.holdings[token_id] = opening.shares
    return openings


def _opening(shares: int, price: int, genesis_ms: int, days_ago: int) -> Opening:
    first_entry_s = (genesis_ms - days_ago * DAY_MS) // 1_000
    return Opening(shares, shares * price // 1_000_000, first_entry_s)
