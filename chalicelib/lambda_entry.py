"""What each Lambda function does on the production services, with its logs and counters."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any

from chalicelib.adapters.clock import SystemClock
from chalicelib.adapters.codec import to_plain
from chalicelib.api.access import StoredAccess
from chalicelib.api.desk import Desk, Office
from chalicelib.api.guard import Door
from chalicelib.api.reading import VERSION, Sources
from chalicelib.api.records import Keeping
from chalicelib.api.throttle import Throttle
from chalicelib.bootstrap import (
    Production,
    access_values,
    admin_token,
    office_on,
    production,
    shown_venue_on,
)
from chalicelib.domain.errors import PapercopyError
from chalicelib.observability import logger, structure_logs
from chalicelib.queue_handlers import ingest_records, poll_records
from chalicelib.services.config_tests import ConfigTests
from chalicelib.services.sign_outs import SignOuts
from chalicelib.services.verify_trades import softly

Event = dict[str, Any]
_MINUTE_S = 60
_HOUR_MS = 3_600_000
_MEASURE_MS = 300_000

if "AWS_LAMBDA_FUNCTION_NAME" in os.environ:
    structure_logs()


def _observed(body: Callable[[Event, Production], Any]) -> Callable[[Event, object], Any]:
    """The function with its counters flushed once, whatever happens."""

    @wraps(body)
    def handler(event: Event, context: object) -> Any:
        made = production()
        logger.append_keys(request_id=getattr(context, "aws_request_id", ""))
        try:
            return body(event, made)
        finally:
            made.metrics.flush()

    return handler


@_observed
def ingest(event: Event, made: Production) -> Any:
    """A batch of fill messages."""
    return ingest_records(event, made.services, made.ports)


@_observed
def poll(event: Event, made: Production) -> Any:
    """A batch of poll ticks."""
    return poll_records(event, made.services, made.ports)


@_observed
def advance(event: Event, made: Production) -> Any:
    """One step of a copy workflow: ids in, ids and the next wait out."""
    from chalicelib.adapters.stepfunctions import parse_copy_run

    return to_plain(made.services.copy_step(parse_copy_run(event)))


@_observed
def poll_tick(_: Event, made: Production) -> None:
    """Poll ticks for the coming minute, one leader each, spread by the poll interval.

    One leader's tick waits for nobody else's poll, and nothing sleeps: the queue's delays do the
    spacing, in whole seconds.
    """
    due = made.services.poll_schedule()
    firsts = [(leader, due.offset_ms(place) // 1000) for place, leader in enumerate(due.leaders)]
    made.ticks.send_each(
        [
            (leader, delay)
            for leader, first in firsts
            for delay in range(first, first + _MINUTE_S, due.interval_s)
        ]
    )


@_observed
def sweep(_: Event, made: Production) -> None:
    """Finish overdue work."""
    rows = made.services.sweep()
    if rows:
        logger.info("finished overdue work", rows=rows)
    softly(made.services.verify_trades, made.metrics)
    for part in (made.services.tend_leaders, made.services.reconcile):
        try:
            part()
        except PapercopyError as error:
            # Comes again with the next minute; what the lanes need is done.
            logger.warning("not all was tended", part=type(part).__name__, error=str(error))


@_observed
def sync_markets(_: Event, made: Production) -> None:
    """Refresh the market registry."""
    sync = made.services.sync_markets
    seen = sync()
    logger.info("markets synced", seen=seen, finished=sync.finished)


@_observed
def mark_portfolios(_: Event, made: Production) -> None:
    """Value what is held, now and, as schedules know whole minutes only, once in between."""
    try:
        made.services.mark_portfolios()
        made.services.tend_portfolios()
        # Settlements are worked off by the sweep.
        made.services.settle_markets()
        made.services.mark_days()
    finally:
        made.ticks.send_marks(_MINUTE_S // 2)


@_observed
def measure(_: Event, made: Production) -> None:
    """Hold what was detected against the venue's own record, and look back at attempts."""
    try:
        # Once an hour: what is looked at together is written together.
        if made.ports.clock.now_ms() % _HOUR_MS < _MEASURE_MS:
            made.services.look_back()
    except PapercopyError as error:
        logger.warning("attempts were not all looked back at", error=str(error))
    tallies = made.services.measure()
    if unclean := [tally for tally in tallies if not tally.clean]:
        logger.warning("hours are not complete", hours=len(unclean))
    made.services.reconcile.days()
    made.services.check_ledgers()


@_observed
def config_test(event: Event, made: Production) -> None:
    """Replay the last hours under the settings of a job."""
    from chalicelib.replay.last import replayed_job

    job = event.get("job")
    ran = isinstance(job, str) and ConfigTests(made.ports.store, made.ports.clock).run(
        job, replayed_job(made.ports.store, made.ports.clock)
    )
    logger.info("configuration tested", job=job, ran=ran)


def _facts(made: Production) -> dict[str, Any]:
    return {
        "engine": "aws",
        "stage": made.env.stage,
        "version": VERSION,
        "venue": made.env.venue,
    }


def _health() -> dict[str, Any]:
    made = production()
    return made.services.read.health(_facts(made), made.depths())


@lru_cache(maxsize=1)
def _office(made: Production) -> Office:
    """Kept for as long as what it is made of."""
    from chalicelib.adapters.aws import client
    from chalicelib.adapters.dead_letters import SqsDeadLetters
    from chalicelib.adapters.dynamo.sizes import TableSizes
    from chalicelib.adapters.invocations import ConfigTestFunction

    env, endpoint = made.env, os.environ.get("AWS_ENDPOINT_URL")
    sizes = TableSizes(env.stage, client("dynamodb", env.region, endpoint), made.ports.clock)

    def system() -> dict[str, Any]:
        return made.services.read.system(_facts(made), made.depths(), sizes())

    return office_on(
        made.ports,
        made.services,
        env,
        shown_venue_on(env, made.ports.clock, made.metrics),
        ConfigTestFunction(env.stage, client("lambda", env.region, endpoint)),
        _health,
        system,
        SqsDeadLetters(env.stage, client("sqs", env.region, endpoint)),
    )


def serve_reads() -> None:
    """Point the API's routes at the production services, built at the first request."""
    clock = SystemClock()
    Door.access = StoredAccess(access_values, clock.now_ms)
    Door.sign_outs = lru_cache(maxsize=1)(lambda: SignOuts(production().ports.store, clock))
    Door.now_ms = clock.now_ms
    Door.throttle = Throttle()
    Sources.read = lambda: production().services.read
    Sources.health = _health
    Keeping.reset = lambda: production().services.reset_paper
    Keeping.exports = lambda: production().services.exports
    Keeping.read = lambda: production().services.read
    Keeping.token = admin_token
    Desk.office = lambda: _office(production())
