"""What sells could not sell, tried again without waiting for the leader's next sell."""

from __future__ import annotations

from chalicelib.domain.group import KEPT_SCALE, Group
from chalicelib.domain.identifiers import exit_id
from chalicelib.domain.lane import Work
from chalicelib.domain.money import MICROS
from chalicelib.domain.portfolio import Head, Position

PACE_MS = 60_000
OFTEN_MAX = 30
"""Tries at the usual pace; what does not sell by then is tried now and then."""
SELDOM_MS = 1_800_000


def is_due(position: Position, ts: int) -> bool:
    """Whether something is owed that is free to sell and was not tried lately."""
    pace = PACE_MS if position.exits < OFTEN_MAX else SELDOM_MS
    is_free = position.shares > position.reserved
    return position.exit_debt > 0 and is_free and ts >= position.ts_exit + pace


def target(position: Position, *, leader_is_out: bool) -> int:
    """Shares to sell: what is owed, or everything once the leader holds nothing."""
    free = position.shares - position.reserved
    return free if leader_is_out else min(free, position.exit_debt)


def exit_work(head: Head, position: Position, price: int, ts: int) -> Work:
    """The work row of one more try at `ts`; `price` is what the token is worth."""
    name = exit_id(head.portfolio_id, head.epoch, position.token_id, position.leader, ts)
    return Work(
        portfolio_id=head.portfolio_id,
        epoch=head.epoch,
        ts_due=ts,
        kind="exit",
        ref=name,
        leader=position.leader,
        token_id=position.token_id,
        side="SELL",
        group_number=0,
        ts_decided=ts,
        ts_block=ts,
        order=0,
        price=price,
    )


def exit_group(row: Work, *, leader_is_out: bool) -> Group:
    """What a try is decided by in place of a leader's sell: no fills, one share at its mark.

    It reduces nothing by itself, so that exactly what is owed is asked for.
    """
    return Group(
        group_id=row.ref,
        leader=row.leader,
        token_id=row.token_id,
        side="SELL",
        number=row.group_number,
        opened=row.ts_due,
        window_ms=0,
        ts_block=row.ts_block,
        order=row.order,
        shares=MICROS,
        cash=row.price,
        fills=0,
        kept=0 if leader_is_out else KEPT_SCALE,
        role=None,
        closed=True,
    )
