"""Store a stage's secret, read from standard input: `python -m infra.secrets --stage S NAME`.

Names are `node/polygon_http_url`, `node/polygon_ws_url`, `auth/github_client_secret` and
`auth/google_client_secret`. The value becomes a SecureString and is shown to nobody;
`infra.session_keys` makes the keys of sessions, `infra.reset` the admin token. With
`--restart-watcher` a new watcher starts with it, the old one drains after that.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from infra.functions import APP_NAME
from infra.node import NodeAddresses

NAMES = (
    "node/polygon_http_url",
    "node/polygon_ws_url",
    "auth/github_client_secret",
    "auth/google_client_secret",
)
VALUE_CHARS_MAX = 4_096


def store(ssm: Any, stage: str, name: str, value: str) -> None:
    """Put the secret. Raises ValueError for what is no secret of that name."""
    if not value or len(value) > VALUE_CHARS_MAX or not value.isprintable():
        raise ValueError("one line of text was expected on standard input")
    if name.startswith("node/"):
        NodeAddresses(ssm, stage).put(name.removeprefix("node/"), value)
        return
    path = f"/{APP_NAME}/{stage}/{name}"
    ssm.put_parameter(Name=path, Value=value, Type="SecureString", Overwrite=True)


def restart_watcher(ecs: Any, stage: str) -> bool:
    """Start a new watcher beside the old one; False where the stage has none."""
    cluster, service = f"{APP_NAME}-{stage}", f"{APP_NAME}-{stage}-watcher"
    try:
        ecs.update_service(cluster=cluster, service=service, forceNewDeployment=True)
    except (ecs.exceptions.ClusterNotFoundException, ecs.exceptions.ServiceNotFoundException):
        return False
    return True


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="secrets", description=__doc__)
    parser.add_argument("--stage", required=True)
    parser.add_argument("--endpoint-url", default=os.environ.get("AWS_ENDPOINT_URL"))
    parser.add_argument("--restart-watcher", action="store_true")
    parser.add_argument("name", choices=NAMES, metavar="NAME")
    asked = parser.parse_args(words)
    try:
        ssm = boto3.client("ssm", endpoint_url=asked.endpoint_url)
        store(ssm, asked.stage, asked.name, sys.stdin.read().strip())
        print(f"{asked.name} is stored")
        if asked.restart_watcher:
            ecs = boto3.client("ecs", endpoint_url=asked.endpoint_url)
            restarted = restart_watcher(ecs, asked.stage)
            print("a new watcher starts" if restarted else "this stage has no watcher")
    except (ValueError, BotoCoreError, ClientError) as error:
        print(f"secrets: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
