"""The Data API's proof of life, as polls tell it."""

from __future__ import annotations

from chalicelib.domain.registry import Heartbeat
from chalicelib.ports import Clock, Store
from chalicelib.services.heartbeats import beat
from chalicelib.services.source_health import API_SOURCE

BEAT_MS = 10_000
REFUSAL_MS = 600_000
"""How long the heartbeat tells of a wallet's refusal that did not come again."""


class FeedPulse:
    """Heartbeats of the feed, a repeated one at most once per BEAT_MS."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._answered: tuple[str, int] = ("", 0)
        self._beaten: Heartbeat | None = None
        self._refusals: dict[tuple[str, str], tuple[str, int]] = {}

    def heard(self, leader: str, wallet: str) -> None:
        """The feed answered about this wallet."""
        self._refusals.pop((leader, wallet), None)
        self._alive(leader)

    def refused(self, leader: str, wallet: str, error: str) -> None:
        """The feed answered, and refuses this wallet."""
        self._refusals[leader, wallet] = (error, self._clock.now_ms())
        self._alive(leader)

    def unheard(self, leader: str, detail: str) -> None:
        """The source is down, unless it has just answered for somebody else."""
        who, when = self._answered
        if who in ("", leader) or self._clock.now_ms() - when > BEAT_MS:
            self._beat(False, detail)

    def _alive(self, leader: str) -> None:
        self._answered = (leader, self._clock.now_ms())
        self._beat(True, self._refused_detail())

    def _refused_detail(self) -> str:
        """What to tell people of the wallets that the venue refused lately."""
        oldest = self._clock.now_ms() - REFUSAL_MS
        self._refusals = {who: told for who, told in self._refusals.items() if told[1] >= oldest}
        errors = [error for error, _ in self._refusals.values()]
        others = f" ({len(errors)} wallets are refused)" if len(errors) > 1 else ""
        return f"{errors[0]}{others}" if errors else ""

    def _beat(self, up: bool, detail: str) -> None:
        proof = Heartbeat(API_SOURCE, self._clock.now_ms(), up, detail)
        last = self._beaten
        if last and (last.up, last.detail) == (up, detail) and proof.ts - last.ts < BEAT_MS:
            return
        beat(self._store, proof)
        self._beaten = proof
