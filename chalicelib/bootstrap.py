"""The one place where services meet adapters.

`services_on` wires the use cases onto given ports; the functions below it choose the ports for the
Lambdas and for the watcher. The embedded engine and tests bring their own.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import TYPE_CHECKING

from chalicelib.adapters.clock import SystemClock
from chalicelib.adapters.lagged_feed import LaggedFeed
from chalicelib.adapters.stored_rules import StoredRules
from chalicelib.api.desk import Office
from chalicelib.domain.errors import InvalidInput, PapercopyError
from chalicelib.domain.latency_model import settle_ms
from chalicelib.domain.registry import Heartbeat
from chalicelib.ports import (
    ActivityFeed,
    Books,
    Clock,
    CopyWorkflows,
    DeadLetters,
    FillQueue,
    HoldingsFeed,
    LastTrades,
    MarketCatalogue,
    Metrics,
    Midpoints,
    Profiles,
    Quarantine,
    Receipts,
    ResolutionFeed,
    Rules,
    Store,
)
from chalicelib.services.advance_portfolio import AdvancePortfolio
from chalicelib.services.check_holdings import CheckHoldings
from chalicelib.services.check_ledger import CheckLedgers
from chalicelib.services.complete_stress import CompleteStress
from chalicelib.services.completeness import MeasureCompleteness
from chalicelib.services.config_tests import ConfigTests
from chalicelib.services.confirm_groups import ConfirmGroups
from chalicelib.services.control_portfolios import ControlPortfolios
from chalicelib.services.copy_step import CopyStep
from chalicelib.services.daily_marks import MarkDays
from chalicelib.services.decide_group import DecideGroup
from chalicelib.services.decide_set_change import DecideSetChange
from chalicelib.services.decision_book import DecisionBooks
from chalicelib.services.exchanges import generations
from chalicelib.services.execute_attempt import ExecuteAttempt
from chalicelib.services.exports import Exports
from chalicelib.services.exposures import Exposures
from chalicelib.services.group_fill import GroupFill
from chalicelib.services.heartbeats import Beats
from chalicelib.services.holdings import ReadHoldings
from chalicelib.services.ingest_activity import IngestActivity
from chalicelib.services.ingest_fill import IngestFill
from chalicelib.services.look_back import LookBacks
from chalicelib.services.manage_leaders import FollowLeader, UnfollowLeader
from chalicelib.services.mark_cycle import MarkCycle
from chalicelib.services.mark_portfolios import MarkPortfolios
from chalicelib.services.market_directory import MarketDirectory
from chalicelib.services.market_lists import ChangeMarketLists
from chalicelib.services.paper_executor import PaperExecutor
from chalicelib.services.poll_leader import PollLeader
from chalicelib.services.poll_schedule import PollSchedule
from chalicelib.services.portfolio_states import PortfolioStates
from chalicelib.services.portfolio_view import LatestMarks, NotingStore, PortfolioViews
from chalicelib.services.preview_leader import PreviewLeader
from chalicelib.services.read_models import Json, ReadModels
from chalicelib.services.read_models.live import TRADES_SHOWN, Live
from chalicelib.services.read_models.markets import MarketViews
from chalicelib.services.reconcile import Reconcile
from chalicelib.services.redrive import Redrive
from chalicelib.services.reset_paper import ResetPaper
from chalicelib.services.resolve_markets import ResolveMarkets
from chalicelib.services.retry_exits import RetryExits
from chalicelib.services.settle_markets import SettleMarkets
from chalicelib.services.settle_tokens import SettleTokens
from chalicelib.services.snapshot_portfolios import SnapshotPortfolios
from chalicelib.services.source_health import ChainIsUp
from chalicelib.services.sweep import Sweep
from chalicelib.services.sync_markets import SyncMarkets
from chalicelib.services.tape_reading import TapeReader
from chalicelib.services.tend_leaders import TendLeaders
from chalicelib.services.tend_portfolios import TendPortfolios
from chalicelib.services.verify_trades import VerifyTrades
from chalicelib.services.watch_breakers import WatchBreakers
from chalicelib.services.witnesses import Arrivals, DecisionWitness, KeptBooks, KeptWitness
from chalicelib.settings import Environment, environment, mode_lines

if TYPE_CHECKING:
    from chalicelib.adapters.admin_token import AdminToken
    from chalicelib.adapters.polygon.rpc import PolygonRpc
    from chalicelib.adapters.queue_depths import QueueDepths
    from chalicelib.adapters.sqs import SqsPollTicks
    from chalicelib.observability import EmfMetrics
    from chalicelib.watcher.market_watch import MarketWatch
    from chalicelib.watcher.runner import Watcher
    from chalicelib.watcher.surroundings import RunnerLimits


VENUE_CALLS_PER_S = 20
VENUE_CALLS_BURST = 40
POLYGON_CALLS_PER_S = 5


@dataclass(frozen=True, slots=True)
class Ports:
    """Everything the use cases need from the world."""

    store: Store
    queue: FillQueue
    workflows: CopyWorkflows
    quarantine: Quarantine
    feed: ActivityFeed
    catalogue: MarketCatalogue
    books: Books
    midpoints: Midpoints
    holdings: HoldingsFeed
    receipts: Receipts | None
    clock: Clock
    metrics: Metrics
    last_trades: LastTrades | None = None
    resolutions: ResolutionFeed | None = None


@dataclass(frozen=True, slots=True)
class Services:
    """Every use case, wired."""

    ingest: IngestFill
    poll_leader: PollLeader
    poll_schedule: PollSchedule
    advance: AdvancePortfolio
    copy_step: CopyStep
    sweep: Sweep
    sync_markets: SyncMarkets
    mark_portfolios: MarkCycle
    look_back: LookBacks
    tend_portfolios: TendPortfolios
    settle_markets: SettleMarkets
    mark_days: MarkDays
    check_ledgers: CheckLedgers
    control: ControlPortfolios
    market_lists: ChangeMarketLists
    follow: FollowLeader
    unfollow: UnfollowLeader
    holdings: ReadHoldings
    check_holdings: CheckHoldings
    ingest_activity: IngestActivity
    tend_leaders: TendLeaders
    read: ReadModels
    measure: MeasureCompleteness
    reconcile: Reconcile
    verify_trades: VerifyTrades
    rules: Rules
    reset_paper: ResetPaper
    exports: Exports


@dataclass(frozen=True, slots=True)
class Playback:
    """What takes the place of the world in a replay, which previews nothing and keeps nothing."""

    tapes: TapeReader
    witness: DecisionWitness


def services_on(
    ports: Ports,
    starting_cash: int,
    rules: Rules | None = None,
    env: Environment | None = None,
    ask_api: Callable[[str], object] | None = None,
    playback: Playback | None = None,
) -> Services:
    """The use cases on these ports; `starting_cash` in micros opens executable portfolios.

    `env` has the last word on system settings. `ask_api` lets a leader be polled now without
    waiting for it; by default he is polled on the spot. `playback` is for replays.
    """
    store, clock, metrics = ports.store, ports.clock, ports.metrics
    rules = rules or StoredRules(store, ports.quarantine, clock, metrics, env)
    directory = MarketDirectory(store, ports.catalogue, clock)
    tapes = playback.tapes if playback else TapeReader(store, rules, clock)
    witness = playback.witness if playback else KeptWitness(store)
    books = ports.books if playback else KeptBooks(store, ports.books, metrics)
    group_fill = GroupFill(store, tapes, rules, clock, metrics)
    views, marks = PortfolioViews(store), LatestMarks(store, clock)
    # What the lanes commit carries the views on.
    lane = NotingStore(store, views)
    watch_breakers = WatchBreakers(store, rules, metrics)
    execute = ExecuteAttempt(
        lane,
        PaperExecutor(tapes, books, clock),
        tapes,
        metrics,
        previews=playback is None,
    )
    decision_books = DecisionBooks(tapes, books, clock, metrics)
    poll_leader = PollLeader(
        store,
        LaggedFeed(ports.feed, rules, clock),
        ports.queue,
        ports.quarantine,
        clock,
        metrics,
    )
    exposures = Exposures(store, views, marks, directory)
    advance = AdvancePortfolio(
        lane,
        DecideGroup(
            lane,
            decision_books,
            tapes,
            directory,
            rules,
            clock,
            metrics,
            exposures,
            watch_breakers,
            witness,
            previews=playback is None,
        ),
        execute,
        SettleTokens(lane, metrics),
        DecideSetChange(lane, rules, exposures, watch_breakers, clock, metrics),
        ports.quarantine,
        clock,
        metrics,
        ask_api or poll_leader,
    )
    reset_paper = ResetPaper(store, clock, metrics, starting_cash)
    resolve = ResolveMarkets(directory, ports.resolutions, clock, metrics)
    states = PortfolioStates(store)
    activity = IngestActivity(store, directory, clock, metrics)
    holdings = ReadHoldings(store, ports.holdings, clock, metrics)
    check_holdings = CheckHoldings(store, ports.holdings, directory, rules, clock, metrics)
    ingest = IngestFill(
        store,
        group_fill,
        ports.workflows,
        rules,
        metrics,
        other_activity=activity,
        confirmed=ConfirmGroups(store, rules),
        chain_is_up=ChainIsUp(store, rules, clock),
        arrivals=None if playback else Arrivals(store, rules, clock),
    )
    measure = MeasureCompleteness(store, ports.feed, ports.queue, clock, metrics, rules)
    return Services(
        ingest=ingest,
        poll_leader=poll_leader,
        poll_schedule=PollSchedule(store, rules),
        advance=advance,
        copy_step=CopyStep(advance, clock),
        sweep=Sweep(
            store,
            advance,
            clock,
            metrics,
            reset_paper.finish,
            CompleteStress(store, tapes, clock, metrics),
        ),
        reset_paper=reset_paper,
        exports=Exports(store, clock),
        sync_markets=SyncMarkets(store, ports.catalogue, clock, metrics),
        mark_portfolios=MarkCycle(
            MarkPortfolios(
                store, ports.midpoints, clock, metrics, resolve, ports.last_trades, states
            ),
            SnapshotPortfolios(store, clock, metrics, states),
            metrics,
        ),
        look_back=LookBacks(
            store,
            tapes,
            ResolveMarkets(directory, ports.resolutions, clock, metrics),
            clock,
            metrics,
        ),
        tend_portfolios=TendPortfolios(
            store,
            views,
            marks,
            watch_breakers,
            RetryExits(lane, ports.workflows, directory, rules, clock, metrics),
            clock,
            metrics,
        ),
        settle_markets=SettleMarkets(store, lambda: resolve.decided, clock, metrics),
        mark_days=MarkDays(store, clock, metrics),
        check_ledgers=CheckLedgers(store, clock, metrics),
        control=ControlPortfolios(store, clock),
        market_lists=ChangeMarketLists(store, clock),
        follow=FollowLeader(store, clock, starting_cash, rules),
        unfollow=UnfollowLeader(store, clock),
        holdings=holdings,
        check_holdings=check_holdings,
        ingest_activity=activity,
        tend_leaders=TendLeaders(store, activity, holdings, check_holdings, clock),
        read=ReadModels(store, directory, clock, rules),
        measure=measure,
        reconcile=Reconcile(store, measure, rules, clock, metrics, ask_api or poll_leader),
        verify_trades=VerifyTrades(
            store,
            ports.receipts,
            ingest,
            lambda: generations(store),
            ports.quarantine,
            clock,
            metrics,
        ),
        rules=rules,
    )


def announce_mode(rules: Rules, tell: Callable[[str], None], warn: Callable[[str], None]) -> None:
    """Say which trigger mode is in force and why; every process does at its start."""
    try:
        line, warning = mode_lines(rules.system())
    except PapercopyError as error:
        warn(f"the trigger mode is not known yet: {error}")
        return
    tell(line)
    if warning:
        warn(warning)


@dataclass(frozen=True, slots=True)
class Venue:
    """The venue's HTTP side."""

    feed: ActivityFeed
    catalogue: MarketCatalogue
    books: Books
    midpoints: Midpoints
    holdings: HoldingsFeed
    last_trades: LastTrades
    resolutions: ResolutionFeed


