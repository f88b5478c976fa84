"""What keeps one process polite: a token bucket, a pause on request and a circuit breaker.

All are safe to share between threads. Times are seconds of a monotonic clock.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from chalicelib.domain.errors import RateLimited, Retryable

WAIT_S_MAX = 15.0
"""Longest wait for a token; a caller that would wait longer is refused at once."""


class TokenBucket:
    """At most `burst` calls at once and `rate_per_s` in the long run.

    With `shares`, this process's part of a budget that so many processes have together; each may
    make at least one call at once.
    """

    def __init__(
        self,
        rate_per_s: float,
        burst: int,
        *,
        shares: int = 1,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if rate_per_s <= 0 or burst < 1 or shares < 1:
            raise ValueError("a bucket needs a positive rate, a burst and shares of at least one")
        self._rate = rate_per_s / shares
        self._burst = float(max(1, burst // shares))
        self._now = now
        self._sleep = sleep
        self._tokens = self._burst
        self._refilled = now()
        self._lock = threading.Lock()

    def take(self) -> None:
        """Wait for a token. Raises RateLimited when that would take longer than WAIT_S_MAX."""
        with self._lock:
            now = self._now()
            gained = max(0.0, now - self._refilled) * self._rate
            self._tokens = min(self._burst, self._tokens + gained)
            self._refilled = max(now, self._refilled)
            wait_s = max(0.0, 1.0 - self._tokens) / self._rate
            if wait_s > WAIT_S_MAX:
                raise RateLimited("the request budget is used up", int(wait_s * 1000))
            self._tokens -= 1.0
        if wait_s > 0:
            self._sleep(wait_s)


class Pause:
    """Holds back every call to one host for as long as the host asked."""

    def __init__(
        self,
        *,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._now = now
        self._sleep = sleep
        self._until = 0.0
        self._lock = threading.Lock()

    def ask(self, seconds: float) -> None:
        """Let nobody through for `seconds`; a longer pause that runs already stays."""
        with self._lock:
            self._until = max(self._until, self._now() + seconds)

    def wait(self) -> None:
        """Wait for its end. Raises RateLimited when that is more than WAIT_S_MAX away."""
        with self._lock:
            wait_s = self._until - self._now()
        if wait_s > WAIT_S_MAX:
            raise RateLimited("the host asked to be left alone", int(wait_s * 1000))
        if wait_s > 0:
            self._sleep(wait_s)


class CircuitBreaker:
    """Refuses calls for `open_s` after `failures_max` failures in a row, then lets one try."""

    def __init__(
        self,
        failures_max: int = 8,
        open_s: float = 10.0,
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._failures_max = failures_max
        self._open_s = open_s
        self._now = now
        self._failures = 0
        self._closed_at = 0.0
        self._lock = threading.Lock()

    @property
    def is_open(self) -> bool:
        """Whether calls are refused right now."""
        with self._lock:
            return self._failures >= self._failures_max and self._now() < self._closed_at

    def check(self) -> None:
        """Raises Retryable while open. When the time is over one caller is let through."""
        with self._lock:
            if self._failures < self._failures_max:
                return
            now = self._now()
            if now < self._closed_at:
                raise Retryable("the host failed repeatedly and is left alone for a moment")
            self._closed_at = now + self._open_s

    def succeeded(self) -> bool:
        """The host answered as it should. Whether that closed the breaker."""
        with self._lock:
            closed = self._failures >= self._failures_max
            self._failures = 0
        return closed

    def failed(self) -> bool:
        """The host did not answer, or with nonsense. Whether that opened the breaker."""
        with self._lock:
            self._failures += 1
            if self._failures >= self._failures_max:
                self._closed_at = self._now() + self._open_s
            return self._failures == self._failures_max
