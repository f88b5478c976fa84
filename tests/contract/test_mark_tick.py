"""The tick that asks for marks between two minutes, from the queue to the service."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from chalicelib.adapters.clock import SystemClock
from chalicelib.adapters.metrics import CountingMetrics
from chalicelib.adapters.sqs import MARK_TICK, SqsPollTicks, parse_poll_tick
from chalicelib.domain.errors import InvalidInput, Retryable
from chalicelib.queue_handlers import poll_records

from .test_sqs import FakeSqs


def record(body: str) -> dict[str, Any]:
    return {
        "messageId": "m1",
        "receiptHandle": "r",
        "body": body,
        "attributes": {},
        "messageAttributes": {},
        "md5OfBody": "",
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-east-1:1:polls",
        "awsRegion": "us-east-1",
    }


def test_it_is_sent_with_its_delay_and_is_no_poll() -> None:
    fake = FakeSqs()
    fake.send_message_batch = lambda QueueUrl, Entries: fake.batches.append(Entries) or {}  # type: ignore[func-returns-value,assignment,method-assign]
    ticks = SqsPollTicks("test", fake)
    ticks.send_marks(30)
    [[entry]] = fake.batches
    assert (entry["MessageBody"], entry["DelaySeconds"]) == (MARK_TICK, 30)
    for delay in (-1, 901):
        with pytest.raises(ValueError, match="a delay is"):
            ticks.send_marks(delay)
    with pytest.raises(InvalidInput):
        parse_poll_tick(MARK_TICK)


@pytest.mark.parametrize("fails", [False, True])
def test_it_marks_what_executables_hold_and_is_never_delivered_again(fails: bool) -> None:
    asked: list[dict[str, bool]] = []

    def mark(**how: bool) -> int:
        asked.append(how)
        if fails:
            raise Retryable("clob: status 503")
        return 1

    tended: list[bool] = []
    metrics = CountingMetrics()
    answer = poll_records(
        {"Records": [record(MARK_TICK)]},
        SimpleNamespace(mark_portfolios=mark, tend_portfolios=lambda: tended.append(True)),  # type: ignore[arg-type]
        SimpleNamespace(metrics=metrics, clock=SystemClock()),  # type: ignore[arg-type]
    )
    assert answer == {"batchItemFailures": []}
    assert asked == [{"shadows": False}]
    # Nothing follows from marks that were not made.
    assert tended == ([] if fails else [True])
    assert metrics.snapshot().get("marks_failed", 0) == fails
