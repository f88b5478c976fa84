"""Counts every billable call of a process, by who made it.

Hooks sit in botocore's one way out, in `requests`, in the runtime of the functions and in standard
output, so nothing of the application knows about them. Only what somebody named does is counted:
a function while it runs, whoever says `acting`, and the pollers that stand for Lambda's.
"""

from __future__ import annotations

import io
import json
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from bench.cost_units import (
    ITEM_OVERHEAD_BYTES,
    index_writes,
    item_bytes,
    read_units,
    write_units,
)

SQS_CHUNK_BYTES = 65_536
LOG_EVENT_BYTES = 26
VCPU_MEMORY_MB = 1_769
"""Memory at which Lambda gives a function one whole processor."""
QUEUES = "queues"
"""Who receives and deletes for the functions behind a queue."""

Count = tuple[str, str]
"""Who, and which unit of the price table."""


@dataclass
class Tally:
    """What was counted: units by who, calls by (who, operation, table), details for tuning."""

    units: Counter[Count] = field(default_factory=Counter)
    calls: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    kinds: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    metrics: set[str] = field(default_factory=set)

    def minus(self, other: Tally) -> Tally:
        """What came since `other` was copied."""
        return Tally(
            _minus(self.units, other.units),
            _minus(self.calls, other.calls),
            _minus(self.kinds, other.kinds),
            self.metrics - other.metrics,
        )

    def copy(self) -> Tally:
        """As it stands."""
        kept = Counter(self.units), Counter(self.calls), Counter(self.kinds)
        return Tally(*kept, set(self.metrics))

    def of(self, unit: str) -> float:
        """One unit, of everybody."""
        return sum(amount for (_, name), amount in self.units.items() if name == unit)

    def totals(self) -> dict[str, float]:
        """Every unit, of everybody."""
        found: Counter[str] = Counter()
        for (_, name), amount in self.units.items():
            found[name] += amount  # type: ignore[assignment]
        return dict(found)

    def dynamo_calls(self) -> int:
        """Calls to DynamoDB, of everybody."""
        return sum(n for (_, operation, _), n in self.calls.items() if operation[:3] == "db.")


def _minus(after: Counter[Any], before: Counter[Any]) -> Counter[Any]:
    return Counter({k: v - before[k] for k, v in after.items() if v != before[k]})


