"""Look back at attempts an hour and a day after their decision, and when their market has ended.

An attempt that ended left one row behind. Each look adds what it saw to the leader's sums and
moves or removes the row in the same commit, so every look counts exactly once, whoever repeats it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

from chalicelib.domain.errors import PapercopyError, Permanent
from chalicelib.domain.hindsight import (
    NORMAL_LATENCY_MS,
    Hindsight,
    Hypothesis,
    LookBack,
    given_up,
    next_look,
    with_decay,
    with_forgone,
)
from chalicelib.domain.lane import Attempt
from chalicelib.domain.life_cycle import closing_time
from chalicelib.domain.market import Market
from chalicelib.domain.registry import Mark
from chalicelib.domain.snapshot import minute_of
from chalicelib.domain.stress import REACH_MS, StressPoint, stress
from chalicelib.domain.tape import Tape
from chalicelib.keyspace import attempt_key, hindsight_key, key_of, look_backs_pk
from chalicelib.ports import Clock, Delete, Metrics, Put, Store, Write
from chalicelib.services.kept_marks import dated_marks_at
from chalicelib.services.portfolios import accounts
from chalicelib.services.tape_reading import TapeReader

ROWS_PER_PAGE_MAX = 200
SETTLEMENTS_PER_PAGE_MAX = 40
PAGES_MAX = 5
ROWS_PER_COMMIT_MAX = 15
AWAITED_MAX = 1_000
MARK_AGE_MS_MAX = 1_800_000
"""An older mark is no value of that moment."""

Resolve = Callable[[Iterable[str]], Mapping[str, Market]]


def awaiting_marks(store: Store) -> list[LookBack]:
    """Skips that will be valued at a mark; at most AWAITED_MAX of an account, the next ones due."""
    rows: list[LookBack] = []
    for account in accounts(store):
        pk = look_backs_pk(account, settlement=False)
        found = store.query(LookBack, "activity", pk, limit=AWAITED_MAX)
        rows += [row for row in found if row.awaits_mark]
    return rows


@dataclass(slots=True)
class _Seen:
    """What one call has read."""

    marks: dict[int, Mapping[str, Mark]] = field(default_factory=dict)
    markets: Mapping[str, Market] = field(default_factory=dict)


class LookBacks:
    """Works off the looks that are due, a bounded number per call."""

    def __init__(
        self, store: Store, tapes: TapeReader, resolve: Resolve, clock: Clock, metrics: Metrics
    ) -> None:
        self._store = store
        self._tapes = tapes
        self._resolve = resolve
        self._clock = clock
        self._metrics = metrics

    def __call__(self) -> int:
        """Rows worked off; what fails is counted and comes again. Raises Retryable."""
        now = self._clock.now_ms()
        done = 0
        for account in accounts(self._store):
            for settlement in (False, True):
                for _ in range(PAGES_MAX):
                    rows = self._due(account, now, settlement=settlement)
                    seen = _Seen()
                    if rows and settlement:
                        seen.markets = self._resolve({row.token_id for row in rows})
                    finished = self._worked_off(rows, seen, now)
                    done += finished
                    if not finished:
                        break
        return done

    def _due(self, account: str, now: int, *, settlement: bool) -> list[LookBack]:
        return self._store.query(
            LookBack,
            "activity",
            look_backs_pk(account, settlement),
            end=f"{now + 1:013d}",
            limit=SETTLEMENTS_PER_PAGE_MAX if settlement else ROWS_PER_PAGE_MAX,
        )

    def _worked_off(self, rows: Sequence[LookBack], seen: _Seen, now: int) -> int:
        def whose(row: LookBack) -> tuple[str, int, str]:
            return row.portfolio_id, row.epoch, row.leader

        done = 0
        for name, group in groupby(sorted(rows, key=whose), key=whose):
            mine = list(group)
            for start in range(0, len(mine), ROWS_PER_COMMIT_MAX):
                done += self._part(name, mine[start : start + ROWS_PER_COMMIT_MAX], seen, now)
        return done

    def _part(
        self, name: tuple[str, int, str], rows: Sequence[LookBack], seen: _Seen, now: int
    ) -> int:
        """Rows worked off; one that can never be is given up, so that it blocks no other."""
        try:
            self._look(name, rows, seen, now)
        except Permanent:
            if len(rows) > 1:
                return sum(self._part(name, [row], seen, now) for row in rows)
            self._metrics.count("look_backs_lost")
            self._store.commit([Delete(key_of(rows[0]), rows[0].version)])
        except PapercopyError:
            # A conflict: another call was faster. Anything else comes again.
            self._metrics.count("look_backs_failed")
            return 0
        return len(rows)

    def _look(
        self, name: tuple[str, int, str], rows: Sequence[LookBack], seen: _Seen, now: int
    ) -> None:
        """Look at some rows of one leader and portfolio, in one commit."""
        before = self._store.get(Hindsight, hindsight_key(*name)) or Hindsight(*name)
        after = before
        writes: list[Write] = []
        for row in rows:
            after, later = self._looked(after, row, seen, now)
            writes.append(Delete(key_of(row), row.version))
            writes += [Put(later)] if later else []
        if after != before:
            writes.append(Put(after))
        self._store.commit(writes)

    def _looked(
        self, known: Hindsight, row: LookBack, seen: _Seen, now: int
    ) -> tuple[Hindsight, LookBack | None]:
        """The sums after one row, and the row of its next look."""
        key = attempt_key(row.portfolio_id, row.epoch, row.ts_decided, row.attempt_id)
        attempt = self._store.get(Attempt, key)
        if attempt is None:
            self._metrics.count("look_backs_lost")
            return known, None
        if row.horizon == "1h":
            tape = self._tape(attempt)
            points = _stress(attempt, tape) or attempt.stress
            known = replace(known, decay=with_decay(known.decay, attempt, points))
            placed = attempt.decision.ts_decided + NORMAL_LATENCY_MS
            fill = given_up(attempt, tape.book_at(placed) if tape else None)
            if fill is None:
                return known, None
            row = replace(
                row, shares=fill.shares, cash=fill.cash, fee=fill.fee, estimated=fill.estimated
            )
        market = seen.markets.get(row.token_id)
        price = self._price(row, market, seen)
        if row.horizon == "settlement" and price is None and row.shares:
            later = next_look(row, now, closing_time(market) if market else None)
            if later is not None:
                return known, later
        fill = Hypothesis(row.shares, row.cash, row.fee, row.estimated)
        reasons = attempt.decision.reasons
        forgone = with_forgone(known.forgone, reasons, row.horizon, fill, price)
        later = next_look(row, now, None) if row.horizon != "settlement" else None
        return replace(known, forgone=forgone), later

    def _tape(self, attempt: Attempt) -> Tape | None:
        """What is recorded by now of the time of a rejected order; placed ones need none."""
        decision = attempt.decision
        if attempt.order or not decision.target_shares:
            return None
        ts = decision.ts_decided
        return self._tapes.tape(attempt.token_id, ts, ts + REACH_MS)

    def _price(self, row: LookBack, market: Market | None, seen: _Seen) -> int | None:
        """What a share was worth at the row's time, or what its market paid."""
        if row.horizon == "settlement":
            return market.payout_of(row.token_id) if market else None
        minute = minute_of(row.ts_due)
        if minute not in seen.marks:
            seen.marks[minute] = dated_marks_at(self._store, minute)
        mark = seen.marks[minute].get(row.token_id)
        return mark.price if mark and minute - mark.ts <= MARK_AGE_MS_MAX else None


def _stress(attempt: Attempt, tape: Tape | None) -> tuple[StressPoint, ...]:
    """How a rejected order would have fared inside its limit."""
    decision = attempt.decision
    if tape is None or not decision.target_shares or decision.limit is None:
        return ()
    return stress(tape, attempt.side, decision.target_shares, decision.limit, decision.ts_decided)
