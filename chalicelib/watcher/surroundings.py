"""What the watcher needs of the world, and how long it waits for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from chalicelib.domain.registry import Heartbeat
from chalicelib.ports import Clock, FillQueue, Metrics


@dataclass(frozen=True, slots=True)
class RunnerLimits:
    """Intervals and bounds, in seconds unless named otherwise."""

    tick_s: float = 0.25
    open_timeout_s: float = 10.0
    send_timeout_s: float = 5.0
    close_timeout_s: float = 1.0
    ping_s: float = 20.0
    backoff_s: float = 0.5
    backoff_s_max: float = 30.0
    stable_s: float = 30.0
    heartbeat_s: float = 5.0
    refresh_s: float = 10.0
    head_check_s: float = 30.0
    drain_s: float = 10.0
    frame_bytes_max: int = 4 * 1024 * 1024
    frames_queued_max: int = 1_024


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the watcher needs of the world. The callables may block and raise PapercopyError.

    `wallets` gives wallet → leader; `block_time` a block's milliseconds by hash, or None;
    `refused` keeps a payload and the sentence why; `head_number` another endpoint's head.
    """

    queue: FillQueue
    clock: Clock
    metrics: Metrics
    wallets: Callable[[], Mapping[str, str]]
    heartbeat: Callable[[Heartbeat], None]
    block_time: Callable[[str], int | None]
    refused: Callable[[str, str], None]
    head_number: Callable[[], int] | None = None


def backoff_s(limits: RunnerLimits, failures: int, jitter: float) -> float:
    """Wait before the next connection: exponential, between half and the whole of the step."""
    step = min(limits.backoff_s * 2.0 ** min(failures, 16), limits.backoff_s_max)
    return step * (0.5 + jitter / 2)