class Meter:
    """The counts of this process; `latencies` in milliseconds make the functions' durations."""

    def __init__(self, latencies: Mapping[str, float]) -> None:
        self.tally = Tally()
        self._latencies = latencies
        self._own = threading.local()
        self._lock = threading.Lock()
        self._items: dict[tuple[str, str, str], tuple[int, str | None]] = {}

    @property
    def who(self) -> str | None:
        """Who acts in this thread."""
        return getattr(self._own, "who", None)

    @contextmanager
    def acting(self, who: str) -> Iterator[None]:
        """What this thread does inside is `who`'s."""
        before, self._own.who = self.who, who
        try:
            yield
        finally:
            self._own.who = before

    def add(self, unit: str, amount: float, who: str | None = None) -> None:
        """Count units of the price table."""
        with self._lock:
            self.tally.units[who or self.who or "?", unit] += amount  # type: ignore[assignment]

    def snapshot(self) -> Tally:
        """A copy of what was counted so far."""
        with self._lock:
            return self.tally.copy()

    def waited(self, what: str) -> None:
        """A function waited for something as long as is usual on AWS."""
        self._own.waited_ms = getattr(self._own, "waited_ms", 0.0) + self._latencies[what]

    @contextmanager
    def function(self, name: str, memory_mb: int) -> Iterator[None]:
        """One invocation: processor time at the function's share, plus what it waited for."""
        self._own.waited_ms = 0.0
        began = time.thread_time()
        with self.acting(name):
            try:
                yield
            finally:
                share = min(1.0, memory_mb / VCPU_MEMORY_MB)
                cpu_ms = (time.thread_time() - began) * 1000
                billed_ms = math.ceil(cpu_ms / share + self._own.waited_ms)
                self.add("lambda_requests", 1)
                self.add("lambda_gb_s", billed_ms / 1000 * memory_mb / 1024)
                self.add(f"ms:{name}", billed_ms)
                self.add("log_bytes", self._latencies["lambda_report_bytes"])
                self.last_ms = billed_ms

    # What goes out through botocore

    def called(self, service: str, operation: str, sent: Mapping[str, Any], answer: Any) -> None:
        """A call that came back; `answer` None when it was refused."""
        who = self.who
        if who is None and threading.current_thread().name.startswith(("poll-", "deliver-")):
            who = QUEUES
        if service == "dynamodb":
            self._dynamo(who, operation, sent, answer)
        elif who is None:
            return
        elif service == "sqs":
            self._sqs(who, operation, sent, answer)
        elif service == "stepfunctions":
            self.waited("states")
            self.add("states_requests", operation == "StartExecution", who)
        else:
            self.waited("other_aws")
            self.add(f"{service}_requests", 1, who)

    def _sqs(self, who: str, operation: str, sent: Mapping[str, Any], answer: Any) -> None:
        if operation == "ReceiveMessage" and not (answer or {}).get("Messages"):
            # Empty receives depend on how long a poller waits; they are priced by the hour.
            return
        if who != QUEUES:
            self.waited("sqs")
        bodies = [e.get("MessageBody", "") for e in sent.get("Entries", [])]
        bodies += [m["Body"] for m in (answer or {}).get("Messages", [])]
        size = sum(len(body.encode()) for body in bodies)
        requests = max(1, math.ceil(size / SQS_CHUNK_BYTES))
        fifo = str(sent.get("QueueUrl", "")).endswith(".fifo")
        self.add("sqs_fifo_requests" if fifo else "sqs_requests", requests, who)
        with self._lock:
            self.tally.calls[who, operation, str(sent.get("QueueUrl", "")).rsplit("-", 1)[-1]] += 1

    def _dynamo(
        self, who: str | None, operation: str, sent: Mapping[str, Any], answer: Any
    ) -> None:
        with self._lock:
            done = answer is not None
            table = str(sent.get("TableName", "")).rsplit("-", 1)[-1]
            if operation == "TransactWriteItems":
                for part in sent["TransactItems"]:
                    ((kind, request),) = part.items()
                    self._write(who, kind, request, done, transaction=True)
                table = "several"
            elif operation in ("PutItem", "DeleteItem", "UpdateItem"):
                self._write(who, operation.removesuffix("Item"), sent, done, transaction=False)
            elif done and who:
                self._read(who, operation, sent, answer)
            if who is None:
                return
            self.tally.calls[who, f"db.{operation}", table] += 1
        reads = operation in ("GetItem", "BatchGetItem", "Query")
        transaction = operation == "TransactWriteItems"
        kind = "dynamodb_transaction" if transaction else "dynamodb_write"
        self.waited("dynamodb_read" if reads else kind)

    def _write(
        self, who: str | None, kind: str, request: Mapping[str, Any], done: bool, transaction: bool
    ) -> None:
        table = request["TableName"].rsplit("-", 1)[-1]
        item = request.get("Item")
        key = item or request["Key"]
        name = table, key["pk"]["S"], key["sk"]["S"]
        before, place = self._items.get(name, (0, None))
        after, place_after = before, place
        if kind == "Put":
            after = item_bytes(item)
            place_after = item["feed_pk"]["S"] + item["feed_sk"]["S"] if "feed_pk" in item else None
        elif kind == "Delete":
            after, place_after = 0, None
        units = write_units(before, after, transaction=transaction)
        indexed = 0
        if done and place != place_after:
            size = len(name[1]) + len(name[2]) + len(place_after or place or "") + 18
            indexed = index_writes(place, place_after, size)
        if who:
            what = item["kind"]["S"] if item and "kind" in item else name[2].split("#")[0]
            self.tally.units[who, "dynamodb_write_units"] += units + indexed
            self.tally.kinds[who, f"{kind}{' in transaction' if transaction else ''}", what] += (
                units + indexed
            )
        if done and kind == "Put":
            self._items[name] = (after, place_after)
            if who:
                grown = after - before + (0 if before else ITEM_OVERHEAD_BYTES)
                self.tally.units[who, f"stored_bytes_{table}"] += grown
        elif done and kind == "Delete" and name in self._items:
            del self._items[name]
            if who:
                self.tally.units[who, f"stored_bytes_{table}"] -= before + ITEM_OVERHEAD_BYTES

    def _read(
        self, who: str, operation: str, sent: Mapping[str, Any], answer: Mapping[str, Any]
    ) -> None:
        consistent = bool(sent.get("ConsistentRead"))
        what = ""
        if operation == "GetItem":
            item = answer.get("Item")
            units = read_units([item_bytes(item)] if item else [], consistent=consistent)
            what = item["kind"]["S"] if item else sent["Key"]["pk"]["S"].split("#")[0] + " none"
        elif operation == "Query":
            items = answer.get("Items", [])
            units = read_units(map(item_bytes, items), consistent=consistent)
            what = items[0].get("kind", {"S": "index"})["S"] if items else "none"
        elif operation == "BatchGetItem":
            units = 0.0
            for name, wanted in sent["RequestItems"].items():
                for key in wanted["Keys"]:
                    at = name.rsplit("-", 1)[-1], key["pk"]["S"], key["sk"]["S"]
                    size = self._items.get(at, (0, None))[0]
                    units += read_units([size], consistent=bool(wanted.get("ConsistentRead")))
        else:
            return
        self.tally.units[who, "dynamodb_read_units"] += units  # type: ignore[assignment]
        self.tally.kinds[who, f"read {operation}", what] += units  # type: ignore[assignment]


