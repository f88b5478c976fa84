"""Evidence in, trades, shadow entries and copy groups out: three guarded commits.

1. the trade row, by version, with its tallies and pending increments, the payload that brought the
   news, and what only a receipt can answer;
2. the shadow's entry, position and head, guarded by the entry's absence;
3. the fill row, its group's sums and, for a new group, a work row per following portfolio,
   guarded by the fill row's absence.

Only then are the increments cleared, and only then may the message be acknowledged. Whoever
touches the trade next finishes what a crash left pending, so every step may run any number of
times.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
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
from chalicelib.domain.open_questions import questions
from chalicelib.domain.records import quick, replace
from chalicelib.domain.registry import Check, Leader, is_history
from chalicelib.domain.trade import (
    API_ORDER,
    ApiRow,
    ChainLeg,
    Question,
    Reading,
    Source,
    Trade,
    fold_leg,
    fold_receipt,
    fold_rows,
    handed_on,
    new_trade,
    settle,
    ts_block_of,
)
from chalicelib.keyspace import key_of, leader_key, trade_key
from chalicelib.ports import (
    CopyRun,
    CopyWorkflows,
    Delete,
    Metrics,
    Put,
    Rules,
    Store,
    Write,
    stored,
)
from chalicelib.services.group_fill import GroupFill
from chalicelib.services.post_shadow import post_shadow
from chalicelib.services.raw_payloads import raw_payload
from chalicelib.services.witnesses import Arrivals

ROUNDS_MAX = 8


@quick
@dataclass(frozen=True, slots=True)
class Evidence:
    """All of one message's evidence about one trade."""

    tx_hash: str
    token_id: str
    side: Side
    legs: tuple[ChainLeg, ...]
    rows: tuple[ApiRow, ...]
    raw: tuple[str, ...]

    @property
    def source(self) -> Source:
        return "chain" if self.legs else "api"

    @property
    def ts_block(self) -> int:
        return min([leg.ts_block for leg in self.legs] + [row.ts_block for row in self.rows])


def by_trade(message: FillMessage) -> Iterator[Evidence]:
    """A message's evidence by the trade it tells of."""
    if len(message.chain) == 1 and not message.api:
        only = message.chain[0]
        yield Evidence(only.tx_hash, only.token_id, only.side, (only.leg,), (), (only.raw,))
        return
    logs: dict[tuple[str, str, Side], list[ChainEvidence]] = {}
    for item in message.chain:
        logs.setdefault((item.tx_hash, item.token_id, item.side), []).append(item)
    for (tx_hash, token, side), found in logs.items():
        legs = tuple(item.leg for item in found)
        yield Evidence(tx_hash, token, side, legs, (), tuple(item.raw for item in found))
    for row in message.api:
        if row.rows:
            yield Evidence(row.tx_hash, row.token_id, row.side, (), row.rows, (row.raw,))


def check_message(message: FillMessage) -> None:
    """Refuse what no fill can be, before anything of it is committed.

    Raises InvalidInput naming the field.
    """
    if len(message.chain) + len(message.api) + len(message.events) > EVIDENCE_MAX:
        raise InvalidInput("chain", f"more than {EVIDENCE_MAX} items in one message")
    for item in message.chain:
        _check_names(item)
        _check_amounts(item.leg)
        hash32(item.leg.block_hash, "block_hash")
        if not 0 <= item.leg.log_index < API_ORDER:
            raise InvalidInput("log_index", f"0 to {API_ORDER - 1} was expected")
    for told in message.api:
        _check_names(told)
        for row in told.rows:
            _check_amounts(row)
            if not 0 < row.count <= ROWS_MAX:
                raise InvalidInput("count", f"1 to {ROWS_MAX} was expected")


def _check_names(item: ChainEvidence | ApiEvidence) -> None:
    hash32(item.tx_hash, "tx_hash")
    token_id(item.token_id)


def _check_amounts(part: ChainLeg | ApiRow) -> None:
    if not 0 < part.shares <= AMOUNT_MAX:
        raise InvalidInput("shares", f"above 0 and at most {AMOUNT_MAX} was expected")
    if not 0 <= part.cash <= part.shares or not 0 <= (part.fee or 0) <= AMOUNT_MAX:
        raise InvalidInput("cash", "a price of at most 1 and a fee in bounds were expected")
    if not 0 < part.ts_block <= TIMESTAMP_MAX * 1000:
        raise InvalidInput("ts_block", "a time in milliseconds was expected")


