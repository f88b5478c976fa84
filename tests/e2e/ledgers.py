"""What a system under test has on its books, in a form two systems can be compared by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from chalicelib.adapters.clock import ManualClock
from chalicelib.domain.lane import Attempt, Work
from chalicelib.domain.ledger import Entry, digest
from chalicelib.domain.portfolio import Head
from chalicelib.domain.trade import Trade
from chalicelib.keyspace import head_key, portfolio_pk, trade_key
from chalicelib.ports import Store
from chalicelib.services.manage_leaders import FollowLeader
from chalicelib.services.portfolios import all_portfolios

CASH = 10_000_000_000


def follow_since(store: Store, ts: int, wallets: Sequence[str], name: str = "ada") -> None:
    """Follow as if that had been asked for at `ts`: nothing after it is history."""
    FollowLeader(store, ManualClock(ts), CASH)(wallets, name)


def entries_of(store: Store, portfolio: str) -> list[Entry]:
    """What happened, in order; a day's MARK comes whenever an engine happens to mark."""
    pk = portfolio_pk(portfolio, 1)
    found = store.query(Entry, "portfolio", pk, start="entry#", end="entry$", limit=1000)
    told = [entry for entry in found if entry.kind != "MARK"]
    return sorted(told, key=lambda entry: entry.seq)


def attempts_of(store: Store, portfolio: str) -> list[Attempt]:
    pk = portfolio_pk(portfolio, 1)
    return store.query(Attempt, "portfolio", pk, start="attempt#", end="attempt$", limit=1000)


def work_of(store: Store) -> list[Work]:
    """Everything undecided or unfinished in any portfolio."""
    return [
        work
        for ref in all_portfolios(store)
        for work in store.query(
            Work, "portfolio", portfolio_pk(ref.portfolio_id, ref.epoch), start="work#", end="work$"
        )
    ]


def head(store: Store, portfolio: str) -> Head:
    found = store.get(Head, head_key(portfolio, 1))
    assert found is not None
    return found


def trade(store: Store, trade_id: str) -> Trade | None:
    return store.get(Trade, trade_key(trade_id))


def digests(store: Store) -> dict[str, str]:
    """One digest per portfolio: equal digests are equal histories, to the millisecond."""
    return {
        ref.portfolio_id: digest(entries_of(store, ref.portfolio_id))
        for ref in all_portfolios(store)
    }


def paced_digests(store: Store) -> dict[str, str]:
    """Digests with each of our own fills timed from the moment its group opened.

    Two engines hear one socket at different moments; everything after that moment must agree.
    """
    return {
        ref.portfolio_id: digest(_from_opening(store, ref.portfolio_id))
        for ref in all_portfolios(store)
    }


def _from_opening(store: Store, portfolio: str) -> list[Entry]:
    opened = {a.attempt_id: a.ts_opened for a in attempts_of(store, portfolio)}
    return [
        replace(e, ts_effective=e.ts_effective - opened.get(e.reference.split(":")[0], 0))
        for e in entries_of(store, portfolio)
    ]
