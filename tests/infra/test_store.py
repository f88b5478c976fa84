"""DynamoDB in the engine: no lost updates, atomic transactions, moto's own cancellation reasons."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from infra.local.engine import AwsEngine

TABLE = "papercopy-local-portfolio"
OTHER = "papercopy-local-activity"


def _key(pk: str, sk: str = "head") -> dict[str, Any]:
    return {"pk": {"S": pk}, "sk": {"S": sk}}


def _get(dynamodb: Any, pk: str, sk: str = "head") -> dict[str, Any] | None:
    item: dict[str, Any] | None = dynamodb.get_item(TableName=TABLE, Key=_key(pk, sk)).get("Item")
    return item


def _in_parallel(work: Callable[[int], None], count: int) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(count)))


def test_conditional_increments_lose_none(engine: AwsEngine) -> None:
    dynamodb = engine.client("dynamodb")
    dynamodb.put_item(TableName=TABLE, Item={**_key("counter"), "version": {"N": "0"}})

    def increment(_: int) -> None:
        while True:
            item = _get(dynamodb, "counter")
            assert item is not None
            try:
                dynamodb.update_item(
                    TableName=TABLE,
                    Key=_key("counter"),
                    UpdateExpression="SET version = :next",
                    ConditionExpression="version = :seen",
                    ExpressionAttributeValues={
                        ":seen": item["version"],
                        ":next": {"N": str(int(item["version"]["N"]) + 1)},
                    },
                )
                return
            except dynamodb.exceptions.ConditionalCheckFailedException:
                continue

    _in_parallel(increment, 100)
    item = _get(dynamodb, "counter")
    assert item is not None and item["version"]["N"] == "100"


def test_one_of_many_creators_wins(engine: AwsEngine) -> None:
    dynamodb = engine.client("dynamodb")
    won: list[int] = []

    def create(index: int) -> None:
        try:
            dynamodb.transact_write_items(
                TransactItems=[
                    {
                        "Put": {
                            "TableName": TABLE,
                            "Item": {**_key("once"), "by": {"N": str(index)}},
                            "ConditionExpression": "attribute_not_exists(pk)",
                        }
                    },
                    {"Put": {"TableName": TABLE, "Item": _key("once", f"entry-{index}")}},
                ]
            )
            won.append(index)
        except dynamodb.exceptions.TransactionCanceledException:
            pass

    _in_parallel(create, 40)
    assert len(won) == 1
    stored = dynamodb.query(
        TableName=TABLE,
        KeyConditionExpression="pk = :pk",
        ExpressionAttributeValues={":pk": {"S": "once"}},
    )["Items"]
    assert [item["sk"]["S"] for item in stored] == [f"entry-{won[0]}", "head"]


def _seed(dynamodb: Any) -> None:
    for table in (TABLE, OTHER):
        dynamodb.put_item(TableName=table, Item={**_key("a"), "n": {"N": "1"}, "l": {"L": []}})
        dynamodb.put_item(TableName=table, Item={**_key("a", "two"), "n": {"N": "2"}})
        dynamodb.put_item(TableName=table, Item={**_key("b"), "n": {"N": "3"}})


def _update(pk: str, expression: str, table: str = TABLE, **more: Any) -> dict[str, Any]:
    return {"Update": {"TableName": table, "Key": _key(pk), "UpdateExpression": expression, **more}}


_ONE = {":one": {"N": "1"}}
_FAILING_CHECK = {
    "ConditionCheck": {
        "TableName": OTHER,
        "Key": _key("b"),
        "ConditionExpression": "n = :one",
        "ExpressionAttributeValues": _ONE,
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }
}
_BUMP = _update("a", "SET n = n + :one, l = list_append(l, l)", ExpressionAttributeValues=_ONE)
_PUT_NEW = {"Put": {"TableName": TABLE, "Item": _key("new")}}
_DELETE = {"Delete": {"TableName": TABLE, "Key": _key("a", "two")}}
_CANCELLED: dict[str, list[dict[str, Any]]] = {
    "last fails": [_BUMP, _PUT_NEW, _DELETE, _FAILING_CHECK],
    "first fails": [_FAILING_CHECK, _BUMP, _PUT_NEW],
    "two fail": [
        _FAILING_CHECK,
        _BUMP,
        {
            "Put": {
                "TableName": TABLE,
                "Item": _key("b"),
                "ConditionExpression": "attribute_not_exists(pk)",
            }
        },
    ],
    "same item twice": [_BUMP, _update("a", "SET m = :one", ExpressionAttributeValues=_ONE)],
    "wrong type": [
        _PUT_NEW,
        _update("b", "SET n = n + :text", ExpressionAttributeValues={":text": {"S": "x"}}),
    ],
    "update of a new item fails": [
        _PUT_NEW,
        _update("c", "SET n = :one", ExpressionAttributeValues=_ONE),
        _FAILING_CHECK,
    ],
    "key changed": [_BUMP, _update("b", "SET pk = :one", ExpressionAttributeValues=_ONE)],
}


def _contents(dynamodb: Any) -> list[Any]:
    return [dynamodb.scan(TableName=table)["Items"] for table in (TABLE, OTHER)]


def _outcome(dynamodb: Any, transaction: list[dict[str, Any]]) -> tuple[Any, list[Any]]:
    try:
        dynamodb.transact_write_items(TransactItems=transaction)
        error = None
    except ClientError as raised:
        error = (raised.response["Error"], raised.response.get("CancellationReasons"))
    return error, _contents(dynamodb)


def _unpatched(transaction: list[dict[str, Any]], schema: dict[str, Any]) -> tuple[Any, list[Any]]:
    dynamodb = boto3.client("dynamodb")
    for name in (TABLE, OTHER):
        dynamodb.create_table(TableName=name, BillingMode="PAY_PER_REQUEST", **schema)
    _seed(dynamodb)
    return _outcome(dynamodb, transaction)


_SCHEMA = {
    "KeySchema": [
        {"AttributeName": "pk", "KeyType": "HASH"},
        {"AttributeName": "sk", "KeyType": "RANGE"},
    ],
    "AttributeDefinitions": [
        {"AttributeName": "pk", "AttributeType": "S"},
        {"AttributeName": "sk", "AttributeType": "S"},
    ],
}


@pytest.fixture(scope="module")
def expected() -> dict[str, tuple[Any, list[Any]]]:
    """Outcomes of plain moto, computed before any engine patches it."""
    outcomes = {}
    for name, transaction in _CANCELLED.items():
        with mock_aws(), pytest.MonkeyPatch.context() as environment:
            environment.setenv("AWS_DEFAULT_REGION", "us-east-1")
            outcomes[name] = _unpatched(transaction, _SCHEMA)
    return outcomes


@pytest.fixture(scope="module")
def engine(expected: Any, new_engine: Callable[..., AwsEngine]) -> Iterator[AwsEngine]:
    """After `expected`: moto's state is global, and plain moto resets it."""
    with new_engine() as running:
        yield running


