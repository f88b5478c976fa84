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

from chalicelib.adapters.sqs import parse_fill_message, parse_poll_tick
from chalicelib.bootstrap import Ports, Services
from chalicelib.domain.errors import InvalidInput, PapercopyError
from chalicelib.observability import logger

Event = dict[str, Any]
RECORDS_MAX = 10
RECEIVES_MAX = 5
"""Deliveries of a fill message before the queue buries it: `maxReceiveCount` in base.yaml."""


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
        try:
            services.ingest(parse_fill_message(record.body))
        except InvalidInput as error:
            ports.quarantine.keep("ingest", record.body, str(error))
            ports.metrics.count("messages_quarantined")
        except Exception as error:
            ports.metrics.count("messages_failed")
            logger.warning("fill message failed", error=repr(error), group=group, receives=receives)
            if receives < RECEIVES_MAX:
                held.add(group)
            raise

    return _run(BatchProcessor(event_type=EventType.SQS), event, handle)


def _delivery(record: SQSRecord) -> tuple[str, int]:
    """The record's message group, and how often it was delivered, this time included."""
    attributes: dict[str, str] = record.raw_event.get("attributes") or {}
    group = attributes.get("MessageGroupId", "")
    return group, int(attributes.get("ApproximateReceiveCount", "1"))


def poll_records(event: Event, services: Services, ports: Ports) -> PartialItemFailureResponse:
    """Poll the leaders named by a batch of poll ticks; one broken leader delays no other."""

    def handle(record: SQSRecord) -> None:
        try:
            leaders = parse_poll_tick(record.body)
        except InvalidInput as error:
            ports.quarantine.keep("poll", record.body, str(error))
            ports.metrics.count("messages_quarantined")
            return
        for leader in leaders:
            try:
                services.poll_leader(leader)
            except PapercopyError as error:
                # The next tick polls again from the same cursor: nothing is lost by going on.
                ports.metrics.count("polls_failed")
                logger.warning("poll failed", leader=leader, error=str(error))

    return _run(BatchProcessor(event_type=EventType.SQS), event, handle)
