"""What is owed to leaders and their shadows, a little at a time."""

from __future__ import annotations

from chalicelib.domain.errors import PapercopyError
from chalicelib.ports import Clock, Store
from chalicelib.services.check_holdings import CheckHoldings
from chalicelib.services.holdings import ReadHoldings
from chalicelib.services.ingest_activity import IngestActivity
from chalicelib.services.manage_leaders import settle_states

EVENTS_PER_CALL = 20


class TendLeaders:
    """Events that wait, holdings to be read or compared, leaders of whom nothing is left."""

    def __init__(
        self,
        store: Store,
        activity: IngestActivity,
        read: ReadHoldings,
        check: CheckHoldings,
        clock: Clock,
    ) -> None:
        self._store = store
        self._clock = clock
        self._activity = activity
        self._read = read
        self._check = check

    def __call__(self) -> None:
        """Do all of it; one part's failure keeps no other from being done. Raises the first."""
        failures: list[PapercopyError] = []
        for part in (self._states, self._events, self._read, self._check):
            try:
                part()
            except PapercopyError as error:
                failures.append(error)
        if failures:
            raise failures[0]

    def _states(self) -> int:
        return settle_states(self._store, self._clock.now_ms())

    def _events(self) -> int:
        return self._activity.retry_waiting(EVENTS_PER_CALL)
