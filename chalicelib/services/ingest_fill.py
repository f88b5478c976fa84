"""Evidence in, trades, shadow entries and copy groups out: three guarded commits.

1. the trade row, by version, with its tallies and pending increments;
2. the shadow's entry, position and head, guarded by the entry's absence;
3. the fill row, its group's sums and, for a new group, a work row per following portfolio,
   guarded by the fill row's absence.

Only then are the increments cleared, and only then may the message be acknowledged. Whoever
touches the trade next finishes what a crash left pending, so every step may run any number of
times.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from chalicelib.domain.errors import Conflict, InvalidInput, PapercopyError, Retryable
from chalicelib.domain.evidence import (
    EVIDENCE_MAX,
    ROWS_MAX,
    ApiEvidence,
    ChainEvidence,
    FillMessage,
)
from chalicelib.domain.exchange_log import TIMESTAMP_MAX, Side
from chalicelib.domain.identifiers import hash32, token_id, trade_id
from chalicelib.domain.money import AMOUNT_MAX
from chalicelib.domain.registry import Leader, first_second
from chalicelib.domain.trade import (
    API_ORDER,
    ApiRow,
    ChainLeg,
    Source,
    Trade,
    fold_leg,
    fold_rows,
    handed_on,
    new_trade,
    settle,
)
from chalicelib.keyspace import leader_key, trade_key
from chalicelib.ports import CopyRun, CopyWorkflows, Metrics, Put, Store, stored
from chalicelib.services.group_fill import GroupFill
from chalicelib.services.post_shadow import post_shadow

ROUNDS_MAX = 8


@dataclass(frozen=True, slots=True)
class _Evidence:
    """All of one message's evidence about one trade."""

    tx_hash: str
    token_id: str
    side: Side
    legs: tuple[ChainLeg, ...]
    rows: tuple[ApiRow, ...]

    @property
    def source(self) -> Source:
        return "chain" if self.legs else "api"

    @property
    def ts_block(self) -> int:
        return min([leg.ts_block for leg in self.legs] + [row.ts_block for row in self.rows])


def _by_trade(message: FillMessage) -> Iterator[_Evidence]:
    legs: dict[tuple[str, str, Side], list[ChainLeg]] = {}
    for item in message.chain:
        legs.setdefault((item.tx_hash, item.token_id, item.side), []).append(item.leg)
    for (tx_hash, token, side), found in legs.items():
        yield _Evidence(tx_hash, token, side, tuple(found), ())
    for row in message.api:
        if row.rows:
            yield _Evidence(row.tx_hash, row.token_id, row.side, (), row.rows)


def _check(message: FillMessage) -> None:
    """Refuse what no fill can be, before anything of it is committed.

    Raises InvalidInput naming the field.
    """
    if len(message.chain) + len(message.api) > EVIDENCE_MAX:
        raise InvalidInput("chain", f"more than {EVIDENCE_MAX} items in one message")
    items: list[ChainEvidence | ApiEvidence] = [*message.chain, *message.api]
    for item in items:
        hash32(item.tx_hash, "tx_hash")
        token_id(item.token_id)
    legs = [item.leg for item in message.chain]
    rows = [row for item in message.api for row in item.rows]
    parts: list[ChainLeg | ApiRow] = [*legs, *rows]
    for part in parts:
        if not 0 < part.shares <= AMOUNT_MAX:
            raise InvalidInput("shares", f"above 0 and at most {AMOUNT_MAX} was expected")
        if not 0 <= part.cash <= part.shares or not 0 <= (part.fee or 0) <= AMOUNT_MAX:
            raise InvalidInput("cash", "a price of at most 1 and a fee in bounds were expected")
        if not 0 < part.ts_block <= TIMESTAMP_MAX * 1000:
            raise InvalidInput("ts_block", "a time in milliseconds was expected")
    for leg in legs:
        hash32(leg.block_hash, "block_hash")
        if not 0 <= leg.log_index < API_ORDER:
            raise InvalidInput("log_index", f"0 to {API_ORDER - 1} was expected")
    if any(not 0 < row.count <= ROWS_MAX for row in rows):
        raise InvalidInput("count", f"1 to {ROWS_MAX} was expected")


class IngestFill:
    """The one entry point of every source."""

    def __init__(
        self, store: Store, group_fill: GroupFill, workflows: CopyWorkflows, metrics: Metrics
    ) -> None:
        self._store = store
        self._group_fill = group_fill
        self._workflows = workflows
        self._metrics = metrics

    def __call__(self, message: FillMessage) -> None:
        """Make the message's evidence count, once.

        Raises InvalidInput for a message that can never be processed, Retryable when it should be
        delivered again.
        """
        leader = self._store.get(Leader, leader_key(message.leader))
        if leader is None:
            raise InvalidInput("leader", f"{message.leader} was never followed")
        if message.wallet not in leader.wallets:
            raise InvalidInput("wallet", f"{message.wallet} is not a wallet of {leader.leader}")
        _check(message)
        for evidence in _by_trade(message):
            self._ingest(leader, message, evidence)

    def _ingest(self, leader: Leader, message: FillMessage, evidence: _Evidence) -> None:
        key = trade_key(
            trade_id(message.wallet, evidence.tx_hash, evidence.token_id, evidence.side)
        )
        for _ in range(ROUNDS_MAX):
            before = self._store.get(Trade, key)
            if before and before.pending:
                self._finish(leader, before)
                continue
            trade = self._fold(before or self._new(leader, message, evidence), message, evidence)
            if before and trade == before:
                self._metrics.count("evidence_repeated")
                return
            try:
                self._store.commit([Put(trade)])
            except Conflict:
                continue
            self._metrics.count("trades_new" if before is None else "trades_updated")
            self._finish(leader, stored(trade))
            return
        raise Retryable(f"trade {key.pk} stayed contended for {ROUNDS_MAX} rounds")

    def _new(self, leader: Leader, message: FillMessage, evidence: _Evidence) -> Trade:
        return new_trade(
            leader.leader,
            message.wallet,
            evidence.tx_hash,
            evidence.token_id,
            evidence.side,
            source=evidence.source,
            backfill=message.backfill or evidence.ts_block < first_second(leader),
            ts_listed=evidence.ts_block,
        )

    def _fold(self, trade: Trade, message: FillMessage, evidence: _Evidence) -> Trade:
        for leg in evidence.legs:
            trade = fold_leg(trade, leg, message.ts_seen)
        if evidence.rows:
            trade = fold_rows(trade, evidence.rows, message.ts_seen)
        return settle(trade, message.ts_seen)

    def _start(self, run: CopyRun) -> None:
        """Executions are hints: without this one the sweeper comes, and detection goes on."""
        try:
            self._workflows.start(run)
        except PapercopyError:
            self._metrics.count("workflow_starts_failed")

    def _finish(self, leader: Leader, trade: Trade) -> None:
        """Hand every pending increment to the shadow and the copy pipeline, then clear them."""
        for increment in trade.pending:
            pre_sell = post_shadow(self._store, trade, increment)
            if increment.fill_shares:
                run = self._group_fill(leader, trade, increment, pre_sell)
                if run:
                    self._start(run)
        if trade.pending:
            try:
                self._store.commit([Put(handed_on(trade))])
            except Conflict:
                # Somebody else finished the same increments, or added evidence after doing so.
                self._metrics.count("finish_conflicts")