def venue_on(env: Environment, clock: Clock, metrics: Metrics, quarantine: Quarantine) -> Venue:
    """Clients of the venue's APIs, one connection pool and one budget per host."""
    from chalicelib.adapters.polymarket.clob import Clob
    from chalicelib.adapters.polymarket.data_api import DataApi
    from chalicelib.adapters.polymarket.gamma import Gamma
    from chalicelib.adapters.polymarket.http import HttpClient, HttpPolicy
    from chalicelib.adapters.polymarket.last_trades import ClobLastTrades
    from chalicelib.adapters.polymarket.positions import Positions
    from chalicelib.adapters.polymarket.resolutions import Resolutions
    from chalicelib.adapters.polymarket.throttle import Pause, TokenBucket

    # All hosts of the venue count against one budget per address of ours, in all processes.
    bucket = TokenBucket(VENUE_CALLS_PER_S, VENUE_CALLS_BURST, shares=env.venue_budget_shares)
    pause = Pause()
    data = HttpClient(env.data_api_url, metrics, name="data_api", bucket=bucket, pause=pause)
    # Polls wait for the status, so it gets one short try.
    hasty = HttpPolicy(
        connect_timeout_s=1.0, read_timeout_s=2.0, body_timeout_s=2.0, attempts_max=1
    )
    status = HttpClient(
        env.data_api_url, metrics, name="data_status", bucket=bucket, pause=pause, policy=hasty
    )
    gamma = HttpClient(env.gamma_api_url, metrics, name="gamma", bucket=bucket)
    clob_http = HttpClient(env.clob_api_url, metrics, name="clob", bucket=bucket)
    clob = Clob(clob_http, clock, metrics, refused=partial(quarantine.keep, "clob"))
    catalogue = Gamma(gamma, clob_http, data, refused=partial(quarantine.keep, "gamma"))
    feed = DataApi(data, status_http=status)
    refused = partial(quarantine.keep, "positions")
    holdings = Positions(data, feed.status, clock, refused=refused)
    resolutions = Resolutions(data, clob_http, refused=partial(quarantine.keep, "resolutions"))
    last_trades = ClobLastTrades(clob_http, metrics)
    return Venue(feed, catalogue, clob, clob, holdings, last_trades, resolutions)


