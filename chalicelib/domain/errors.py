"""Every failure papercopy names.

PapercopyError
├── InvalidInput      a payload, setting or argument that can never become valid
├── Conflict          a conditional write lost: somebody else was first, re-read
├── Retryable         the same call may succeed later (time-out, throttling, 5xx)
│   └── RateLimited   the venue asked us to slow down, with how long to wait
└── Permanent         the same call will fail again (4xx, missing resource)
"""

from __future__ import annotations


class PapercopyError(Exception):
    """Base of all failures raised on purpose."""


class InvalidInput(PapercopyError):
    """A value is refused; `field` names it, `reason` says what was expected."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


class Conflict(PapercopyError):
    """A conditional write found other state than it required."""


class Retryable(PapercopyError):
    """The call did not succeed and says nothing about whether it took effect."""


class RateLimited(Retryable):
    """The venue refused for load; wait `retry_after_ms` before the next call."""

    def __init__(self, message: str, retry_after_ms: int) -> None:
        super().__init__(message)
        self.retry_after_ms = retry_after_ms


class Permanent(PapercopyError):
    """The call was refused and repeating it changes nothing."""
