"""What the queue-driven Lambdas do: parse, call one service, report what to deliver again.

A payload that can never be processed is quarantined with its text and acknowledged, so it never
blocks its neighbours. On the FIFO queue any other failure also returns the rest of its group,
except at the last delivery: what is then buried must not take its successors along.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from chalicelib.adapters.fill_wire import parse_fill_message
from chalicelib.adapters.sqs import MARK_TICK, PollTick, parse_poll_tick
from chalicelib.bootstrap import Ports, Services
from chalicelib.domain.errors import InvalidInput, PapercopyError
from chalicelib.domain.evidence import ApiEvidence, ChainEvidence, FillMessage
from chalicelib.domain.identifiers import trade_id
from chalicelib.observability import logger
from chalicelib.services.verify_trades import softly

Event = dict[str, Any]
RECORDS_MAX = 10
IDS_MAX = 10
RECEIVES_MAX = 5
"""Deliveries of a fill message before the queue buries it: `maxReceiveCount` in base.yaml."""
TICK_LATE_MS_MAX = 15_000
"""A poll tick that comes later than this is dropped, so that slow pollers are never far behind."""


class HeldBack(PapercopyError):
    """An earlier message of the same group failed in this batch; order is kept."""


def _run(
    processor: BatchProcessor, event: Event, handle: Callable[[SQSRecord], None]
) -> PartialItemFailureResponse:
    records = event.get("Records")
    if not isinstance(records, list) or len(records) > RECORDS_MAX:
        raise InvalidInput("Records", f"a list of at most {RECORDS_MAX} was expected")
    # A batch that failed as a whole is reported item by item, like any other.
    processor.raise_on_entire_batch_failure = False
    with processor(records, handle):
        processor.process()
    return processor.response()


def ingest_records(event: Event, services: Services, ports: Ports) -> PartialItemFailureResponse:
    """Ingest a batch of fill messages."""
    held: set[str] = set()

    def handle(record: SQSRecord) -> None:
        group, receives = _delivery(record)
        if group in held:
            raise HeldBack(group)
        trades: list[str] = []
        try:
            message = parse_fill_message(record.body)
            trades = _trade_ids(message)
            raised = services.ingest(message)
            if raised:
                softly(lambda: services.verify_trades.at_once(raised), ports.metrics)
        except InvalidInput as error:
            ports.quarantine.keep("ingest", record.body, str(error))
            ports.metrics.count("messages_quarantined")
        except Exception as error:
            ports.metrics.count("messages_failed")
            logger.warning(
                "fill message failed",
                error=repr(error),
                trade_ids=trades,
                group=group,
                receives=receives,
            )
            if receives < RECEIVES_MAX:
                held.add(group)
            raise

    return _run(BatchProcessor(event_type=EventType.SQS), event, handle)


def _trade_ids(message: FillMessage) -> list[str]:
    """The trades a message is about, as everything after it names them; at most IDS_MAX."""
    evidence: list[ChainEvidence | ApiEvidence] = [*message.chain, *message.api]
    found = {trade_id(message.wallet, e.tx_hash, e.token_id, e.side) for e in evidence}
    return sorted(found)[:IDS_MAX]


def _delivery(record: SQSRecord) -> tuple[str, int]:
    """The record's message group, and how often it was delivered, this time included."""
    attributes: dict[str, str] = record.raw_event.get("attributes") or {}
    group = attributes.get("MessageGroupId", "")
    return group, int(attributes.get("ApproximateReceiveCount", "1"))


def _mark_softly(services: Services, ports: Ports) -> None:
    """Marks that fail are made by the next cycle: repeating them later is of no use."""
    try:
        services.mark_portfolios(shadows=False)
        services.tend_portfolios()
    except PapercopyError as error:
        ports.metrics.count("marks_failed")
        logger.warning("marks failed", error=str(error))


def _still_due(tick: PollTick, received: int, services: Services) -> tuple[str, ...]:
    """Whom a tick that was received at `received` (milliseconds) still has to poll."""
    if not tick.ts_due:
        return tick.leaders
    if received - tick.ts_due > TICK_LATE_MS_MAX:
        return ()
    return tuple(
        who for who in tick.leaders if not services.poll_leader.polled_since(who, tick.ts_due)
    )


def poll_records(event: Event, services: Services, ports: Ports) -> PartialItemFailureResponse:
    """Poll the leaders named by a batch of poll ticks; one broken leader delays no other.

    Ticks that waited too long, or since which their leader was polled, are dropped: the next one
    of him is on its way. What waits for its neighbours in this batch does not count as late. The
    ticks between two minutes also ask for marks of what executable portfolios hold.
    """
    received = ports.clock.now_ms()

    def handle(record: SQSRecord) -> None:
        if record.body == MARK_TICK:
            _mark_softly(services, ports)
            return
        try:
            tick = parse_poll_tick(record.body)
        except InvalidInput as error:
            ports.quarantine.keep("poll", record.body, str(error))
            ports.metrics.count("messages_quarantined")
            return
        due = _still_due(tick, received, services)
        ports.metrics.count("poll_ticks_skipped", len(tick.leaders) - len(due))
        for leader in due:
            # The next tick polls again from the same cursor: nothing is lost by going on.
            try:
                failure = services.poll_leader(leader).failure
            except PapercopyError as error:
                failure = str(error)
            if failure:
                ports.metrics.count("polls_failed")
                logger.warning("poll failed", leader=leader, error=failure)

    return _run(BatchProcessor(event_type=EventType.SQS), event, handle)