class CountingStream(io.TextIOBase):
    """Stands for standard output: the bytes of every line go to a log."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter

    def write(self, text: str) -> int:
        """Count what somebody named writes."""
        if self._meter.who:
            lines = text.count("\n")
            self._meter.add("log_bytes", len(text.encode()) + lines * LOG_EVENT_BYTES)
        return len(text)


def hooked(meter: Meter, replace: Callable[[Any, str, Any], None]) -> None:
    """Put the meter in botocore's, requests' and the functions' way; `replace` can be undone."""
    import requests
    from botocore.client import BaseClient

    from chalicelib.observability import EmfMetrics
    from infra.local.functions import FunctionRuntime

    call, send, run = BaseClient._make_api_call, requests.Session.send, FunctionRuntime.run
    count = EmfMetrics.count

    def counted_call(client: Any, operation: str, params: dict[str, Any]) -> Any:
        service = client.meta.service_model.service_name
        try:
            answer = call(client, operation, params)
        except Exception:
            meter.called(service, operation, params, None)
            raise
        meter.called(service, operation, params, answer)
        return answer

    def counted_send(session: Any, request: Any, **options: Any) -> Any:
        if meter.who:
            meter.waited("venue")
            meter.add("venue_requests", 1)
            meter.add("bytes_out", len(request.body or b"") + 700)
        return send(session, request, **options)

    def counted_run(runtime: Any, function: Any, body: Any) -> tuple[bytes, bool]:
        short = function.function_name.split("-", 2)
        name = short[2] if len(short) > 2 else "api_handler"
        with meter.function(name, int(function.memory_size)):
            payload, failed = run(runtime, function, body)
        if name == "api_handler":
            meter.add("api_requests", 1, name)
            answered = json.loads(payload) or {}
            meter.add("bytes_out", len(str(answered.get("body", ""))) + 500, name)
        return payload, failed

    def counted_metric(metrics: Any, name: str, value: int = 1) -> None:
        if value and meter.who:
            meter.tally.metrics.add(name)
        count(metrics, name, value)

    replace(BaseClient, "_make_api_call", counted_call)
    replace(requests.Session, "send", counted_send)
    replace(FunctionRuntime, "run", counted_run)
    replace(EmfMetrics, "count", counted_metric)