@pytest.mark.parametrize("name", _CANCELLED)
def test_cancelled_transaction_equals_motos(
    expected: dict[str, tuple[Any, list[Any]]], engine: AwsEngine, name: str
) -> None:
    dynamodb = engine.client("dynamodb")
    for table in (TABLE, OTHER):
        for item in dynamodb.scan(TableName=table)["Items"]:
            dynamodb.delete_item(TableName=table, Key={"pk": item["pk"], "sk": item["sk"]})
    _seed(dynamodb)
    before = _contents(dynamodb)
    error, after = _outcome(dynamodb, _CANCELLED[name])
    assert error is not None
    assert error == expected[name][0]
    assert after == before


def test_transaction_does_not_copy_the_table(engine: AwsEngine) -> None:
    dynamodb = engine.client("dynamodb")
    for start in range(0, 1000, 25):
        puts = [
            {
                "PutRequest": {
                    "Item": {**_key(f"many-{index % 20}", f"{index:04}"), "v": {"S": "x" * 50}}
                }
            }
            for index in range(start, start + 25)
        ]
        dynamodb.batch_write_item(RequestItems={TABLE: puts})
    took = []
    for round_ in range(10):
        items = [
            {"Put": {"TableName": TABLE, "Item": _key(f"many-{index}", f"new-{round_}")}}
            for index in range(5)
        ]
        started = time.perf_counter()
        dynamodb.transact_write_items(TransactItems=items)
        took.append(time.perf_counter() - started)
    # Plain moto needs about 75 ms here.
    assert sorted(took)[5] < 0.04
