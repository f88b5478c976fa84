"""Portfolio lanes: the work rows that give one portfolio its one order of events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from chalicelib.domain.decision import Decision
from chalicelib.domain.exchange_log import Side
from chalicelib.domain.fee import FeeSchedule
from chalicelib.domain.group import Group
from chalicelib.domain.paper_order import AttemptStatus, Order, Outcome
from chalicelib.domain.reasons import Reason
from chalicelib.domain.records import quick
from chalicelib.domain.slippage import Slippage
from chalicelib.domain.stress import StressPoint
from chalicelib.domain.witness import Seen

ROWS_PER_ADVANCE_MAX = 8


@quick
@dataclass(frozen=True, slots=True)
class Work:
    """An undecided group, an attempt to place, or one that rests, due at `ts_due` (milliseconds).

    A resting attempt is due at its expiry.

    What is due together goes by decision time, then by the order of the leader's own fills
    (`ts_block`, `order` of the group's first): a poll sees many of them at one moment.
    `ref` is the group's or the attempt's id; `group_number` with leader, token and side finds the
    group's row, `ts_decided` with `ref` the attempt's. `reserved` is the cash its attempt holds
    back.

    An exit tries again to sell what is owed; `ref` is the id of the group it stands for and `price`
    the token's mark. A pause ends what rests at its time, of all tokens.

    A set change is to be decided; `ref` is its id. A settlement pays out a market that is decided;
    `ref` is its condition. Neither has a token of its own, and both are due at once.
    """

    portfolio_id: str
    epoch: int
    ts_due: int
    kind: Literal["group", "attempt", "resting", "exit", "pause", "set_change", "settlement"]
    ref: str
    leader: str
    token_id: str
    side: Side
    group_number: int
    ts_decided: int
    ts_block: int
    order: int
    reserved: int = 0
    price: int = 0
    version: int = 0


OUTSIDE: frozenset[str] = frozenset({"exit", "pause", "set_change", "settlement"})
"""Kinds of work that follow from no evidence of trades: marks, people and markets put it there."""


@dataclass(frozen=True, slots=True)
class LaneInput:
    """Work from outside as the lane first took it up, and when (milliseconds), for replays."""

    work: Work
    ts: int
    version: int = 0


@quick
@dataclass(frozen=True, slots=True)
class Attempt:
    """One group's one attempt in one epoch of a portfolio.

    Written before anything is placed; `decision` and `order` never change after that. `outcome` is
    stored before it is applied: the ledger knows its first `applied` slices. While a remainder
    rests the status is PARTIAL, or SUBMITTED where nothing was filled. `reserved` is cash held
    back for what may still be filled. `vwap` and `slippage` tell how the fills fared, `stress` how
    other latencies and thinner books would have. `ran_at` and
    `late_by_ms` say when the deciding step ran, and decide nothing. `retracted_shares` are leader
    shares the chain took back after the decision: a note, nothing follows from it.
    `seen` is what the decision looked at besides its own figures, for replays.
    """

    attempt_id: str
    group_id: str
    portfolio_id: str
    epoch: int
    leader: str
    token_id: str
    side: Side
    ts_opened: int
    decision: Decision
    status: AttemptStatus
    reasons: tuple[Reason, ...]
    order: Order | None
    fee_schedule: FeeSchedule
    reserved: int
    outcome: Outcome | None
    ran_at: int
    late_by_ms: int
    retracted_shares: int = 0
    applied: int = 0
    vwap: int | None = None
    slippage: Slippage | None = None
    stress: tuple[StressPoint, ...] = ()
    seen: Seen | None = None
    version: int = 0


def group_work(group: Group, portfolio_id: str, epoch: int) -> Work:
    """The row of a new group in a portfolio that follows its leader."""
    return Work(
        portfolio_id=portfolio_id,
        epoch=epoch,
        ts_due=group.ts_decided,
        kind="group",
        ref=group.group_id,
        leader=group.leader,
        token_id=group.token_id,
        side=group.side,
        group_number=group.number,
        ts_decided=group.ts_decided,
        ts_block=group.ts_block,
        order=group.order,
    )
