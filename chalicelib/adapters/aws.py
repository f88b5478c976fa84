"""AWS clients with bounds, and every failure of theirs as one of ours.

Conflict    a condition failed, or another transaction holds the item
Retryable   throttling, time-outs, 5xx, credentials that expired
Permanent   everything else: refused requests, missing resources, missing rights
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3.session
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    HTTPClientError,
    IncompleteReadError,
    MetadataRetrievalError,
)
from botocore.exceptions import ConnectionError as BotoConnectionError
from botocore.parsers import ResponseParserError

from chalicelib.domain.errors import Conflict, PapercopyError, Permanent, Retryable

CONNECT_SECONDS_MAX = 2
READ_SECONDS_MAX = 8
ATTEMPTS_MAX = 3
"""First call and two repetitions: 30 s at worst, inside every handler's time-out."""
POOL_CONNECTIONS_MAX = 16

AWS_ERRORS = (BotoCoreError, ClientError, ResponseParserError)

_CONFLICTS = frozenset(
    {
        "ConditionalCheckFailed",
        "ConditionalCheckFailedException",
        "TransactionConflict",
        "TransactionConflictException",
    }
)
_RETRYABLE = frozenset(
    {
        "ExecutionLimitExceeded",
        "ExpiredToken",
        "ExpiredTokenException",
        "InternalError",
        "InternalFailure",
        "InternalServerError",
        "KmsThrottled",
        "ProvisionedThroughputExceeded",
        "ProvisionedThroughputExceededException",
        "ReplicatedWriteConflictException",
        "RequestExpired",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "RequestTimeout",
        "RequestTimeoutException",
        "ServiceUnavailable",
        "ServiceUnavailableException",
        "SlowDown",
        "Throttling",
        "ThrottlingError",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionInProgressException",
    }
)
_RETRYABLE_TRANSPORT = (
    BotoConnectionError,
    CredentialRetrievalError,
    HTTPClientError,
    IncompleteReadError,
    MetadataRetrievalError,
    ResponseParserError,
)


def client(service: str, region: str, endpoint_url: str | None = None) -> Any:
    """A client with bounded waiting and repeating; safe to share between threads.

    It comes from its own session, because the default session is not safe to create clients from.
    """
    config = Config(
        connect_timeout=CONNECT_SECONDS_MAX,
        read_timeout=READ_SECONDS_MAX,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS_MAX},
        max_pool_connections=POOL_CONNECTIONS_MAX,
    )
    session = boto3.session.Session(region_name=region)
    return session.client(service, endpoint_url=endpoint_url, config=config)


def code_of(error: ClientError) -> str:
    """The service's code of a refusal, for example `ThrottlingException`."""
    return str(error.response.get("Error", {}).get("Code", ""))


def translated(error: Exception, doing: str) -> PapercopyError:
    """The failure that an AWS error means to a caller; `doing` says what was tried."""
    message = f"{doing}: {error}"
    if isinstance(error, ClientError):
        return _refusal(error, message)
    if isinstance(error, _RETRYABLE_TRANSPORT):
        return Retryable(message)
    return Permanent(message)


def _refusal(error: ClientError, message: str) -> PapercopyError:
    code = code_of(error)
    if code == "TransactionCanceledException":
        return _cancellation(error, message)
    if code in _CONFLICTS:
        return Conflict(message)
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in _RETRYABLE or status >= 500 or status == 429:
        return Retryable(message)
    return Permanent(message)


def _cancellation(error: ClientError, message: str) -> PapercopyError:
    """A cancelled transaction: a lost condition outweighs the rest, because re-reading helps."""
    reasons: list[dict[str, Any]] = error.response.get("CancellationReasons", [])
    codes = {str(reason.get("Code", "None")) for reason in reasons} - {"None"}
    message = f"{message} ({', '.join(sorted(codes))})"
    if codes & _CONFLICTS:
        return Conflict(message)
    return Retryable(message) if codes <= _RETRYABLE else Permanent(message)


@contextmanager
def translating(doing: str) -> Iterator[None]:
    """Raise the translated failure in place of any AWS error inside the block."""
    try:
        yield
    except AWS_ERRORS as error:
        raise translated(error, doing) from error