@dataclass(frozen=True, slots=True)
class ShownVenue:
    """What pages ask of the venue."""

    profiles: Profiles
    books: Books


def shown_venue_on(env: Environment, clock: Clock, metrics: Metrics) -> ShownVenue:
    """Clients for pages: somebody waits for the answer, so each call is one short try."""
    from chalicelib.adapters.polymarket.clob import Clob
    from chalicelib.adapters.polymarket.http import HttpClient, HttpPolicy
    from chalicelib.adapters.polymarket.profiles import VenueProfiles
    from chalicelib.adapters.polymarket.throttle import TokenBucket

    bucket = TokenBucket(VENUE_CALLS_PER_S, VENUE_CALLS_BURST, shares=env.venue_budget_shares)
    policy = HttpPolicy(
        connect_timeout_s=1.0, read_timeout_s=4.0, body_timeout_s=4.0, attempts_max=1
    )

    def client(url: str, name: str) -> HttpClient:
        return HttpClient(url, metrics, name=name, bucket=bucket, policy=policy)

    profiles = VenueProfiles(
        client(env.gamma_api_url, "shown_gamma"), client(env.data_api_url, "shown_data")
    )
    return ShownVenue(profiles, Clob(client(env.clob_api_url, "shown_clob"), clock, metrics))


