"""Hand in again what could not be processed, once its cause is mended; who did is audited."""

from __future__ import annotations

from chalicelib.domain.errors import InvalidInput
from chalicelib.ports import DEAD_QUEUES, Clock, DeadLetters, Metrics, Redriven, Store
from chalicelib.services.audit import audited

LIMIT = 100
LIMIT_MAX = 1_000


class Redrive:
    """Evidence counts once however often it comes, so handing it in again is always safe."""

    def __init__(
        self, store: Store, dead_letters: DeadLetters, clock: Clock, metrics: Metrics
    ) -> None:
        self._store = store
        self._dead_letters = dead_letters
        self._clock = clock
        self._metrics = metrics

    def __call__(self, queue: str, limit: int, who: str, *, dry_run: bool = False) -> Redriven:
        """Move at most `limit` messages; a dry run only counts them.

        Raises InvalidInput for an unknown queue or limit, Retryable or Permanent from the queues:
        what was moved until then is moved.
        """
        if queue not in DEAD_QUEUES:
            raise InvalidInput("queue", f"one of {', '.join(DEAD_QUEUES)} was expected")
        if not 1 <= limit <= LIMIT_MAX:
            raise InvalidInput("limit", f"1 to {LIMIT_MAX} was expected")
        if dry_run:
            return Redriven(0, 0, self._dead_letters.count(queue))
        now = self._clock.now_ms()
        row = audited(who, "deadletters.redrive", queue, "", f"at most {limit}", ts=now)
        # First, so that nothing is ever moved by nobody.
        self._store.commit([row])
        done = self._dead_letters.redrive(queue, limit)
        self._metrics.count("dead_letters_redriven", done.moved)
        return done
