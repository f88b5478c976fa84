"""What portfolios earned: all of the account now, and one of them day by day."""

from __future__ import annotations

from collections.abc import Sequence

from chalicelib.domain.errors import InvalidInput
from chalicelib.domain.snapshot import Snapshot, day_start, gained
from chalicelib.keyspace import day
from chalicelib.ports import Store
from chalicelib.services.portfolios import head_of, portfolios_of
from chalicelib.services.read_models.listing import Json, names_of_leaders
from chalicelib.services.read_models.measures import measures, newest_snapshot
from chalicelib.services.read_models.portfolio import portfolio_named
from chalicelib.services.snapshot_portfolios import latest_snapshots

DAYS_MAX = 30
_HOURS = 24


def read_pnl(store: Store, now: int, name: str, days: int) -> Json | None:
    """Gains of every executable portfolio, and those of `name` per UTC day, newest first.

    Costs four reads per portfolio and one of at most DAYS_MAX × 24 hourly snapshots. None for a
    portfolio that does not exist, InvalidInput for what cannot be one.
    """
    ref = portfolio_named(store, name)
    if ref is None or ref.kind == "shadow":
        return None
    names = names_of_leaders(store)
    rows = []
    for each in portfolios_of(store):
        head = head_of(store, each)
        newest = newest_snapshot(store, head)
        rows.append(
            {
                "portfolio_id": each.portfolio_id,
                "kind": each.kind,
                "leader": each.leader or None,
                "leader_name": names.get(each.leader),
                "equity_micros": newest.equity if newest else None,
                "realized_micros": newest.realized if newest else None,
                "unrealized_micros": newest.unrealized if newest else None,
                "fees_micros": head.fees,
                **measures(store, head, newest, now),
            }
        )
    return {
        "now": now,
        "portfolios": rows,
        "portfolio_id": ref.portfolio_id,
        "days": _days(store, ref.portfolio_id, ref.epoch, now, days),
    }


def days_of(text: str) -> int:
    """A number of days. Raises InvalidInput."""
    if not text.isascii() or not text.isdigit() or len(text) > 2 or not 1 <= int(text) <= DAYS_MAX:
        raise InvalidInput("days", f"1 to {DAYS_MAX} was expected")
    return int(text)


def _days(store: Store, portfolio_id: str, epoch: int, now: int, count: int) -> list[Json]:
    """Each day's gain: its last snapshot's beside the last one before it."""
    hourly = latest_snapshots(store, portfolio_id, epoch, grain="1h", limit=(count + 1) * _HOURS)
    newest = latest_snapshots(store, portfolio_id, epoch)
    known = sorted([*newest, *hourly], key=lambda snapshot: -snapshot.ts)
    rows = []
    for back in range(count):
        start, end = day_start(now, back), day_start(now, back - 1)
        last = _last_before(known, end)
        if last is None or last.ts < start:
            continue
        rows.append(
            {
                "day": day(start),
                "gain_micros": gained(last, _last_before(known, start)),
                "equity_micros": last.equity,
                "fees_micros": last.fees,
                "realized_micros": last.realized,
            }
        )
    return rows


def _last_before(newest_first: Sequence[Snapshot], ts: int) -> Snapshot | None:
    return next((snapshot for snapshot in newest_first if snapshot.ts < ts), None)
