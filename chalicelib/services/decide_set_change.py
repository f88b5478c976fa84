"""Decide what a portfolio does about a set change of its leader, and do it, in one commit."""

from __future__ import annotations

from dataclasses import replace

from chalicelib.domain.complete_set import (
    SetChange,
    SetDecision,
    SetInputs,
    decide_set,
    set_cash,
)
from chalicelib.domain.errors import Permanent
from chalicelib.domain.lane import Work
from chalicelib.domain.ledger import Entry
from chalicelib.domain.market import Market
from chalicelib.domain.market_lists import MarketLists
from chalicelib.domain.pause import paused_at
from chalicelib.domain.portfolio import Head, Position, apply_entry
from chalicelib.domain.registry import Leader, is_history
from chalicelib.keyspace import (
    key_of,
    leader_key,
    market_key,
    market_lists_key,
    set_change_key,
)
from chalicelib.ports import Clock, Delete, Metrics, Put, Rules, Store, Write
from chalicelib.services import portfolios
from chalicelib.services.config_archive import ConfigArchive
from chalicelib.services.exposures import Exposures
from chalicelib.services.watch_breakers import WatchBreakers


class DecideSetChange:
    """The work of kind `set_change`."""

    def __init__(
        self,
        store: Store,
        rules: Rules,
        exposures: Exposures,
        breakers: WatchBreakers,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._store = store
        self._rules = rules
        self._exposures = exposures
        self._breakers = breakers
        self._configs = ConfigArchive(store)
        self._clock = clock
        self._metrics = metrics

    def change(self, row: Work) -> SetChange:
        """The fact behind a work row. Raises Permanent when there is none."""
        change = self._store.get(SetChange, set_change_key(row.ref))
        if change is None:
            raise Permanent(f"work row {row.ref} names a set change that does not exist")
        return change

    def __call__(self, head: Head, row: Work, change: SetChange) -> None:
        """Decide and commit: decision, entries, positions, head, and the row's end.

        Raises Conflict when somebody else moved the lane, Retryable.
        """
        held = [
            portfolios.position_of(self._store, head, token, change.leader)
            for token in change.tokens
        ]
        inputs, also = self._inputs(head, change, held)
        decision = decide_set(inputs, head.portfolio_id, head.epoch)
        now = self._clock.now_ms()
        decision = replace(decision, ran_at=now, late_by_ms=max(0, now - row.ts_due))
        self._configs.keep(inputs.rules)
        after, moved = _moved(head, decision, held)
        done: list[Write] = [Put(decision), Put(after), Delete(key_of(row), row.version)]
        self._store.commit([*moved, *done, *also])
        self._metrics.count(f"set_changes_{decision.verdict.lower()}")

    def _inputs(
        self, head: Head, change: SetChange, held: list[Position]
    ) -> tuple[SetInputs, list[Write]]:
        """What the decision looks at, and what its commit must find unchanged besides."""
        leader = self._store.get(Leader, leader_key(change.leader))
        inputs = SetInputs(
            change=change,
            rules=self._rules.rules_for(change.leader),
            held=tuple(max(0, row.shares - row.reserved) for row in held),
            exit_debt=tuple(row.exit_debt for row in held),
            free_cash=head.cash - head.reserved,
            backfill=leader is not None and _is_backfill(leader, change),
            sell_only=leader is not None and leader.state == "sell_only",
            paused=paused_at(head.pauses, change.ts_seen),
        )
        if change.kind != "SPLIT" or leader is None:
            return inputs, []
        standings = [self._exposures.standing(head, t, change.leader) for t in change.tokens]
        standing = standings[0]
        tripped, unchanged = self._breakers.at_decision(head, standing.equity, change.ts_seen)
        asks_his = inputs.rules.sizing == "leader_equity"
        account = portfolios.account_of(head.portfolio_id)
        inputs = replace(
            inputs,
            equity=standing.equity,
            opens=sum(not one.exposure.holds_token for one in standings),
            exposure=standing.exposure,
            tripped=tripped,
            leader_equity=self._exposures.leader_equity(leader) if asks_his else None,
            market=self._store.get(Market, market_key(change.condition_id)),
            lists=self._store.get(MarketLists, market_lists_key(account)),
        )
        return inputs, [unchanged]


def _is_backfill(leader: Leader, change: SetChange) -> bool:
    """Ingestion hands no history over; what slipped through is not copied either."""
    unwanted = change.kind == "SPLIT" and change.ts_block < leader.buys_from // 1000 * 1000
    return unwanted or is_history(leader, change.wallet, change.ts_block)


def _moved(head: Head, decision: SetDecision, held: list[Position]) -> tuple[Head, list[Write]]:
    """Entries and positions of what was decided, and the head after them."""
    writes: list[Write] = []
    sign = 1 if decision.kind == "SPLIT" else -1
    parts = set_cash(decision.shares, len(held)) if held else ()
    for position, cash, unmerged in zip(held, parts, decision.unmerged, strict=True):
        after = position
        if decision.shares:
            entry = Entry(
                portfolio_id=head.portfolio_id,
                epoch=head.epoch,
                seq=head.entries,
                kind="SPLIT" if sign > 0 else "MERGE",
                reference=f"set/{decision.change_id}/{position.token_id}",
                token_id=position.token_id,
                leader=position.leader,
                shares=sign * decision.shares,
                cash=-sign * cash,
                ts_effective=decision.ts_decided,
            )
            head, after = apply_entry(head, position, entry)
            writes.append(Put(entry))
        if decision.kind == "MERGE":
            after = replace(after, exit_debt=unmerged)
        if after != position:
            writes.append(Put(after))
    return head, writes
