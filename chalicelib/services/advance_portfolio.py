"""Advance a portfolio: take what is due, in order, and commit each step against the head.

The lane gives a portfolio one order of events by witness time: groups are decided at their
`ts_decided`, orders executed at their `ts_placed`. Every commit requires and bumps the head's
version, so two advancers can never both succeed; who loses re-reads and usually finds the work
done.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from chalicelib.domain.errors import Conflict, PapercopyError, Permanent
from chalicelib.domain.exit_debt import exit_group, is_due
from chalicelib.domain.group import Group
from chalicelib.domain.lane import OUTSIDE, ROWS_PER_ADVANCE_MAX, LaneInput, Work
from chalicelib.domain.pause import paused_at
from chalicelib.domain.portfolio import Head
from chalicelib.domain.records import replace
from chalicelib.domain.registry import PortfolioRef
from chalicelib.keyspace import group_key, key_of, portfolio_pk
from chalicelib.ports import Clock, Delete, Metrics, Put, Quarantine, Store, Write, stored
from chalicelib.services import portfolios
from chalicelib.services.decide_group import DecideGroup
from chalicelib.services.decide_set_change import DecideSetChange
from chalicelib.services.execute_attempt import ExecuteAttempt
from chalicelib.services.leader_notionals import ranked
from chalicelib.services.settle_tokens import SettleTokens
from chalicelib.services.tape_reading import TapeAwaited

ROUNDS_MAX = 5
BACKOFF_MS = 20
"""Pause after a lost round, times the rounds lost in a row."""
GROUP_MARGIN_MS = 750
"""Groups are decided this long after their time, so that evidence still in the queue can join."""
ANSWER_MS = 2_000
"""How long the answer to a direct question may hold a group up after its time."""


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
        settle: SettleTokens,
        set_changes: DecideSetChange,
        quarantine: Quarantine,
        clock: Clock,
        metrics: Metrics,
        ask_api: Callable[[str], object],
    ) -> None:
        """`ask_api` lets a leader's activity be polled now; its evidence comes by the queue."""
        self._store = store
        self._decide = decide
        self._execute = execute
        self._settle = settle
        self._set_changes = set_changes
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
                # A reset may have ended the epoch.
                ref = portfolios.portfolio_ref(self._store, portfolio_id) or ref
        return Advanced(done, tuple(self._waiting(ref.portfolio_id, ref.epoch)))

    def _next(self, ref: PortfolioRef) -> Work | None:
        """The first row of the lane if it is due; nothing behind it may overtake it."""
        now = self._clock.now_ms()
        due = due_work(self._store, ref.portfolio_id, ref.epoch, now, 1)
        if not due or (due[0].kind == "group" and now < due[0].ts_due + GROUP_MARGIN_MS):
            return None
        return due[0]

    def _waiting(self, portfolio_id: str, epoch: int) -> list[Work]:
        """All of the lane: an order that concerns a row may stand behind any number of groups."""
        return portfolios.work_of(self._store, portfolio_id, epoch)

    def _work_off(self, head: Head, row: Work) -> bool:
        """Whether the lane moved; it rests while an answer or a recording may still come."""
        if row.kind in OUTSIDE:
            self._noted(row)
        try:
            work = {
                "group": self._group,
                "exit": self._exit,
                "pause": self._pause,
                "settlement": self._settlement,
                "set_change": self._set_change,
            }.get(row.kind)
            if work:
                return work(head, row)
            if row.kind == "resting" or not self._settled_first(head, row, row.ts_due):
                self._execute(head, row)
        except TapeAwaited:
            self._metrics.count("tapes_awaited")
            return False
        except (Permanent, LookupError, ValueError) as error:
            self._bury(head, row, error)
        return True

    def _noted(self, row: Work) -> None:
        """Keep work that follows from no evidence, once, so that replays can put it there again."""
        with suppress(Conflict):
            self._store.commit([Put(LaneInput(replace(row, version=0), self._clock.now_ms()))])

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
        group = self._group_of(row)
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

    def _group_of(self, row: Work) -> Group | None:
        key = group_key(row.leader, row.token_id, row.side, row.group_number)
        return self._store.get(Group, key)

    def _exit(self, head: Head, row: Work) -> bool:
        """Try again to sell what is owed, unless that has become idle meanwhile.

        While another order of ours is open on the token there is nothing to try: the debt changes
        with it, and no order of ours may meet another.
        """
        position = portfolios.position_of(self._store, head, row.token_id, row.leader)
        others = self._waiting(row.portfolio_id, row.epoch)
        is_busy = any(
            other.kind in ("attempt", "resting") and other.token_id == row.token_id
            for other in others
        )
        if is_busy or paused_at(head.pauses, row.ts_due) or not is_due(position, row.ts_due):
            self._store.commit([Delete(key_of(row), row.version), Put(head)])
            return True
        is_out = portfolios.is_out(self._store, row.leader, row.token_id)
        self._decide(head, row, exit_group(row, leader_is_out=is_out))
        return True

    def _pause(self, head: Head, row: Work) -> bool:
        """Cancel what rests as of the pause, one order at a time, before anything later."""
        resting = [
            other
            for other in self._waiting(row.portfolio_id, row.epoch)
            if other.kind == "resting" and head.resting
        ]
        if resting:
            self._execute.settle(head, resting[0], row.ts_due, cancel=True)
        else:
            self._store.commit([Delete(key_of(row), row.version), Put(head)])
        return True

    def _settlement(self, head: Head, row: Work) -> bool:
        """Pay out a decided market once no order of ours on it is unfinished."""
        market = self._settle.market(row)
        if not self._orders_first(head, row, market.tokens, lambda other: other.kind != "group"):
            self._settle(head, row, market)
        return True

    def _set_change(self, head: Head, row: Work) -> bool:
        """Copy a split or merge; a merge waits for what our BUYs of his may still bring.

        Of those that are not decided yet it waits for what he bought before he merged.
        """
        change = self._set_changes.change(row)
        tokens = change.tokens if change.kind == "MERGE" else ()

        def brings(other: Work) -> bool:
            is_his = other.side == "BUY" and other.leader == row.leader
            return is_his and (other.kind != "group" or other.ts_block <= row.ts_block)

        if not self._orders_first(head, row, tokens, brings):
            self._set_changes(head, row, change)
        return True

    def _orders_first(
        self, head: Head, row: Work, tokens: Sequence[str], concerns: Callable[[Work], bool]
    ) -> bool:
        """Whether an order of ours on these tokens had to come before the row; the head has moved.

        What is not placed yet is waited for, one that rests ends at the row's own time.
        """
        open_orders = [
            other
            for other in self._waiting(row.portfolio_id, row.epoch)
            if other.token_id in tokens and concerns(other)
        ]
        unplaced = [other.ts_due for other in open_orders if other.kind in ("group", "attempt")]
        if unplaced:
            self._wait_until(head, row, max(unplaced) + 1, ts_decided=row.ts_decided)
            return True
        resting = [other for other in open_orders if other.kind == "resting"]
        if resting:
            self._execute.settle(head, resting[0], row.ts_decided, cancel=True)
        return bool(resting)

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
        writes: list[Write] = [Delete(key_of(row), row.version), Put(head)]
        # A settlement that waits there was begun once more, with this row.
        if row.kind != "settlement" or self._store.get(Work, key_of(behind)) is None:
            writes.append(Put(behind))
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
        closed, also = ranked(self._store, replace(group, closed=True))
        self._store.commit([Put(closed), *also])
        return stored(closed)
