"""Which wallets are listened for in which subscription. No I/O.

A wallet stays in its shard, so a change touches only the shards it concerns. A changed shard is
subscribed anew first; the old subscription ends when the new one is confirmed, so that no log
falls between them. What both deliver arrives twice, which is harmless.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from chalicelib.domain.exchange_log import LIVE_EXCHANGES, TOPIC_V2

SHARD_WALLETS_MAX = 500
"""Wallets of one filter; nodes accept 1,000 alternatives per topic position."""
CONFIRM_MS_MAX = 10_000
TOPIC_UPGRADED = "0xbc7cd75a20ee27fd9adebab32041f755214dbc6bffa90cc0225b39da2e5c2d3b"
"""`Upgraded(address indexed implementation)`, as every proxy of this kind logs it."""
_PAD = "0x" + "0" * 24


@dataclass(frozen=True, slots=True)
class Wanted:
    """One subscription; `renewal` tells a renewed one from its predecessor."""

    kind: Literal["heads", "fills", "upgrades"]
    wallets: frozenset[str] = frozenset()
    exchanges: tuple[str, ...] = ()
    renewal: int = 0


HEADS = Wanted("heads")


@dataclass(frozen=True, slots=True)
class _Asked:
    """A subscribe request without an answer."""

    wanted: Wanted
    ts_asked: int


@dataclass(frozen=True, slots=True)
class _Active:
    """A confirmed subscription and the node's name for it."""

    name: str
    ts_confirmed: int


@dataclass(frozen=True, slots=True)
class Shard:
    """The wallets of one confirmed subscription, and when it was confirmed (milliseconds)."""

    wallets: frozenset[str]
    ts_confirmed: int


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


def maker_topics(wallets: Iterable[str]) -> list[str]:
    """The wallets as alternatives of a topic position."""
    return [_PAD + wallet[2:] for wallet in sorted(wallets)]


def logs_filter(
    wallets: Iterable[str], exchanges: Sequence[str] = LIVE_EXCHANGES
) -> dict[str, object]:
    """The filter for fills of these wallets: their own orders only (maker topic)."""
    makers = maker_topics(wallets)
    if not makers or not exchanges:
        raise ValueError("an empty filter would match every wallet or contract")
    return {"address": list(exchanges), "topics": [TOPIC_V2, None, makers]}


def upgrades_filter(exchanges: Sequence[str]) -> dict[str, object]:
    """The filter for code changes of these exchanges; they happen a few times a year."""
    if not exchanges:
        raise ValueError("an empty filter would match every contract")
    return {"address": list(exchanges), "topics": [TOPIC_UPGRADED]}


class Subscriptions:
    """The subscriptions of one socket, and what is on its way to change them."""

    def __init__(
        self,
        shard_wallets_max: int = SHARD_WALLETS_MAX,
        exchanges: Sequence[str] = LIVE_EXCHANGES,
    ) -> None:
        self._shard_wallets_max = shard_wallets_max
        self._exchanges = tuple(exchanges)
        self._next_id = 1
        self._wanted: list[Wanted] = [HEADS]
        self._asked: dict[int, _Asked] = {}
        self._active: dict[Wanted, _Active] = {}

    @property
    def confirmed(self) -> bool:
        """Whether heads and every wallet are listened for."""
        return all(wanted in self._active for wanted in self._wanted)

    def plan(self, wallets: Collection[str], exchanges: Sequence[str] | None = None) -> None:
        """Remember what to listen for, while there is no socket."""
        if exchanges is not None:
            self._exchanges = tuple(exchanges)
        fills = [wanted for wanted in self._wanted if wanted.kind == "fills"]
        same = {w.wallets: w for w in fills if w.exchanges == self._exchanges}
        shards = plan_shards((w.wallets for w in fills), wallets, self._shard_wallets_max)
        self._wanted = [HEADS]
        self._wanted += [same.get(s) or Wanted("fills", s, self._exchanges) for s in shards]
        if shards:
            self._wanted.append(Wanted("upgrades", exchanges=self._exchanges))

    def open(self, now_ms: int) -> list[str]:
        """Forget the previous socket; the frames that subscribe everything on a new one."""
        self._asked.clear()
        self._active.clear()
        return [self._subscribe(wanted, now_ms) for wanted in self._wanted]

    def change(
        self, wallets: Collection[str], now_ms: int, exchanges: Sequence[str] | None = None
    ) -> list[str]:
        """The frames that bring the open socket to exactly these wallets and exchanges."""
        self.plan(wallets, exchanges)
        return self._ask_missing(now_ms) + self._retire()

    def renew(self, wallets: frozenset[str], now_ms: int) -> list[str]:
        """The frames that replace the subscription of one shard by an equal, new one."""
        self._wanted = [
            replace(wanted, renewal=wanted.renewal + 1)
            if wanted.kind == "fills" and wanted.wallets == wallets
            else wanted
            for wanted in self._wanted
        ]
        return self._ask_missing(now_ms)

    def shard_of(self, wallet: str) -> Shard | None:
        """The confirmed subscription that listens for a wallet."""
        for wanted in self._wanted:
            if wanted.kind == "fills" and wallet in wanted.wallets:
                active = self._active.get(wanted)
                return Shard(wanted.wallets, active.ts_confirmed) if active else None
        return None

    def answered(self, request_id: int, name: str, now_ms: int) -> list[str]:
        """A subscribe request succeeded; the frames that end what it replaces."""
        asked = self._asked.pop(request_id, None)
        if asked is None:
            return []
        self._active[asked.wanted] = _Active(name, now_ms)
        return self._retire()

    def is_subscribe(self, request_id: object) -> bool:
        """Whether the id is that of a subscribe request without an answer."""
        return isinstance(request_id, int) and request_id in self._asked

    def overdue(self, now_ms: int) -> bool:
        """Whether the node leaves a subscribe request unanswered."""
        return any(now_ms - asked.ts_asked > CONFIRM_MS_MAX for asked in self._asked.values())

    def _ask_missing(self, now_ms: int) -> list[str]:
        known = {asked.wanted for asked in self._asked.values()} | set(self._active)
        return [self._subscribe(w, now_ms) for w in self._wanted if w not in known]

    def _retire(self) -> list[str]:
        """Unsubscribe what was replaced, once everything wanted is confirmed."""
        if not self.confirmed:
            return []
        ended = [wanted for wanted in self._active if wanted not in self._wanted]
        return [
            self._frame("eth_unsubscribe", [self._active.pop(wanted).name])[1] for wanted in ended
        ]

    def _subscribe(self, wanted: Wanted, now_ms: int) -> str:
        params: list[object]
        match wanted.kind:
            case "heads":
                params = ["newHeads"]
            case "fills":
                params = ["logs", logs_filter(wanted.wallets, wanted.exchanges)]
            case "upgrades":
                params = ["logs", upgrades_filter(wanted.exchanges)]
        request_id, text = self._frame("eth_subscribe", params)
        self._asked[request_id] = _Asked(wanted, now_ms)
        return text

    def _frame(self, method: str, params: list[object]) -> tuple[int, str]:
        request_id = self._next_id
        self._next_id += 1
        request = {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}
        return request_id, json.dumps(request, separators=(",", ":"))
