"""When a paper order reaches the venue: witnesses and settings only, never the running clock."""

from __future__ import annotations

from chalicelib.domain.rules import CopyRules


def jitter_ms(attempt_id: str, jitter_ms_max: int) -> int:
    """0..jitter_ms_max, drawn from the attempt's id so that every run draws the same."""
    return int(attempt_id[:12], 16) % (jitter_ms_max + 1)


def placed_at(ts_decided: int, attempt_id: str, rules: CopyRules, venue_delay_ms: int) -> int:
    """Placement time in milliseconds: decision + latencies + jitter + the market's own delay."""
    return (
        ts_decided
        + rules.decision_latency_ms
        + rules.submit_latency_ms
        + jitter_ms(attempt_id, rules.jitter_ms_max)
        + venue_delay_ms
    )


def settle_ms(rules: CopyRules, venue_delay_ms: int) -> int:
    """Longest time from a group's opening to its order's placement, where nothing is confirmed."""
    return (
        rules.aggregation_window_ms
        + rules.decision_latency_ms
        + rules.submit_latency_ms
        + rules.jitter_ms_max
        + venue_delay_ms
    )
