"""Export a stage's tables, restore an export, and prove that both are the same.

    python -m infra.backup export  --stage S [--bucket B]
    python -m infra.backup restore --stage NEW --bucket B
    python -m infra.backup digests --stage S
    python -m infra.backup export  --data FOLDER --file FILE
    python -m infra.backup restore --data NEW --file FILE
    python -m infra.backup digests --data FOLDER

A protected stage is exported every night by itself; `export` does it now. `restore` writes the
latest whole export of every table into a stage that has just come up and follows nobody. `digests`
prints one line per portfolio: its entries, a digest of what they did, and whether it equals its
ledger. Ends with 1 when a ledger differs.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sqlite3
import sys
import time
from base64 import b64decode
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.adapters.clock import SystemClock
from chalicelib.adapters.embedded import DATABASE
from chalicelib.adapters.embedded.sqlite_store import SqliteStore
from chalicelib.adapters.metrics import CountingMetrics
from chalicelib.domain.errors import InvalidInput, PapercopyError
from chalicelib.domain.ledger import Entry, digest
from chalicelib.domain.registry import PortfolioRef
from chalicelib.keyspace import key_of
from chalicelib.ports import QUERY_LIMIT_MAX, Store
from chalicelib.services.check_ledger import CheckLedgers
from chalicelib.services.portfolios import PAGES_MAX, all_portfolios, entry_page
from infra.functions import APP_NAME
from infra.places import add_place, environment_at, store_at

TABLES = ("activity", "audit", "portfolio", "registry")
"""In the order of restoring: until the registry is there, nobody knows of the rest."""
OF_DEEDS = ("audit", "portfolio")
"""Tables that a stage which has just come up leaves empty; the others know its own heartbeats."""
BATCH = 25
BATCH_TRIES_MAX = 8
EXPORT_S_MAX = 2 * 3_600
POLL_S = 10.0
POLL_LOCAL_S = 0.05

Item = dict[str, dict[str, Any]]


class Backups:
    """Exports of one stage's tables in one bucket, a prefix per table."""

    def __init__(self, stage: str, bucket: str, endpoint: str | None) -> None:
        self._stage = stage
        self._endpoint = endpoint
        self._dynamodb = boto3.client("dynamodb", endpoint_url=endpoint)
        self._s3 = boto3.client("s3", endpoint_url=endpoint)
        self.bucket = bucket or self._own_bucket()

    def _own_bucket(self) -> str:
        """The bucket of the stage's base stack. Raises InvalidInput where it has none."""
        stacks = boto3.client("cloudformation", endpoint_url=self._endpoint)
        name = f"{APP_NAME}-{self._stage}-base"
        try:
            (stack,) = stacks.describe_stacks(StackName=name)["Stacks"]
        except ClientError as error:
            raise InvalidInput("--bucket", f"there is no stack {name}") from error
        told = {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}
        if "BackupBucketName" not in told:
            raise InvalidInput("--bucket", f"{name} has no bucket for backups")
        return str(told["BackupBucketName"])

    def export(self) -> None:
        """Export every table as of now and wait for it. Raises TimeoutError or InvalidInput."""
        names = {table: f"{APP_NAME}-{self._stage}-{table}" for table in TABLES}
        running = {}
        for table, name in names.items():
            arn = self._dynamodb.describe_table(TableName=name)["Table"]["TableArn"]
            started = self._dynamodb.export_table_to_point_in_time(
                TableArn=arn,
                S3Bucket=self.bucket,
                S3Prefix=table,
                S3SseAlgorithm="AES256",
                ExportFormat="DYNAMODB_JSON",
            )
            running[table] = started["ExportDescription"]["ExportArn"]
        step = POLL_LOCAL_S if self._endpoint else POLL_S
        for _ in range(int(EXPORT_S_MAX / step)):
            for table, arn in list(running.items()):
                told = self._dynamodb.describe_export(ExportArn=arn)["ExportDescription"]
                if told["ExportStatus"] == "FAILED":
                    raise InvalidInput(table, f"export failed: {told.get('FailureMessage')}")
                if told["ExportStatus"] == "COMPLETED":
                    del running[table]
            if not running:
                return
            time.sleep(step)
        raise TimeoutError(f"exports of {', '.join(running)} have not ended")

    def restore(self) -> int:
        """Write the latest exports into a new stage; the number of items.

        Raises InvalidInput before anything is written for a stage that has portfolios, or a table
        without a whole export.
        """
        names = {table: f"{APP_NAME}-{self._stage}-{table}" for table in TABLES}
        for name in (names[table] for table in OF_DEEDS):
            if self._dynamodb.scan(TableName=name, Limit=1)["Items"]:
                raise InvalidInput(name, "is not empty; restore into a new stage")
        files = {table: self._latest(table) for table in TABLES}
        return sum(self._fill(names[table], files[table]) for table in TABLES)

    def _latest(self, table: str) -> list[str]:
        """Keys of the data files of the latest whole export."""
        exports: dict[str, list[dict[str, Any]]] = {}
        pages = self._s3.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=f"{table}/AWSDynamoDB/"
        )
        for page in pages:
            for found in page.get("Contents", []):
                parts = found["Key"].split("/")
                if len(parts) > 3:
                    exports.setdefault(parts[2], []).append(found)
        whole = {
            name: files
            for name, files in exports.items()
            if any(file["Key"].endswith("/manifest-summary.json") for file in files)
        }
        # AWS writes the summary last. The local double writes none.
        exports = whole if whole or not self._endpoint else exports
        if not exports:
            raise InvalidInput(table, f"has no whole export in {self.bucket}")
        newest = max(exports.values(), key=lambda files: max(f["LastModified"] for f in files))
        return [file["Key"] for file in newest if "/data/" in file["Key"]]

    def _fill(self, name: str, keys: Sequence[str]) -> int:
        written, batch = 0, list[Item]()
        for item in self._items(keys):
            batch.append(item)
            if len(batch) == BATCH:
                written += self._write(name, batch)
                batch = []
        return written + self._write(name, batch)

    def _items(self, keys: Sequence[str]) -> Iterator[Item]:
        for key in keys:
            body = self._s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()
            for line in gzip.decompress(body).decode().splitlines():
                yield _typed(json.loads(line)["Item"])

    def _write(self, name: str, items: Sequence[Item]) -> int:
        left: list[dict[str, Any]] = [{"PutRequest": {"Item": item}} for item in items]
        for attempt in range(BATCH_TRIES_MAX):
            if not left:
                return len(items)
            time.sleep(0.05 * (2**attempt - 1))
            answer = self._dynamodb.batch_write_item(RequestItems={name: left})
            left = answer.get("UnprocessedItems", {}).get(name, [])
        if left:
            raise TimeoutError(f"{name} did not take {len(left)} items")
        return len(items)


