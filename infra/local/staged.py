"""The scripted part of the demo: what each scene must end in, and the settings it is played under.

The simulator moves a scene's book by the publication of its leader's fill. A copy is decided two
seconds after that and, under these settings, placed some two and a half seconds later, so what
happens between the two happens there on any machine that is not a second behind.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from chalicelib.domain.exchange_log import Side
from chalicelib.domain.lane import Attempt
from chalicelib.domain.paper_order import AttemptStatus
from chalicelib.domain.reasons import Reason

SETTINGS: dict[str, object] = {
    "decision_latency_ms": 2_500,
    "order_ttl_ms": 5_000,
    "price_move_max": "0.015",
}
"""The scripted leader's own; everything else is at its default."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How an attempt on a scene's token must end; `slices` are its fills.

    One that `rested` was PARTIAL before. A gap in the tape changes nothing of it.
    """

    scene: str
    side: Side
    status: AttemptStatus
    reasons: frozenset[Reason] = frozenset()
    slices: int = 0
    rested: bool = False

    def is_of(self, attempt: Attempt) -> bool:
        """Whether the attempt ended like that."""
        slices = len(attempt.outcome.slices) if attempt.outcome else 0
        reasons = frozenset(attempt.reasons) - {Reason.TAPE_INCOMPLETE}
        found = (attempt.side, attempt.status, reasons, slices, was_partial(attempt))
        return found == (self.side, self.status, self.reasons, self.slices, self.rested)

    def __str__(self) -> str:
        why = ", ".join(sorted(self.reasons))
        status = f"PARTIAL, then {self.status}" if self.rested else self.status
        return f"{self.scene}: {self.side} {status} {why}".rstrip()


def _ending(
    scene: str,
    side: Side,
    status: AttemptStatus,
    *reasons: Reason,
    slices: int = 0,
    rested: bool = False,
) -> Ending:
    return Ending(scene, side, status, frozenset(reasons), slices, rested)


ENDINGS = (
    _ending("filled", "BUY", "FILLED", slices=1),
    _ending("filled", "SELL", "FILLED", slices=1),
    _ending("ran-away", "BUY", "SKIPPED", Reason.WORSE_THAN_LEADER, Reason.PRICE_MOVED),
    _ending("moved", "BUY", "SKIPPED", Reason.PRICE_MOVED),
    _ending("beyond-mid", "BUY", "SKIPPED", Reason.BEYOND_MID, Reason.SPREAD_TOO_WIDE),
    _ending("wide", "BUY", "SKIPPED", Reason.SPREAD_TOO_WIDE),
    _ending("thin", "BUY", "SKIPPED", Reason.DEPTH_TOO_THIN),
    _ending("gone", "BUY", "SKIPPED", Reason.NO_LIQUIDITY_WITHIN_BOUNDS),
    _ending("few-left", "BUY", "CANCELLED", Reason.REMAINDER_CANCELLED, slices=1, rested=True),
    _ending("comes-back", "BUY", "FILLED", slices=2, rested=True),
    _ending("no-exit", "SELL", "SKIPPED", Reason.NO_LIQUIDITY_WITHIN_BOUNDS),
    _ending("silent", "BUY", "SKIPPED", Reason.BOOK_STALE),
)


@dataclass(frozen=True, slots=True)
class Scenes:
    """The scripted scenes: the name of each one's token, and how many fills they have together."""

    tokens: Mapping[str, str]
    fills: int

    def of(self, attempts: Iterable[Attempt]) -> list[Attempt]:
        """The attempts on scripted tokens."""
        return [attempt for attempt in attempts if attempt.token_id in self.tokens]

    def missing(self, attempts: Iterable[Attempt]) -> list[str]:
        """Endings that did not occur."""
        found = self.of(attempts)
        return [
            str(ending)
            for ending in ENDINGS
            if self.tokens
            and not any(self.tokens[a.token_id] == ending.scene and ending.is_of(a) for a in found)
        ]

    def rows(self, attempts: Iterable[Attempt]) -> list[tuple[str, str]]:
        """Outcome or reason, and how many scripted attempts had it."""
        found = self.of(attempts)
        statuses = Counter(str(attempt.status) for attempt in found)
        statuses["PARTIAL"] = sum(was_partial(attempt) for attempt in found)
        reasons = Counter(reason.value for attempt in found for reason in attempt.reasons)
        return [
            (name, str(count))
            for kind in (statuses, reasons)
            for name, count in sorted(kind.items(), key=lambda one: (-one[1], one[0]))
        ]


def was_partial(attempt: Attempt) -> bool:
    """Whether a part was filled while the rest was still resting."""
    order, outcome = attempt.order, attempt.outcome
    if order is None or outcome is None or not outcome.slices:
        return False
    first = outcome.slices[0]
    return first.shares < order.shares and first.ts < outcome.ts_done


def scenes_of(listed: Iterable[Mapping[str, object]]) -> Scenes:
    """The scenes as the simulator lists them."""
    known = list(listed)
    tokens = {str(scene["token_id"]): str(scene["name"]) for scene in known}
    return Scenes(tokens, sum(int(str(scene["fills"])) for scene in known))
