"""A fill into its copy group, exactly once, with a work row for every portfolio that follows.

What wallets of one leader buy and sell of one token in one transaction cancels before it is
grouped: he moved nothing. What the chain takes back is taken out of groups that are undecided and
noted on the attempts of those that were decided; nothing is ever un-copied.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from chalicelib.domain.errors import Conflict, PapercopyError, Retryable
from chalicelib.domain.exchange_log import Side
from chalicelib.domain.group import (
    Correction,
    Fill,
    Group,
    placed_in,
    restore,
    retract,
)
from chalicelib.domain.identifiers import attempt_id, fill_id, is_combo, trade_id
from chalicelib.domain.lane import Attempt, group_work
from chalicelib.domain.latency_model import settle_ms
from chalicelib.domain.reasons import Reason
from chalicelib.domain.records import replace
from chalicelib.domain.registry import Leader, PortfolioRef, is_history
from chalicelib.domain.trade import Increment, Trade
from chalicelib.keyspace import attempt_key, correction_key, fill_key, group_key, line_pk, trade_key
from chalicelib.ports import Clock, CopyRun, Metrics, Put, Rules, Store, Write
from chalicelib.services.portfolios import followers, portfolios_of_leader
from chalicelib.services.tape_reading import TapeReader

_log = logging.getLogger(__name__)

ROUNDS_MAX = 8
FILLS_MAX = 400
"""Increments of one trade that are looked through: a trade has at most as many legs."""
CORRECTED_FILLS_MAX = 10
NOTED_ATTEMPTS_MAX = 10
"""Bounds of one correction's commit."""
WAIT_SECONDS_MAX = 240
MARGIN_MS = 1_000
"""Waits are whole seconds; one second more makes sure the step runs after its time."""