def office_on(
    ports: Ports,
    services: Services,
    env: Environment,
    shown: ShownVenue,
    start_test: Callable[[str], None],
    health: Callable[[], Json],
    system: Callable[[], Json],
    dead_letters: DeadLetters | None = None,
) -> Office:
    """What the API's routes work with. `start_test` has a test of a configuration run by name."""
    store, clock, rules = ports.store, ports.clock, services.rules
    directory = MarketDirectory(store, ports.catalogue, clock)
    equity = int(env.starting_cash * 1_000_000)
    read = services.read
    return Office(
        store=store,
        clock=clock,
        rules=rules,
        env=env,
        read=read,
        markets=MarketViews(store, directory, clock, rules, shown.books),
        live=Live(clock, read.overview, lambda: read.trades(None, TRADES_SHOWN, None), health),
        follow=services.follow,
        unfollow=services.unfollow,
        preview=PreviewLeader(store, directory, shown.profiles, rules, clock, equity),
        control=services.control,
        market_lists=services.market_lists,
        config_tests=ConfigTests(store, clock),
        start_test=start_test,
        system=system,
        redrive=Redrive(store, dead_letters, clock, ports.metrics) if dead_letters else None,
    )


def node_on(env: Environment, metrics: Metrics, *, hasty: bool = False) -> PolygonRpc | None:
    """The Polygon node's HTTP side with its budget, None without an endpoint."""
    if not env.polygon_http_url:
        return None
    return node_at(env.polygon_http_url, env, metrics, hasty=hasty)


