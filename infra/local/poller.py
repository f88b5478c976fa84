"""Deliver SQS messages to functions the way Lambda's event source mappings do.

Over public calls only: list the mappings, receive, invoke, delete what succeeded, and leave the
rest to the queue's visibility time-out and redrive policy.
"""

import json
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from infra.local.isolation import REGION
from infra.local.queues import Doorbells

log = logging.getLogger(__name__)

# Expiring visibility and delays ring no bell, so an empty queue is looked at this often.
IDLE_LOOK_S = 0.1
# One interpreter serves all invocations; more threads than this only queue behind each other.
CONCURRENCY_MAX = 8
SQS_RECEIVE_MAX = 10


@dataclass(frozen=True)
class Mapping:
    uuid: str
    queue_arn: str
    queue_name: str
    function_name: str
    batch_size: int
    concurrency: int
    reports_item_failures: bool

    @classmethod
    def of(cls, description: dict[str, Any]) -> "Mapping":
        queue_arn = description["EventSourceArn"]
        scaling = description.get("ScalingConfig") or {}
        return cls(
            uuid=description["UUID"],
            queue_arn=queue_arn,
            queue_name=queue_arn.rsplit(":", 1)[1],
            function_name=description["FunctionArn"].split(":function:", 1)[1].split(":")[0],
            batch_size=min(int(description["BatchSize"]), SQS_RECEIVE_MAX),
            concurrency=min(
                int(scaling.get("MaximumConcurrency", CONCURRENCY_MAX)), CONCURRENCY_MAX
            ),
            reports_item_failures="ReportBatchItemFailures"
            in (description.get("FunctionResponseTypes") or []),
        )


def failed_ids(answer: Any, sent: set[str]) -> set[str]:
    """Message ids that a function's answer leaves on the queue, by Lambda's documented rules.

    No answer, or an empty list, is success; a malformed or unknown identifier fails the batch.
    """
    if not answer:
        return set()
    if not isinstance(answer, dict):
        return sent
    failures = answer.get("batchItemFailures")
    if failures is None or failures == []:
        return set()
    try:
        failed = {item["itemIdentifier"] for item in failures}
    except (KeyError, TypeError):
        return sent
    return failed if failed <= sent else sent


def sqs_record(message: dict[str, Any], queue_arn: str) -> dict[str, Any]:
    attributes = {
        name: {
            "stringValue": value.get("StringValue"),
            "dataType": value["DataType"],
            "stringListValues": [],
            "binaryListValues": [],
        }
        for name, value in message.get("MessageAttributes", {}).items()
    }
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message.get("Attributes", {}),
        "messageAttributes": attributes,
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": queue_arn,
        "awsRegion": REGION,
    }


class QueuePoller:
    """One mapping: a receiving thread and a bounded pool of deliveries."""

    def __init__(self, mapping: Mapping, sqs: Any, functions: Any, doorbells: Doorbells) -> None:
        self.mapping = mapping
        self._sqs = sqs
        self._functions = functions
        self._url = sqs.get_queue_url(QueueName=mapping.queue_name)["QueueUrl"]
        self._bell = doorbells.of(mapping.queue_name)
        self._stopping = threading.Event()
        self._slots = threading.Semaphore(mapping.concurrency)
        self._pool = ThreadPoolExecutor(mapping.concurrency, f"deliver-{mapping.queue_name}")
        self._thread = threading.Thread(target=self._run, name=f"poll-{mapping.queue_name}")

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._bell.set()
        self._thread.join()
        self._pool.shutdown(wait=True)

    def _run(self) -> None:
        while not self._stopping.is_set():
            if not self._slots.acquire(timeout=IDLE_LOOK_S):
                continue
            self._bell.clear()
            messages = self._receive()
            if messages:
                self._pool.submit(self._deliver_and_free, messages)
            else:
                self._slots.release()
                self._bell.wait(IDLE_LOOK_S)

    def _receive(self) -> list[dict[str, Any]]:
        try:
            answer = self._sqs.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=self.mapping.batch_size,
                MessageSystemAttributeNames=["All"],
                MessageAttributeNames=["All"],
                WaitTimeSeconds=0,
            )
        except Exception:
            # A queue that is being taken down; the mapping goes with the next sync.
            log.warning("Cannot receive from %s", self.mapping.queue_name, exc_info=True)
            self._stopping.wait(IDLE_LOOK_S)
            return []
        received: list[dict[str, Any]] = answer.get("Messages", [])
        return received

    def _deliver_and_free(self, messages: list[dict[str, Any]]) -> None:
        try:
            self._deliver(messages)
        except Exception:
            log.warning("Delivery to %s failed", self.mapping.function_name, exc_info=True)
        finally:
            self._slots.release()
            self._bell.set()

    def _deliver(self, messages: list[dict[str, Any]]) -> None:
        event = {"Records": [sqs_record(message, self.mapping.queue_arn) for message in messages]}
        response = self._functions.invoke(
            FunctionName=self.mapping.function_name, Payload=json.dumps(event)
        )
        answer = json.loads(response["Payload"].read() or b"null")
        if response.get("FunctionError"):
            return
        failed: set[str] = set()
        if self.mapping.reports_item_failures:
            failed = failed_ids(answer, {message["MessageId"] for message in messages})
        done = [message for message in messages if message["MessageId"] not in failed]
        if done:
            self._sqs.delete_message_batch(
                QueueUrl=self._url,
                Entries=[
                    {"Id": str(index), "ReceiptHandle": message["ReceiptHandle"]}
                    for index, message in enumerate(done)
                ],
            )


class Pollers:
    """All enabled mappings of the account; `sync` follows a redeployment."""

    def __init__(self, sqs: Any, functions: Any, doorbells: Doorbells) -> None:
        self._sqs = sqs
        self._functions = functions
        self._doorbells = doorbells
        self._pollers: dict[Mapping, QueuePoller] = {}

    @property
    def mappings(self) -> list[Mapping]:
        return list(self._pollers)

    def sync(self) -> None:
        described = self._functions.list_event_source_mappings()["EventSourceMappings"]
        wanted = {Mapping.of(mapping) for mapping in described if mapping["State"] == "Enabled"}
        for mapping in set(self._pollers) - wanted:
            self._pollers.pop(mapping).stop()
        for mapping in wanted - set(self._pollers):
            self._pollers[mapping] = QueuePoller(
                mapping, self._sqs, self._functions, self._doorbells
            )
            self._pollers[mapping].start()

    def stop(self) -> None:
        for mapping in list(self._pollers):
            self._pollers.pop(mapping).stop()
