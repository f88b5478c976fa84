"""The tables and queues that production creates are the ones the adapters speak to."""

from __future__ import annotations

import json
from pathlib import Path

import boto3

from chalicelib.adapters.dynamo.store import DynamoStore
from chalicelib.adapters.sqs import SqsFillQueue, SqsPollTicks, SqsQuarantine
from chalicelib.domain.lane import Attempt
from chalicelib.domain.registry import Heartbeat
from chalicelib.domain.trade import Trade
from chalicelib.keyspace import heartbeat_key
from chalicelib.ports import Put

from .aws_resources import REGION
from .messages import fill_message
from .records import attempt, trade

TEMPLATE = Path(__file__).resolve().parents[2] / "infra" / "base.yaml"


def test_the_adapters_work_on_the_base_stack(aws: None) -> None:
    stacks = boto3.client("cloudformation", region_name=REGION)
    stacks.create_stack(
        StackName="base",
        TemplateBody=TEMPLATE.read_text(),
        Parameters=[{"ParameterKey": "Stage", "ParameterValue": "check"}],
    )
    store = DynamoStore("check", region=REGION)
    store.commit([Put(trade(1)), Put(attempt(1)), Put(Heartbeat("a", 1, True))])
    assert store.get(Heartbeat, heartbeat_key("a")) is not None
    assert len(store.feed(Trade, "activity", "trades#2026-11-20", before=None, limit=5)) == 1
    feed_pk = "attempts#acc#2026-11-20"
    assert len(store.feed(Attempt, "portfolio", feed_pk, before=None, limit=5)) == 1
    client = boto3.client("sqs", region_name=REGION)
    SqsFillQueue("check", client).send([fill_message("a", 1)])
    SqsPollTicks("check", client).send(["a"], [0])
    SqsQuarantine("check", client).keep("s", "p", "e")
    for name in ("fills.fifo", "polls", "failures"):
        url = client.get_queue_url(QueueName=f"papercopy-check-{name}")["QueueUrl"]
        (message,) = client.receive_message(QueueUrl=url)["Messages"]
        assert json.loads(message["Body"])["v"] == (2 if name == "fills.fifo" else 1)