def node_at(url: str, env: Environment, metrics: Metrics, *, hasty: bool = False) -> PolygonRpc:
    """A Polygon node's HTTP side with its budget.

    A hasty caller gets one short try; who asks for receipts comes again anyway.
    """
    from chalicelib.adapters.polygon.rpc import PolygonRpc
    from chalicelib.adapters.polymarket.http import HttpClient, HttpPolicy
    from chalicelib.adapters.polymarket.throttle import TokenBucket

    bucket = TokenBucket(POLYGON_CALLS_PER_S, POLYGON_CALLS_PER_S, shares=env.venue_budget_shares)
    policy = HttpPolicy(
        connect_timeout_s=1.0, read_timeout_s=3.0, body_timeout_s=3.0, attempts_max=1
    )
    http = HttpClient(url, metrics, name="polygon", bucket=bucket, policy=policy if hasty else None)
    return PolygonRpc(http)


def receipts_on(env: Environment, clock: Clock, metrics: Metrics, endpoint: str | None) -> Receipts:
    """The node that the environment names, else the one whose address the stage keeps secret."""
    from chalicelib.adapters.aws import client
    from chalicelib.adapters.node_addresses import StoredNode, stored_http_address

    given = node_on(env, metrics, hasty=True)
    if given is not None:
        return given
    ssm = lru_cache(maxsize=1)(lambda: client("ssm", env.region, endpoint))
    return StoredNode(
        lambda: stored_http_address(ssm(), env.stage),
        lambda url: node_at(url, env, metrics, hasty=True),
        clock.now_ms,
    )


@dataclass(frozen=True, slots=True)
class Production:
    """What a Lambda invocation works with."""

    env: Environment
    ports: Ports
    services: Services
    ticks: SqsPollTicks
    depths: QueueDepths
    metrics: EmfMetrics