def wait_seconds(until_ms: int, now_ms: int) -> int:
    """Whole seconds from now to a margin after `until_ms`, 1..WAIT_SECONDS_MAX."""
    return max(1, min(WAIT_SECONDS_MAX, -(-(until_ms + MARGIN_MS - now_ms) // 1000)))


@dataclass(frozen=True, slots=True)
class _Placed:
    """Where a fill goes: its group, or the reason why it goes nowhere, and the writes for it."""

    group: Group | None
    not_copied: Reason | None
    netted: int
    writes: tuple[Write, ...]


class GroupFill:
    """Commit 3 of ingestion."""

    def __init__(
        self, store: Store, tapes: TapeReader, rules: Rules, clock: Clock, metrics: Metrics
    ) -> None:
        self._store = store
        self._tapes = tapes
        self._rules = rules
        self._clock = clock
        self._metrics = metrics

    def __call__(
        self, leader: Leader, trade: Trade, increment: Increment, pre_sell: int | None
    ) -> CopyRun | None:
        """The workflow to start for a group that this fill opened, else None.

        Repetition finds the fill row and returns the same workflow. Raises Retryable under lasting
        contention.
        """
        refs = followers(self._store, leader)
        for _ in range(ROUNDS_MAX):
            known = self._store.get(Fill, fill_key(trade.trade_id, increment.seq))
            if known:
                return self._run_of(known, refs)
            placed = self._place(leader, trade, increment, pre_sell, refs)
            fill = _fill(trade, increment, pre_sell, placed)
            try:
                self._store.commit([Put(fill), *placed.writes])
            except Conflict:
                continue
            if placed.group and placed.group.fills == 1:
                self._want_tape(placed.group)
            self._metrics.count("fills_grouped" if placed.group else "fills_not_copyable")
            group_id = placed.group.group_id if placed.group else ""
            ids = {"trade_id": fill.trade_id, "fill_id": fill.fill_id, "group_id": group_id}
            _log.info("fill grouped", extra={**ids, "leader": leader.leader})
            if placed.netted:
                self._metrics.count("fills_netted")
            # Express does not deduplicate names, so a fill that joins would be a second execution.
            opened = placed.group if placed.group and placed.group.fills == 1 else None
            return self._run(opened, refs) if opened else None
        raise Retryable(f"group of {trade.trade_id} stayed contended for {ROUNDS_MAX} rounds")

    def _want_tape(self, group: Group) -> None:
        """Have the book recorded from before the first fill until its copies are placed."""
        settle = settle_ms(self._rules.rules_for(group.leader), 0)
        until = group.opened + settle + group.confirm_ms
        try:
            self._tapes.request(group.token_id, group.opened - MARGIN_MS, until)
        except PapercopyError:
            # Without a tape the copy is executed on a snapshot, and says so.
            self._metrics.count("tape_requests_failed")

    def correct(self, leader: Leader, trade: Trade, increment: Increment) -> None:
        """Let the groups of a trade, or their attempts, know what the chain took or gave back.

        Raises Retryable under lasting contention.
        """
        change = increment.shares - increment.fill_shares
        key = correction_key(trade.trade_id, increment.seq)
        for _ in range(ROUNDS_MAX):
            if change == 0 or self._store.get(Correction, key):
                return
            writes = self._corrections(leader, trade, change)
            if not writes:
                return
            note = Correction(trade.trade_id, increment.seq, change, increment.ts_seen)
            try:
                self._store.commit([Put(note), *writes])
            except Conflict:
                continue
            self._metrics.count("groups_corrected")
            return
        raise Retryable(f"group of {trade.trade_id} stayed contended for {ROUNDS_MAX} rounds")

    def _corrections(self, leader: Leader, trade: Trade, change: int) -> list[Write]:
        """What taking back (negative) or giving again so many shares does, latest fills first.

        A decided group keeps the sums it was decided on; its attempts carry a note.
        """
        left, fills = abs(change), list[Fill]()
        groups: dict[int, Group] = {}
        decided: dict[int, int] = {}
        for fill in reversed(self._fills(trade.trade_id)):
            room = min(left, fill.counting if change < 0 else fill.retracted)
            if room <= 0 or fill.group_number is None:
                continue
            group = groups.get(fill.group_number) or self._group_of(fill)
            if group is None:
                continue
            cash = fill.cash * room // fill.shares
            sign = 1 if change < 0 else -1
            fills.append(replace(fill, retracted=fill.retracted + sign * room))
            groups[group.number] = group
            if group.closed:
                decided[group.number] = decided.get(group.number, 0) + sign * room
            else:
                groups[group.number] = (retract if sign > 0 else restore)(group, room, cash)
            left -= room
            if left == 0 or len(fills) == CORRECTED_FILLS_MAX:
                break
        changed = [Put(group) for group in groups.values() if not group.closed]
        notes = [
            note
            for number, shares in decided.items()
            for note in self._noted(leader, groups[number], shares)
        ]
        return [*(Put(fill) for fill in fills), *changed, *notes]

    def _noted(self, leader: Leader, group: Group, shares: int) -> list[Write]:
        """A decided group's attempts with what the chain took back; nothing follows from it."""
        writes: list[Write] = []
        for ref in portfolios_of_leader(self._store, leader.leader)[:NOTED_ATTEMPTS_MAX]:
            minted = attempt_id(group.group_id, ref.portfolio_id, ref.epoch)
            key = attempt_key(ref.portfolio_id, ref.epoch, group.ts_decided, minted)
            attempt = self._store.get(Attempt, key)
            if attempt:
                taken = max(0, attempt.retracted_shares + shares)
                writes.append(Put(replace(attempt, retracted_shares=taken)))
        return writes

    def _place(
        self,
        leader: Leader,
        trade: Trade,
        increment: Increment,
        pre_sell: int | None,
        refs: list[PortfolioRef],
    ) -> _Placed:
        reason = not_copied(leader, trade, increment, followed=bool(refs))
        if reason:
            return _Placed(None, reason, 0, ())
        netted, writes = self._net(leader, trade, increment)
        left = _without(increment, netted)
        if left.fill_shares == 0:
            return _Placed(None, Reason.SELF_TRADE, netted, tuple(writes))
        rules = self._rules.rules_for(leader.leader)
        group = placed_in(
            self._latest(trade),
            trade,
            left,
            pre_sell,
            rules.aggregation_window_ms,
            rules.confirm_ms,
        )
        if group is None:
            return _Placed(None, Reason.INCREMENT_TOO_SMALL, netted, tuple(writes))
        if group.fills > 1:
            return _Placed(group, None, netted, (*writes, Put(group)))
        works = [Put(group_work(group, ref.portfolio_id, ref.epoch)) for ref in refs]
        return _Placed(group, None, netted, (*writes, Put(group), *works))

    def _net(self, leader: Leader, trade: Trade, increment: Increment) -> tuple[int, list[Write]]:
        """Shares that fills of his other side in the same transaction cancel, and the writes.

        Only fills whose group is undecided take part: what was decided was copied.
        """
        opposite: Side = "SELL" if trade.side == "BUY" else "BUY"
        netted, writes = 0, list[Write]()
        groups: dict[int, Group] = {}
        for wallet in leader.wallets:
            other = trade_id(wallet, trade.tx_hash, trade.token_id, opposite)
            if self._store.get(Trade, trade_key(other)) is None:
                continue
            for fill in self._fills(other):
                group = self._group_of(fill)
                room = min(increment.fill_shares - netted, fill.counting)
                if group is None or group.closed or room <= 0:
                    continue
                current = groups.get(group.number, group)
                cash = fill.cash * room // fill.shares
                groups[group.number] = retract(current, room, cash)
                writes.append(Put(replace(fill, netted=fill.netted + room)))
                netted += room
        return netted, [*writes, *(Put(group) for group in groups.values())]

    def _fills(self, trade: str) -> list[Fill]:
        pk = trade_key(trade).pk
        return self._store.query(Fill, "activity", pk, start="fill#", end="fill$", limit=FILLS_MAX)

    def _group_of(self, fill: Fill) -> Group | None:
        if fill.group_number is None:
            return None
        key = group_key(fill.leader, fill.token_id, fill.side, fill.group_number)
        return self._store.get(Group, key)

    def _latest(self, trade: Trade) -> Group | None:
        found = self._store.query(
            Group,
            "activity",
            line_pk(trade.leader, trade.token_id, trade.side),
            limit=1,
            newest_first=True,
        )
        return found[0] if found else None

    def _run_of(self, fill: Fill, refs: list[PortfolioRef]) -> CopyRun | None:
        group = self._group_of(fill)
        return self._run(group, refs) if group else None

    def _run(self, group: Group, refs: list[PortfolioRef]) -> CopyRun:
        settle = settle_ms(self._rules.rules_for(group.leader), 0)
        wait = wait_seconds(group.opened + settle, self._clock.now_ms())
        return CopyRun(group.group_id, tuple(ref.portfolio_id for ref in refs), wait)


def not_copied(
    leader: Leader, trade: Trade, increment: Increment, *, followed: bool
) -> Reason | None:
    """Why a fill may never trade, None where it may; `followed` says that some portfolio copies."""
    if trade.backfill or is_history(leader, trade.wallet, increment.ts_block):
        return Reason.SKIP_BACKFILL
    if is_combo(trade.token_id):
        return Reason.COMBO_NOT_COPYABLE
    return None if followed else Reason.NO_FOLLOWER


def _without(increment: Increment, netted: int) -> Increment:
    """The increment less what was cancelled, its cash in proportion, rounded down."""
    left = increment.fill_shares - netted
    cash = increment.fill_cash * left // increment.fill_shares
    return replace(increment, fill_shares=left, fill_cash=cash)


def _fill(trade: Trade, increment: Increment, pre_sell: int | None, placed: _Placed) -> Fill:
    return Fill(
        fill_id=fill_id(trade.trade_id, increment.seq),
        trade_id=trade.trade_id,
        seq=increment.seq,
        leader=trade.leader,
        token_id=trade.token_id,
        side=trade.side,
        shares=increment.fill_shares,
        cash=increment.fill_cash,
        pre_sell=pre_sell,
        group_number=placed.group.number if placed.group else None,
        ts_block=increment.ts_block,
        ts_seen=increment.ts_seen,
        not_copied=placed.not_copied,
        netted=placed.netted,
    )
