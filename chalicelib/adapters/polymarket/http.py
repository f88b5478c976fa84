"""JSON over HTTP to one host: bounded retries, one shared budget, no floats.

PapercopyError families raised here
├── Retryable    no connection, time-out, 5xx, a body that is not the promised JSON
│   ├── RateLimited   429, with how long the host wants to be left alone
│   └── Unavailable   5xx that says when to come again
└── Permanent    any other 4xx, and redirects: only the configured host is ever contacted
    └── NotFound      404
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Protocol

import requests
from requests.adapters import HTTPAdapter

from chalicelib.adapters.polymarket.exact_json import parse_json
from chalicelib.adapters.polymarket.throttle import CircuitBreaker, Pause, TokenBucket
from chalicelib.domain.errors import Permanent, RateLimited, Retryable
from chalicelib.ports import Metrics

Params = Sequence[tuple[str, str]]

RATE_PER_S = 20.0
BURST = 40
BODY_BYTES_MAX = 32 * 1024 * 1024
_CHUNK_BYTES = 64 * 1024
_HEADERS = {"Accept": "application/json", "User-Agent": "papercopy"}


class NotFound(Permanent):
    """The host knows no such thing."""


class Unavailable(Retryable):
    """The host is out of service and said for how long, in milliseconds."""

    def __init__(self, message: str, retry_after_ms: int) -> None:
        super().__init__(message)
        self.retry_after_ms = retry_after_ms


class JsonHttp(Protocol):
    """What the venue adapters need of a host."""

    def get(self, path: str, params: Params = ()) -> object:
        """Parsed JSON of a GET; numbers with a fraction are Decimal."""

    def post(self, path: str, body: object) -> object:
        """Parsed JSON of a POST that only reads and may therefore be repeated."""


@dataclass(frozen=True, slots=True)
class HttpPolicy:
    """Bounds of one call. All its attempts together take at most about a minute."""

    connect_timeout_s: float = 3.0
    read_timeout_s: float = 10.0
    body_timeout_s: float = 20.0
    attempts_max: int = 3
    backoff_ms: int = 250
    backoff_ms_max: int = 4_000
    retry_after_ms_max: int = 10_000
    connections_max: int = 16


RETRY_AFTER_MS_MAX = 60_000


def retry_after_ms(text: str | None, now_s: float) -> int | None:
    """Milliseconds of a Retry-After header, at most a minute; None without a usable one.

    The header states seconds or a date; `now_s` is the time in seconds since 1970.
    """
    stated = (text or "").strip()
    if stated.isascii() and stated.isdigit():
        return min(int(stated[:9]) * 1000, RETRY_AFTER_MS_MAX)
    try:
        date = parsedate_to_datetime(stated)
        at_s = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError, OSError):
        return None
    return min(max(0, int((at_s - now_s) * 1000)), RETRY_AFTER_MS_MAX)


class HttpClient:
    """One host. Counts `<name>_requests`, `_retries`, `_429`, `_errors`, `_refused`, and of its
    breaker `_breaker_opened`, `_breaker_closed` and the calls `_breaker_refused`.

    A bucket may be shared between clients; a pause the host asks for concerns it alone, so clients
    of one host share that too. Failures never quote the address, because node providers put keys
    into it.
    """

    def __init__(
        self,
        base_url: str,
        metrics: Metrics,
        *,
        name: str = "venue",
        bucket: TokenBucket | None = None,
        breaker: CircuitBreaker | None = None,
        pause: Pause | None = None,
        policy: HttpPolicy | None = None,
        now: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        if not base_url.startswith(("https://", "http://")):
            raise Permanent(f"{name}: the base address must start with https:// or http://")
        self._name = name
        self._base = base_url.rstrip("/")
        self._bucket = bucket or TokenBucket(RATE_PER_S, BURST)
        self._metrics = metrics
        self._breaker = breaker or CircuitBreaker()
        self._policy = policy or HttpPolicy()
        self._pause = pause or Pause(now=now, sleep=sleep)
        self._wall = wall
        self._sleep = sleep
        self._jitter = jitter
        self._session = requests.Session()
        # Neither proxies nor credentials from the machine's environment.
        self._session.trust_env = False
        self._session.headers.update(_HEADERS)
        adapter = HTTPAdapter(pool_maxsize=self._policy.connections_max, max_retries=0)
        self._session.mount("https://", adapter)
        self._session.mount("http://", adapter)

    def get(self, path: str, params: Params = ()) -> object:
        """Parsed JSON of a GET; numbers with a fraction are Decimal."""
        return self._call("GET", path, list(params), None)

    def post(self, path: str, body: object) -> object:
        """Parsed JSON of a POST that only reads and may therefore be repeated."""
        text = json.dumps(body, separators=(",", ":"), allow_nan=False)
        return self._call("POST", path, [], text.encode())

    def close(self) -> None:
        """Give the pooled connections back."""
        self._session.close()

    def _count(self, what: str) -> None:
        self._metrics.count(f"{self._name}_{what}")

    def _call(
        self, method: str, path: str, params: list[tuple[str, str]], body: bytes | None
    ) -> object:
        for attempt in range(1, self._policy.attempts_max + 1):
            self._admit()
            try:
                answer = self._once(method, path, params, body)
            except RateLimited as error:
                self._count("429")
                self._wait_as_asked(error, error.retry_after_ms, attempt)
            except Unavailable as error:
                self._failed()
                self._wait_as_asked(error, error.retry_after_ms, attempt)
            except Retryable:
                self._failed()
                if attempt == self._policy.attempts_max:
                    raise
                self._sleep(self._backoff_ms(attempt) / 1000)
            except Permanent:
                self._count("refused")
                self._worked()
                raise
            else:
                self._worked()
                return answer
            self._count("retries")
        raise Retryable(f"{self._name}: no attempt was allowed")

    def _admit(self) -> None:
        """Wait for this call's turn. Raises Retryable when it has none soon."""
        try:
            self._breaker.check()
        except Retryable:
            self._count("breaker_refused")
            raise
        self._pause.wait()
        self._bucket.take()

    def _wait_as_asked(self, error: Retryable, asked_ms: int, attempt: int) -> None:
        """Hold back this call and every other one to the host; raise when that is no use."""
        wait_ms = asked_ms or self._backoff_ms(attempt)
        self._pause.ask(wait_ms / 1000)
        if attempt == self._policy.attempts_max or wait_ms > self._policy.retry_after_ms_max:
            raise error

    def _failed(self) -> None:
        self._count("errors")
        if self._breaker.failed():
            self._count("breaker_opened")

    def _worked(self) -> None:
        if self._breaker.succeeded():
            self._count("breaker_closed")

    def _backoff_ms(self, attempt: int) -> int:
        """Exponential, between half and the whole of the step."""
        step = min(self._policy.backoff_ms * 2 ** (attempt - 1), self._policy.backoff_ms_max)
        return int(step * (0.5 + self._jitter() / 2))

    def _once(
        self, method: str, path: str, params: list[tuple[str, str]], body: bytes | None
    ) -> object:
        self._count("requests")
        policy = self._policy
        try:
            with self._session.request(
                method,
                self._base + path,
                params=params,
                data=body,
                headers={"Content-Type": "application/json"} if body is not None else None,
                timeout=(policy.connect_timeout_s, policy.read_timeout_s),
                allow_redirects=False,
                stream=True,
            ) as response:
                self._check_status(response)
                content = self._content(response)
        except (requests.RequestException, OSError) as error:
            raise Retryable(f"{self._name}: {type(error).__name__}") from None
        try:
            return parse_json(content)
        except ValueError:
            raise Retryable(f"{self._name}: the answer is not JSON") from None

    def _check_status(self, response: requests.Response) -> None:
        status = response.status_code
        if status == 200:
            return
        said = f"{self._name}: status {status}"
        asked_ms = retry_after_ms(response.headers.get("Retry-After"), self._wall())
        if status == 429:
            raise RateLimited(said, asked_ms or 0)
        if status >= 500 and asked_ms:
            raise Unavailable(said, asked_ms)
        if status >= 500 or status in (408, 425):
            raise Retryable(said)
        if status == 404:
            raise NotFound(said)
        raise Permanent(said)

    def _content(self, response: requests.Response) -> bytes:
        """The body, bounded in size and in time (a read time-out alone allows a slow drip)."""
        deadline = time.monotonic() + self._policy.body_timeout_s
        parts = bytearray()
        for chunk in response.iter_content(_CHUNK_BYTES):
            parts += chunk
            if len(parts) > BODY_BYTES_MAX:
                raise Retryable(f"{self._name}: the answer is larger than {BODY_BYTES_MAX} bytes")
            if time.monotonic() > deadline:
                raise Retryable(f"{self._name}: the answer took too long")
        return bytes(parts)