def _state_machine(env: Environment, endpoint: str | None) -> CopyWorkflows:
    from chalicelib.adapters.aws import client
    from chalicelib.adapters.stepfunctions import StepFunctionsWorkflows

    states = client("stepfunctions", env.region, endpoint)
    return StepFunctionsWorkflows(env.stage, states, sts=client("sts", env.region, endpoint))


@lru_cache(maxsize=1)
def production() -> Production:
    """Services on DynamoDB, SQS and Step Functions, built once per process."""
    from chalicelib.adapters.aws import client
    from chalicelib.adapters.dynamo.store import DynamoStore
    from chalicelib.adapters.queue_depths import QueueDepths
    from chalicelib.adapters.sqs import SqsFillQueue, SqsPollTicks, SqsQuarantine
    from chalicelib.observability import EmfMetrics, logger

    env = environment()
    endpoint = os.environ.get("AWS_ENDPOINT_URL")
    clock, metrics = SystemClock(), EmfMetrics()
    sqs = client("sqs", env.region, endpoint)
    quarantine = SqsQuarantine(env.stage, sqs)
    venue = venue_on(env, clock, metrics, quarantine)
    ports = Ports(
        store=DynamoStore(env.stage, endpoint_url=endpoint, region=env.region),
        queue=SqsFillQueue(env.stage, sqs),
        workflows=_state_machine(env, endpoint),
        quarantine=quarantine,
        feed=venue.feed,
        catalogue=venue.catalogue,
        books=venue.books,
        midpoints=venue.midpoints,
        holdings=venue.holdings,
        receipts=receipts_on(env, clock, metrics, endpoint),
        clock=clock,
        metrics=metrics,
        last_trades=venue.last_trades,
        resolutions=venue.resolutions,
    )
    ticks = SqsPollTicks(env.stage, sqs)
    services = services_on(
        ports,
        int(env.starting_cash * 1_000_000),
        env=env,
        ask_api=lambda leader: ticks.send([leader], [0]),
    )
    announce_mode(services.rules, logger.info, logger.warning)
    depths = QueueDepths(env.stage, sqs, clock)
    return Production(env, ports, services, ticks, depths, metrics)


def access_values() -> dict[str, str]:
    """Parameters of sign-in: settings where the environment has the last word, and secrets.

    Raises InvalidInput for a secret that is not stored as one, Retryable or Permanent.
    """
    from chalicelib.adapters.aws import client
    from chalicelib.adapters.parameters import parameters
    from chalicelib.api.access import SECRETS, SETTINGS

    env = environment()
    ssm = client("ssm", env.region, os.environ.get("AWS_ENDPOINT_URL"))
    stored = parameters(ssm, env.stage, "auth", SETTINGS, SECRETS)
    given = {name: os.environ.get(name.upper(), "") for name in SETTINGS}
    return {**stored, **{name: value for name, value in given.items() if value}}


@lru_cache(maxsize=1)
def admin_token() -> AdminToken:
    """What tells whether somebody holds the stage's admin token; read when it is first asked."""
    from chalicelib.adapters.admin_token import AdminToken, stage_token
    from chalicelib.adapters.aws import client

    env = environment()
    ssm = client("ssm", env.region, os.environ.get("AWS_ENDPOINT_URL"))
    return AdminToken(lambda: stage_token(ssm, env.stage), SystemClock().now_ms)


