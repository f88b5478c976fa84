"""Everything that reaches into a running venue from outside: switches, reorgs, rotations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from simulator import ids
from simulator.activity import PendingEvents
from simulator.faults import ACTIONS, changed_faults
from simulator.market_ws import MarketChannel
from simulator.other_logs import upgraded
from simulator.polygon import PolygonNode
from simulator.resolutions import ResolutionError, payouts_of
from simulator.venue import Venue


class Interventions:
    """Applies what `/control` and scenarios ask for. All refusals are ValueErrors."""

    def __init__(self, venue: Venue, node: PolygonNode, channel: MarketChannel) -> None:
        self.venue = venue
        self.node = node
        self.channel = channel
        self._rotations = 0
        self._actions: dict[str, Callable[[Any], Any]] = {
            "disconnect": lambda _: node.disconnect_all(),
            "clob_disconnect": lambda _: channel.disconnect_all(),
            "reorg": node.reorganise,
            "reorg_silent": lambda depth: node.reorganise(depth, silent=True),
            "reorg_drop": lambda depth: node.reorganise(depth, drop=True),
            "rotate_exchange": self.rotate_exchange,
            "rotate_wallet": lambda wallets: self.rotate_wallet(*wallets),
        }

    def apply(self, wanted: object) -> dict[str, Any]:
        """Set switches and run actions; returns all switches and what each action did."""
        before = self.venue.faults
        self.venue.faults, actions = changed_faults(before, wanted)
        if before.of_clob or self.venue.faults.of_clob or "clob_disconnect" in actions:
            self.venue.clob_trouble_at = self.venue.now
        if isinstance(wanted, dict) and "ws_stall_subscriptions" in wanted:
            self.node.stall_subscriptions(self.venue.faults.ws_stall_subscriptions)
        if isinstance(wanted, dict) and "clob_ws_stall_assets" in wanted:
            self.channel.stall_assets(self.venue.faults.clob_ws_stall_assets)
        done = {name: self._actions[name](actions[name]) for name in ACTIONS if name in actions}
        for name in done:
            self.venue.acted(name)
        return self.venue.faults.to_json() | done

    def rotate_exchange(self, generation: str) -> dict[str, Any]:
        """Upgrade the V3 proxy in the next block; with a generation, move its fills as well."""
        self._rotations += 1
        world = self.venue.world
        implementation = ids.wallet(world.seed, "implementation", self._rotations)
        log = upgraded(ids.EXCHANGE_V3, implementation)
        tx_hash = ids.hash32(world.seed, "upgrade", self._rotations)
        world.exchange.enqueue(self.venue.now, PendingEvents(tx_hash, logs=(log,)))
        old = {m.exchange for m in world.listed.all if m.generation == generation}
        moved = {
            address: ids.wallet(world.seed, "exchange", address, self._rotations)
            for address in sorted(old)
        }
        world.exchange.addresses |= moved
        return {"implementation": implementation, "tx_hash": tx_hash, "moved": moved}

    def rotate_wallet(self, source: str, target: str) -> str:
        """Let a leader trade with another wallet from now on; returns that wallet."""
        world = self.venue.world
        leader = world.desk.of_wallet(source)
        if leader is None:
            raise ValueError(f"rotate_wallet: {source} is no wallet of a leader")
        if not target:
            target = ids.wallet(world.seed, "rotated", leader.wallet, len(leader.wallets))
        owner = world.desk.of_wallet(target)
        if owner not in (None, leader) or target in world.crowd:
            raise ValueError(f"rotate_wallet: {target} belongs to somebody else")
        leader.use(target)
        world.leader_wallets.add(target)
        world.names[target] = leader.name
        return target

    def resolve(self, condition_id: object, winner: object) -> dict[str, Any]:
        """Close a market for good with the next block interval."""
        world = self.venue.world
        market = world.listed.by_condition.get(str(condition_id).lower())
        if market is None or market.is_combo or market.index not in world.exchange.ladders:
            raise ResolutionError("condition_id: no such open market")
        payouts = payouts_of(winner)
        world.resolutions.add(self.venue.now, market, payouts)
        return {"condition_id": market.condition_id, "slug": market.slug, "payouts": list(payouts)}