def begun(leader: Leader, message: FillMessage, evidence: Evidence) -> Trade:
    """The trade that evidence is the first of, still without it."""
    ts_block = evidence.ts_block
    history = is_history(leader, message.wallet, ts_block)
    return new_trade(
        leader.leader,
        message.wallet,
        evidence.tx_hash,
        evidence.token_id,
        evidence.side,
        source=evidence.source,
        backfill=message.backfill or history,
        ts_listed=ts_block,
    )


def folded(trade: Trade, message: FillMessage, evidence: Evidence) -> Trade:
    """The trade knowing a message's evidence, with what is new of it pending."""
    for leg in evidence.legs:
        trade = fold_leg(trade, leg, message.ts_seen)
    if evidence.rows:
        trade = fold_rows(trade, evidence.rows, message.ts_seen)
    return settle(trade, message.ts_seen)


class IngestFill:
    """The one entry point of every source.

    `other_activity` takes what is not a trade; `confirmed` is told of trades that both sources
    agree on, for groups that wait for it; `arrivals` makes the rows that replays need, if any.
    """

    def __init__(
        self,
        store: Store,
        group_fill: GroupFill,
        workflows: CopyWorkflows,
        rules: Rules,
        metrics: Metrics,
        *,
        other_activity: Callable[[Leader, FillMessage], None],
        confirmed: Callable[[Trade, int], None],
        chain_is_up: Callable[[], bool],
        arrivals: Arrivals | None = None,
    ) -> None:
        self._store = store
        self._group_fill = group_fill
        self._workflows = workflows
        self._rules = rules
        self._metrics = metrics
        self._other_activity = other_activity
        self._confirmed = confirmed
        self._chain_is_up = chain_is_up
        self._arrivals = arrivals

    def __call__(self, message: FillMessage) -> tuple[Check, ...]:
        """Make the message's evidence count, once.

        Returns the questions it raised that a receipt should answer at once. Raises
        InvalidInput for a message that can never be processed, Retryable when it should be
        delivered again.
        """
        leader = self._store.get(Leader, leader_key(message.leader))
        if leader is None:
            raise InvalidInput("leader", f"{message.leader} was never followed")
        if message.wallet not in leader.wallets:
            raise InvalidInput("wallet", f"{message.wallet} is not a wallet of {leader.leader}")
        check_message(message)
        raised = tuple(
            check for item in by_trade(message) for check in self._ingest(leader, message, item)
        )
        if message.events:
            self._other_activity(leader, message)
        return raised

    def answer(self, check: Check, reading: Reading) -> None:
        """Fold a receipt into the trade it was read for; `close` ends the question afterwards.

        Raises Retryable under lasting contention.
        """
        leader = self._store.get(Leader, leader_key(check.leader))
        for _ in range(ROUNDS_MAX):
            before = self._store.get(Trade, trade_key(check.trade_id))
            if before is None or leader is None:
                return
            if before.pending:
                self._finish(leader, before)
                continue
            trade = settle(fold_receipt(before, reading), reading.ts_read)
            writes: list[Write] = [Put(trade)]
            if self._arrivals:
                writes.append(self._arrivals.of_reading(leader, trade, reading))
            try:
                self._store.commit(writes)
            except Conflict:
                continue
            self._metrics.count("receipts_folded")
            self._finish(leader, stored(trade))
            self._tell_confirmed(trade, reading.ts_read)
            return
        raise Retryable(f"trade {check.trade_id} stayed contended for {ROUNDS_MAX} rounds")

    def close(self, check: Check, renewed: Check | None = None) -> None:
        """End a question, or let another look at the same one take its place.

        Raises Retryable under lasting contention.
        """
        leader = self._store.get(Leader, leader_key(check.leader))
        for _ in range(ROUNDS_MAX):
            trade = self._store.get(Trade, trade_key(check.trade_id))
            if trade and trade.pending and leader:
                # The question stays until its answer reached the shadow and the pipeline.
                self._finish(leader, trade)
                continue
            writes: list[Write] = [Delete(key_of(check), check.version)]
            if renewed:
                writes.append(Put(renewed))
            if trade:
                asked = tuple(q for q in trade.asked if q.kind != check.reason)
                if renewed:
                    asked = (*asked, Question(renewed.reason, renewed.ts_due))
                writes.append(Put(replace(trade, asked=asked)))
            try:
                self._store.commit(writes)
            except Conflict:
                if self._store.get(Check, key_of(check)) is None:
                    return
                continue
            return
        raise Retryable(f"trade {check.trade_id} stayed contended for {ROUNDS_MAX} rounds")

    def _ingest(
        self, leader: Leader, message: FillMessage, evidence: Evidence
    ) -> tuple[Check, ...]:
        key = trade_key(
            trade_id(message.wallet, evidence.tx_hash, evidence.token_id, evidence.side)
        )
        for _ in range(ROUNDS_MAX):
            before = self._store.get(Trade, key)
            if before and before.pending:
                self._finish(leader, before)
                continue
            trade = folded(before or begun(leader, message, evidence), message, evidence)
            if before and trade == before:
                self._metrics.count("evidence_repeated")
                self._tell_confirmed(trade, message.ts_seen)
                return ()
            new = questions(trade, message.ts_seen, both=self._both_listen())
            trade = replace(trade, asked=trade.asked + new)
            checks = [_check_row(trade, question, message.ts_seen) for question in new]
            try:
                news = self._news(trade, checks, message.ts_seen, evidence)
                if self._arrivals:
                    news.append(self._arrivals.of_message(leader, message, trade))
                self._store.commit(news)
            except Conflict:
                continue
            self._tell(before, trade, message.ts_seen)
            self._finish(leader, stored(trade))
            self._tell_confirmed(trade, message.ts_seen)
            return tuple(stored(check) for check in checks if check.ts_due <= message.ts_seen)
        raise Retryable(f"trade {key.pk} stayed contended for {ROUNDS_MAX} rounds")

    def _news(
        self, trade: Trade, checks: Sequence[Check], ts_seen: int, evidence: Evidence
    ) -> list[Write]:
        """The trade, what only a receipt can answer, and the payload that brought the news."""
        writes: list[Write] = [Put(trade), *(Put(check) for check in checks)]
        raw = raw_payload(trade.trade_id, trade.version + 1, evidence.source, ts_seen, evidence.raw)
        if raw:
            writes.append(Put(raw))
        return writes

    def _both_listen(self) -> bool:
        """Whether a fill that only the API shows is a surprise."""
        return self._rules.system().trigger_mode == "both" and self._chain_is_up()

    def _tell(self, before: Trade | None, trade: Trade, ts_seen: int) -> None:
        """Count what is new; how long after its block a trade was first seen is measured."""
        self._metrics.count("trades_new" if before is None else "trades_updated")
        if before is None and not trade.backfill:
            self._metrics.observe("detection_lag_ms", max(0, ts_seen - ts_block_of(trade)))

    def _tell_confirmed(self, trade: Trade, ts_seen: int) -> None:
        if trade.rows:
            self._confirmed(trade, ts_seen)

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
            if increment.shares != increment.fill_shares:
                self._group_fill.correct(leader, trade, increment)
        if trade.pending:
            try:
                self._store.commit([Put(handed_on(trade))])
            except Conflict:
                # Somebody else finished the same increments, or added evidence after doing so.
                self._metrics.count("finish_conflicts")


def raise_question(store: Store, trade: Trade, question: Question, now_ms: int) -> bool:
    """Let a receipt answer a question that somebody else met; False when it is asked already."""
    if question.kind in {asked.kind for asked in trade.asked}:
        return False
    asked = replace(trade, asked=(*trade.asked, question))
    try:
        store.commit([Put(asked), Put(_check_row(trade, question, now_ms))])
    except Conflict:
        return False
    return True


def _check_row(trade: Trade, question: Question, ts_raised: int) -> Check:
    return Check(
        trade_id=trade.trade_id,
        leader=trade.leader,
        wallet=trade.wallet,
        tx_hash=trade.tx_hash,
        token_id=trade.token_id,
        side=trade.side,
        reason=question.kind,
        ts_block=ts_block_of(trade),
        ts_raised=ts_raised,
        ts_due=question.ts_due,
    )
