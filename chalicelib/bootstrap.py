"""The one place where services meet adapters.

`services_on` wires the use cases onto given ports; the functions below it choose the ports for the
Lambdas and for the watcher. The embedded engine and tests bring their own.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING

from chalicelib.adapters.clock import SystemClock
from chalicelib.adapters.stored_rules import StoredRules
from chalicelib.domain.errors import InvalidInput
from chalicelib.domain.registry import Heartbeat
from chalicelib.ports import (
    ActivityFeed,
    Books,
    Clock,
    CopyWorkflows,
    FillQueue,
    MarketCatalogue,
    Metrics,
    Midpoints,
    Quarantine,
    Rules,
    Store,
)
from chalicelib.services.advance_portfolio import AdvancePortfolio
from chalicelib.services.copy_step import CopyStep
from chalicelib.services.execute_attempt import ExecuteAttempt
from chalicelib.services.group_fill import GroupFill
from chalicelib.services.heartbeats import beat
from chalicelib.services.ingest_fill import IngestFill
from chalicelib.services.manage_leaders import FollowLeader, leaders
from chalicelib.services.mark_portfolios import MarkPortfolios
from chalicelib.services.market_directory import MarketDirectory
from chalicelib.services.paper_executor import PaperExecutor
from chalicelib.services.poll_leader import PollLeader
from chalicelib.services.read_models import ReadModels
from chalicelib.services.sweep import Sweep
from chalicelib.services.sync_markets import SyncMarkets
from chalicelib.settings import Environment, environment

if TYPE_CHECKING:
    from chalicelib.adapters.queue_depths import QueueDepths
    from chalicelib.adapters.sqs import SqsPollTicks
    from chalicelib.observability import EmfMetrics
    from chalicelib.watcher.runner import Watcher


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
    clock: Clock
    metrics: Metrics


@dataclass(frozen=True, slots=True)
class Services:
    """Every use case, wired."""

    ingest: IngestFill
    poll_leader: PollLeader
    advance: AdvancePortfolio
    copy_step: CopyStep
    sweep: Sweep
    sync_markets: SyncMarkets
    mark_portfolios: MarkPortfolios
    follow: FollowLeader
    read: ReadModels


def services_on(ports: Ports, starting_cash: int, rules: Rules | None = None) -> Services:
    """The use cases on these ports; `starting_cash` in micros opens executable portfolios."""
    store, clock, metrics = ports.store, ports.clock, ports.metrics
    rules = rules or StoredRules(store, ports.quarantine, clock, metrics)
    directory = MarketDirectory(store, ports.catalogue, clock)
    group_fill = GroupFill(store, rules, clock, metrics)
    execute = ExecuteAttempt(store, PaperExecutor(ports.books, clock), metrics)
    advance = AdvancePortfolio(
        store, ports.books, directory, rules, execute, ports.quarantine, clock, metrics
    )
    return Services(
        ingest=IngestFill(store, group_fill, ports.workflows, metrics),
        poll_leader=PollLeader(store, ports.feed, ports.queue, ports.quarantine, clock, metrics),
        advance=advance,
        copy_step=CopyStep(advance, clock),
        sweep=Sweep(store, advance, clock, metrics),
        sync_markets=SyncMarkets(store, ports.catalogue, clock, metrics),
        mark_portfolios=MarkPortfolios(store, ports.midpoints, clock),
        follow=FollowLeader(store, clock, starting_cash),
        read=ReadModels(store, directory, clock),
    )


@dataclass(frozen=True, slots=True)
class Venue:
    """The venue's HTTP side."""

    feed: ActivityFeed
    catalogue: MarketCatalogue
    books: Books
    midpoints: Midpoints


def venue_on(env: Environment, clock: Clock, metrics: Metrics, quarantine: Quarantine) -> Venue:
    """Clients of the venue's APIs, one connection pool and one budget per host."""
    from chalicelib.adapters.polymarket.clob import Clob
    from chalicelib.adapters.polymarket.data_api import DataApi
    from chalicelib.adapters.polymarket.gamma import Gamma
    from chalicelib.adapters.polymarket.http import HttpClient
    from chalicelib.adapters.polymarket.throttle import TokenBucket

    # All hosts of the venue count against one budget per address of ours.
    bucket = TokenBucket(VENUE_CALLS_PER_S, VENUE_CALLS_BURST)
    data = HttpClient(env.data_api_url, metrics, name="data_api", bucket=bucket)
    gamma = HttpClient(env.gamma_api_url, metrics, name="gamma", bucket=bucket)
    clob_http = HttpClient(env.clob_api_url, metrics, name="clob", bucket=bucket)
    clob = Clob(clob_http, clock, metrics, refused=partial(quarantine.keep, "clob"))
    catalogue = Gamma(gamma, clob_http, refused=partial(quarantine.keep, "gamma"))
    return Venue(DataApi(data), catalogue, clob, clob)


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
    from chalicelib.observability import EmfMetrics

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
        clock=clock,
        metrics=metrics,
    )
    services = services_on(ports, int(env.starting_cash * 1_000_000))
    depths = QueueDepths(env.stage, sqs, clock)
    return Production(env, ports, services, SqsPollTicks(env.stage, sqs), depths, metrics)


def watcher_on(
    env: Environment, ports: Ports, heartbeat: Callable[[Heartbeat], None] | None = None
) -> Watcher:
    """The watcher of the followed wallets' logs; proofs of life go to the store by default.

    Raises InvalidInput without an endpoint.
    """
    from chalicelib.adapters.polygon.rpc import PolygonRpc
    from chalicelib.adapters.polymarket.http import HttpClient
    from chalicelib.adapters.polymarket.throttle import TokenBucket
    from chalicelib.watcher.runner import Surroundings, Watcher
    from chalicelib.watcher.session import PolygonSession

    if not env.polygon_ws_url:
        raise InvalidInput("POLYGON_WS_URL", "is needed to watch the chain")
    rpc: PolygonRpc | None = None
    if env.polygon_http_url:
        bucket = TokenBucket(POLYGON_CALLS_PER_S, POLYGON_CALLS_PER_S)
        http = HttpClient(env.polygon_http_url, ports.metrics, name="polygon", bucket=bucket)
        rpc = PolygonRpc(http)

    def wallets() -> dict[str, str]:
        return {
            wallet: leader.leader
            for leader in leaders(ports.store)
            if leader.state != "off"
            for wallet in leader.wallets
        }

    around = Surroundings(
        queue=ports.queue,
        clock=ports.clock,
        metrics=ports.metrics,
        wallets=wallets,
        heartbeat=heartbeat or (lambda proof: beat(ports.store, proof)),
        block_time=rpc.block_time if rpc else lambda _: None,
        refused=lambda payload, error: ports.quarantine.keep("polygon", payload, error),
        head_number=rpc.block_number if rpc else None,
    )
    return Watcher(env.polygon_ws_url, PolygonSession(wallets()), around)


def build_watcher(variables: Mapping[str, str]) -> Watcher:
    """The watcher of the production stack named by the environment variables."""
    from chalicelib.observability import logger

    made = production()

    def heard(proof: Heartbeat) -> None:
        beat(made.ports.store, proof)
        # The heartbeat alarm counts these lines.
        made.metrics.flush()
        logger.info("watcher heartbeat", up=proof.up, detail=proof.detail, block=proof.last_block)

    return watcher_on(environment(variables), made.ports, heard)
