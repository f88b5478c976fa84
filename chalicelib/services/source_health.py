"""What the proofs of life mean in each trigger mode: what works, what is down, what that blocks.

A source the mode does not rely on never blocks. In mode `both` copying goes on with what works,
unless `strict_both` asks for both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from chalicelib.domain.reasons import Reason
from chalicelib.domain.registry import Heartbeat
from chalicelib.domain.rules import SystemRules
from chalicelib.domain.source_health import SourceHealth, SourceState
from chalicelib.keyspace import heartbeat_key
from chalicelib.ports import Clock, Rules, Store

CHAIN_SOURCE = "watcher"
API_SOURCE = "data_api"
CHAIN_SILENT_MS = 20_000
"""The watcher says every few seconds how it is."""
API_SILENT_MS = 90_000
"""Polls are at most a minute apart."""
CACHE_MS = 5_000

__all__ = ["API_SILENT_MS", "CHAIN_SILENT_MS", "ChainIsUp", "SourceHealth", "assess"]


def assess(
    system: SystemRules, heartbeats: Mapping[str, Heartbeat], now: int, just_began: bool = False
) -> SourceHealth:
    """How the sources are at `now` (milliseconds).

    `just_began` means that a first sign of life may still be due: a source that was never heard of
    is then `starting`, not `down`.
    """
    chain, chain_detail = _chain(system, heartbeats.get(CHAIN_SOURCE), now, just_began)
    api, api_detail = _api(system, heartbeats.get(API_SOURCE), now, just_began)
    return SourceHealth(
        chain=chain,
        api=api,
        degraded="down" in (chain, api),
        detail=_detail(system, chain, api, chain_detail, api_detail),
        chain_detail=chain_detail,
        api_detail=api_detail,
        blocking=_blocking(system, chain, api),
    )


class ChainIsUp:
    """Whether the watch on the chain is heard of and well; looked up at most every CACHE_MS."""

    def __init__(self, store: Store, rules: Rules, clock: Clock) -> None:
        self._store = store
        self._rules = rules
        self._clock = clock
        self._known: tuple[int, bool] | None = None

    def __call__(self) -> bool:
        """Raises Retryable when the store cannot answer."""
        now = self._clock.now_ms()
        if self._known is None or not 0 <= now - self._known[0] < CACHE_MS:
            heartbeat = self._store.get(Heartbeat, heartbeat_key(CHAIN_SOURCE))
            state, _ = _chain(self._rules.system(), heartbeat, now, just_began=False)
            self._known = (now, state == "up")
        return self._known[1]


def _chain(
    system: SystemRules, heartbeat: Heartbeat | None, now: int, just_began: bool
) -> tuple[SourceState, str]:
    if system.trigger_mode == "api":
        return "off", "not used in mode api"
    return _heard(_WATCHER, heartbeat, now, just_began)


def _api(
    system: SystemRules, heartbeat: Heartbeat | None, now: int, just_began: bool
) -> tuple[SourceState, str]:
    if system.trigger_mode == "polygon":
        return "off", "not polled in mode polygon"
    return _heard(_POLLS, heartbeat, now, just_began)


@dataclass(frozen=True, slots=True)
class _Source:
    """How long a source may be silent, and the words for it; `silent` takes the seconds."""

    silent_ms_max: int
    awaited: str
    never: str
    silent: str


_WATCHER = _Source(
    CHAIN_SILENT_MS,
    "waiting for the watcher's first sign of life",
    "no watcher was ever heard of",
    "the watcher is silent for {} s",
)
_POLLS = _Source(
    API_SILENT_MS, "waiting for a first poll", "there never was a first poll", "no poll for {} s"
)


def _heard(
    source: _Source, heartbeat: Heartbeat | None, now: int, just_began: bool
) -> tuple[SourceState, str]:
    if heartbeat is None:
        return ("starting", source.awaited) if just_began else ("down", source.never)
    silent_ms = now - heartbeat.ts
    if silent_ms > source.silent_ms_max:
        return "down", source.silent.format(silent_ms // 1000)
    return ("up" if heartbeat.up else "down"), heartbeat.detail


def _blocking(system: SystemRules, chain: SourceState, api: SourceState) -> tuple[Reason, ...]:
    reasons = []
    strict = system.trigger_mode == "both" and system.strict_both
    if chain == "down" and (strict or system.trigger_mode == "polygon"):
        reasons.append(Reason.POLYGON_UNHEALTHY)
    if api == "down" and strict:
        reasons.append(Reason.API_UNHEALTHY)
    return tuple(reasons)


def _detail(
    system: SystemRules, chain: SourceState, api: SourceState, chain_detail: str, api_detail: str
) -> str:
    down = [
        *([f"Polygon: {chain_detail}"] if chain == "down" else []),
        *([f"Data API: {api_detail}"] if api == "down" else []),
    ]
    if not down:
        return ""
    if _blocking(system, chain, api):
        return f"{'; '.join(down)}. No positions are opened."
    if len(down) == 2 or system.trigger_mode == "api":
        return f"{'; '.join(down)}. No trades are detected."
    works = "the Data API" if chain == "down" else "the chain"
    return f"{down[0]}. Trades are detected by {works} alone."
