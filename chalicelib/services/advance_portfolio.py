"""Advance a portfolio: take what is due, in order, and commit each step against the head.

The lane gives a portfolio one order of events by witness time: groups are decided at their
`ts_decided`, orders executed at their `ts_placed`. Every commit requires and bumps the head's
version, so two advancers can never both succeed; who loses re-reads and usually finds the work
done.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from chalicelib.domain.errors import Conflict, PapercopyError, Permanent
from chalicelib.domain.group import Group
from chalicelib.domain.lane import ROWS_PER_ADVANCE_MAX, Work
from chalicelib.domain.portfolio import Head
from chalicelib.domain.registry import PortfolioRef
from chalicelib.keyspace import group_key, key_of, portfolio_pk
from chalicelib.ports import Clock, Delete, Metrics, Put, Quarantine, Store, Write, stored
from chalicelib.services import portfolios
from chalicelib.services.decide_group import DecideGroup
from chalicelib.services.execute_attempt import ExecuteAttempt
from chalicelib.services.tape_reading import TapeAwaited

ROUNDS_MAX = 5
BACKOFF_MS = 20
"""Pause after a lost round, times the rounds lost in a row."""
GROUP_MARGIN_MS = 750
"""Groups are decided this long after their time, so that evidence still in the queue can join."""
ANSWER_MS = 2_000
"""How long the answer to a direct question may hold a group up after its time."""
WAITING_MAX = 200


@dataclass(frozen=True, slots=True)
class Advanced:
    """What one call did: rows finished, and the work that is still waiting, in order."""

    rows: int
    waiting: tuple[Work, ...]


def due_work(store: Store, portfolio_id: str, epoch: int, until_ms: int, limit: int) -> list[Work]:
    """Work rows due at or before `until_ms`, in lane order."""
    return store.query(
        Work,
        "portfolio",
        portfolio_pk(portfolio_id, epoch),
        start="work#",
        end=f"work#{until_ms + 1:013d}",
        limit=limit,
    )


class AdvancePortfolio:
    """One step of a portfolio's lane; safe to call at any time, by anybody, any number of times."""

    def __init__(
        self,
        store: Store,
        decide: DecideGroup,
        execute: ExecuteAttempt,
        quarantine: Quarantine,
        clock: Clock,
        metrics: Metrics,
        ask_api: Callable[[str], object],
    ) -> None:
        """`ask_api` lets a leader's activity be polled now; its evidence comes by the queue."""
        self._store = store
        self._decide = decide
        self._execute = execute
        self._quarantine = quarantine
        self._clock = clock
        self._metrics = metrics
        self._ask_api = ask_api

    def __call__(self, portfolio_id: str) -> Advanced:
        """Work off at most ROWS_PER_ADVANCE_MAX due rows.

        After ROUNDS_MAX lost rounds in a row the rest is left to whoever is winning; it stands in
        `waiting`. Raises Retryable when the venue must be asked again.
        """
        ref = portfolios.portfolio_ref(self._store, portfolio_id)
        if ref is None:
            return Advanced(0, ())
        done = lost = 0
        while done < ROWS_PER_ADVANCE_MAX and lost < ROUNDS_MAX:
            row = self._next(ref)
            if row is None:
                break
            try:
                if not self._work_off(portfolios.head_of(self._store, ref), row):
                    break
                done, lost = done + 1, 0
            except Conflict:
                lost += 1
                self._metrics.count("lane_conflicts")
                self._clock.pause_ms(lost * BACKOFF_MS)
        return Advanced(done, tuple(self._waiting(ref.portfolio_id, ref.epoch)))

    def _next(self, ref: PortfolioRef) -> Work | None:
        """The first row of the lane if it is due; nothing behind it may overtake it."""
        now = self._clock.now_ms()
        due = due_work(self._store, ref.portfolio_id, ref.epoch, now, 1)
        if not due or (due[0].kind == "group" and now < due[0].ts_due + GROUP_MARGIN_MS):
            return None
        return due[0]

    def _waiting(self, portfolio_id: str, epoch: int) -> list[Work]:
        return due_work(self._store, portfolio_id, epoch, 10**13 - 2, WAITING_MAX)

    def _work_off(self, head: Head, row: Work) -> bool:
        """Whether the lane moved; it rests while an answer or a recording may still come."""
        try:
            if row.kind == "group":
                return self._group(head, row)
            if row.kind == "resting" or not self._settled_first(head, row, row.ts_due):
                self._execute(head, row)
        except TapeAwaited:
            self._metrics.count("tapes_awaited")
            return False
        except (Permanent, LookupError, ValueError) as error:
            self._bury(head, row, error)
        return True

    def _bury(self, head: Head, row: Work, error: Exception) -> None:
        """End a row that can never be worked off, so that it does not block those behind it."""
        self._quarantine.keep("lane", repr(row), f"{type(error).__name__}: {error}")
        self._metrics.count("lane_rows_buried")
        writes: list[Write] = [Delete(key_of(row), row.version)]
        if row.kind != "group":
            writes += self._execute.failed(head, row)
        else:
            writes.append(Put(head))
        self._store.commit(writes)

    def _group(self, head: Head, row: Work) -> bool:
        """Decide the group, or let it wait where something must come first."""
        key = group_key(row.leader, row.token_id, row.side, row.group_number)
        group = self._store.get(Group, key)
        if group is None:
            raise Permanent(f"work row {row.ref} names a group that does not exist")
        if not group.closed and row.ts_due < group.ts_decided:
            # A fill that is not confirmed yet joined after the others were.
            due = group.ts_decided
            self._wait_until(head, row, due, ts_decided=due, group=group)
            return True
        ahead = self._buys_ahead(row, group)
        if ahead:
            # A SELL waits for our BUYs of the same token: what they fill is part of what we hold.
            due = max(buy.ts_due for buy in ahead) + 1
            self._wait_until(head, row, due, ts_decided=row.ts_decided)
            return True
        if not group.closed and group.awaits:
            if not group.asked:
                group = self._asked(group)
            if self._clock.now_ms() < group.ts_decided + GROUP_MARGIN_MS + ANSWER_MS:
                return False
        closed = self._closed(group)
        ts = max(group.ts_decided, row.ts_due)
        if not self._settled_first(head, row, ts, cancel=not group.retracted):
            self._decide(head, row, closed)
        return True

    def _settled_first(self, head: Head, row: Work, ts: int, *, cancel: bool = True) -> bool:
        """Whether a resting order of the token had to be brought up to `ts` before the row.

        What was decided earlier for the other side ends there: the later decision counts, and no
        order of ours may meet another. One order at a time: the head has moved then.
        """
        if head.resting == 0:
            return False
        for other in self._waiting(row.portfolio_id, row.epoch):
            if other.kind != "resting" or other.token_id != row.token_id:
                continue
            is_later = row.kind == "group" or row.ts_decided >= other.ts_decided
            is_over = cancel and is_later and other.side != row.side
            if self._execute.settle(head, other, ts, cancel=is_over):
                return True
        return False

    def _wait_until(
        self, head: Head, row: Work, ts_due: int, *, ts_decided: int, group: Group | None = None
    ) -> None:
        """Put the row behind what must come first, where the group stays as it was seen."""
        behind = replace(row, ts_due=ts_due, ts_decided=ts_decided, version=0)
        writes: list[Write] = [Delete(key_of(row), row.version), Put(behind), Put(head)]
        if group:
            writes.append(Put(group))
        self._store.commit(writes)

    def _asked(self, group: Group) -> Group:
        """The group after the Data API was asked about its leader, once whatever comes of it."""
        asked = replace(group, asked=True)
        self._store.commit([Put(asked)])
        self._metrics.count("confirmations_asked")
        try:
            self._ask_api(group.leader)
        except PapercopyError:
            self._metrics.count("confirmations_unanswered")
        return stored(asked)

    def _buys_ahead(self, row: Work, group: Group) -> list[Work]:
        """Our BUYs of a SELL's token and leader that were decided before it and not executed.

        Where confirmations are waited for, groups are not decided in the order in which the leader
        traded: then it is his order that counts, of undecided BUYs too.
        """
        if row.side == "BUY":
            return []
        place = (row.ts_block, row.order)
        return [
            other
            for other in self._waiting(row.portfolio_id, row.epoch)
            if (other.side, other.token_id, other.leader) == ("BUY", row.token_id, row.leader)
            and (
                (other.kind == "attempt" and other.ts_decided <= row.ts_decided)
                or (group.confirm_ms > 0 and (other.ts_block, other.order) < place)
            )
        ]

    def _closed(self, group: Group) -> Group:
        """The group, closed by its own write so that all portfolios see the same sums."""
        if group.closed:
            return group
        closed = replace(group, closed=True)
        self._store.commit([Put(closed)])
        return stored(closed)
