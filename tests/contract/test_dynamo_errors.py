"""No failure of DynamoDB or its clients reaches a caller untranslated."""

from __future__ import annotations

from collections.abc import Callable

import boto3
import pytest
from botocore.exceptions import NoCredentialsError, ReadTimeoutError
from botocore.parsers import ResponseParserError
from botocore.stub import Stubber

from chalicelib.adapters.dynamo.store import DynamoStore
from chalicelib.domain.errors import Conflict, InvalidInput, PapercopyError, Permanent, Retryable
from chalicelib.domain.registry import Heartbeat, SettingsRow
from chalicelib.domain.trade import Trade
from chalicelib.keyspace import Key, heartbeat_key
from chalicelib.ports import Delete, Put, Require, Write

from .aws_resources import REGION

MakeStore = Callable[[str], DynamoStore]
KEY = heartbeat_key("a")
ALONE: list[Write] = [Put(Heartbeat("a", 1, True))]
TOGETHER: list[Write] = [*ALONE, Require(heartbeat_key("b"), 0)]
FEED = "trades#2026-11-20"


@pytest.fixture
def store(make_dynamo_store: MakeStore) -> DynamoStore:
    return make_dynamo_store("test")


REFUSALS = [
    ("ConditionalCheckFailedException", 400, Conflict),
    ("TransactionConflictException", 400, Conflict),
    ("ProvisionedThroughputExceededException", 400, Retryable),
    ("ThrottlingException", 400, Retryable),
    ("RequestLimitExceeded", 400, Retryable),
    ("InternalServerError", 500, Retryable),
    ("SomethingNew", 503, Retryable),
    ("ExpiredTokenException", 400, Retryable),
    ("ValidationException", 400, Permanent),
    ("ResourceNotFoundException", 400, Permanent),
    ("AccessDeniedException", 400, Permanent),
]


@pytest.mark.parametrize(("code", "status", "failure"), REFUSALS)
def test_refusals_are_translated(
    store: DynamoStore, code: str, status: int, failure: type[PapercopyError]
) -> None:
    calls: list[tuple[str, Callable[[], object]]] = [
        ("get_item", lambda: store.get(Heartbeat, KEY)),
        ("query", lambda: store.query(Heartbeat, "registry", "heartbeats")),
        ("query", lambda: store.feed(Trade, "activity", FEED, before=None, limit=1)),
        ("put_item", lambda: store.commit(ALONE)),
        ("delete_item", lambda: store.commit([Delete(KEY, 1)])),
        ("transact_write_items", lambda: store.commit(TOGETHER)),
    ]
    for operation, call in calls:
        with Stubber(store._connection.client) as stub:
            stub.add_client_error(operation, code, "because", status)
            with pytest.raises(PapercopyError, match="because") as caught:
                call()
            assert type(caught.value) is failure, operation


@pytest.mark.parametrize(
    ("codes", "failure"),
    [
        (["None", "ConditionalCheckFailed"], Conflict),
        (["TransactionConflict", "None"], Conflict),
        (["ThrottlingError", "ConditionalCheckFailed"], Conflict),
        (["ThrottlingError", "None"], Retryable),
        (["ProvisionedThroughputExceeded", "ThrottlingError"], Retryable),
        (["ValidationError", "None"], Permanent),
        (["ThrottlingError", "ItemCollectionSizeLimitExceeded"], Permanent),
        (["None", "None"], Retryable),
    ],
)
def test_cancelled_transactions_are_translated(
    store: DynamoStore, codes: list[str], failure: type[PapercopyError]
) -> None:
    reasons = {"CancellationReasons": [{"Code": code} for code in codes]}
    with Stubber(store._connection.client) as stub:
        stub.add_client_error(
            "transact_write_items", "TransactionCanceledException", modeled_fields=reasons
        )
        with pytest.raises(PapercopyError) as caught:
            store.commit(TOGETHER)
    assert type(caught.value) is failure


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (ReadTimeoutError(endpoint_url="https://dynamodb"), Retryable),
        (ResponseParserError("not JSON"), Retryable),
        (NoCredentialsError(), Permanent),
    ],
)
def test_failures_on_the_way_are_translated(
    store: DynamoStore,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    failure: type[PapercopyError],
) -> None:
    def fail(operation: str, parameters: object) -> None:
        raise error

    monkeypatch.setattr(store._connection.client, "_make_api_call", fail)
    calls: list[Callable[[], object]] = [
        lambda: store.get(Heartbeat, KEY),
        lambda: store.query(Heartbeat, "registry", "heartbeats"),
        lambda: store.feed(Trade, "activity", FEED, before=None, limit=1),
        lambda: store.commit(ALONE),
        lambda: store.commit([Delete(KEY, 1)]),
        lambda: store.commit(TOGETHER),
    ]
    for call in calls:
        with pytest.raises(PapercopyError) as caught:
            call()
        assert type(caught.value) is failure


def test_an_endpoint_nobody_listens_on_is_retryable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    store = DynamoStore("test", endpoint_url="http://127.0.0.1:9", region=REGION)
    with pytest.raises(Retryable, match="Could not connect"):
        store.get(Heartbeat, KEY)


def test_missing_tables_are_permanent(aws: None) -> None:
    store = DynamoStore("absent", region=REGION)
    with pytest.raises(Permanent, match="ResourceNotFound"):
        store.get(Heartbeat, KEY)


def test_what_cannot_be_an_item_is_permanent(store: DynamoStore) -> None:
    with pytest.raises(Permanent):
        store.commit([Put(SettingsRow("large", "x" * 420_000))])
    with pytest.raises(Permanent):
        store.get(SettingsRow, Key("registry", "settings", ""))
    with pytest.raises(InvalidInput):
        store.commit([Put(SettingsRow("a", "\ud800"))])


@pytest.mark.parametrize("attribute", [{"N": "1"}, {"S": "{}"}, None])
def test_an_item_of_foreign_shape_is_permanent(
    store: DynamoStore, attribute: dict[str, str] | None
) -> None:
    item = {"pk": {"S": KEY.pk}, "sk": {"S": KEY.sk}, "version": {"N": "1"}}
    if attribute:
        item["body"] = attribute
    client = boto3.client("dynamodb", region_name=REGION)
    client.put_item(TableName="papercopy-test-registry", Item=item)
    with pytest.raises(Permanent, match="heartbeats"):
        store.get(Heartbeat, KEY)
    with pytest.raises(Permanent, match="heartbeats"):
        store.query(Heartbeat, "registry", "heartbeats")
