"""The node's address is a secret that is read late, read again, and never quoted."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any

import boto3
import pytest
from moto import mock_aws

from chalicelib.adapters.metrics import CountingMetrics
from chalicelib.adapters.node_addresses import REFRESH_MS, StoredNode, stored_http_address
from chalicelib.bootstrap import node_at
from chalicelib.domain.errors import PapercopyError, Permanent, Retryable
from chalicelib.settings import environment

NAME = "/papercopy/dev/node/polygon_http_url"
KEY = "kEy0123456789abcdef"


class Node:
    """Answers with its own address, so that a test sees who was asked."""

    def __init__(self, address: str) -> None:
        self.address = address

    def receipt_logs(self, tx_hash: str) -> tuple[Mapping[str, object], ...] | None:
        return ({"from": self.address, "tx": tx_hash},)

    def block_number(self) -> int:
        return len(self.address)


class Kept:
    """Where addresses are kept: a value, or a failure."""

    def __init__(self) -> None:
        self.answer: str | PapercopyError = "https://one"
        self.reads = 0
        self.now_ms = 1_000_000
        self.connected: list[str] = []

    def read(self) -> str:
        self.reads += 1
        if isinstance(self.answer, PapercopyError):
            raise self.answer
        return self.answer

    def connect(self, address: str) -> Node:
        self.connected.append(address)
        return Node(address)

    def node(self) -> StoredNode:
        return StoredNode(self.read, self.connect, lambda: self.now_ms)


def test_nobody_reads_the_secret_before_the_first_question() -> None:
    kept = Kept()
    node = kept.node()
    assert kept.reads == 0
    assert node.receipt_logs("0x1") == ({"from": "https://one", "tx": "0x1"},)
    assert node.block_number() == len("https://one")
    assert (kept.reads, kept.connected) == (1, ["https://one"])


def test_a_replaced_address_is_used_after_a_while_and_the_same_one_keeps_its_connections() -> None:
    kept = Kept()
    node = kept.node()
    node.block_number()
    kept.now_ms += REFRESH_MS
    node.block_number()
    assert (kept.reads, kept.connected) == (2, ["https://one"])
    kept.answer = "https://two-two"
    kept.now_ms += REFRESH_MS - 1
    assert node.block_number() == len("https://one")
    kept.now_ms += 1
    assert node.block_number() == len("https://two-two")


def test_what_cannot_be_read_again_stays_in_use_and_what_never_was_is_an_error() -> None:
    kept = Kept()
    kept.answer = Retryable("throttled")
    node = kept.node()
    with pytest.raises(Retryable):
        node.block_number()
    kept.answer = "https://one"
    assert node.block_number() == len("https://one")
    kept.answer = Permanent("gone")
    kept.now_ms += REFRESH_MS
    assert node.block_number() == len("https://one")


@pytest.fixture
def ssm(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        yield boto3.client("ssm", region_name="us-east-1")


def test_only_a_secure_string_is_taken_and_no_failure_quotes_it(ssm: Any) -> None:
    with pytest.raises(Permanent, match="missing"):
        stored_http_address(ssm, "dev")
    ssm.put_parameter(Name=NAME, Value=f"https://n/{KEY}", Type="String")
    with pytest.raises(Permanent) as refused:
        stored_http_address(ssm, "dev")
    assert KEY not in str(refused.value)
    ssm.put_parameter(Name=NAME, Value=f"https://n/{KEY}", Type="SecureString", Overwrite=True)
    assert stored_http_address(ssm, "dev") == f"https://n/{KEY}"


def test_a_node_that_fails_is_not_named_in_errors_logs_or_settings(
    caplog: pytest.LogCaptureFixture,
) -> None:
    address = f"http://127.0.0.1:9/v2/{KEY}"
    env = environment({"POLYGON_HTTP_URL": address, "POLYGON_WS_URL": f"ws://n/{KEY}"})
    with caplog.at_level(logging.INFO), pytest.raises(PapercopyError) as failed:
        node_at(address, env, CountingMetrics(), hasty=True).block_number()
    told = [str(failed.value), repr(failed.value), repr(env), str(env), caplog.text]
    assert not [text for text in told if KEY in text]
