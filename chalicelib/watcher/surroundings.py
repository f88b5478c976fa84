"""What the watcher needs of the world, and how long it waits for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from chalicelib.domain.evidence import FillMessage
from chalicelib.domain.registry import Check, ExchangeContract, Heartbeat
from chalicelib.domain.rules import SystemRules
from chalicelib.ports import Clock, FillQueue, Metrics
from chalicelib.watcher.outputs import GapClosed


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
    heartbeat_s: float = 10.0
    refresh_s: float = 10.0
    head_check_s: float = 30.0
    head_recheck_s: float = 3.0
    api_first_s: float = 5.0
    gap_fill_s: float = 5.0
    cursors_s: float = 60.0
    retry_s: float = 1.0
    retry_s_max: float = 30.0
    drain_s: float = 14.0
    last_words_s: float = 3.0
    frame_bytes_max: int = 4 * 1024 * 1024


def _no_legs() -> Sequence[FillMessage]:
    return ()


def _no_checks() -> Sequence[Check]:
    return ()


def _no_exchanges() -> Sequence[ExchangeContract]:
    return ()


def _no_cursors() -> Mapping[str, int]:
    return {}


@dataclass(frozen=True, slots=True)
class ChainReads:
    """A node over HTTP. Each call may block and raise PapercopyError.

    `head_number` is its head, `block_time` a block's milliseconds by hash, `canonical` a block's
    hash by number (both None when it has no such block). `logs` are the raw fills of `makers` at
    `exchanges` in the blocks `first` to `last`.
    """

    head_number: Callable[[], int]
    block_time: Callable[[str], int | None]
    canonical: Callable[[int], str | None]
    logs: Callable[[int, int, Sequence[str], Sequence[str]], Sequence[Mapping[str, object]]]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the watcher needs of the world. The callables may block and raise PapercopyError.

    `wallets` gives wallet → leader; `refused` keeps a payload and the sentence why. `recent_legs`
    is what was delivered lately, by any process. `request_catch_up` asks for the API to be read
    and gives how many requests were new. `api_first` gives the open checks of trades that only
    the API knows. `exchanges` may be empty: the known ones are kept. `cursors` and `keep_cursors`
    hold the last block read by range, by exchange.
    """

    queue: FillQueue
    clock: Clock
    metrics: Metrics
    wallets: Callable[[], Mapping[str, str]]
    heartbeat: Callable[[Heartbeat], None]
    refused: Callable[[str, str], None]
    chain: ChainReads | None = None
    rules: Callable[[], SystemRules] = SystemRules
    recent_legs: Callable[[], Sequence[FillMessage]] = _no_legs
    request_catch_up: Callable[[GapClosed], int] = lambda _: 0
    api_first: Callable[[], Sequence[Check]] = _no_checks
    exchanges: Callable[[], Sequence[ExchangeContract]] = _no_exchanges
    upgraded: Callable[[str, str], None] = lambda *_: None
    cursors: Callable[[], Mapping[str, int]] = _no_cursors
    keep_cursors: Callable[[Mapping[str, int]], None] = lambda _: None


def backoff_s(limits: RunnerLimits, failures: int, jitter: float) -> float:
    """Wait before the next connection: exponential, between half and the whole of the step."""
    step = min(limits.backoff_s * 2.0 ** min(failures, 16), limits.backoff_s_max)
    return step * (0.5 + jitter / 2)
