"""What each Lambda function does on the production services, with its logs and counters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from chalicelib.adapters.codec import to_plain
from chalicelib.api.reading import VERSION, Sources
from chalicelib.bootstrap import Production, production
from chalicelib.domain.errors import PapercopyError
from chalicelib.observability import logger
from chalicelib.queue_handlers import ingest_records, poll_records
from chalicelib.services.verify_trades import softly

Event = dict[str, Any]
_MINUTE_S = 60


def _observed(body: Callable[[Event, Production], Any]) -> Callable[[Event, object], Any]:
    """The function with its counters flushed once, whatever happens."""

    @wraps(body)
    def handler(event: Event, _: object) -> Any:
        made = production()
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
    for place, leader in enumerate(due.leaders):
        first = due.offset_ms(place) // 1000
        made.ticks.send([leader], list(range(first, first + _MINUTE_S, due.interval_s)))


@_observed
def sweep(_: Event, made: Production) -> None:
    """Finish overdue work."""
    rows = made.services.sweep()
    if rows:
        logger.info("finished overdue work", rows=rows)
    softly(made.services.verify_trades, made.metrics)
    try:
        made.services.tend_leaders()
    except PapercopyError as error:
        # Comes again with the next minute; what the lanes need is done.
        logger.warning("leaders were not all tended", error=str(error))


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
    finally:
        made.ticks.send_marks(_MINUTE_S // 2)


@_observed
def measure(_: Event, made: Production) -> None:
    """Hold what was detected against the venue's own record."""
    tallies = made.services.measure()
    if unclean := [tally for tally in tallies if not tally.clean]:
        logger.warning("hours are not complete", hours=len(unclean))


def _health() -> Mapping[str, object]:
    made = production()
    facts = {
        "engine": "aws",
        "stage": made.env.stage,
        "version": VERSION,
        "venue": made.env.venue,
    }
    return made.services.read.health(facts, made.depths())


def serve_reads() -> None:
    """Point the API's routes at the production services, built at the first request."""
    Sources.read = lambda: production().services.read
    Sources.health = _health
