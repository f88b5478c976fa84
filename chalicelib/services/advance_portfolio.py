"""Advance a portfolio: take what is due, in order, and commit each step against the head.

The lane gives a portfolio one order of events by witness time: groups are decided at their
`ts_decided`, orders executed at their `ts_placed`. Every commit requires and bumps the head's
version, so two advancers can never both succeed; who loses re-reads and usually finds the work
done.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from chalicelib.domain.decision import Decision, Inputs, decide, owed
from chalicelib.domain.errors import Conflict, Permanent, Retryable
from chalicelib.domain.fee import FeeSchedule
from chalicelib.domain.group import Group
from chalicelib.domain.identifiers import attempt_id
from chalicelib.domain.lane import ROWS_PER_ADVANCE_MAX, Attempt, Work
from chalicelib.domain.market import Market
from chalicelib.domain.paper_order import Order, reservation
from chalicelib.domain.portfolio import Head, Position, positions_value
from chalicelib.domain.reasons import Reason
from chalicelib.domain.registry import Leader, PortfolioRef, first_second
from chalicelib.keyspace import group_key, key_of, leader_key, portfolio_pk
from chalicelib.ports import (
    Books,
    Clock,
    Delete,
    Metrics,
    Put,
    Quarantine,
    Rules,
    Store,
    Write,
    stored,
)
from chalicelib.services import portfolios
from chalicelib.services.execute_attempt import ExecuteAttempt
from chalicelib.services.market_directory import MarketDirectory
from chalicelib.services.venue_book import book_as_of, waited_enough

ROUNDS_MAX = 5
BACKOFF_MS = 20
"""Pause after a lost round, times the rounds lost in a row."""
GROUP_MARGIN_MS = 750
"""Groups are decided this long after their time, so that evidence still in the queue can join."""
WAITING_MAX = 200

_OWED_AFTER_SKIP = frozenset(
    {
        Reason.DUST,
        Reason.BELOW_MARKETABLE_MINIMUM,
        Reason.BOOK_MISSING,
        Reason.BOOK_STALE,
        Reason.BOOK_TOO_LATE,
        Reason.UNKNOWN_TOKEN,
        Reason.SETTINGS_REFUSED,
    }
)


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
        books: Books,
        directory: MarketDirectory,
        rules: Rules,
        execute: ExecuteAttempt,
        quarantine: Quarantine,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._store = store
        self._books = books
        self._directory = directory
        self._rules = rules
        self._execute = execute
        self._quarantine = quarantine
        self._clock = clock
        self._metrics = metrics

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
                self._work_off(portfolios.head_of(self._store, ref), row)
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

    def _work_off(self, head: Head, row: Work) -> None:
        try:
            if row.kind == "group":
                self._decide(head, row)
            else:
                self._execute(head, row)
        except (Permanent, LookupError, ValueError) as error:
            self._bury(head, row, error)

    def _bury(self, head: Head, row: Work, error: Exception) -> None:
        """End a row that can never be worked off, so that it does not block those behind it."""
        self._quarantine.keep("lane", repr(row), f"{type(error).__name__}: {error}")
        self._metrics.count("lane_rows_buried")
        writes: list[Write] = [Delete(key_of(row), row.version)]
        if row.kind == "attempt":
            writes += self._execute.failed(head, row)
        else:
            writes.append(Put(head))
        self._store.commit(writes)

    def _decide(self, head: Head, row: Work) -> None:
        own_buys = self._buys_under_way(row)
        if own_buys:
            # A SELL waits for our BUYs of the same token: what they fill is part of what we hold.
            behind = replace(row, ts_due=max(buy.ts_due for buy in own_buys) + 1, version=0)
            self._store.commit([Delete(key_of(row), row.version), Put(behind), Put(head)])
            return
        group = self._close(row)
        minted = attempt_id(group.group_id, head.portfolio_id, head.epoch)
        position = portfolios.position_of(self._store, head, row.token_id, row.leader)
        inputs = self._inputs(head, row, group, minted, position)
        decision, order = decide(inputs)
        if decision.reasons == (Reason.BOOK_MISSING,):
            # Nothing cheaper rules the group out, so it is worth asking for its book.
            book = book_as_of(self._books, self._clock, row.token_id, row.ts_due)
            inputs = replace(inputs, book=book)
            decision, order = decide(inputs)
        market = inputs.market
        attempt = self._attempt(head, row, group, minted, decision, order, market)
        self._store.commit(self._decided(head, row, attempt, position, inputs))
        self._metrics.count(f"decisions_{decision.verdict.lower()}")

    def _buys_under_way(self, row: Work) -> list[Work]:
        """Our placed, unexecuted BUYs of a SELL's token and leader, decided before it."""
        if row.side == "BUY":
            return []
        return [
            other
            for other in self._waiting(row.portfolio_id, row.epoch)
            if (other.kind, other.side) == ("attempt", "BUY")
            and (other.token_id, other.leader) == (row.token_id, row.leader)
            and other.ts_decided <= row.ts_decided
        ]

    def _close(self, row: Work) -> Group:
        """The group, closed first by its own write so that all portfolios see the same sums."""
        key = group_key(row.leader, row.token_id, row.side, row.group_number)
        group = self._store.get(Group, key)
        if group is None:
            raise Permanent(f"work row {row.ref} names a group that does not exist")
        if group.closed:
            return group
        closed = replace(group, closed=True)
        self._store.commit([Put(closed)])
        return stored(closed)

    def _inputs(
        self, head: Head, row: Work, group: Group, minted: str, position: Position
    ) -> Inputs:
        """Everything but the book."""
        leader = self._store.get(Leader, leader_key(row.leader))
        held = position.shares - position.reserved
        worth_asking = row.side == "BUY" or held > 0
        return Inputs(
            attempt_id=minted,
            group=group,
            rules=self._rules.rules_for(row.leader),
            equity=self._equity(head) if row.side == "BUY" else 0,
            free_cash=head.cash - head.reserved,
            held=held,
            exit_debt=position.exit_debt,
            market=self._market(row) if worth_asking else None,
            book=None,
            backfill=leader is not None and group.ts_block < first_second(leader),
            sell_only=leader is not None and leader.state == "sell_only",
            not_before=row.ts_due,
        )

    def _market(self, row: Work) -> Market | None:
        try:
            market = self._directory.lookup(row.token_id)
        except Retryable:
            if self._late(row):
                return None
            raise
        if market is None and not self._late(row):
            # The venue lists new markets some seconds late.
            raise Retryable(f"the market of token {row.token_id[:12]}… is not known yet")
        return market

    def _late(self, row: Work) -> bool:
        """Whether the head of the line waited long enough for the venue's answer."""
        return waited_enough(self._clock, row.ts_due)

    def _equity(self, head: Head) -> int:
        marks, _ = portfolios.marks(self._store)
        held = portfolios.positions_of(self._store, head.portfolio_id, head.epoch)
        return head.cash + positions_value(held, marks)

    def _attempt(
        self,
        head: Head,
        row: Work,
        group: Group,
        minted: str,
        decision: Decision,
        order: Order | None,
        market: Market | None,
    ) -> Attempt:
        now = self._clock.now_ms()
        schedule = market.fee if market else FeeSchedule()
        return Attempt(
            attempt_id=minted,
            group_id=group.group_id,
            portfolio_id=head.portfolio_id,
            epoch=head.epoch,
            leader=row.leader,
            token_id=row.token_id,
            side=row.side,
            ts_opened=group.opened,
            decision=decision,
            status="SUBMITTED" if order else "SKIPPED",
            reasons=decision.reasons,
            order=order,
            fee_schedule=schedule,
            reserved=reservation(order, schedule) if order else 0,
            outcome=None,
            ran_at=now,
            late_by_ms=max(0, now - row.ts_due),
        )

    def _decided(
        self, head: Head, row: Work, attempt: Attempt, position: Position, inputs: Inputs
    ) -> list[Write]:
        """One commit: the attempt, the head, the work row moved on, and what a sell holds back."""
        order = attempt.order
        writes: list[Write] = [
            Put(
                replace(
                    head,
                    reserved=head.reserved + attempt.reserved,
                    attempts=head.attempts + 1,
                    executed=head.executed + (1 if order else 0),
                    skipped=head.skipped + (0 if order else 1),
                )
            ),
            Put(attempt),
            Delete(key_of(row), row.version),
        ]
        if order:
            moved = replace(
                row, kind="attempt", ref=attempt.attempt_id, ts_due=order.ts_placed, version=0
            )
            writes.append(Put(moved))
            if order.side == "SELL":
                # The order takes over what was owed; below its step something stays owed.
                held_back = replace(
                    position,
                    reserved=position.reserved + order.shares,
                    exit_debt=owed(inputs) - order.shares,
                )
                writes.append(Put(held_back))
        elif row.side == "SELL" and inputs.held and _OWED_AFTER_SKIP & set(attempt.reasons):
            writes.append(Put(replace(position, exit_debt=owed(inputs))))
        return writes
