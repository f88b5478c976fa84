"""Leaders, portfolios and totals on one page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from chalicelib.domain.portfolio import Head
from chalicelib.domain.registry import HoldingsCheck, Leader, PortfolioRef
from chalicelib.domain.snapshot import Snapshot, snapshot_of
from chalicelib.keyspace import holdings_check_key
from chalicelib.ports import Store
from chalicelib.services.manage_leaders import leaders
from chalicelib.services.portfolios import head_of, marks, portfolios_of, positions_of, shadows
from chalicelib.services.read_models.listing import Json
from chalicelib.services.read_models.measured import last_day, totals_of
from chalicelib.services.read_models.measures import newest_snapshot

_KINDS = {"global": 0, "leader": 1, "shadow": 2}


def read_overview(store: Store, now: int) -> Json:
    """Every leader, every portfolio with its equity, and what all of them add up to."""
    known = leaders(store)
    names = {leader.leader: leader.name for leader in known}
    refs = [*portfolios_of(store), *shadows(store)]
    heads = [head_of(store, ref) for ref in refs]
    present = Present(store)
    rows = [
        portfolio_row(ref, head, present.of(head), names)
        for ref, head in zip(refs, heads, strict=True)
    ]
    rows.sort(key=lambda row: (_KINDS[row["kind"]], row["portfolio_id"]))
    replicas = {head.leader: head for head in heads if head.kind == "shadow"}
    return {
        "now": now,
        "leaders": [leader_row(store, each, replicas.get(each.leader), now) for each in known],
        "portfolios": rows,
        "counts": _counts(heads),
    }


def leader_row(store: Store, leader: Leader, shadow: Head | None, now: int) -> Json:
    """One leader: what he did, and how well we know it."""
    hours = last_day(store, leader.leader, now)
    check = store.get(HoldingsCheck, holdings_check_key(leader.leader))
    return {
        "leader": leader.leader,
        "name": leader.name,
        "wallets": list(leader.wallets),
        "state": leader.state,
        "followed_from": leader.followed_from,
        "trades": shadow.trades if shadow else 0,
        "last_trade_at": (shadow.ts_last_trade or None) if shadow else None,
        "positions_agreed_at": (check.ts_agreed or None) if check else None,
        "positions_checked_at": (check.ts_checked or None) if check else None,
        "positions_differing": len(check.drifting) if check else 0,
        "completeness": totals_of(hours) if hours else None,
    }


def _counts(heads: Sequence[Head]) -> Json:
    executable = [head for head in heads if head.kind != "shadow"]
    return {
        "trades": sum(head.trades for head in heads),
        "attempts": sum(head.attempts for head in executable),
        "executed": sum(head.executed for head in executable),
        "skipped": sum(head.skipped for head in executable),
        "filled": sum(head.filled for head in executable),
        "partial": sum(head.partial for head in executable),
        "no_fill": sum(head.no_fill for head in executable),
    }


class Present:
    """What portfolios are worth now: their last snapshot while it tells of the same ledger.

    A shadow has its last snapshot in any case: its positions are many. Another portfolio that
    moved since is valued by its positions at the latest marks, which are then read once.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._marks: tuple[dict[str, int], int | None] | None = None

    def of(self, head: Head) -> Snapshot:
        """A snapshot, or one that was never written, with `ts_marks` 0 before the first marks."""
        last = newest_snapshot(self._store, head)
        if last and (head.kind == "shadow" or last.entries == head.entries):
            return last
        if self._marks is None:
            self._marks = marks(self._store)
        prices, marked_at = self._marks
        held = positions_of(self._store, head.portfolio_id, head.epoch)
        return snapshot_of(head, held, prices, marked_at or 0, last.gain_max if last else 0)


def portfolio_row(
    ref: PortfolioRef, head: Head, present: Snapshot, names: Mapping[str, str]
) -> Json:
    """One portfolio with what it is worth."""
    return {
        "portfolio_id": ref.portfolio_id,
        "kind": ref.kind,
        "leader": ref.leader or None,
        "leader_name": names.get(ref.leader),
        "epoch": ref.epoch,
        "starting_cash_micros": head.starting_cash,
        "cash_micros": present.cash,
        "reserved_micros": head.reserved,
        "positions_value_micros": present.value,
        "equity_micros": present.equity,
        "realized_micros": present.realized,
        "unrealized_micros": present.unrealized,
        "fees_micros": present.fees,
        "open_positions": present.open_positions,
        "marked_at": present.ts_marks or None,
    }
