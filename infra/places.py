"""Where an operator's command works: a deployed stage, or the data folder of one machine."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from chalicelib.adapters.dynamo.store import DynamoStore
from chalicelib.adapters.embedded import DATABASE
from chalicelib.adapters.embedded.sqlite_store import SqliteStore
from chalicelib.domain.errors import InvalidInput
from chalicelib.ports import Store
from chalicelib.settings import Environment, environment


def add_place(parser: argparse.ArgumentParser) -> None:
    """The options `--stage` or `--data`, and `--endpoint-url`."""
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--stage", default="")
    where.add_argument("--data", type=Path, help="data folder of an embedded engine")
    parser.add_argument("--endpoint-url", default=os.environ.get("AWS_ENDPOINT_URL"))


def environment_at(asked: argparse.Namespace) -> Environment:
    """The environment of the place. Raises InvalidInput."""
    return environment({**os.environ, "PAPERCOPY_STAGE": asked.stage} if asked.stage else None)


def store_at(asked: argparse.Namespace) -> Store:
    """The store of the place. Raises InvalidInput for a folder without one."""
    if asked.data:
        file = asked.data / DATABASE
        if not file.exists():
            raise InvalidInput("--data", f"{file} does not exist")
        return SqliteStore(file)
    env = environment_at(asked)
    return DynamoStore(env.stage, endpoint_url=asked.endpoint_url, region=env.region)
