"""What every portfolio is worth, once a minute, from the marks kept of that minute."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from chalicelib.domain.errors import Conflict, PapercopyError
from chalicelib.domain.registry import KeptSheet, MarkScope, PortfolioRef
from chalicelib.domain.snapshot import Grain, Snapshot, minute_of, series_begun, snapshot_of
from chalicelib.keyspace import portfolio_pk
from chalicelib.ports import Clock, Metrics, Put, Store
from chalicelib.services.kept_marks import marks_at, sheet_at
from chalicelib.services.portfolio_states import PortfolioStates
from chalicelib.services.portfolios import all_portfolios

_FIRST, _LAST = "snapshot#", "snapshot$"
DONE_MAX = 1_000


def latest_snapshots(
    store: Store,
    portfolio_id: str,
    epoch: int,
    *,
    grain: Grain = "1m",
    before: int | None = None,
    limit: int = 1,
) -> list[Snapshot]:
    """Snapshots of a series newest first, those of minutes before `before` (milliseconds)."""
    prefix = f"{_FIRST}{grain}#"
    return store.query(
        Snapshot,
        "portfolio",
        portfolio_pk(portfolio_id, epoch),
        start=prefix,
        end=f"{_FIRST}{grain}$" if before is None else f"{prefix}{before:013d}",
        limit=limit,
        newest_first=True,
    )


class SnapshotPortfolios:
    """Writes the minute's snapshots; called with every mark cycle, repeated without effect.

    Executables have one per minute, shadows one per sheet of theirs. A portfolio that kept moving
    while it was read has none for that minute. What this process has done already is remembered,
    of at most DONE_MAX portfolios.
    """

    def __init__(
        self, store: Store, clock: Clock, metrics: Metrics, states: PortfolioStates
    ) -> None:
        self._store = store
        self._clock = clock
        self._metrics = metrics
        self._states = states
        self._done: dict[tuple[str, int], int] = {}

    def __call__(self) -> int:
        """The number of snapshots written; one portfolio's failure keeps no other from its own.

        Raises Retryable when the store cannot answer.
        """
        now = self._clock.now_ms()
        sheets: dict[MarkScope, KeptSheet | None] = {
            scope: sheet_at(self._store, scope, now) for scope in ("latest", "shadows")
        }
        prices = {
            scope: marks_at(self._store, sheet.ts) for scope, sheet in sheets.items() if sheet
        }
        made = 0
        for ref in all_portfolios(self._store):
            scope: MarkScope = "shadows" if ref.kind == "shadow" else "latest"
            sheet = sheets[scope]
            if sheet is None:
                continue
            try:
                made += self._snapshot(ref, sheet.ts, prices[scope])
            except PapercopyError:
                self._metrics.count("snapshots_failed")
        return made

    def _snapshot(self, ref: PortfolioRef, ts_marks: int, prices: Mapping[str, int]) -> bool:
        """Whether the minute's snapshot was written now."""
        name = (ref.portfolio_id, ref.epoch)
        if self._done.get(name, -1) >= minute_of(ts_marks):
            return False
        # Two, because a slow cycle may have written its minute after the next one's.
        last = latest_snapshots(self._store, *name, limit=2)
        if last and last[0].ts >= minute_of(ts_marks):
            self._remember(name, last[0].ts)
            return False
        state = self._states.of(ref)
        if state is None:
            return False
        if not state.exact:
            self._metrics.count("snapshots_torn")
            return False
        high = max((one.gain_max for one in last), default=0)
        made = snapshot_of(state.head, state.positions, prices, ts_marks, high)
        series = series_begun(last[0].ts if last else None, made.ts)
        # One by one, which costs half of a transaction. The minute's own comes last: it is what
        # ends the repetitions, and until then the coarser ones are written again without effect.
        written = [self._write(replace(made, grain=grain)) for grain in reversed(series)]
        if not written[-1]:
            # Another cycle was faster; its snapshot is the minute's.
            return False
        self._remember(name, made.ts)
        return True

    def _write(self, snapshot: Snapshot) -> bool:
        try:
            self._store.commit([Put(snapshot)])
        except Conflict:
            return False
        return True

    def _remember(self, name: tuple[str, int], minute: int) -> None:
        self._done[name] = minute
        while len(self._done) > DONE_MAX:
            del self._done[next(iter(self._done))]
