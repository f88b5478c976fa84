"""Complete sets a leader splits or merges, and what a portfolio does about them.

A complete set is one share of every outcome of a market and always worth one USDC: splitting and
merging has no price, no book and no fee.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from chalicelib.domain import guardrails, sizing
from chalicelib.domain.market import Market
from chalicelib.domain.market_lists import MarketLists
from chalicelib.domain.money import SHARE_STEP, floor_to, ratio_floor
from chalicelib.domain.reasons import Reason
from chalicelib.domain.risk import Exposure, risk_reasons
from chalicelib.domain.rules import CopyRules

_OWED_AFTER_SKIP = frozenset({Reason.PAUSED, Reason.SETTINGS_REFUSED})

SetChangeKind = Literal["SPLIT", "MERGE", "CONVERSION"]


@dataclass(frozen=True, slots=True)
class SetChange:
    """What a leader did with complete sets: a fact shared by all portfolios, never changed.

    Amounts in micros, `tokens` in outcome order, empty for a CONVERSION. `kept` are those of a
    SPLIT's sets that he still held when we learnt of it, `before` what he held of each token
    before a MERGE. `ts_seen` is when the row was seen.
    """

    change_id: str
    leader: str
    wallet: str
    kind: SetChangeKind
    condition_id: str
    tokens: tuple[str, ...]
    shares: int
    cash: int
    kept: int
    before: tuple[int, ...]
    ts_block: int
    ts_seen: int
    version: int = 0


@dataclass(frozen=True, slots=True)
class SetInputs:
    """Everything a decision on a set change may look at; amounts in micros.

    `held` are our free shares of each token that came from this leader, less what sells hold back,
    and `exit_debt` those of them that are owed already. `opens` counts the tokens that a SPLIT adds
    to those held or being bought. The rest is as for groups (see `decision.Inputs`); `exposure` and
    `equity` for a SPLIT only.
    """

    change: SetChange
    rules: CopyRules
    held: tuple[int, ...]
    exit_debt: tuple[int, ...]
    free_cash: int
    equity: int = 0
    opens: int = 0
    exposure: Exposure | None = None
    leader_equity: int | None = None
    market: Market | None = None
    lists: MarketLists | None = None
    backfill: bool = False
    sell_only: bool = False
    paused: bool = False
    tripped: tuple[Reason, ...] = ()


@dataclass(frozen=True, slots=True)
class SetDecision:
    """What one epoch of a portfolio decided about a set change, and why; append-only.

    `shares` are the sets it split or merged. `unmerged` are shares of each token that should be
    gone and could not be merged, older debts among them: they are owed like what a sell could not
    do. `leader_shares`,
    `kept` and `before` are the leader's figures, `held` and the cash figures ours. Times in
    milliseconds; `ran_at` and `late_by_ms` decide nothing.
    """

    portfolio_id: str
    epoch: int
    change_id: str
    leader: str
    kind: SetChangeKind
    condition_id: str
    tokens: tuple[str, ...]
    verdict: Literal["EXECUTE", "SKIP"]
    reasons: tuple[Reason, ...]
    shares: int
    unmerged: tuple[int, ...]
    leader_shares: int
    kept: int
    before: tuple[int, ...]
    held: tuple[int, ...]
    free_cash: int
    equity: int
    rules_digest: str
    ts_block: int
    ts_decided: int
    ran_at: int = 0
    late_by_ms: int = 0
    version: int = 0


def decide_set(inputs: SetInputs, portfolio_id: str, epoch: int) -> SetDecision:
    """Split or merge in proportion, or skip with at least one reason."""
    skipped = undecided_set(inputs, portfolio_id, epoch)
    never = _never(inputs)
    if never:
        owed = _wanted(inputs) if never in _OWED_AFTER_SKIP else skipped.unmerged
        return replace(skipped, reasons=(never,), unmerged=owed)
    return _split(inputs, skipped) if inputs.change.kind == "SPLIT" else _merge(inputs, skipped)


def undecided_set(inputs: SetInputs, portfolio_id: str, epoch: int) -> SetDecision:
    """A SKIP without reasons that carries the inputs; the starting point of every decision."""
    change = inputs.change
    return SetDecision(
        portfolio_id=portfolio_id,
        epoch=epoch,
        change_id=change.change_id,
        leader=change.leader,
        kind=change.kind,
        condition_id=change.condition_id,
        tokens=change.tokens,
        verdict="SKIP",
        reasons=(),
        shares=0,
        unmerged=inputs.exit_debt if change.kind == "MERGE" else (0,) * len(change.tokens),
        leader_shares=change.shares,
        kept=change.kept,
        before=change.before,
        held=inputs.held,
        free_cash=inputs.free_cash,
        equity=inputs.equity,
        rules_digest=inputs.rules.digest,
        ts_block=change.ts_block,
        ts_decided=change.ts_seen,
    )


def _never(inputs: SetInputs) -> Reason | None:
    if inputs.backfill:
        return Reason.SKIP_BACKFILL
    if inputs.change.kind == "CONVERSION":
        return Reason.CONVERSION_UNSUPPORTED
    if inputs.rules.refused:
        return Reason.SETTINGS_REFUSED
    return Reason.PAUSED if inputs.paused else None


def _split(inputs: SetInputs, skipped: SetDecision) -> SetDecision:
    """The sizing of a BUY of the sets that he still holds; each costs one USDC."""
    change, rules = inputs.change, inputs.rules
    reasons = _split_refused(inputs)
    if reasons:
        return replace(skipped, reasons=tuple(reasons))
    notional = ratio_floor(change.cash, change.kept, change.shares)
    size = sizing.buy_size(notional, inputs.equity, rules, inputs.leader_equity)
    if size is None:
        return replace(skipped, reasons=(Reason.LEADER_EQUITY_UNKNOWN,))
    if size.cash is None:
        return replace(skipped, reasons=(Reason.BELOW_MINIMUM,))
    shares = floor_to(size.cash, SHARE_STEP)
    if shares == 0:
        return replace(skipped, reasons=(Reason.BELOW_MINIMUM,))
    exposure = inputs.exposure or Exposure()
    # All but one of the new positions count as open before the last one.
    before = exposure.open_positions + max(0, inputs.opens - 1)
    exposure = replace(exposure, open_positions=before, holds_token=inputs.opens == 0)
    reasons = risk_reasons(exposure, shares, inputs.equity, rules)
    if shares > inputs.free_cash:
        reasons.append(Reason.SPLIT_NO_CASH)
    if reasons:
        return replace(skipped, reasons=tuple(reasons))
    return replace(skipped, verdict="EXECUTE", shares=shares)


def _split_refused(inputs: SetInputs) -> list[Reason]:
    """Why no position may be opened by a split, the cheapest kind of reason only."""
    change, rules = inputs.change, inputs.rules
    if inputs.tripped:
        return list(inputs.tripped)
    checks = (
        (Reason.LEADER_SELL_ONLY, inputs.sell_only),
        (Reason.LEADER_DENIED, not rules.copying),
        (Reason.SPLIT_SOLD_BEFORE, change.kept <= 0),
        (Reason.TOO_OLD, change.ts_seen - change.ts_block > rules.catch_up_age_ms_max),
        (Reason.LEADER_TRADE_TOO_SMALL, change.cash < rules.leader_notional_min),
    )
    refused = [reason for reason, applies in checks if applies]
    return refused[:1] or guardrails.market_reasons(
        inputs.market, "BUY", change.ts_seen, rules, inputs.lists
    )


def _merge(inputs: SetInputs, skipped: SetDecision) -> SetDecision:
    """Of every token what he merged of his; what the scarcest token forbids stays owed."""
    wanted = _wanted(inputs)
    shares = min(wanted, default=0)
    if shares < max(inputs.rules.dust_shares, 1):
        reason = Reason.DUST if shares else Reason.MERGE_NO_POSITION
        return replace(skipped, reasons=(reason,), unmerged=wanted)
    unmerged = tuple(shares_wanted - shares for shares_wanted in wanted)
    return replace(skipped, verdict="EXECUTE", shares=shares, unmerged=unmerged)


def _wanted(inputs: SetInputs) -> tuple[int, ...]:
    """Our shares of each token that should be gone with a MERGE; none with anything else."""
    if inputs.change.kind != "MERGE":
        return (0,) * len(inputs.change.tokens)
    ours = zip(inputs.held, inputs.exit_debt, inputs.change.before, strict=True)
    return tuple(_reduction(held, debt, inputs.change.shares, b) for held, debt, b in ours)


def _reduction(held: int, debt: int, merged: int, before: int) -> int:
    """What is owed already, and the part of the other shares that he merged of his, rounded down.

    All when he is out, and never more than it.
    """
    if held <= 0:
        return 0
    if merged >= before:
        return held
    overdue = min(debt, held)
    return overdue + ratio_floor(held - overdue, merged, before)


def set_cash(shares: int, tokens: int) -> tuple[int, ...]:
    """One USDC per set in parts per token that differ by at most a micro, larger ones first."""
    return tuple((shares + tokens - 1 - i) // tokens for i in range(tokens))
