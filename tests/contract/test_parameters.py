"""Parameters of sign-in in Parameter Store: secrets are SecureString or nothing is read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from chalicelib.adapters.parameters import NAMES_MAX, parameters
from chalicelib.api.access import SECRETS, SETTINGS
from chalicelib.domain.errors import InvalidInput, Permanent


@pytest.fixture
def ssm(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        yield boto3.client("ssm", region_name="us-east-1")


def put(ssm: Any, name: str, value: str, kind: str = "SecureString") -> None:
    ssm.put_parameter(Name=f"/papercopy/dev/auth/{name}", Value=value, Type=kind)


def read(ssm: Any, stage: str = "dev") -> dict[str, str]:
    return parameters(ssm, stage, "auth", SETTINGS, SECRETS)


def test_settings_and_secrets_are_read_at_once_and_missing_ones_left_out(ssm: Any) -> None:
    assert len(SETTINGS) + len(SECRETS) <= NAMES_MAX
    assert read(ssm) == {}
    put(ssm, "session_key", "k" * 40)
    put(ssm, "allowed_github_ids", "1,2", "String")
    put(ssm, "something_else", "x")
    assert read(ssm) == {"session_key": "k" * 40, "allowed_github_ids": "1,2"}
    assert read(ssm, "prod") == {}


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_in_the_clear_is_refused_without_being_quoted(ssm: Any, name: str) -> None:
    put(ssm, name, "very-secret-value", "String")
    with pytest.raises(InvalidInput) as caught:
        read(ssm)
    assert caught.value.field == name
    assert "very-secret" not in str(caught.value)


def test_a_refusal_of_aws_is_ours(ssm: Any) -> None:
    class Refusing:
        def get_parameters(self, **_: object) -> None:
            ssm.get_parameter(Name="/papercopy/dev/auth/nothing")

    with pytest.raises(Permanent, match="reading parameters"):
        read(Refusing())
