"""Hand a leader's set changes to the lanes of the portfolios that follow him."""

from __future__ import annotations

from collections.abc import Mapping

from chalicelib.domain.complete_set import SetChange, SetChangeKind
from chalicelib.domain.lane import Work
from chalicelib.domain.leader_event import EventRow, LeaderEvent
from chalicelib.domain.registry import Leader, PortfolioRef, is_history
from chalicelib.ports import Put, Store, Write
from chalicelib.services.portfolios import followers

FOLLOWERS_MAX = 40
"""Portfolios that one commit can hand a change to; as with groups there are far fewer."""


def handed_over(
    store: Store,
    leader: Leader,
    event: LeaderEvent,
    row: EventRow,
    name: str,
    tokens: tuple[str, ...],
    before: Mapping[str, int],
    now: Mapping[str, int],
) -> list[Write]:
    """The fact and a work row per following portfolio, to be part of the shadow's own commit.

    `before` is what he held when it happened, `now` what is known to be left after it and all that
    came later. Nothing for what is history, and nothing where nobody follows.
    """
    if is_history(leader, event.wallet, event.ts_block):
        return []
    refs = followers(store, leader)[:FOLLOWERS_MAX]
    if not refs:
        return []
    change = SetChange(
        change_id=name,
        leader=event.leader,
        wallet=event.wallet,
        kind=_KINDS[event.kind],
        condition_id=event.condition_id,
        tokens=tokens,
        shares=row.shares,
        cash=row.cash,
        kept=max(0, min((row.shares, *(now.get(token, 0) for token in tokens)))),
        before=tuple(max(0, before.get(token, 0)) for token in tokens),
        ts_block=event.ts_block,
        ts_seen=event.ts_seen,
    )
    return [Put(change), *(Put(_work(change, ref)) for ref in refs)]


_KINDS: Mapping[str, SetChangeKind] = {
    "SPLIT": "SPLIT",
    "MERGE": "MERGE",
    "CONVERSION": "CONVERSION",
}


def _work(change: SetChange, ref: PortfolioRef) -> Work:
    return Work(
        portfolio_id=ref.portfolio_id,
        epoch=ref.epoch,
        ts_due=change.ts_seen,
        kind="set_change",
        ref=change.change_id,
        leader=change.leader,
        token_id="",
        side="BUY" if change.kind == "SPLIT" else "SELL",
        group_number=0,
        ts_decided=change.ts_seen,
        ts_block=change.ts_block,
        order=0,
    )
