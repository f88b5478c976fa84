"""What each Lambda function does on the production services, with its logs and counters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from chalicelib.adapters.codec import to_plain
from chalicelib.api.reading import VERSION, Sources
from chalicelib.bootstrap import Production, production
from chalicelib.observability import logger
from chalicelib.queue_handlers import ingest_records, poll_records
from chalicelib.services.manage_leaders import leaders

Event = dict[str, Any]
LEADERS_PER_TICK = 20
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
    """Poll ticks for the coming minute, spread by the poll interval.

    Nobody polls in mode `polygon`; nothing sleeps, the queue's delays do the spacing.
    """
    if made.env.mode[0] == "polygon":
        return
    known = [leader.leader for leader in leaders(made.ports.store) if leader.state != "off"]
    delays = list(range(0, _MINUTE_S, made.env.poll_interval_s))
    for start in range(0, len(known), LEADERS_PER_TICK):
        made.ticks.send(known[start : start + LEADERS_PER_TICK], delays)


@_observed
def sweep(_: Event, made: Production) -> None:
    """Finish overdue work."""
    rows = made.services.sweep()
    if rows:
        logger.info("finished overdue work", rows=rows)


@_observed
def sync_markets(_: Event, made: Production) -> None:
    """Refresh the market registry."""
    logger.info("markets synced", seen=made.services.sync_markets())


@_observed
def mark_portfolios(_: Event, made: Production) -> None:
    """Value what is held."""
    made.services.mark_portfolios()


def _health() -> Mapping[str, object]:
    made = production()
    mode, origin = made.env.mode
    facts = {
        "engine": "aws",
        "stage": made.env.stage,
        "version": VERSION,
        "venue": made.env.venue,
    }
    return made.services.read.health(mode, origin, facts, made.depths())


def serve_reads() -> None:
    """Point the API's routes at the production services, built at the first request."""
    Sources.read = lambda: production().services.read
    Sources.health = _health
