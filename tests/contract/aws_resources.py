"""Tables and queues in the shape of the base stack, made directly because that is faster.

`test_base_stack.py` holds the real template against the adapters.
"""

from __future__ import annotations

from typing import Any

from chalicelib.adapters.dynamo.models import table_name
from chalicelib.keyspace import FEED_TABLES, TABLES

REGION = "us-east-1"


def create_tables(dynamodb: Any, stage: str) -> None:
    for table in TABLES:
        names = ["pk", "sk"]
        more: dict[str, Any] = {}
        if table in FEED_TABLES:
            names += ["feed_pk", "feed_sk"]
            more["GlobalSecondaryIndexes"] = [
                {
                    "IndexName": "feed",
                    "KeySchema": _keys("feed_pk", "feed_sk"),
                    "Projection": {"ProjectionType": "KEYS_ONLY"},
                }
            ]
        dynamodb.create_table(
            TableName=table_name(stage, table),
            BillingMode="PAY_PER_REQUEST",
            KeySchema=_keys("pk", "sk"),
            AttributeDefinitions=[{"AttributeName": n, "AttributeType": "S"} for n in names],
            **more,
        )


def _keys(hash_key: str, range_key: str) -> list[dict[str, str]]:
    return [
        {"AttributeName": hash_key, "KeyType": "HASH"},
        {"AttributeName": range_key, "KeyType": "RANGE"},
    ]


def create_queues(sqs: Any, stage: str, *, receives_max: int = 5) -> None:
    dead = sqs.create_queue(
        QueueName=f"papercopy-{stage}-fills-dead.fifo", Attributes={"FifoQueue": "true"}
    )["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]
    redrive = f'{{"deadLetterTargetArn":"{arn["QueueArn"]}","maxReceiveCount":"{receives_max}"}}'
    sqs.create_queue(
        QueueName=f"papercopy-{stage}-fills.fifo",
        Attributes={"FifoQueue": "true", "VisibilityTimeout": "60", "RedrivePolicy": redrive},
    )
    for name in ("failures", "polls"):
        sqs.create_queue(QueueName=f"papercopy-{stage}-{name}")
