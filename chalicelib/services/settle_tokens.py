"""Pay out a decided market in one portfolio's lane: every position in it ends, exactly once."""

from __future__ import annotations

from dataclasses import replace

from chalicelib.domain.errors import Permanent
from chalicelib.domain.lane import Work
from chalicelib.domain.ledger import Entry
from chalicelib.domain.market import Market
from chalicelib.domain.portfolio import Head, Position, apply_entry
from chalicelib.domain.settlement import settlement_entry, settlement_reference
from chalicelib.keyspace import entry_key, key_of, market_key, portfolio_pk
from chalicelib.ports import Delete, Metrics, Put, Store, Write

POSITIONS_PER_COMMIT = 20
"""Positions settled in one commit; with more, the row stays for the next."""
REOPENED_MAX = 10
"""How often a position may be settled: late fills of a settled market end the same way."""


class SettleTokens:
    """The work of kind `settlement`."""

    def __init__(self, store: Store, metrics: Metrics) -> None:
        self._store = store
        self._metrics = metrics

    def market(self, row: Work) -> Market:
        """The market of a settlement row. Raises Permanent while its payouts are not final."""
        market = self._store.get(Market, market_key(row.ref))
        if market is None or not market.resolution.final:
            raise Permanent(f"work row {row.ref} settles a market that is not decided")
        return market

    def __call__(self, head: Head, row: Work, market: Market) -> None:
        """Entries, positions, head and the row's end in one commit.

        Raises Conflict when somebody else moved the lane.
        """
        held = [position for token in market.tokens for position in self._held(head, token)]
        writes: list[Write] = []
        for position in held[:POSITIONS_PER_COMMIT]:
            entry = self._entry(head, row, market, position)
            head, after = apply_entry(head, position, entry)
            writes += [Put(entry), Put(replace(after, exit_debt=0))]
        if len(held) <= POSITIONS_PER_COMMIT:
            writes.append(Delete(key_of(row), row.version))
        self._store.commit([*writes, Put(head)])
        self._metrics.count("positions_settled", min(len(held), POSITIONS_PER_COMMIT))

    def _held(self, head: Head, token: str) -> list[Position]:
        pk = portfolio_pk(head.portfolio_id, head.epoch)
        rows = self._store.query(
            Position,
            "portfolio",
            pk,
            start=f"position#{token}#",
            end=f"position#{token}$",
            limit=1_000,
        )
        return [position for position in rows if position.shares > 0]

    def _entry(self, head: Head, row: Work, market: Market, position: Position) -> Entry:
        payout = market.payout_of(position.token_id) or 0
        for number in range(REOPENED_MAX):
            reference = settlement_reference(row.ref, position, number)
            entry = settlement_entry(head, position, reference, payout, row.ts_decided)
            key = entry_key(
                head.portfolio_id, head.epoch, row.ts_decided, 0, reference, "SETTLEMENT"
            )
            if self._store.get(Entry, key) is None:
                return entry
        raise Permanent(f"{position.token_id[:12]} was settled {REOPENED_MAX} times")
