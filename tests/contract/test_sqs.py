"""The SQS adapters: bodies, batches, partial failures, errors."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from chalicelib.adapters import fill_wire, sqs
from chalicelib.adapters.clock import ManualClock
from chalicelib.adapters.fill_wire import parse_fill_message
from chalicelib.adapters.sqs import (
    PollTick,
    SqsFillQueue,
    SqsPollTicks,
    SqsQuarantine,
    parse_poll_tick,
)
from chalicelib.domain.errors import InvalidInput, PapercopyError, Permanent, Retryable

from .aws_resources import REGION, create_queues
from .messages import fill_message


class FakeSqs:
    """Answers batches; the n-th one refuses the entries whose leader is in `refusals[n]`."""

    def __init__(self, refusals: Sequence[set[str]] = (), *, sender_fault: bool = False) -> None:
        self.batches: list[list[dict[str, Any]]] = []
        self.lookups = 0
        self._refusals = list(refusals)
        self._sender_fault = sender_fault

    def get_queue_url(self, QueueName: str) -> dict[str, str]:
        self.lookups += 1
        return {"QueueUrl": f"https://queue/{QueueName}"}

    def send_message_batch(self, QueueUrl: str, Entries: list[dict[str, Any]]) -> dict[str, Any]:
        self.batches.append(Entries)
        refused = self._refusals.pop(0) if self._refusals else set()
        failed = [
            {
                "Id": e["Id"],
                "Code": "InternalError",
                "Message": "busy",
                "SenderFault": self._sender_fault,
            }
            for e in Entries
            if e["MessageGroupId"] in refused
        ]
        return {"Failed": failed} if failed else {}

    def sent(self) -> list[str]:
        return [leader for batch in self.leaders() for leader in batch]

    def leaders(self) -> list[list[str]]:
        return [[e["MessageGroupId"] for e in batch] for batch in self.batches]


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqs, "SEND_BACKOFF_MS", 0)


def test_batches_hold_ten_messages() -> None:
    client = FakeSqs()
    SqsFillQueue("test", client).send([fill_message(str(n), n) for n in range(23)])
    assert [len(batch) for batch in client.batches] == [10, 10, 3]
    assert client.sent() == [str(n) for n in range(23)]
    ids = [e["MessageDeduplicationId"] for batch in client.batches for e in batch]
    assert len(set(ids)) == 23
    assert client.lookups == 1


def test_batches_hold_at_most_256_kilobytes_together() -> None:
    client = FakeSqs()
    messages = [fill_message(str(n), n, rows=500) for n in range(9)]
    body_bytes = len(fill_wire.encode(messages[0]))
    assert 51_000 < body_bytes < 62_000
    SqsFillQueue("test", client).send(messages)
    assert [len(batch) for batch in client.batches] == [4, 4, 1]
    for batch in client.batches:
        assert sum(len(e["MessageBody"].encode()) for e in batch) < 256 * 1024
    assert client.sent() == [str(n) for n in range(9)]


def test_a_message_that_never_fits_is_refused_before_anything_is_sent() -> None:
    client = FakeSqs()
    messages = [fill_message(str(n), n) for n in range(15)]
    with pytest.raises(Permanent, match="bytes"):
        SqsFillQueue("test", client).send([*messages, fill_message("x", 1, rows=4_000)])
    assert client.batches == []


def test_what_a_batch_refused_is_sent_again_with_the_same_id() -> None:
    client = FakeSqs([{"b", "c"}, {"c"}])
    SqsFillQueue("test", client).send([fill_message(leader, 1) for leader in "abcd"])
    assert client.leaders() == [["a", "b", "c", "d"], ["b", "c"], ["c"]]
    ids = [
        [e["MessageDeduplicationId"] for e in batch if e["MessageGroupId"] == "c"]
        for batch in client.batches
    ]
    assert ids[0] == ids[1] == ids[2]


def test_the_repetitions_are_bounded() -> None:
    client = FakeSqs([{"b"}] * 10)
    with pytest.raises(Retryable, match=r"1 of 2 messages refused \(InternalError: busy\)"):
        SqsFillQueue("test", client).send([fill_message(leader, 1) for leader in "ab"])
    assert len(client.batches) == sqs.SEND_ATTEMPTS_MAX


def test_refusals_of_our_own_making_are_permanent() -> None:
    client = FakeSqs([{"b"}] * 10, sender_fault=True)
    with pytest.raises(Permanent):
        SqsFillQueue("test", client).send([fill_message(leader, 1) for leader in "ab"])


def test_later_batches_wait_for_earlier_ones() -> None:
    client = FakeSqs([{"0"}] * 10)
    with pytest.raises(Retryable):
        SqsFillQueue("test", client).send([fill_message(str(n), n) for n in range(20)])
    assert not any("10" in batch for batch in client.leaders())


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (("RequestThrottled", 400), Retryable),
        (("AWS.SimpleQueueService.NonExistentQueue", 400), Permanent),
        (("AccessDenied", 403), Permanent),
        (("Unheard", 500), Retryable),
        (None, Retryable),
    ],
)
@pytest.mark.parametrize("operation", ["get_queue_url", "send_message_batch"])
def test_errors_are_translated(
    operation: str, error: tuple[str, int] | None, failure: type[PapercopyError]
) -> None:
    client = FakeSqs()

    def fail(**_: object) -> None:
        if error is None:
            raise EndpointConnectionError(endpoint_url="https://sqs")
        response: Any = {
            "Error": {"Code": error[0]},
            "ResponseMetadata": {"HTTPStatusCode": error[1]},
        }
        raise ClientError(response, "Send")

    setattr(client, operation, fail)
    with pytest.raises(PapercopyError) as caught:
        SqsFillQueue("test", client).send([fill_message("a", 1)])
    assert type(caught.value) is failure


def test_a_body_names_its_version() -> None:
    client = FakeSqs()
    SqsFillQueue("test", client).send([fill_message("a", 7)])
    body = client.batches[0][0]["MessageBody"]
    assert json.loads(body)["v"] == fill_wire.VERSION
    assert parse_fill_message(body) == fill_message("a", 7)


def test_prepared_messages_are_sent_as_they_were_when_they_were_prepared() -> None:
    client = FakeSqs()
    queue = SqsFillQueue("test", client)
    prepared = [queue.prepare(fill_message(leader, n)) for n, leader in enumerate("aba")]
    queue.send_prepared(prepared)
    assert client.leaders() == [["a", "b", "a"]]
    bodies = [entry["MessageBody"] for entry in client.batches[0]]
    assert [parse_fill_message(body).ts_seen for body in bodies] == [0, 1, 2]


@pytest.mark.parametrize(
    "body",
    [
        "x",
        "{}",
        '{"leaders":[]}',
        '{"v":2,"leaders":[]}',
        '{"v":1}',
        '{"v":1,"leaders":[5]}',
        '{"v":1,"leaders":"a"}',
    ],
)
def test_a_malformed_tick_is_refused(body: str) -> None:
    with pytest.raises(InvalidInput):
        parse_poll_tick(body)


def receive(client: Any, name: str) -> list[str]:
    url = client.get_queue_url(QueueName=f"papercopy-test-{name}")["QueueUrl"]
    found = client.receive_message(QueueUrl=url, MaxNumberOfMessages=10)
    return [message["Body"] for message in found.get("Messages", [])]


def test_ticks_carry_the_leaders_and_their_delays(aws: None) -> None:
    client = boto3.client("sqs", region_name=REGION)
    create_queues(client, "test")
    ticks = SqsPollTicks("test", client, ManualClock(5_000))
    ticks.send(["0xa", "0xb"], [0, 30])
    (body,) = receive(client, "polls")
    assert json.loads(body) == {"v": 1, "leaders": ["0xa", "0xb"], "ts_due": 5_000}
    assert parse_poll_tick(body) == PollTick(("0xa", "0xb"), 5_000)
    url = client.get_queue_url(QueueName="papercopy-test-polls")["QueueUrl"]
    delayed = client.get_queue_attributes(
        QueueUrl=url, AttributeNames=["ApproximateNumberOfMessagesDelayed"]
    )
    assert delayed["Attributes"] == {"ApproximateNumberOfMessagesDelayed": "1"}


@pytest.mark.parametrize(
    ("leaders", "delays"), [(["a"], [-1]), (["a"], [0, 901]), (["a"] * 1_001, [0])]
)
def test_ticks_outside_their_bounds_are_refused(leaders: list[str], delays: list[int]) -> None:
    client = FakeSqs()
    with pytest.raises(ValueError):
        SqsPollTicks("test", client).send(leaders, delays)
    assert client.batches == []


@pytest.mark.parametrize(
    "payload",
    ["plain", "é漢🂡", "\x00\x01\ufffe\ud800", "x" * 300_000, "🂡" * 90_000, "\x00" * 300_000],
)
def test_any_payload_can_be_quarantined(aws: None, payload: str) -> None:
    client = boto3.client("sqs", region_name=REGION)
    create_queues(client, "test")
    SqsQuarantine("test", client).keep("ingest", payload, "field: why")
    (body,) = receive(client, "failures")
    assert len(body.encode()) < 256 * 1024
    kept = json.loads(body)
    assert (kept["v"], kept["source"], kept["error"]) == (1, "ingest", "field: why")
    assert kept["payload_bytes"] == len(payload.encode("utf-8", "replace"))
    readable = payload.encode("utf-8", "replace").decode().replace("\ufffe", "\ufffd")
    assert readable.startswith(kept["payload"])
    assert kept["payload"]
    assert len(kept["payload"].encode()) <= 100_000
