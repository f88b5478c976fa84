"""What a reconciliation found: the verdict on a stretch of time, and what stands still."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

FINDINGS_MAX = 50
"""Findings that a verdict names; `found` counts all of them."""
STALL_MS = 120_000
"""What should move on and did not for this long stands still."""
RECENT = "recent"
"""The scope of the verdict on everybody's last minutes; all others are a leader's days."""

FindingKind = Literal[
    "disagreeing", "missed", "duplicated", "gap", "unmapped", "ledger", "stalled", "unmeasured"
]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be; `subject` names what, `detail` is one sentence."""

    kind: FindingKind
    subject: str
    detail: str


@dataclass(frozen=True, slots=True)
class Progress:
    """How far something has come, and since when it has been there (milliseconds)."""

    name: str
    value: int
    ts_since: int


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """The verdict on ts_from ≤ time < ts_until, made at `ts` (milliseconds).

    `scope` is RECENT or a leader. Trades are counted by what speaks for them: the chain, the Data
    API, or both. `found` is the number of findings, of which the first FINDINGS_MAX are kept.
    """

    scope: str
    ts: int
    ts_from: int
    ts_until: int
    chain_only: int = 0
    api_only: int = 0
    both: int = 0
    found: int = 0
    findings: tuple[Finding, ...] = ()
    progress: tuple[Progress, ...] = ()
    version: int = 0

    @property
    def clean(self) -> bool:
        """Whether nothing was found."""
        return self.found == 0


def advanced(
    before: Iterable[Progress], values: Mapping[str, int], now: int
) -> tuple[Progress, ...]:
    """How far everything has come now; what did not change keeps its time.

    Something seen for the first time counts from now.
    """
    known = {one.name: one for one in before}
    return tuple(
        known[name] if name in known and known[name].value == value else Progress(name, value, now)
        for name, value in sorted(values.items())
    )


def standing_still(progress: Iterable[Progress], now: int) -> list[Finding]:
    """A finding for everything that stands still."""
    return [
        Finding("stalled", one.name, f"nothing new for {(now - one.ts_since) // 1000} s")
        for one in progress
        if now - one.ts_since >= STALL_MS
    ]
