"""Keep a process that runs the local engine away from AWS, whatever its surroundings say."""

import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from botocore.httpsession import URLLib3Session

from infra.local import permissions

LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})
REGION = "us-east-1"


class NotLocal(RuntimeError):
    """An AWS request of the local engine was about to leave this machine."""


def require_local(url: str) -> None:
    if urlsplit(url).hostname not in LOOPBACK_HOSTS:
        raise NotLocal(f"The local engine only talks to this machine, not to {url}")


def local_environment(endpoint_url: str) -> dict[str, str]:
    require_local(endpoint_url)
    return {
        "AWS_ENDPOINT_URL": endpoint_url,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_SESSION_TOKEN": "testing",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_REGION": REGION,
        # Profiles and instance roles could bring real credentials or other endpoints.
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


class Environment:
    """Set variables of this process and put everything back afterwards."""

    def __init__(self) -> None:
        self._before: dict[str, str] | None = None

    def enter(self, variables: Mapping[str, str]) -> None:
        if self._before is None:
            self._before = dict(os.environ)
        for name in list(os.environ):
            foreign_endpoint = name.startswith("AWS_ENDPOINT_URL_")
            if foreign_endpoint or name in {"AWS_PROFILE", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"}:
                del os.environ[name]
        os.environ.update(variables)

    def restore(self) -> None:
        if self._before is None:
            return
        for name in set(os.environ) - set(self._before):
            del os.environ[name]
        os.environ.update(self._before)
        self._before = None


def guarded_send(original: Any) -> Any:
    """Wrap botocore's only way out: where does the request go, and may its sender make it?"""

    def send(self: URLLib3Session, request: Any) -> Any:
        require_local(request.url)
        permissions.check(request)
        return original(self, request)

    return send
