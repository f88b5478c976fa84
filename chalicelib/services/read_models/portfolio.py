"""One portfolio: its measures, and the series that draw it."""

from __future__ import annotations

import re

from chalicelib.domain.errors import InvalidInput
from chalicelib.domain.portfolio import Head
from chalicelib.domain.registry import PortfolioRef
from chalicelib.domain.snapshot import SPANS, Snapshot, Span, in_order, series_of
from chalicelib.ports import Store
from chalicelib.services.count_attempts import latest_counts
from chalicelib.services.portfolios import ACCOUNT, SHADOW, head_of, portfolio_ref
from chalicelib.services.read_models.listing import Json, names_of_leaders
from chalicelib.services.read_models.measures import (
    gains_by_leader,
    gap_fields,
    measures,
    newest_snapshot,
    rates,
    snapshot_fields,
)
from chalicelib.services.snapshot_portfolios import latest_snapshots

_NAME = re.compile(r"[a-z0-9_-]{1,40}(\.[a-z0-9_-]{1,80}){1,2}", re.ASCII)


def portfolio_named(store: Store, name: str) -> PortfolioRef | None:
    """The portfolio of a path's name, in which dots stand for slashes; other accounts' are none.

    Raises InvalidInput for what cannot be a name.
    """
    if not _NAME.fullmatch(name):
        raise InvalidInput("portfolio", "is not the name of a portfolio")
    portfolio_id = name.replace(".", "/")
    if not portfolio_id.startswith((f"{ACCOUNT}/", f"{SHADOW}/")):
        return None
    return portfolio_ref(store, portfolio_id)


def read_portfolio(store: Store, name: str, now: int) -> Json | None:
    """A portfolio's present measures; None where there is none of this name."""
    ref = portfolio_named(store, name)
    if ref is None:
        return None
    head = head_of(store, ref)
    newest = newest_snapshot(store, head)
    return {
        "now": now,
        "portfolio_id": ref.portfolio_id,
        "kind": ref.kind,
        "leader": ref.leader or None,
        "epoch": ref.epoch,
        "starting_cash_micros": head.starting_cash,
        "cash_micros": head.cash,
        "reserved_micros": head.reserved,
        "snapshot": snapshot_fields(newest) if newest else None,
        "marked_at": newest.ts_marks if newest else None,
        **measures(store, head, newest, now),
        "leaders": [] if head.kind == "shadow" else _leaders(store, head, newest),
    }


def _leaders(store: Store, head: Head, newest: Snapshot | None) -> list[Json]:
    """What came of each leader, largest value first."""
    gains = gains_by_leader(head, newest)
    parts = {part.leader: part for part in newest.parts} if newest else {}
    names = names_of_leaders(store)
    rows = []
    for leader, gain in gains.items():
        counts = latest_counts(store, head.portfolio_id, head.epoch, leader)
        part = parts.get(leader)
        rows.append(
            {
                "leader": leader,
                "leader_name": names.get(leader, ""),
                "value_micros": part.value if part else newest.value if newest else 0,
                "gain_before_fees_micros": gain,
                "rates": rates(counts) if counts else None,
                "tracking": gap_fields(counts, gains),
            }
        )
    return rows


def read_series(store: Store, name: str, span: str, now: int) -> Json | None:
    """A portfolio's snapshots over a span, oldest first, at most as many as the span's series has.

    Raises InvalidInput for a span that there is not.
    """
    wanted = span_of(span)
    ref = portfolio_named(store, name)
    if ref is None:
        return None
    grain, points_max = series_of(wanted)
    found = latest_snapshots(store, ref.portfolio_id, ref.epoch, grain=grain, limit=points_max)
    last = latest_snapshots(store, ref.portfolio_id, ref.epoch)
    oldest = now - SPAN_MS[wanted]
    series = [one for one in in_order(found, last[0] if last else None) if one.ts >= oldest]
    return {
        "now": now,
        "portfolio_id": ref.portfolio_id,
        "epoch": ref.epoch,
        "span": wanted,
        "grain": grain,
        "points": [snapshot_fields(one) for one in series],
    }


SPAN_MS = {
    "1h": 3_600_000,
    "1d": 86_400_000,
    "7d": 7 * 86_400_000,
    "30d": 30 * 86_400_000,
    "all": 10**13,
}


def span_of(text: str) -> Span:
    for span in SPANS:
        if span == text:
            return span
    raise InvalidInput("span", f"one of {', '.join(SPANS)} was expected")
