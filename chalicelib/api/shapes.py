"""Shapes of all answers, as documented and as tested; no request imports them.

Amounts ending in `_micros` are integers of 10⁻⁶ (USDC, shares, prices, fractions); names beginning
with `ts_` or ending in `_at` are milliseconds since 1970.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from chalicelib.domain.life_cycle import LifeCycle
from chalicelib.domain.market import ResolutionState
from chalicelib.domain.paper_order import AttemptStatus
from chalicelib.domain.reasons import Reason
from chalicelib.domain.reconciliation import FindingKind
from chalicelib.domain.trade import Source, TradeState

Side = Literal["BUY", "SELL"]
LeaderState = Literal["on", "sell_only", "off"]
Mode = Literal["api", "polygon", "both"]
PortfolioKind = Literal["global", "leader", "shadow"]
Address = Annotated[str, Field(pattern=r"^0x[0-9a-f]{40}$")]
Setting = bool | int | str | None


class Shape(BaseModel):
    """An object with exactly these fields."""

    model_config = ConfigDict(extra="forbid")


class Problem(Shape):
    type: str
    title: str
    detail: str
    status: int


class Explained(Shape):
    code: Reason
    text: str


class OfMarket(Shape):
    token_id: str
    outcome: str
    question: str
    slug: str
    life_cycle: LifeCycle | None


class ModeNow(Shape):
    effective: Mode
    source: Literal["environment", "setting", "default"]
    stored: str | None


class Chain(Shape):
    state: str
    last_block: int | None
    last_block_at: int | None
    last_log_at: int | None
    connected_at: int | None
    detail: str


class Api(Shape):
    state: str
    last_poll_at: int | None
    detail: str


class Registry(Shape):
    markets: int
    synced_at: int | None


class Measured(Shape):
    state: Literal["starting", "ok", "degraded"]
    measured_at: int | None
    detail: str


class Queues(Shape):
    fills: int
    dead: int
    failures: int


class Health(Shape):
    status: Literal["ok", "degraded", "down"]
    engine: str
    stage: str
    version: str
    venue: str
    now: int
    mode: ModeNow
    chain: Chain
    api: Api
    blocking: list[Reason]
    registry: Registry
    completeness: Measured
    queues: Queues
    reasons: list[str]
    warnings: list[str]


class SourceRow(Shape):
    source: str
    up: bool
    detail: str
    at: int
    silent_ms: int
    connected_at: int | None
    last_event_at: int | None
    last_block: int | None
    last_block_at: int | None


class Gap(Shape):
    leader: Address
    leader_name: str
    ts_from: int
    ts_until: int
    reason: str


class Backfills(Shape):
    open: int
    oldest_from: int | None
    items: list[Gap]


class ErrorRow(Shape):
    where: str
    detail: str


class Ledgers(Shape):
    checked: int
    wrong: int
    oldest_check_at: int | None


class Size(Shape):
    table: str
    items: int | None
    bytes: int


class Redriven(Shape):
    moved: int
    kept: int
    left: int


class FindingRow(Shape):
    kind: FindingKind
    subject: str
    detail: str


class Verdict(Shape):
    at: int
    ts_from: int
    ts_until: int
    chain_only: int
    api_only: int
    both: int
    found: int
    findings: list[FindingRow]


class DayVerdict(Verdict):
    leader: Address
    leader_name: str


class ProgressRow(Shape):
    name: str
    value: int
    since: int


class Reconciled(Shape):
    recent: Verdict | None
    progress: list[ProgressRow]
    days: list[DayVerdict]


class System(Health):
    last_event_at: int | None
    last_poll_at: int | None
    backfills: Backfills
    sources: list[SourceRow]
    errors: list[ErrorRow]
    ledgers: Ledgers
    reconciled: Reconciled
    sizes: list[Size]


class Tally(Shape):
    live: int
    recovered: int
    missed: int
    duplicated: int
    unconfirmed: int
    disagreeing: int
    chain_first: int
    api_first: int


class DayTally(Tally):
    ts_until: int


class Hour(Tally):
    leader: Address
    leader_name: str
    ts_hour: int
    ts_from: int
    ts_until: int
    final: bool


class LeaderRow(Shape):
    leader: Address
    name: str
    wallets: list[Address]
    state: LeaderState
    followed_from: int
    trades: int
    last_trade_at: int | None
    positions_agreed_at: int | None
    positions_checked_at: int | None
    positions_differing: int
    completeness: DayTally | None


class PortfolioRow(Shape):
    portfolio_id: str
    kind: PortfolioKind
    leader: Address | None
    leader_name: str | None
    epoch: int
    starting_cash_micros: int
    cash_micros: int
    reserved_micros: int
    positions_value_micros: int
    equity_micros: int
    realized_micros: int
    unrealized_micros: int
    fees_micros: int
    open_positions: int
    marked_at: int | None


class Counts(Shape):
    trades: int
    attempts: int
    executed: int
    skipped: int
    filled: int
    partial: int
    no_fill: int


class Overview(Shape):
    now: int
    leaders: list[LeaderRow]
    portfolios: list[PortfolioRow]
    counts: Counts


class TradeRow(OfMarket):
    trade_id: str
    leader: Address
    leader_name: str
    wallet: Address
    tx_hash: str
    side: Side
    shares_micros: int
    cash_micros: int
    fee_micros: int
    price_micros: int | None
    role: Literal["maker", "taker"] | None
    block_number: int | None
    block_hash: str | None
    log_index: int | None
    order_hash: str | None
    ts_block: int
    ts_seen_chain: int | None
    ts_seen_api: int | None
    first_source: Source
    state: TradeState
    backfill: bool
    not_copied: Explained | None


class Trades(Shape):
    items: list[TradeRow]
    next_cursor: str | None


class AttemptRow(OfMarket):
    attempt_id: str
    ref: str
    group_id: str
    portfolio_id: str
    portfolio_kind: Literal["global", "leader"]
    leader: Address
    leader_name: str
    side: Side
    decision: Literal["EXECUTE", "SKIP"]
    status: AttemptStatus
    reasons: list[Explained]
    target_shares_micros: int | None
    limit_micros: int | None
    filled_shares_micros: int
    vwap_micros: int | None
    cash_micros: int
    fee_micros: int
    leader_price_micros: int
    leader_shares_micros: int
    best_micros: int | None
    mid_micros: int | None
    spread_micros: int | None
    slippage_leader_micros: int | None
    slippage_mid_micros: int | None
    slippage_arrival_micros: int | None
    ts_block: int
    ts_opened: int
    ts_decided: int
    ts_placed: int | None
    ts_first_fill: int | None
    ts_done: int | None
    ts_expiry: int | None
    known_until: int | None
    book_source: str | None
    late_by_ms: int


class Attempts(Shape):
    items: list[AttemptRow]
    next_cursor: str | None


class Sized(Shape):
    asked_micros: int
    largest_micros: int
    cash_micros: int | None


class AtRisk(Shape):
    total_micros: int
    market_micros: int
    event_micros: int
    category_micros: int
    leader_micros: int
    open_positions: int
    holds_token: bool


class Spent(Shape):
    day_cash_micros: int
    hour_fills: int


class SourcesThen(Shape):
    chain: str
    api: str
    degraded: bool
    detail: str


class Decided(Shape):
    reasons: list[Explained]
    age_ms: int
    rules_digest: str
    leader_cash_micros: int
    leader_reduction: int
    equity_micros: int
    free_cash_micros: int
    held_micros: int
    exit_debt_micros: int
    depth_shares_micros: int | None
    leader_role: str | None
    leader_rank: int | None
    leader_equity_micros: int | None
    ts_marks: int | None
    size: Sized | None
    exposure: AtRisk | None
    spending: Spent | None
    ts_book: int | None
    book_hash: str
    segment: str | None
    confirmed: bool
    health: SourcesThen | None


class Check(Shape):
    check: str
    state: str
    unit: str
    found: int | None
    at_least: int | None
    at_most: int | None
    reasons: list[Explained]


class Ordered(Shape):
    shares_micros: int
    limit_micros: int
    ts_placed: int
    ts_expiry: int
    ttl_ms: int
    resting_fill: str


class PriceLevel(Shape):
    price_micros: int
    shares_micros: int


class Slice(Shape):
    number: int
    ts: int
    shares_micros: int
    cash_micros: int
    fee_micros: int
    price_micros: int
    levels: list[PriceLevel]


class Execution(Shape):
    status: AttemptStatus
    reasons: list[Explained]
    rests: bool
    known_until: int
    book_source: str
    book_hash: str
    ts_book: int | None
    best_micros: int | None
    mid_micros: int | None
    ahead_shares_micros: int | None
    segments: list[str]
    slices: list[Slice]


class Slipped(Shape):
    leader_micros: int
    mid_micros: int | None
    arrival_micros: int | None


class StressPoint(Shape):
    latency_ms: int
    shares_micros: list[int]
    vwap_micros: list[int | None]


class Stress(Shape):
    latencies_ms: list[int]
    depths_percent: list[int]
    points: list[StressPoint]


class MarketBrief(Shape):
    condition_id: str
    category: str
    life_cycle: LifeCycle
    closes_at: int | None
    resolution: ResolutionState
    tick_micros: int
    order_shares_min_micros: int
    delay_ms: int
    fee_rate_micros: int
    fee_exponent: int
    neg_risk: bool


class Attempt(AttemptRow):
    now: int
    epoch: int
    reserved_micros: int
    retracted_shares_micros: int
    ran_at: int
    decided: Decided
    bounds_known: bool
    checks: list[Check]
    order: Ordered | None
    execution: Execution | None
    slippage: Slipped | None
    stress: Stress
    market: MarketBrief | None


class TapePrice(Shape):
    ts: int
    price_micros: int


class TapeFill(TapePrice):
    shares_micros: int


class TapeBest(Shape):
    ts: int
    bid_micros: int | None
    ask_micros: int | None


class Tape(Shape):
    model_config = ConfigDict(extra="allow")

    now: int
    attempt_id: str
    source: str | None
    recorded: bool
    complete: bool
    ts_from: int
    ts_until: int
    ts_decided: int
    ts_placed: int | None
    ts_end: int
    ts_expiry: int | None
    rests: bool
    over: bool
    side: Side
    limit_micros: int | None
    leader: TapePrice
    snapshot: TapeBest | None
    fills: list[TapeFill]
    best: list[TapeBest]
    gaps: list[list[int]]
    thinned: bool


class Hours(Shape):
    items: list[Hour]
    next_cursor: str | None


class Stage(Shape):
    stage: str
    count: int
    p50_ms: int | None
    p95_ms: int | None
    p99_ms: int | None


class StageCounts(Stage):
    counts: list[int]


class Delays(Shape):
    chain_first: int
    api_first: int
    stages: list[Stage]


class LeaderDelays(Delays):
    leader: Address
    leader_name: str


class Latency(Shape):
    now: int
    hours: int
    overall: Delays
    leaders: list[LeaderDelays]


class Point(Shape):
    ts: int
    equity_micros: int
    cash_micros: int
    exposure_micros: int
    realized_micros: int
    unrealized_micros: int
    fees_micros: int
    gain_micros: int
    drawdown_micros: int
    open_positions: int


class Measures(Shape):
    today_micros: int | None
    week_micros: int | None
    gain_micros: int | None
    drawdown_micros: int | None
    drawdown_fraction_micros: int | None
    exposure_micros: int | None
    closings: int
    wins: int
    win_rate_micros: int | None


class Rates(Shape):
    attempts: int
    skipped: int
    executed: int
    filled: int
    partial: int
    no_fill: int
    failed: int
    attempt_rate_micros: int | None
    fill_rate_micros: int | None
    partial_rate_micros: int | None


class Tracking(Shape):
    return_micros: int | None
    shadow_return_micros: int | None
    gap_micros: int | None
    paid_beyond_his_micros: int | None
    bought_micros: int
    sold_micros: int
    fees_micros: int


class LeaderPart(Shape):
    leader: str
    leader_name: str
    value_micros: int
    gain_before_fees_micros: int
    rates: Rates | None
    tracking: Tracking | None


class Portfolio(Measures):
    now: int
    portfolio_id: str
    kind: PortfolioKind
    leader: Address | None
    epoch: int
    starting_cash_micros: int
    cash_micros: int
    reserved_micros: int
    snapshot: Point | None
    marked_at: int | None
    leaders: list[LeaderPart]


class PositionRow(OfMarket):
    portfolio_id: str
    leader: str
    leader_name: str
    condition_id: str | None
    shares_micros: int
    cost_micros: int
    average_micros: int | None
    mark_micros: int | None
    value_micros: int
    unrealized_micros: int
    realized_micros: int
    exit_debt_micros: int
    reserved_micros: int
    ts_last: int | None


class Part(Shape):
    name: str
    title: str
    cash_micros: int


class Exposed(Shape):
    total_micros: int
    markets: list[Part]
    events: list[Part]
    categories: list[Part]
    leaders: list[Part]


class CashLimit(Shape):
    limit: str
    used_micros: int
    max_micros: int | None


class CountLimit(Shape):
    limit: str
    used: int
    max: int


class GlobalPortfolio(Portfolio):
    equity_micros: int
    positions_value_micros: int
    prices_at: int | None
    paused: bool
    paused_since: int | None
    breakers: list[Explained]
    positions: list[PositionRow]
    positions_more: bool
    exposure: Exposed
    limits: list[CashLimit | CountLimit]


class Standing(Shape):
    portfolio_id: str
    kind: PortfolioKind
    leader: Address | None
    paused: bool
    paused_since: int | None
    breakers: list[Explained]


class Controlled(Shape):
    changed: list[str]
    portfolios: list[Standing]


class Series(Shape):
    now: int
    portfolio_id: str
    epoch: int
    span: str
    grain: str
    points: list[Point]


class PnlRow(Measures):
    portfolio_id: str
    kind: PortfolioKind
    leader: Address | None
    leader_name: str | None
    equity_micros: int | None
    realized_micros: int | None
    unrealized_micros: int | None
    fees_micros: int


class Day(Shape):
    day: str
    gain_micros: int
    equity_micros: int
    fees_micros: int
    realized_micros: int


class Pnl(Shape):
    now: int
    portfolios: list[PnlRow]
    portfolio_id: str
    days: list[Day]


class ShadowMeasures(Measures):
    portfolio_id: str


class Counted(Shape):
    code: Reason
    text: str
    count: int


class Slippages(Shape):
    counts: list[int]
    count: int
    p50_micros: int | None
    p95_micros: int | None
    p99_micros: int | None


class SlippageBy(Shape):
    bounds_micros: list[int]
    leader: Slippages
    mid: Slippages
    arrival: Slippages


class DecayDepth(Shape):
    depth_percent: int
    shares_micros: int
    beyond_leader_micros: int | None


class Decay(Shape):
    latency_ms: int
    count: int
    target_shares_micros: int
    undelayed_micros: int | None
    depths: list[DecayDepth]


class Copied(Shape):
    portfolio_id: str
    epoch: int
    rates: Rates
    skips: list[Counted]
    slippage: SlippageBy
    tracking: Tracking | None
    decay: list[Decay]


class StageDelays(Shape):
    hours: int
    bounds_ms: list[int]
    stages: list[StageCounts]


class Performance(Shape):
    now: int
    leader: Address
    leader_name: str
    span: str
    shadow: ShadowMeasures | None
    portfolios: list[Copied]
    delays: StageDelays


class Forgone(Shape):
    reason: Reason | None
    text: str
    alone: bool
    horizon: str
    signals: int
    unfilled: int
    unvalued: int
    notional_micros: int
    gain_micros: int
    won: int
    estimated: int


class ForgoneOf(Shape):
    leader: str
    leader_name: str
    skips: list[Forgone]


class SkipLedger(Shape):
    now: int
    portfolio_id: str
    epoch: int
    leader: Address | None
    unjudged: int
    unjudged_reasons: list[Counted]
    total: list[Forgone]
    leaders: list[ForgoneOf]


class UserRow(LeaderRow):
    copying: bool
    settings_refused: str | None
    shadow: PortfolioRow | None
    copied: PortfolioRow | None = Field(alias="copy")


class Users(Shape):
    items: list[UserRow]
    next_cursor: str | None


class Wallet(Shape):
    wallet: Address
    followed_from: int
    holdings_as_of: int | None
    polled_until: int | None
    refused_since: int | None


class Held(Shape):
    items: list[PositionRow]
    more: bool


class HeldBy(Shape):
    shadow: Held
    copied: Held = Field(alias="copy")


class User(UserRow):
    now: int
    buys_from: int | None
    holdings_as_of: int | None
    followed_wallets: list[Wallet]
    marked_at: int | None
    positions: HeldBy


class Followed(Shape):
    leader: Address
    name: str
    wallets: list[Address]
    state: LeaderState
    followed_from: int


class Who(Shape):
    wallet: Address
    name: str
    pseudonym: str


class RecentTrade(Shape):
    ts_block: int
    side: Side
    question: str
    outcome: str
    shares_micros: int
    cash_micros: int


class Activity(Shape):
    events: int
    trades: int
    buys: int
    ts_from: int | None = Field(alias="from")
    ts_until: int | None = Field(alias="until")
    cash_micros: int
    median_cash_micros: int | None
    p90_cash_micros: int | None
    items: list[RecentTrade]


class HeldThere(Shape):
    token_id: str
    question: str
    outcome: str
    shares_micros: int
    value_micros: int


class WalletHoldings(Shape):
    count: int
    more: bool
    value_micros: int
    items: list[HeldThere]


class Category(Shape):
    category: str
    cash_micros: int


class Estimate(Shape):
    label: str
    buys: int
    cash_micros: int
    fees_micros: int
    guard_cost_micros: int
    fees_unknown: int


class Previewed(Who):
    state: LeaderState | None
    activity: Activity | None
    holdings: WalletHoldings | None
    maker_share_micros: int | None
    categories: list[Category]
    copying: Estimate | None


class Preview(Shape):
    now: int
    candidates: list[Who]
    leader: Previewed | None


class OutcomeQuote(Shape):
    token_id: str
    outcome: str
    book_at: int | None
    bid_micros: int | None
    ask_micros: int | None
    mid_micros: int | None
    spread_micros: int | None
    buy_depth_micros: int | None
    sell_depth_micros: int | None
    own_fills: int
    own_slippage_micros: int | None


class MarketRow(Shape):
    condition_id: str
    question: str
    slug: str
    category: str
    life_cycle: LifeCycle
    closes_at: int | None
    status: Literal["held", "listed", "followed"]
    list_refusal: Reason | None
    shares_micros: int
    value_micros: int
    leaders: int
    last_trade_at: int | None
    outcomes: list[OutcomeQuote]


class Markets(Shape):
    items: list[MarketRow]
    next_cursor: str | None


class Resolution(Shape):
    state: ResolutionState
    final: bool
    payouts_micros: list[int]
    ts: int | None


class ListEntry(Shape):
    listing: Literal["blacklist", "whitelist"]
    kind: Literal["market", "category"]
    value: str
    by: str
    ts: int
    note: str


class BookLevels(Shape):
    token_id: str
    bids: list[PriceLevel]
    asks: list[PriceLevel]


class OwnFill(Shape):
    portfolio_id: str
    leader: Address
    token_id: str
    side: Side
    ts_decided: int
    shares_micros: int
    vwap_micros: int | None
    slippage_leader_micros: int | None
    slippage_mid_micros: int | None
    slippage_arrival_micros: int | None


class Market(MarketRow):
    now: int
    tick_micros: int
    order_shares_min_micros: int
    fee_rate_micros: int
    fee_exponent: int
    neg_risk: bool
    delay_ms: int
    event_id: str
    tags: list[str]
    accepting_orders: bool
    resolution: Resolution
    list_entry: ListEntry | None
    books: list[BookLevels]
    positions: list[PositionRow]
    fills: list[OwnFill]


class MarketLists(Shape):
    now: int
    version: int
    entries: list[ListEntry]


class SettingField(Shape):
    name: str
    group: str
    description: str | None
    kind: Literal["number", "integer", "switch", "choice"]
    unit: str | None
    default: Setting
    minimum: Setting
    minimum_excluded: bool
    maximum: Setting
    choices: list[str] | None
    optional: bool
    per_leader: bool


class Config(Shape):
    now: int
    scope: str
    version: int
    overrides: dict[str, Setting]
    values: dict[str, Setting]
    origins: dict[str, Literal["default", "global", "user", "system"]]
    refused: str | None
    fields_: list[SettingField] = Field(alias="fields")


class TestSide(Shape):
    executed: int
    skipped: int
    filled: int
    pnl: int
    reasons: list[tuple[Reason, int]]


class TestCompared(Shape):
    portfolio_id: str
    before: TestSide
    after: TestSide


class TestResult(Shape):
    ts_from: int
    ts_until: int
    groups: int
    cut: bool
    portfolios: list[TestCompared]


class ConfigTest(Shape):
    job: str
    state: Literal["queued", "running", "done", "failed"]
    asked_by: str
    ts_asked: int
    ts_started: int | None
    ts_done: int | None
    hours: int
    error: str | None
    result: TestResult | None


class TriggerMode(Shape):
    version: int
    effective: Mode
    source: Literal["environment", "setting", "default"]
    stored: str | None
    overridden: bool
    poll_interval_s: int


class LiveLeader(Shape):
    leader: Address
    name: str
    state: LeaderState
    trades: int
    last_trade_at: int | None
    positions_differing: int


class LivePortfolio(Shape):
    portfolio_id: str
    kind: PortfolioKind
    leader: Address | None
    equity_micros: int
    cash_micros: int
    realized_micros: int
    unrealized_micros: int
    open_positions: int
    marked_at: int | None


class LiveOverview(Shape):
    counts: Counts
    leaders: list[LiveLeader]
    leaders_more: int
    portfolios: list[LivePortfolio]


class LiveTrade(Shape):
    trade_id: str
    leader: Address
    leader_name: str
    question: str
    outcome: str
    side: Side
    shares_micros: int
    price_micros: int | None
    cash_micros: int
    ts_block: int
    ts_seen_chain: int | None
    ts_seen_api: int | None
    first_source: Source
    state: TradeState
    backfill: bool
    tx_hash: str
    block_number: int | None
    block_hash: str | None
    log_index: int | None
    order_hash: str | None


class LiveTrades(Shape):
    items: list[LiveTrade]


class LiveSystem(Shape):
    status: Literal["ok", "degraded", "down"]
    venue: str
    mode: ModeNow
    chain: Chain
    api: Api
    blocking: list[Reason]
    queues: Queues
    reasons: list[str]
    warnings: list[str]


class OverviewPart(Shape):
    tag: str
    body: LiveOverview | None


class TradesPart(Shape):
    tag: str
    body: LiveTrades | None


class SystemPart(Shape):
    tag: str
    body: LiveSystem | None


class LiveParts(Shape):
    overview: OverviewPart
    trades: TradesPart
    system: SystemPart


class Live(Shape):
    now: int
    parts: LiveParts


class Session(Shape):
    signed_in: bool
    subject: str | None
    expires_at: int | None
    ways: list[str]
    now: int


class SignedOut(Shape):
    signed_in: Literal[False]
    now: int


class ResetPortfolio(Shape):
    portfolio_id: str
    epoch: int


class ResetDone(Shape):
    items: list[ResetPortfolio]


class AuditRow(Shape):
    id: str
    ts: int
    actor: str
    action: str
    subject: str
    before: str
    after: str


class Audit(Shape):
    items: list[AuditRow]
    next_cursor: str | None


class Document(Shape):
    """An OpenAPI document."""

    model_config = ConfigDict(extra="allow")

    openapi: Literal["3.1.0"]
