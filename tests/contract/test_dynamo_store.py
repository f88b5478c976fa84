"""What only the DynamoDB store must do: translate, page, fetch bodies, keep stages apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import boto3
import pytest

from chalicelib.adapters.dynamo import store as dynamo_store
from chalicelib.adapters.dynamo.packed import unpacked
from chalicelib.adapters.dynamo.store import DynamoStore
from chalicelib.domain.errors import Retryable
from chalicelib.domain.ledger import Entry
from chalicelib.domain.registry import Heartbeat
from chalicelib.domain.trade import ChainLeg, Trade
from chalicelib.keyspace import heartbeat_key, key_of, portfolio_pk
from chalicelib.ports import Delete, Put, Require, Write

from .aws_resources import REGION
from .records import DAY_MS, entry, trade

MakeStore = Callable[[str], DynamoStore]
KEY = heartbeat_key("a")
ALONE: list[Write] = [Put(Heartbeat("a", 1, True))]
TOGETHER: list[Write] = [*ALONE, Require(heartbeat_key("b"), 0)]
TX = "0x" + "ab" * 32
FEED = "trades#2026-11-20"


@pytest.fixture
def store(make_dynamo_store: MakeStore) -> DynamoStore:
    return make_dynamo_store("test")


def record_calls(
    store: DynamoStore,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[str, Any], Any] | None = None,
) -> list[tuple[str, dict[str, Any]]]:
    """Every API call of the store from now on; `change` may replace answers."""
    calls: list[tuple[str, dict[str, Any]]] = []
    client = store._connection.client
    real = client._make_api_call

    def call(operation: str, parameters: dict[str, Any]) -> Any:
        calls.append((operation, parameters))
        answer = real(operation, parameters)
        return change(operation, answer) if change else answer

    monkeypatch.setattr(client, "_make_api_call", call)
    return calls


def test_stages_in_one_process_are_apart(make_dynamo_store: MakeStore) -> None:
    one, two = make_dynamo_store("one"), make_dynamo_store("two")
    one.commit([Put(Heartbeat("a", 1, True))])
    two.commit([Put(Heartbeat("a", 2, True)), Put(Heartbeat("b", 2, True))])
    found = [store.get(Heartbeat, KEY) for store in (one, two)]
    assert [beat.ts for beat in found if beat] == [1, 2]
    assert one.get(Heartbeat, heartbeat_key("b")) is None


def test_an_item_shows_people_what_it_is(store: DynamoStore) -> None:
    store.commit([Put(trade(1))])
    client = boto3.client("dynamodb", region_name=REGION)
    (item,) = client.scan(TableName="papercopy-test-activity")["Items"]
    assert {name: value for name, value in item.items() if name not in ("body", "packed")} == {
        "pk": {"S": f"trade#{trade(1).trade_id}"},
        "sk": {"S": "-"},
        "version": {"N": "1"},
        "kind": {"S": "Trade"},
        "ttl": {"N": str(DAY_MS // 1_000 + 400 * 86_400)},
        "feed_pk": {"S": FEED},
        "feed_sk": {"S": f"{DAY_MS:013d}#{trade(1).trade_id}"},
    }
    assert unpacked(item["packed"]["B"]).startswith('{"trade_id":"')


def test_a_long_body_is_packed_and_read_every_way(store: DynamoStore) -> None:
    first = ChainLeg(TX, 9, 0, DAY_MS, 10**6, 10**6, 0, "collateral", "maker", TX, False)
    legs = tuple(replace(first, log_index=index) for index in range(3))
    long = replace(trade(1), legs=legs)
    store.commit([Put(long)])
    client = boto3.client("dynamodb", region_name=REGION)
    (item,) = client.scan(TableName="papercopy-test-activity")["Items"]
    assert "body" not in item and len(item["packed"]["B"]) < 600
    kept = replace(long, version=1)
    assert store.get(Trade, key_of(long)) == kept
    assert store.query(Trade, "activity", key_of(long).pk) == [kept]
    assert [row for _, row in store.feed(Trade, "activity", FEED, before=None, limit=3)] == [kept]


def test_reads_are_strongly_consistent(store: DynamoStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.commit([Put(trade(1))])
    calls = record_calls(store, monkeypatch)
    store.get(Heartbeat, KEY)
    store.query(Heartbeat, "registry", "heartbeats")
    store.feed(Trade, "activity", FEED, before=None, limit=3)
    (_, get), (_, query), (_, index), (batch_name, batch) = calls
    assert get["ConsistentRead"] is True
    assert query["ConsistentRead"] is True
    assert index["IndexName"] == "feed"
    assert batch_name == "BatchGetItem"
    assert batch["RequestItems"]["papercopy-test-activity"]["ConsistentRead"] is True


def test_one_write_is_no_transaction(store: DynamoStore, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = record_calls(store, monkeypatch)
    store.commit(ALONE)
    store.commit([Delete(KEY, 1)])
    store.commit(TOGETHER)
    assert [name for name, _ in calls] == ["PutItem", "DeleteItem", "TransactWriteItems"]
    assert len(calls[2][1]["ClientRequestToken"]) == 32


def test_a_query_goes_on_over_pages_and_stops_at_its_limit(
    store: DynamoStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.commit([Put(entry(n)) for n in range(8)])
    client = store._connection.client
    real = client._make_api_call
    pages = []

    def small_pages(operation: str, parameters: dict[str, Any]) -> Any:
        if operation == "Query":
            pages.append(parameters["Limit"])
            parameters = {**parameters, "Limit": 2}
        return real(operation, parameters)

    monkeypatch.setattr(client, "_make_api_call", small_pages)
    pk = portfolio_pk("acc/global", 1)
    found = store.query(Entry, "portfolio", pk, start="entry#", end="entry$", limit=5)
    assert [e.seq for e in found] == [0, 1, 2, 3, 4]
    assert len(pages) == 3
    found = store.query(Entry, "portfolio", pk, newest_first=True)
    assert [e.seq for e in found] == [7, 6, 5, 4, 3, 2, 1, 0]


def test_the_feed_asks_again_for_what_was_held_back(
    store: DynamoStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dynamo_store, "BATCH_BACKOFF_MS", 0)
    store.commit([Put(trade(n, ts_listed=DAY_MS + n)) for n in range(6)])

    def hold_back(operation: str, answer: Any) -> Any:
        if operation != "BatchGetItem":
            return answer
        ((table, items),) = answer["Responses"].items()
        held = [{"pk": i["pk"], "sk": i["sk"]} for i in items[2:]]
        unprocessed = {table: {"Keys": held}} if held else {}
        return {**answer, "Responses": {table: items[:2]}, "UnprocessedKeys": unprocessed}

    calls = record_calls(store, monkeypatch, hold_back)
    page = store.feed(Trade, "activity", FEED, before=None, limit=6)
    assert [t.ts_listed - DAY_MS for _, t in page] == [5, 4, 3, 2, 1, 0]
    assert [name for name, _ in calls] == ["Query"] + ["BatchGetItem"] * 3


def test_the_feed_gives_up_when_everything_is_held_back(
    store: DynamoStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dynamo_store, "BATCH_BACKOFF_MS", 0)
    store.commit([Put(trade(1))])

    def hold_back(operation: str, answer: Any) -> Any:
        if operation != "BatchGetItem":
            return answer
        ((table, items),) = answer["Responses"].items()
        held = [{"pk": i["pk"], "sk": i["sk"]} for i in items]
        return {**answer, "Responses": {}, "UnprocessedKeys": {table: {"Keys": held}}}

    calls = record_calls(store, monkeypatch, hold_back)
    with pytest.raises(Retryable, match="held back 1 of 1"):
        store.feed(Trade, "activity", FEED, before=None, limit=6)
    assert len(calls) == 1 + dynamo_store.BATCH_ATTEMPTS_MAX


def test_the_feed_skips_what_the_index_still_names(
    store: DynamoStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.commit([Put(trade(n, ts_listed=DAY_MS + n)) for n in range(6)])

    def lose_newest(operation: str, answer: Any) -> Any:
        if operation == "BatchGetItem":
            ((table, items),) = answer["Responses"].items()
            gone = trade(5, ts_listed=DAY_MS + 5).trade_id
            kept = [i for i in items if i["pk"]["S"] != f"trade#{gone}"]
            return {**answer, "Responses": {table: kept}}
        return answer

    record_calls(store, monkeypatch, lose_newest)
    page = store.feed(Trade, "activity", FEED, before=None, limit=3)
    assert [t.ts_listed - DAY_MS for _, t in page] == [4, 3, 2]
