"""Decide one closed group for one portfolio: its inputs, the decision, and one commit of both."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from chalicelib.domain.decision import Decision, Inputs, asks_book, decide, is_history
from chalicelib.domain.errors import Retryable
from chalicelib.domain.group import Group
from chalicelib.domain.identifiers import attempt_id
from chalicelib.domain.lane import Attempt, Work
from chalicelib.domain.lane_effects import attempt_of, decided
from chalicelib.domain.latency_model import settle_ms
from chalicelib.domain.market import Market
from chalicelib.domain.market_lists import MarketLists
from chalicelib.domain.pause import paused_at
from chalicelib.domain.portfolio import Head, Position
from chalicelib.domain.reasons import Reason
from chalicelib.domain.records import replace
from chalicelib.domain.registry import Leader
from chalicelib.domain.rules import CopyRules
from chalicelib.domain.stress import REACH_MS, StressPoint, stress
from chalicelib.keyspace import key_of, leader_key, market_lists_key
from chalicelib.ports import Clock, Delete, Metrics, Put, Rules, Store, Write
from chalicelib.services import portfolios
from chalicelib.services.config_archive import ConfigArchive
from chalicelib.services.count_attempts import counting
from chalicelib.services.decision_book import DecisionBooks
from chalicelib.services.exposures import Exposures, Standing
from chalicelib.services.heartbeats import heartbeats
from chalicelib.services.market_directory import MarketDirectory
from chalicelib.services.source_health import SourceHealth, assess
from chalicelib.services.tape_reading import TapeReader
from chalicelib.services.venue_book import waited_enough
from chalicelib.services.watch_breakers import WatchBreakers
from chalicelib.services.witnesses import DecisionWitness

_log = logging.getLogger(__name__)

HEALTH_REFRESH_MS = 2_000
LISTS_REFRESH_MS = 2_000


@dataclass(frozen=True, slots=True)
class Risk:
    """What a BUY is judged by, and the writes that belong to its commit; nothing for a SELL."""

    standing: Standing | None = None
    tripped: tuple[Reason, ...] = ()
    writes: tuple[Write, ...] = ()


_NO_RISK = Risk()


class DecideGroup:
    """Whether a portfolio copies a group, and with which order."""

    def __init__(
        self,
        store: Store,
        books: DecisionBooks,
        tapes: TapeReader,
        directory: MarketDirectory,
        rules: Rules,
        clock: Clock,
        metrics: Metrics,
        exposures: Exposures,
        breakers: WatchBreakers,
        witness: DecisionWitness,
        *,
        previews: bool = True,
    ) -> None:
        self._store = store
        self._books = books
        self._tapes = tapes
        self._configs = ConfigArchive(store)
        self._directory = directory
        self._rules = rules
        self._clock = clock
        self._metrics = metrics
        self._exposures = exposures
        self._breakers = breakers
        self._witness = witness
        self._previews = previews
        self._health: tuple[int, SourceHealth] | None = None
        self._lists: dict[str, tuple[int, MarketLists | None]] = {}

    def __call__(self, head: Head, row: Work, group: Group) -> None:
        """Decide and commit.

        Raises Conflict when somebody else moved the lane, TapeAwaited when it must rest, Retryable
        when the venue must be asked again.
        """
        minted = attempt_id(group.group_id, head.portfolio_id, head.epoch)
        position = self._position(head, row)
        risk = self._risk(head, row, group) if row.side == "BUY" else _NO_RISK
        inputs = self._witness.told(self._inputs(head, row, group, minted, position, risk))
        if asks_book(inputs):
            found = self._books.at(row.token_id, inputs.ts_book, inputs.rules)
            inputs = replace(inputs, book=found.book, segment=found.segment)
        decision, order = decide(inputs)
        if order and inputs.segment and order.ts_placed > _placed_by(inputs):
            self._tapes.request(row.token_id, decision.ts_decided, order.ts_placed)
        attempt = attempt_of(
            head,
            row,
            group,
            minted,
            (decision, order),
            inputs.market,
            self._clock.now_ms(),
            stress=() if order else self._missed(row, decision),
            seen=self._witness.seen(inputs),
        )
        self._commit(head, row, attempt, position, inputs, risk)
        self._metrics.count(f"decisions_{decision.verdict.lower()}")
        ids = {"group_id": attempt.group_id, "attempt_id": attempt.attempt_id}
        told = {"verdict": decision.verdict, "reasons": [str(one) for one in decision.reasons]}
        _log.info("group decided", extra={"portfolio_id": head.portfolio_id, **ids, **told})

    def _commit(
        self,
        head: Head,
        row: Work,
        attempt: Attempt,
        position: Position,
        inputs: Inputs,
        risk: Risk,
    ) -> None:
        """What the decision was made under and, in one commit, all that follows from it."""
        self._configs.keep(inputs.rules)
        writes = self._decided(head, row, attempt, position, inputs)
        self._store.commit([*writes, *risk.writes])

    def _position(self, head: Head, row: Work) -> Position:
        return portfolios.position_of(self._store, head, row.token_id, row.leader)

    def _risk(self, head: Head, row: Work, group: Group) -> Risk:
        """What a BUY is judged by, at the latest marks and as of its own time."""
        standing = self._exposures.standing(head, row.token_id, row.leader)
        ts = max(group.ts_decided, row.ts_due)
        tripped, write = self._breakers.at_decision(head, standing.equity, ts)
        return Risk(standing, tripped, (write,))

    def _rules_for(self, row: Work) -> CopyRules:
        rules = self._rules.rules_for(row.leader)
        # What is owed was sized when the leader sold.
        return replace(rules, sell_sizing="proportional") if row.kind == "exit" else rules

    def _inputs(
        self,
        head: Head,
        row: Work,
        group: Group,
        minted: str,
        position: Position,
        risk: Risk,
    ) -> Inputs:
        """Everything but the book."""
        leader = self._store.get(Leader, leader_key(row.leader))
        held = position.shares - position.reserved
        worth_asking = row.side == "BUY" or held > 0
        rules = self._rules_for(row)
        asks_equity = row.side == "BUY" and rules.sizing == "leader_equity" and leader
        return Inputs(
            attempt_id=minted,
            group=group,
            rules=rules,
            equity=risk.standing.equity if risk.standing else 0,
            free_cash=head.cash - head.reserved,
            held=held,
            exit_debt=position.exit_debt,
            market=self._market(row) if worth_asking else None,
            book=None,
            backfill=leader is not None and is_history(group, leader),
            sell_only=leader is not None and leader.state == "sell_only",
            not_before=row.ts_due,
            health=self._source_health() if row.side == "BUY" else None,
            lists=self._market_lists(head) if row.side == "BUY" else None,
            paused=paused_at(head.pauses, max(group.ts_decided, row.ts_due)),
            tripped=risk.tripped,
            exposure=risk.standing.exposure if risk.standing else None,
            spending=head.spending,
            leader_equity=self._exposures.leader_equity(leader) if asks_equity and leader else None,
            ts_marks=risk.standing.ts_marks if risk.standing else 0,
        )

    def _market_lists(self, head: Head) -> MarketLists | None:
        """The account's lists, read again after LISTS_REFRESH_MS."""
        now = self._clock.now_ms()
        account = portfolios.account_of(head.portfolio_id)
        read_at, lists = self._lists.get(account, (0, None))
        if now - read_at >= LISTS_REFRESH_MS:
            lists = self._store.get(MarketLists, market_lists_key(account))
            self._lists[account] = (now, lists)
        return lists

    def _source_health(self) -> SourceHealth:
        now = self._clock.now_ms()
        if self._health is None or now - self._health[0] >= HEALTH_REFRESH_MS:
            self._health = (now, assess(self._rules.system(), heartbeats(self._store), now))
        return self._health[1]

    def _market(self, row: Work) -> Market | None:
        try:
            market = self._directory.lookup(row.token_id)
        except Retryable:
            if self._late(row):
                return None
            raise
        if market is None and not self._late(row):
            # The venue lists new markets some seconds late.
            raise Retryable(f"the market of token {row.token_id[:12]}… is not known yet")
        return market

    def _late(self, row: Work) -> bool:
        """Whether the head of the line waited long enough for the venue's answer."""
        return waited_enough(self._clock, row.ts_due)

    def _missed(self, row: Work, decision: Decision) -> tuple[StressPoint, ...]:
        """What a rejected signal would have met, where its book was recorded."""
        if not self._previews or not decision.segment:
            return ()
        if decision.limit is None or not decision.target_shares:
            return ()
        ts = decision.ts_decided
        tape = self._tapes.tape(row.token_id, ts, ts + REACH_MS)
        return stress(tape, row.side, decision.target_shares, decision.limit, ts)

    def _decided(
        self, head: Head, row: Work, attempt: Attempt, position: Position, inputs: Inputs
    ) -> list[Write]:
        """One commit: the attempt, the head, the work row moved on, and what a sell holds back."""
        order = attempt.order
        after, moved, later = decided(head, row, attempt, position, inputs)
        writes: list[Write] = [Put(after), Put(attempt), Delete(key_of(row), row.version)]
        writes += [Put(record) for record in (later, moved) if record]
        if order is None:
            writes += counting(self._store, attempt)
        return writes


def _placed_by(inputs: Inputs) -> int:
    """Until when a group's tape was asked for as it opened: delays of the venue come on top."""
    rules, group = inputs.rules, inputs.group
    return group.opened + settle_ms(rules, 0) + group.confirm_ms
