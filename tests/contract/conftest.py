from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from threading import RLock
from typing import Any

import boto3
import pytest
from moto import mock_aws

from chalicelib.adapters.dynamo.store import DynamoStore
from chalicelib.adapters.embedded.memory_store import MemoryStore
from chalicelib.adapters.embedded.sqlite_store import SqliteStore
from chalicelib.ports import Store

from .aws_resources import REGION, create_tables


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty AWS account inside this process."""
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    with mock_aws():
        yield


@cache
def _table_client() -> Any:
    """One for all tests: making a client takes longer than most of them."""
    return boto3.client("dynamodb", region_name=REGION)


@pytest.fixture
def make_dynamo_store(aws: None) -> Callable[[str], DynamoStore]:
    def make(stage: str) -> DynamoStore:
        create_tables(_table_client(), stage)
        return DynamoStore(stage, region=REGION)

    return make


@pytest.fixture(params=["memory", "sqlite", "dynamo"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "memory":
        yield MemoryStore()
    elif request.param == "sqlite":
        sqlite = SqliteStore(tmp_path / "store.db")
        yield sqlite
        sqlite.close()
    else:
        make: Callable[[str], DynamoStore] = request.getfixturevalue("make_dynamo_store")
        dynamo = make("test")
        lock_commits(dynamo)
        yield dynamo


def lock_commits(dynamo: DynamoStore) -> None:
    """moto checks and writes without a lock, which DynamoDB does not: lost updates in threads.

    Its reads leave traces in what a transaction copies, so they take turns with it, too.
    """
    lock = RLock()
    for name in ("commit", "get", "query", "feed"):
        setattr(dynamo, name, _one_at_a_time(lock, getattr(dynamo, name)))


def _one_at_a_time(lock: Any, call: Callable[..., Any]) -> Callable[..., Any]:
    def locked(*args: Any, **kwargs: Any) -> Any:
        with lock:
            return call(*args, **kwargs)

    return locked
