"""What works, what does not, in which mode and why, in words for people."""

from __future__ import annotations

from collections.abc import Mapping

from chalicelib.domain.registry import Heartbeat
from chalicelib.domain.rules import SystemRules
from chalicelib.ports import Rules, Store
from chalicelib.services import completeness
from chalicelib.services.heartbeats import heartbeats
from chalicelib.services.manage_leaders import leaders
from chalicelib.services.read_models.listing import Json
from chalicelib.services.source_health import API_SOURCE, CHAIN_SOURCE, SourceHealth, assess

API_CONFIRMS_AFTER_MS = 6_000
"""Below this the Data API practically never shows a trade in time."""
_JUST_BEGAN_MS = 90_000
_UNMEASURED_MS = 900_000


def read_health(store: Store, rules: Rules, now: int, facts: Json, queues: Json) -> Json:
    """The state of the sources in the effective mode, of the queues and of the measurement."""
    beats, system = heartbeats(store), rules.system()
    health = assess(system, beats, now, _just_began(store, beats, now))
    measured = _completeness(system, beats.get(completeness.SOURCE), now)
    settings, registry = beats.get("settings"), beats.get("registry")
    reasons = [
        *([health.detail] if health.detail else []),
        *([f"Settings: {settings.detail}"] if settings and not settings.up else []),
        *([f"Completeness: {measured['detail']}."] if measured["state"] == "degraded" else []),
        *([f"{queues['dead']} messages could not be processed."] if queues["dead"] else []),
    ]
    used = [state for state in (health.chain, health.api) if state != "off"]
    all_down = all(state == "down" for state in used)
    return {
        "status": "down" if all_down else "degraded" if reasons else "ok",
        **facts,
        "now": now,
        "mode": _mode(system),
        "chain": _chain(health, beats.get(CHAIN_SOURCE)),
        "api": _api(health, beats.get(API_SOURCE)),
        "blocking": [reason.value for reason in health.blocking],
        "registry": {
            "markets": registry.last_block if registry else 0,
            "synced_at": registry.ts if registry else None,
        },
        "completeness": measured,
        "queues": queues,
        "reasons": reasons,
        "warnings": _warnings(store, rules, system),
    }


def _just_began(store: Store, beats: Mapping[str, Heartbeat], now: int) -> bool:
    """Whether the first leader was followed so lately that first signs may still be due."""
    if {CHAIN_SOURCE, API_SOURCE} <= beats.keys():
        return False
    followed = min((leader.followed_from for leader in leaders(store)), default=now)
    return now - followed < _JUST_BEGAN_MS


def _mode(system: SystemRules) -> Json:
    return {
        "effective": system.trigger_mode,
        "source": system.mode_origin,
        "stored": system.mode_stored or None,
    }


def _warnings(store: Store, rules: Rules, system: SystemRules) -> list[str]:
    """What is in force although somebody may expect something else; nothing here is broken."""
    return [
        *(
            [
                f"The environment overrides the stored setting: mode {system.trigger_mode} is in "
                f"force, {system.mode_stored} is stored."
            ]
            if system.mode_origin == "environment"
            and system.mode_stored not in ("", system.trigger_mode)
            else []
        ),
        *_impatience(store, rules),
    ]


def _impatience(store: Store, rules: Rules) -> list[str]:
    """Leaders whose copies wait for the Data API too briefly to be confirmed by it."""
    found: dict[int, list[str]] = {}
    for leader in leaders(store):
        if leader.state == "off":
            continue
        copied = rules.rules_for(leader.leader)
        wait_ms = copied.api_lag_fallback_ms
        if copied.execute_on == "api_confirmed" and wait_ms < API_CONFIRMS_AFTER_MS:
            found.setdefault(wait_ms, []).append(leader.name)
    return [
        f"Copies of {', '.join(names)} wait {wait_ms / 1000:g} s for the Data API, which "
        f"practically never confirms within {API_CONFIRMS_AFTER_MS // 1000} s: they only run later."
        for wait_ms, names in sorted(found.items())
    ]


def _completeness(system: SystemRules, heartbeat: Heartbeat | None, now: int) -> Json:
    """What the last measurement against the venue's record said; in mode `polygon` it is daily."""
    if heartbeat is None:
        return {"state": "starting", "measured_at": None, "detail": "not measured yet"}
    silent_ms = now - heartbeat.ts
    silent = system.trigger_mode != "polygon" and silent_ms > _UNMEASURED_MS
    detail = f"not measured for {silent_ms // 60_000} min" if silent else heartbeat.detail
    return {
        "state": "degraded" if silent or not heartbeat.up else "ok",
        "measured_at": heartbeat.ts_last_event or None,
        "detail": detail,
    }


def _chain(health: SourceHealth, heartbeat: Heartbeat | None) -> Json:
    known = heartbeat if heartbeat and health.chain != "off" else None
    return {
        "state": health.chain,
        "last_block": (known.last_block or None) if known else None,
        "last_block_at": (known.ts_last_block or None) if known else None,
        "last_log_at": (known.ts_last_event or None) if known else None,
        "connected_at": (known.ts_connected or None) if known else None,
        "detail": health.chain_detail,
    }


def _api(health: SourceHealth, heartbeat: Heartbeat | None) -> Json:
    known = heartbeat if heartbeat and health.api != "off" else None
    return {
        "state": health.api,
        "last_poll_at": known.ts if known else None,
        "detail": health.api_detail,
    }
