"""The decision on one group for one portfolio: a value, either an order or reasons to skip."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from chalicelib.domain import guardrails, sizing
from chalicelib.domain.exchange_log import Role
from chalicelib.domain.group import Group
from chalicelib.domain.identifiers import is_combo
from chalicelib.domain.latency_model import placed_at
from chalicelib.domain.market import Market
from chalicelib.domain.market_lists import MarketLists
from chalicelib.domain.money import cash_floor
from chalicelib.domain.orderbook import Book, depth
from chalicelib.domain.paper_order import Order, reservation
from chalicelib.domain.reasons import Reason
from chalicelib.domain.records import quick, replace
from chalicelib.domain.registry import Leader, wallet_as_of, wallet_start
from chalicelib.domain.risk import UNSPENT, Exposure, Spending, risk_reasons
from chalicelib.domain.rules import CopyRules
from chalicelib.domain.safety_caps import cap_reasons, caps_of
from chalicelib.domain.sizing import Size
from chalicelib.domain.source_health import SourceHealth

Verdict = Literal["EXECUTE", "SKIP"]


@quick
@dataclass(frozen=True, slots=True)
class Inputs:
    """Everything a decision may look at; amounts in micros.

    `held` and `exit_debt` are our shares of this token that came from this leader; `free_cash` is
    cash less reservations. `not_before` (milliseconds) lies after `ts_decided` when an order of
    ours had to be waited for: then it takes the place of the decision time. `health` is known for
    a BUY, and `lists` say which markets he may open positions in. `segment` names the part of the
    tape that `book` was taken from, empty for a snapshot. `tripped` names the circuit breakers that
    are open, `exposure` is known for a BUY, `leader_equity` where the sizing asks for it, and
    `ts_marks` is when the marks were made that `equity` and `exposure` rest on.
    """

    attempt_id: str
    group: Group
    rules: CopyRules
    equity: int
    free_cash: int
    held: int
    exit_debt: int
    market: Market | None
    book: Book | None
    backfill: bool = False
    sell_only: bool = False
    not_before: int = 0
    health: SourceHealth | None = None
    lists: MarketLists | None = None
    segment: str = ""
    paused: bool = False
    tripped: tuple[Reason, ...] = ()
    exposure: Exposure | None = None
    spending: Spending = UNSPENT
    leader_equity: int | None = None
    ts_marks: int = 0

    @property
    def ts_book(self) -> int:
        """The moment the book must tell of."""
        return max(self.group.ts_decided, self.not_before)


@quick
@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided, and every figure that decided it. Prices and amounts in micros.

    `confirmed` says that the Data API was waited for and showed every trade of the group. `size`,
    `leader_role`, `leader_rank` and `leader_equity` tell how a BUY was sized, `exposure`,
    `spending` and `ts_marks` what it was judged by. The settings are found by `rules_digest`.
    """

    verdict: Verdict
    reasons: tuple[Reason, ...]
    ts_decided: int
    age_ms: int
    rules_digest: str
    leader_price: int
    leader_shares: int
    leader_cash: int
    leader_reduction: int
    equity: int
    free_cash: int
    held: int
    exit_debt: int
    best: int | None = None
    mid: int | None = None
    spread: int | None = None
    depth_shares: int | None = None
    book_hash: str = ""
    ts_book: int | None = None
    limit: int | None = None
    target_shares: int | None = None
    confirmed: bool = False
    health: SourceHealth | None = None
    segment: str = ""
    leader_role: Role | None = None
    leader_rank: int | None = None
    leader_equity: int | None = None
    size: Size | None = None
    exposure: Exposure | None = None
    spending: Spending | None = None
    ts_marks: int = 0


def _facts(inputs: Inputs) -> Decision:
    """A SKIP without reasons that carries the inputs; the starting point of every decision."""
    group, book = inputs.group, inputs.book
    levels = book.takes(group.side) if book else ()
    return Decision(
        verdict="SKIP",
        reasons=(),
        ts_decided=group.ts_decided,
        age_ms=group.ts_decided - group.ts_block,
        rules_digest=inputs.rules.digest,
        leader_price=group.leader_price,
        leader_shares=group.net_shares,
        leader_cash=group.net_cash,
        leader_reduction=group.reduction if group.side == "SELL" else 0,
        equity=inputs.equity,
        free_cash=inputs.free_cash,
        held=inputs.held,
        exit_debt=inputs.exit_debt,
        best=levels[0].price if levels else None,
        mid=book.mid if book else None,
        spread=book.spread if book else None,
        book_hash=book.venue_hash if book else "",
        ts_book=book.ts_received if book else None,
        confirmed=group.confirmed,
        health=inputs.health,
        segment=inputs.segment if book else "",
        leader_role=group.role,
        leader_rank=group.rank,
        leader_equity=inputs.leader_equity,
        exposure=inputs.exposure,
        spending=inputs.spending.at(group.ts_decided) if group.side == "BUY" else None,
        ts_marks=inputs.ts_marks,
    )


