"""Pausing, resuming and resetting by hand; every change is audited in its own commit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from chalicelib.domain.breakers import reset
from chalicelib.domain.errors import Conflict, InvalidInput
from chalicelib.domain.lane import Work
from chalicelib.domain.pause import Pauses, is_paused, pause, resume
from chalicelib.domain.portfolio import Head
from chalicelib.domain.registry import PortfolioRef
from chalicelib.ports import Clock, Put, Store, Write
from chalicelib.services.audit import audited, told
from chalicelib.services.portfolios import ACCOUNT, head_of, portfolio_ref, portfolios_of
from chalicelib.services.watch_breakers import breakers_of

ROUNDS_MAX = 10
"""Tries against a lane that is moving."""


class ControlPortfolios:
    """What an operator may do to executable portfolios; doing it twice changes nothing more.

    Without a portfolio's id every executable portfolio of the account is meant. All methods return
    the ids that changed, and raise InvalidInput for an unknown portfolio or a shadow, Conflict when
    a lane keeps moving, Retryable when the store cannot answer.
    """

    def __init__(self, store: Store, clock: Clock, account: str = ACCOUNT) -> None:
        self._store = store
        self._clock = clock
        self._account = account

    def pause(self, actor: str, portfolio_id: str = "") -> list[str]:
        """No order on either side from now on; what rests is cancelled as of now by the lane."""
        return self._each(portfolio_id, lambda ref: self._paused(ref, actor))

    def resume(self, actor: str, portfolio_id: str = "") -> list[str]:
        """Copy again what is decided from now on."""
        return self._each(portfolio_id, lambda ref: self._resumed(ref, actor))

    def reset_breaker(self, actor: str, portfolio_id: str = "") -> list[str]:
        """Close the drawdown's breaker; the others close by themselves."""
        return self._each(portfolio_id, lambda ref: self._reset(ref, actor))

    def _each(self, portfolio_id: str, change: Callable[[PortfolioRef], bool]) -> list[str]:
        return [ref.portfolio_id for ref in self._refs(portfolio_id) if self._tried(ref, change)]

    def _refs(self, portfolio_id: str) -> Sequence[PortfolioRef]:
        if portfolio_id:
            ref = portfolio_ref(self._store, portfolio_id)
            if ref is None or ref.kind == "shadow" or ref.account_id != self._account:
                raise InvalidInput("portfolio", f"{portfolio_id[:120]} is no executable portfolio")
            return [ref]
        return portfolios_of(self._store, self._account)

    def _tried(self, ref: PortfolioRef, change: Callable[[PortfolioRef], bool]) -> bool:
        for _ in range(ROUNDS_MAX):
            try:
                return change(ref)
            except Conflict:
                self._clock.pause_ms(20)
                ref = portfolio_ref(self._store, ref.portfolio_id) or ref
        raise Conflict(f"{ref.portfolio_id} keeps moving; try again")

    def _paused(self, ref: PortfolioRef, actor: str) -> bool:
        head = head_of(self._store, ref)
        if is_paused(head.pauses):
            return False
        ts = self._clock.now_ms()
        pauses = pause(head.pauses, ts)
        row = pause_work(head, ts)
        self._store.commit([*self._change(head, pauses, actor, "portfolio.pause", ts), Put(row)])
        return True

    def _resumed(self, ref: PortfolioRef, actor: str) -> bool:
        head = head_of(self._store, ref)
        if not is_paused(head.pauses):
            return False
        ts = self._clock.now_ms()
        pauses = resume(head.pauses, ts)
        self._store.commit(self._change(head, pauses, actor, "portfolio.resume", ts))
        return True

    def _change(self, head: Head, pauses: Pauses, actor: str, action: str, ts: int) -> list[Write]:
        return [
            Put(replace(head, pauses=pauses)),
            audited(
                actor,
                action,
                head.portfolio_id,
                _state(head.pauses),
                _state(pauses),
                ts=ts,
                revision=head.version,
                account_id=self._account,
            ),
        ]

    def _reset(self, ref: PortfolioRef, actor: str) -> bool:
        head = head_of(self._store, ref)
        before = breakers_of(self._store, head)
        if not before.ts_drawdown:
            return False
        after = reset(before)
        row = audited(
            actor,
            "breaker.reset",
            head.portfolio_id,
            told(before),
            told(after),
            ts=self._clock.now_ms(),
            revision=before.version,
            account_id=self._account,
        )
        self._store.commit([Put(after), row])
        return True


def pause_work(head: Head, ts: int) -> Work:
    """The work row at which the lane cancels what rests."""
    return Work(
        portfolio_id=head.portfolio_id,
        epoch=head.epoch,
        ts_due=ts,
        kind="pause",
        ref=f"pause/{ts}",
        leader="",
        token_id="",
        side="SELL",
        group_number=0,
        ts_decided=ts,
        ts_block=0,
        order=0,
    )


def _state(pauses: Pauses) -> str:
    if not pauses:
        return "running"
    last = pauses[-1]
    return f"paused since {last.ts_from}" if is_paused(pauses) else f"resumed at {last.ts_until}"
