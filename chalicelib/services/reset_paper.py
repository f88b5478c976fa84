"""Reset paper portfolios: a new epoch begins with fresh cash, the old one is kept but ends.

The switch is one commit: the list names the new epoch, its head and OPENING entry are there, the
old head is closed, and the audit row tells who did it. Every commit of a lane requires the head it
read, and a closed head is refused, so nothing can be decided or filled in the old epoch any more.
What it had not finished is ended afterwards, row by row; the sweeper comes back for it.

A group belongs to the epoch that was current when its first fill was ingested. One that was
undecided when its epoch ended is dropped there, with a skipped attempt that says so, and the new
epoch never sees it. The same goes for a set change, with its skipped decision.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from chalicelib.domain.complete_set import SetChange, SetInputs, undecided_set
from chalicelib.domain.decision import Decision
from chalicelib.domain.errors import Conflict, InvalidInput, Permanent, Retryable
from chalicelib.domain.fee import FeeSchedule
from chalicelib.domain.group import Group
from chalicelib.domain.identifiers import attempt_id
from chalicelib.domain.lane import Attempt, Work
from chalicelib.domain.portfolio import Head
from chalicelib.domain.reasons import Reason
from chalicelib.domain.registry import PortfolioRef
from chalicelib.domain.rules import CopyRules
from chalicelib.keyspace import attempt_key, group_key, key_of, portfolio_pk, set_change_key
from chalicelib.ports import Clock, Delete, Metrics, Put, Store, Write
from chalicelib.services import portfolios
from chalicelib.services.audit import audited
from chalicelib.services.count_attempts import counting

PORTFOLIOS_MAX = 250
"""Portfolios of one request."""
ROUNDS_MAX = 20
BACKOFF_MS = 10
ROWS_PER_CALL_MAX = 500
"""Unfinished rows of a closed epoch that one call ends; the next sweep goes on."""


@dataclass(frozen=True, slots=True)
class Reopened:
    """A portfolio and the epoch it is in after its reset."""

    portfolio_id: str
    epoch: int


class ResetPaper:
    """Begin new epochs of an account's executable portfolios, and end the old ones."""

    def __init__(self, store: Store, clock: Clock, metrics: Metrics, starting_cash: int) -> None:
        """`starting_cash` in micros opens every new epoch."""
        self._store = store
        self._clock = clock
        self._metrics = metrics
        self._cash = starting_cash

    def __call__(
        self, epochs: Mapping[str, int], *, who: str, account_id: str = portfolios.ACCOUNT
    ) -> list[Reopened]:
        """End these epochs, given by portfolio id; the epochs that follow them.

        Naming the epoch makes repeating harmless: a portfolio that is already one epoch further
        stays as it is. Raises InvalidInput for a portfolio that is not the account's own or is in
        another epoch, before anything is changed; Conflict while an earlier reset is not finished;
        Retryable when a lane kept moving.
        """
        if not 1 <= len(epochs) <= PORTFOLIOS_MAX:
            raise InvalidInput("portfolios", f"1 to {PORTFOLIOS_MAX} of them were expected")
        for portfolio_id, epoch in epochs.items():
            self._checked(portfolio_id, epoch, account_id)
        return [
            self._switch(portfolio_id, epoch, who, account_id)
            for portfolio_id, epoch in sorted(epochs.items())
        ]

    def finish(self, ref: PortfolioRef) -> int:
        """End what the epoch before the current one left unfinished; the rows that were ended.

        Safe to repeat and to run from several places at once. Raises Retryable when others keep
        being faster.
        """
        if ref.kind == "shadow" or ref.epoch < 2:
            return 0
        before = replace(ref, epoch=ref.epoch - 1)
        ended = lost = 0
        while ended < ROWS_PER_CALL_MAX:
            row = self._unfinished(before)
            if row is None:
                break
            try:
                self._store.commit(self._ended(portfolios.any_head_of(self._store, before), row))
            except Conflict:
                lost += 1
                if lost == ROUNDS_MAX:
                    raise Retryable(f"{ref.portfolio_id} stayed contended") from None
                self._clock.pause_ms(lost * BACKOFF_MS)
                continue
            ended, lost = ended + 1, 0
        if ended:
            self._metrics.count("reset_rows_ended", ended)
        return ended

    def _checked(self, portfolio_id: str, epoch: int, account_id: str) -> PortfolioRef:
        """The portfolio's list entry, in that epoch or the one after it. Raises InvalidInput."""
        ref = portfolios.portfolio_ref(self._store, portfolio_id)
        if ref is None or ref.kind == "shadow" or ref.account_id != account_id:
            raise InvalidInput("portfolios", f"{portfolio_id} is no portfolio that can be reset")
        if epoch < 1 or ref.epoch not in (epoch, epoch + 1):
            raise InvalidInput("portfolios", f"{portfolio_id} is in epoch {ref.epoch}")
        return ref

    def _switch(self, portfolio_id: str, epoch: int, who: str, account_id: str) -> Reopened:
        for lost in range(1, ROUNDS_MAX + 1):
            ref = self._checked(portfolio_id, epoch, account_id)
            if ref.epoch == epoch + 1:
                return Reopened(portfolio_id, ref.epoch)
            if self._unfinished(replace(ref, epoch=epoch - 1)):
                # It would be lost sight of: the sweeper looks one epoch back.
                raise Conflict(f"{portfolio_id}: the last reset is not finished, try again soon")
            try:
                self._store.commit(self._switched(ref, who))
            except Conflict:
                self._clock.pause_ms(lost * BACKOFF_MS)
                continue
            self._metrics.count("portfolios_reset")
            return Reopened(portfolio_id, epoch + 1)
        raise Retryable(f"{portfolio_id} stayed contended for {ROUNDS_MAX} rounds")

    def _switched(self, ref: PortfolioRef, who: str) -> list[Write]:
        now = self._clock.now_ms()
        old = portfolios.any_head_of(self._store, ref)
        after = replace(ref, epoch=ref.epoch + 1)
        told = audited(
            who,
            "portfolio.reset",
            ref.portfolio_id,
            f"epoch {ref.epoch}, cash {old.cash} micros, {old.entries} entries",
            f"epoch {after.epoch}, cash {self._cash} micros",
            ts=now,
            revision=ref.version,
            account_id=ref.account_id,
        )
        closed = Put(replace(old, ts_closed=now))
        opened, entry = portfolios.opening(after, self._cash, now)
        # A reset resumes nothing: who was paused stays paused.
        opened = replace(opened, pauses=old.pauses)
        return [Put(after), closed, Put(opened), Put(entry), told]

    def _unfinished(self, ref: PortfolioRef) -> Work | None:
        pk = portfolio_pk(ref.portfolio_id, ref.epoch)
        rows = self._store.query(Work, "portfolio", pk, start="work#", end="work$", limit=1)
        return rows[0] if rows else None

    def _ended(self, head: Head, row: Work) -> list[Write]:
        """The commit that ends one row of a closed epoch."""
        if not head.ts_closed:
            raise Permanent(f"{head.portfolio_id} epoch {head.epoch} is not over")
        gone = Delete(key_of(row), row.version)
        if row.kind == "group":
            return [gone, *self._dropped(head, row)]
        if row.kind in ("attempt", "resting"):
            return [gone, *self._cut(head, row)]
        if row.kind == "set_change":
            return [gone, Put(head), *self._not_copied(head, row)]
        return [gone, Put(head)]

    def _not_copied(self, head: Head, row: Work) -> list[Write]:
        """An undecided set change as a skip."""
        change = self._store.get(SetChange, set_change_key(row.ref))
        if change is None:
            return []
        nothing = (0,) * len(change.tokens)
        inputs = SetInputs(change, CopyRules(), nothing, nothing, head.cash - head.reserved)
        skipped = undecided_set(inputs, head.portfolio_id, head.epoch)
        ran_at = self._clock.now_ms()
        return [Put(replace(skipped, reasons=(Reason.PORTFOLIO_RESET,), ran_at=ran_at))]

    def _dropped(self, head: Head, row: Work) -> list[Write]:
        """An undecided group as a skipped attempt."""
        key = group_key(row.leader, row.token_id, row.side, row.group_number)
        group = self._store.get(Group, key)
        if group is None:
            return [Put(head)]
        skipped = _skipped(head, row, group, self._clock.now_ms())
        counted = replace(head, attempts=head.attempts + 1, skipped=head.skipped + 1)
        return [Put(counted), Put(skipped), *counting(self._store, skipped)]

    def _cut(self, head: Head, row: Work) -> list[Write]:
        """A placed attempt as the ledger knows it, the rest cancelled and what it held released.

        Slices that were found and not booked yet never happened: nobody saw them in the ledger.
        """
        key = attempt_key(head.portfolio_id, head.epoch, row.ts_decided, row.ref)
        attempt = self._store.get(Attempt, key)
        if attempt is None or attempt.order is None:
            return [Put(head)]
        outcome = attempt.outcome
        booked = outcome.slices[: attempt.applied] if outcome else ()
        if outcome:
            reasons = (Reason.PORTFOLIO_RESET,)
            outcome = replace(outcome, status="CANCELLED", reasons=reasons, slices=booked)
        cancelled = replace(
            attempt,
            status="CANCELLED",
            reasons=(Reason.PORTFOLIO_RESET,),
            outcome=outcome,
            reserved=0,
        )
        after = replace(
            head,
            reserved=head.reserved - attempt.reserved,
            resting=head.resting - (row.kind == "resting"),
            partial=head.partial + bool(booked),
            no_fill=head.no_fill + (not booked),
        )
        writes: list[Write] = [Put(after), Put(cancelled), *counting(self._store, cancelled)]
        if attempt.side == "SELL":
            left = attempt.order.shares - sum(part.shares for part in booked)
            position = portfolios.position_of(self._store, head, row.token_id, row.leader)
            writes.append(Put(replace(position, reserved=position.reserved - left)))
        return writes


def _skipped(head: Head, row: Work, group: Group, now: int) -> Attempt:
    """The attempt of a group that nobody will decide on."""
    decision = Decision(
        verdict="SKIP",
        reasons=(Reason.PORTFOLIO_RESET,),
        ts_decided=row.ts_decided,
        age_ms=row.ts_decided - group.ts_block,
        rules_digest="",
        leader_price=group.leader_price,
        leader_shares=group.net_shares,
        leader_cash=group.net_cash,
        leader_reduction=group.reduction if group.side == "SELL" else 0,
        equity=0,
        free_cash=head.cash - head.reserved,
        held=0,
        exit_debt=0,
    )
    return Attempt(
        attempt_id=attempt_id(group.group_id, head.portfolio_id, head.epoch),
        group_id=group.group_id,
        portfolio_id=head.portfolio_id,
        epoch=head.epoch,
        leader=row.leader,
        token_id=row.token_id,
        side=row.side,
        ts_opened=group.opened,
        decision=decision,
        status="SKIPPED",
        reasons=decision.reasons,
        order=None,
        fee_schedule=FeeSchedule(),
        reserved=0,
        outcome=None,
        ran_at=now,
        late_by_ms=0,
    )
