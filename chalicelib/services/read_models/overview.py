"""Leaders, portfolios and totals on one page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from chalicelib.domain.portfolio import Head, Position, positions_value
from chalicelib.domain.registry import HoldingsCheck, Leader, PortfolioRef
from chalicelib.keyspace import holdings_check_key
from chalicelib.ports import Store
from chalicelib.services.manage_leaders import leaders
from chalicelib.services.portfolios import all_portfolios, head_of, marks, positions_of
from chalicelib.services.read_models.listing import Json
from chalicelib.services.read_models.measured import last_day, totals_of

_KINDS = {"global": 0, "leader": 1, "shadow": 2}


def read_overview(store: Store, now: int) -> Json:
    """Every leader, every portfolio with its equity, and what all of them add up to."""
    known = leaders(store)
    names = {leader.leader: leader.name for leader in known}
    prices, marked_at = marks(store)
    refs = all_portfolios(store)
    heads = [head_of(store, ref) for ref in refs]
    held = [positions_of(store, ref.portfolio_id, ref.epoch) for ref in refs]
    rows = [
        _portfolio(ref, head, positions, prices, marked_at, names)
        for ref, head, positions in zip(refs, heads, held, strict=True)
    ]
    rows.sort(key=lambda row: (_KINDS[row["kind"]], row["portfolio_id"]))
    shadows = {head.leader: head for head in heads if head.kind == "shadow"}
    return {
        "now": now,
        "leaders": [_leader(store, leader, shadows.get(leader.leader), now) for leader in known],
        "portfolios": rows,
        "counts": _counts(heads),
    }


def _leader(store: Store, leader: Leader, shadow: Head | None, now: int) -> Json:
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


def _portfolio(
    ref: PortfolioRef,
    head: Head,
    positions: Sequence[Position],
    prices: Mapping[str, int],
    marked_at: int | None,
    names: Mapping[str, str],
) -> Json:
    value = positions_value(positions, prices)
    equity = head.cash + value
    cost = sum(position.cost for position in positions)
    return {
        "portfolio_id": ref.portfolio_id,
        "kind": ref.kind,
        "leader": ref.leader or None,
        "leader_name": names.get(ref.leader),
        "epoch": ref.epoch,
        "starting_cash_micros": head.starting_cash,
        "cash_micros": head.cash,
        "reserved_micros": head.reserved,
        "positions_value_micros": value,
        "equity_micros": equity,
        "realized_micros": head.realized,
        "unrealized_micros": value - cost,
        "fees_micros": head.fees,
        "open_positions": sum(position.shares > 0 for position in positions),
        "marked_at": marked_at,
    }