def watcher_on(
    env: Environment,
    ports: Ports,
    heartbeat: Callable[[Heartbeat], None] | None = None,
    rules: Rules | None = None,
    limits: RunnerLimits | None = None,
) -> Watcher:
    """The watcher of the followed wallets' logs; proofs of life go to the store by default.

    Raises InvalidInput without an endpoint, Retryable when the store cannot answer.
    """
    from chalicelib.services.exchanges import exchanges, seed_exchanges
    from chalicelib.watcher.runner import Watcher
    from chalicelib.watcher.session import PolygonSession
    from chalicelib.watcher.wiring import followed_wallets, last_proof, stored_surroundings

    if not env.polygon_ws_url:
        raise InvalidInput("POLYGON_WS_URL", "is needed to watch the chain")
    store, clock, metrics = ports.store, ports.clock, ports.metrics
    rules = rules or StoredRules(store, ports.quarantine, clock, metrics, env)
    seed_exchanges(store)
    session = PolygonSession(followed_wallets(store, rules), before=last_proof(store))
    session.set_exchanges(exchanges(store), clock.now_ms())
    around = stored_surroundings(
        store,
        ports.queue,
        clock,
        metrics,
        ports.quarantine,
        rules,
        heartbeat or Beats(store),
        node_on(env, metrics),
    )
    return Watcher(env.polygon_ws_url, session, around, limits=limits)


def market_watch_on(
    env: Environment,
    ports: Ports,
    services: Services,
    drain: Callable[[Sequence[str]], None],
    explained: Callable[[str], bool],
) -> MarketWatch:
    """The watch on the market channel: leaders whose tokens trade unexplained are polled at once.

    `explained` tells whether evidence of a transaction was seen.
    """
    from chalicelib.services.tapes import tape_requests, write_segments
    from chalicelib.services.tracked_tokens import HeldTokens, LiquidTokens, TrackedTokens
    from chalicelib.watcher.book_keeper import BookSurroundings
    from chalicelib.watcher.market_watch import MarketSurroundings, MarketWatch

    store, clock, metrics = ports.store, ports.clock, ports.metrics
    # Each is used by one thread at a time.
    of_interest, of_fills = (MarketDirectory(store, ports.catalogue, clock) for _ in range(2))

    tracked = TrackedTokens(store, of_interest)

    def drain_unless_off(leaders: Sequence[str]) -> None:
        if services.rules.system().trigger_mode != "polygon":
            drain(leaders)

    def placed_within_ms(token_id: str, leader: str) -> int:
        market = of_fills.known(token_id)
        rules = services.rules.rules_for(leader)
        return settle_ms(rules, market.delay_ms if market else 0) + rules.confirm_ms

    books = BookSurroundings(
        snapshots=ports.books.books,
        mode=lambda: services.rules.system().book_mode,
        write=lambda segments: write_segments(store, segments, metrics),
        requests=lambda: tape_requests(store, clock.now_ms()),
        held=HeldTokens(store),
        placed_within_ms=placed_within_ms,
        liquid=LiquidTokens(ports.catalogue, services.rules, clock),
        heartbeat=Beats(store),
    )
    around = MarketSurroundings(
        clock,
        metrics,
        lambda: tracked(clock.now_ms()),
        drain_unless_off,
        explained,
        books,
    )
    return MarketWatch(env.clob_ws_url, around)


def build_watches(
    variables: Mapping[str, str], stored: Callable[[bool], object] = bool
) -> tuple[Watcher, MarketWatch]:
    """The watches on chain and market channel of the stack named by the environment variables.

    `stored` is told of each heartbeat of the chain that was stored, and whether it was up.
    """
    from chalicelib.observability import logger
    from chalicelib.watcher.fills_told import FillsTold

    made = production()
    env = environment(variables)

    prove = Beats(made.ports.store)

    def heard(proof: Heartbeat) -> None:
        prove(proof)
        stored(proof.up)
        # The heartbeat alarm counts these lines.
        made.metrics.flush()
        logger.info("watcher heartbeat", up=proof.up, detail=proof.detail, block=proof.last_block)

    def drain(leaders: Sequence[str]) -> None:
        for leader in leaders:
            made.ticks.send([leader], [0])

    def explained(tx_hash: str) -> bool:
        return watcher.explains(tx_hash)

    markets = market_watch_on(env, made.ports, made.services, drain, explained)
    telling = replace(made.ports, queue=FillsTold(made.ports.queue, markets.fill_seen))
    watcher = watcher_on(env, telling, heard, made.services.rules)
    return watcher, markets