def decide(inputs: Inputs) -> tuple[Decision, Order | None]:
    """Decide one group for one portfolio. The order is None exactly when the verdict is SKIP.

    A pause comes first, then open breakers, then what is cheap and final. Price, spread, depth,
    cash, caps and risk limits are judged together so that a skip names all of them.
    """
    facts = _facts(inputs)
    reasons = _preconditions(inputs)
    book, market = inputs.book, inputs.market
    if reasons or book is None or market is None:
        return replace(facts, reasons=tuple(reasons)), None
    if inputs.group.side == "BUY":
        return _buy(inputs, facts, book, market)
    return _sell(inputs, facts, book, market)


def asks_book(inputs: Inputs) -> bool:
    """Whether nothing cheaper rules the group out, so that it is worth asking for its book."""
    return _preconditions(inputs) == [Reason.BOOK_MISSING]


def _preconditions(inputs: Inputs) -> list[Reason]:
    """The cheapest kind of reason that applies, or nothing."""
    group, rules = inputs.group, inputs.rules
    if inputs.paused:
        return [Reason.PAUSED]
    if inputs.tripped and group.side == "BUY":
        return list(inputs.tripped)
    never = _never_copied(inputs)
    if never:
        return [never]
    wanted = _buy_refused(inputs) if group.side == "BUY" else _sell_refused(inputs)
    return (
        wanted
        or guardrails.market_reasons(
            inputs.market, group.side, group.ts_decided, rules, inputs.lists
        )
        or guardrails.book_reasons(inputs.book, group.side, inputs.ts_book, rules)
    )


def _never_copied(inputs: Inputs) -> Reason | None:
    """Why nobody could copy this group, whatever the side."""
    if inputs.backfill:
        return Reason.SKIP_BACKFILL
    if is_combo(inputs.group.token_id):
        return Reason.COMBO_NOT_COPYABLE
    if inputs.group.retracted:
        return Reason.LEADER_FILL_RETRACTED
    return Reason.SETTINGS_REFUSED if inputs.rules.refused else None


def _buy_refused(inputs: Inputs) -> list[Reason]:
    if not inputs.rules.copying:
        return [Reason.LEADER_DENIED]
    if inputs.sell_only:
        return [Reason.LEADER_SELL_ONLY]
    if inputs.health and inputs.health.blocks:
        return list(inputs.health.blocking)
    return guardrails.trade_reasons(inputs.group, inputs.rules)


def _sell_refused(inputs: Inputs) -> list[Reason]:
    return [] if inputs.held else [Reason.NO_POSITION]


def _buy(
    inputs: Inputs, facts: Decision, book: Book, market: Market
) -> tuple[Decision, Order | None]:
    group, rules = inputs.group, inputs.rules
    best, mid, spread = book.asks[0].price, book.mid, book.spread
    size = sizing.buy_size(group.net_cash, inputs.equity, rules, inputs.leader_equity, group.role)
    if size is None:
        return replace(facts, reasons=(Reason.LEADER_EQUITY_UNKNOWN,)), None
    if size.cash is None:
        return replace(facts, size=size, reasons=(Reason.BELOW_MINIMUM,)), None
    leader_price = facts.leader_price
    limit = guardrails.limit_price("BUY", leader_price, mid, market.tick, rules)
    shares = sizing.buy_shares(size.cash, limit)
    order = _order(inputs, facts, market, shares, limit)
    reasons = [
        *guardrails.age_reasons(facts.age_ms, best, leader_price, rules),
        *guardrails.price_reasons("BUY", best, mid, leader_price, rules),
        *guardrails.spread_reasons("BUY", spread, rules),
    ]
    if Reason.WORSE_THAN_LEADER not in reasons and Reason.BEYOND_MID not in reasons:
        reasons += guardrails.depth_reasons(book, "BUY", shares, limit, rules)
    if shares == 0 or cash_floor(shares, limit) < rules.marketable_cash_min:
        reasons.append(Reason.BELOW_MARKETABLE_MINIMUM)
    reasons += _money_reasons(inputs, order, market)
    return _verdict(facts, reasons, order, size, depth(book, "BUY", limit))


