"""A steady rate with random gaps, for everything that happens n times a minute on average."""

from __future__ import annotations

import random


class Pace:
    """Times at a long-run average of `per_minute`, none before `starts_at` (ms)."""

    def __init__(self, rng: random.Random, per_minute: float, starts_at: int) -> None:
        self.rng = rng
        self.per_ms = per_minute / 60_000
        self.starts_at = starts_at
        self._credit = 0.0

    def due(self, start_ms: int, end_ms: int) -> list[int]:
        """Times in (start, end]. Draws nothing at rate 0."""
        if not self.per_ms or end_ms <= self.starts_at:
            return []
        self._credit += self.per_ms * (end_ms - start_ms) * 2 * self.rng.random()
        count = int(self._credit)
        self._credit -= count
        span = end_ms - start_ms - 1
        return [start_ms + 1 + int(self.rng.random() * span) for _ in range(count)]
