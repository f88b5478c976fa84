"""Which wallets are listened for in which subscription. No I/O.

A wallet stays in its shard, so a change touches only the shards it concerns. A changed shard is
subscribed anew first; the old subscription ends when the new one is confirmed, so that no log
falls between them. What both deliver arrives twice, which is harmless.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from chalicelib.domain.exchange_log import LIVE_EXCHANGES, TOPIC_V2

SHARD_WALLETS_MAX = 500
"""Wallets of one filter; nodes accept 1,000 alternatives per topic position."""
CONFIRM_MS_MAX = 10_000
_PAD = "0x" + "0" * 24


@dataclass(frozen=True, slots=True)
class _Asked:
    """A subscribe request without an answer; `shard` None is the subscription to heads."""

    shard: frozenset[str] | None
    ts_asked: int


def plan_shards(
    before: Iterable[frozenset[str]], wallets: Collection[str], size: int = SHARD_WALLETS_MAX
) -> list[frozenset[str]]:
    """Shards of exactly `wallets`, none empty or above `size`, as close to `before` as can be."""
    wanted = frozenset(wallets)
    kept = [set(shard & wanted) for shard in before]
    placed = frozenset().union(*kept)
    for wallet in sorted(wanted - placed):
        room = next((shard for shard in kept if 0 < len(shard) < size), None)
        if room is None:
            room = set()
            kept.append(room)
        room.add(wallet)
    return [frozenset(shard) for shard in kept if shard]


def logs_filter(wallets: Iterable[str]) -> dict[str, object]:
    """The filter for fills of these wallets: their own orders only (maker topic)."""
    makers = [_PAD + wallet[2:] for wallet in sorted(wallets)]
    if not makers:
        raise ValueError("an empty filter would match every wallet")
    return {"address": list(LIVE_EXCHANGES), "topics": [TOPIC_V2, None, makers]}


class Subscriptions:
    """The subscriptions of one socket, and what is on its way to change them."""

    def __init__(self, shard_wallets_max: int = SHARD_WALLETS_MAX) -> None:
        self._shard_wallets_max = shard_wallets_max
        self._next_id = 1
        self._shards: list[frozenset[str]] = []
        self._asked: dict[int, _Asked] = {}
        self._active: dict[frozenset[str], str] = {}
        self._retiring: list[frozenset[str]] = []
        self._heads_confirmed = False

    @property
    def confirmed(self) -> bool:
        """Whether heads and every wallet are listened for."""
        return self._heads_confirmed and all(shard in self._active for shard in self._shards)

    def open(self, wallets: Collection[str], now_ms: int) -> list[str]:
        """Forget the previous socket; the frames that subscribe everything on a new one."""
        self._asked.clear()
        self._active.clear()
        self._retiring.clear()
        self._heads_confirmed = False
        self._shards = plan_shards(self._shards, wallets, self._shard_wallets_max)
        frames = [self._subscribe(None, now_ms)]
        return frames + [self._subscribe(shard, now_ms) for shard in self._shards]

    def change(self, wallets: Collection[str], now_ms: int) -> list[str]:
        """The frames that bring the open socket to exactly these wallets."""
        shards = plan_shards(self._shards, wallets, self._shard_wallets_max)
        known = {asked.shard for asked in self._asked.values()} | set(self._active)
        frames = [self._subscribe(s, now_ms) for s in shards if s not in known]
        self._retiring = [s for s in {*self._retiring, *self._shards} if s not in shards]
        self._shards = shards
        return frames + self._retire()

    def plan(self, wallets: Collection[str]) -> None:
        """Remember the wallets while there is no socket."""
        self._shards = plan_shards(self._shards, wallets, self._shard_wallets_max)

    def answered(self, request_id: int, subscription: str) -> list[str]:
        """A subscribe request succeeded; the frames that end what it replaces."""
        asked = self._asked.pop(request_id, None)
        if asked is None:
            return []
        if asked.shard is None:
            self._heads_confirmed = True
            return []
        self._active[asked.shard] = subscription
        if asked.shard not in self._shards and asked.shard not in self._retiring:
            self._retiring.append(asked.shard)
        return self._retire()

    def is_subscribe(self, request_id: object) -> bool:
        """Whether the id is that of a subscribe request without an answer."""
        return isinstance(request_id, int) and request_id in self._asked

    def overdue(self, now_ms: int) -> bool:
        """Whether the node leaves a subscribe request unanswered."""
        return any(now_ms - asked.ts_asked > CONFIRM_MS_MAX for asked in self._asked.values())

    def _retire(self) -> list[str]:
        """Unsubscribe what was replaced, once every wallet has its new subscription."""
        if not all(shard in self._active for shard in self._shards):
            return []
        ended = [shard for shard in self._retiring if shard in self._active]
        self._retiring = [shard for shard in self._retiring if shard not in self._active]
        return [self._frame("eth_unsubscribe", [self._active.pop(shard)])[1] for shard in ended]

    def _subscribe(self, shard: frozenset[str] | None, now_ms: int) -> str:
        params: list[object] = ["newHeads"] if shard is None else ["logs", logs_filter(shard)]
        request_id, text = self._frame("eth_subscribe", params)
        self._asked[request_id] = _Asked(shard, now_ms)
        return text

    def _frame(self, method: str, params: list[object]) -> tuple[int, str]:
        request_id = self._next_id
        self._next_id += 1
        request = {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}
        return request_id, json.dumps(request, separators=(",", ":"))