def _money_reasons(inputs: Inputs, order: Order, market: Market) -> list[Reason]:
    """What a BUY may cost: free cash, the caps of the settings, the limits of risk."""
    held_back = reservation(order, market.fee)
    reasons = [Reason.INSUFFICIENT_CASH] if held_back > inputs.free_cash else []
    reasons += cap_reasons(order.cash, inputs.spending, inputs.group.ts_decided, order.caps)
    if inputs.exposure:
        reasons += risk_reasons(inputs.exposure, held_back, inputs.equity, inputs.rules)
    return reasons


def _sell(
    inputs: Inputs, facts: Decision, book: Book, market: Market
) -> tuple[Decision, Order | None]:
    rules = inputs.rules
    best, mid, spread = book.bids[0].price, book.mid, book.spread
    leader_price = facts.leader_price
    limit = guardrails.limit_price("SELL", leader_price, mid, market.tick, rules)
    shares = sizing.sell_shares(owed(inputs), inputs.held)
    order, offered = _order(inputs, facts, market, shares, limit), depth(book, "SELL", limit)
    if shares < max(rules.dust_shares, 1):
        return _verdict(facts, [Reason.DUST], order, None, offered)
    reasons = []
    if cash_floor(shares, best) < rules.marketable_cash_min:
        reasons.append(Reason.BELOW_MARKETABLE_MINIMUM)
    if not rules.sell_always_attempt:
        reasons += guardrails.price_reasons("SELL", best, mid, leader_price, rules)
        reasons += guardrails.spread_reasons("SELL", spread, rules)
    return _verdict(facts, reasons, order, None, offered)


def is_history(group: Group, leader: Leader) -> bool:
    """Whether the group is older than the following, or part of holdings read before it was seen.

    Ingestion keeps history out of groups by wallet; nothing that is history for every wallet is
    copied should it ever fail to. What he bought while he was only sold is not copied either.
    """
    read = [wallet_as_of(leader, wallet) for wallet in leader.wallets]
    in_holdings = all(ts is not None and group.ts_block <= ts < group.opened for ts in read)
    too_old = all(group.ts_block < wallet_start(leader, wallet) for wallet in leader.wallets)
    unwanted = group.side == "BUY" and group.ts_block < leader.buys_from // 1000 * 1000
    return too_old or in_holdings or unwanted


def owed(inputs: Inputs) -> int:
    """Shares a SELL asks of us, with what earlier sells still owe; not rounded to order sizes."""
    group, rules = inputs.group, inputs.rules
    if rules.sell_sizing == "notional":
        return sizing.sell_owed_by_notional(
            inputs.held, group.net_shares, inputs.exit_debt, group.is_out, rules
        )
    return sizing.sell_owed(inputs.held, group.reduction, inputs.exit_debt, group.is_out)


def _order(inputs: Inputs, facts: Decision, market: Market, shares: int, limit: int) -> Order:
    """The order to place; the venue lets nothing rest that is below its minimum size."""
    rules = inputs.rules
    placed = placed_at(
        max(facts.ts_decided, inputs.not_before), inputs.attempt_id, rules, market.delay_ms
    )
    may_rest = shares >= market.order_shares_min
    return Order(
        token_id=inputs.group.token_id,
        side=inputs.group.side,
        shares=shares,
        limit=limit,
        ts_placed=placed,
        ts_book_max=placed + rules.book_late_ms_max,
        ttl_ms=rules.order_ttl_ms if may_rest else 0,
        resting_fill=rules.resting_fill,
        caps=caps_of(rules),
        spent=facts.spending or inputs.spending.at(facts.ts_decided),
    )


def _verdict(
    facts: Decision, reasons: list[Reason], order: Order, size: Size | None, offered: int
) -> tuple[Decision, Order | None]:
    """The decision with the figures of its order, which is placed where no reason forbids it."""
    decision = replace(
        facts,
        verdict="SKIP" if reasons else "EXECUTE",
        reasons=tuple(reasons),
        limit=order.limit,
        target_shares=order.shares,
        depth_shares=offered,
        size=size,
    )
    return decision, None if reasons else order