def _typed(item: Item) -> Item:
    """An exported item as the API takes it: binary values are base64 in the file only."""
    return {
        name: {"B": b64decode(value["B"])} if "B" in value else value
        for name, value in item.items()
    }


def copied(source: Path, target: Path) -> None:
    """A consistent copy of an embedded engine's file, running or not. Raises InvalidInput."""
    if not source.exists():
        raise InvalidInput(str(source), "does not exist")
    if target.exists():
        raise InvalidInput(str(target), "exists already")
    target.parent.mkdir(parents=True, exist_ok=True)
    with sqlite3.connect(source) as here, sqlite3.connect(target) as there:
        here.backup(there)


def entries_of(store: Store, ref: PortfolioRef) -> list[Entry]:
    """All entries of a portfolio's epoch. Raises InvalidInput for more than PAGES_MAX pages."""
    found: list[Entry] = []
    start = "entry#"
    for _ in range(PAGES_MAX):
        page = entry_page(store, ref, start)
        found += page
        if len(page) < QUERY_LIMIT_MAX:
            return found
        start = key_of(page[-1]).sk + "\x00"
    raise InvalidInput(ref.portfolio_id, f"has more than {PAGES_MAX * QUERY_LIMIT_MAX} entries")


def digests(store: Store) -> tuple[list[str], bool]:
    """One line per portfolio, and whether all equal their ledgers."""
    check = CheckLedgers(store, SystemClock(), CountingMetrics())
    lines, sound = [], True
    for ref in all_portfolios(store):
        entries = entries_of(store, ref)
        wrong = check.check(ref).wrong
        sound = sound and not wrong
        said = "differs" if wrong else "agrees"
        lines.append(f"{ref.portfolio_id} {len(entries)} {digest(entries)} {said}")
    return lines, sound


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="backup", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("verb", choices=["export", "restore", "digests"])
    add_place(parser)
    parser.add_argument("--bucket", default="", help="the stage's own by default")
    parser.add_argument("--file", type=Path, help="the copy of a data folder")
    return parser.parse_args(words)


def _of_folder(asked: argparse.Namespace) -> None:
    if not asked.file:
        raise InvalidInput("--file", "is needed with --data")
    kept = asked.data / DATABASE
    source, target = (kept, asked.file) if asked.verb == "export" else (asked.file, kept)
    copied(source, target)
    SqliteStore(target).close()
    print(f"{asked.verb}: {target}")


def main(words: Sequence[str] | None = None) -> int:
    asked = _arguments(words)
    try:
        if asked.verb == "digests":
            lines, sound = digests(store_at(asked))
            print("\n".join(lines))
            return 0 if sound else 1
        if asked.data:
            _of_folder(asked)
            return 0
        backups = Backups(environment_at(asked).stage, asked.bucket, asked.endpoint_url)
        if asked.verb == "export":
            backups.export()
            print(f"export: all tables are in {backups.bucket}")
        else:
            print(f"restore: {backups.restore()} items from {backups.bucket}")
    except (PapercopyError, BotoCoreError, ClientError, OSError, sqlite3.Error) as error:
        print(f"backup: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
