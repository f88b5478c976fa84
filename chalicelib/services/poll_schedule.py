"""Whom to poll, in which order and how often, as the trigger mode and the settings say now."""

from __future__ import annotations

from dataclasses import dataclass

from chalicelib.ports import Rules, Store
from chalicelib.services.catch_up import catch_up_starts
from chalicelib.services.manage_leaders import leaders

STAGGER_MS = 500


@dataclass(frozen=True, slots=True)
class PollRound:
    """Leaders in the order in which their polls start, and the time between two rounds."""

    leaders: tuple[str, ...]
    interval_s: int

    def offset_ms(self, place: int) -> int:
        """When the poll at a place of the order starts; all of them start within one interval."""
        step = min(STAGGER_MS, self.interval_s * 1000 // max(1, len(self.leaders)))
        return place * step


class PollSchedule:
    """In mode `polygon` leaders are polled only while something of theirs is to be caught up."""

    def __init__(self, store: Store, rules: Rules) -> None:
        self._store = store
        self._rules = rules

    def __call__(self) -> PollRound:
        """The next round; open catch-ups come first, the earliest gap before later ones.

        Raises Retryable when the store cannot answer.
        """
        system = self._rules.system()
        starts = catch_up_starts(self._store)
        followed = [leader.leader for leader in leaders(self._store) if leader.state != "off"]
        behind = [leader for leader in starts if leader in set(followed)]
        others = [leader for leader in followed if leader not in starts]
        order = behind if system.trigger_mode == "polygon" else behind + others
        return PollRound(tuple(order), system.poll_interval_s)
