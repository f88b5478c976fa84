"""Run a stage's schedule now: `python -m infra.invoke --stage S sweep|measure|…`.

Every schedule may run at any time and twice. Ends with 1 when the function failed.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from infra.functions import APP_NAME

SCHEDULES = ("sweep", "measure", "mark_portfolios", "sync_markets", "poll_tick")


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="invoke", description=__doc__)
    parser.add_argument("--stage", required=True)
    parser.add_argument("--endpoint-url", default=os.environ.get("AWS_ENDPOINT_URL"))
    parser.add_argument("schedule", choices=SCHEDULES)
    asked = parser.parse_args(words)
    event = {
        "version": "0",
        "id": "by-hand",
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": "",
        "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": "",
        "resources": [],
        "detail": {},
    }
    try:
        functions = boto3.client("lambda", endpoint_url=asked.endpoint_url)
        answer = functions.invoke(
            FunctionName=f"{APP_NAME}-{asked.stage}-{asked.schedule}", Payload=json.dumps(event)
        )
        told = answer["Payload"].read().decode()
    except (BotoCoreError, ClientError) as error:
        print(f"invoke: {error}", file=sys.stderr)
        return 2
    if answer.get("FunctionError"):
        print(f"invoke: {asked.schedule} failed: {told:.500}", file=sys.stderr)
        return 1
    print(f"invoke: {asked.schedule} ran")
    return 0


if __name__ == "__main__":
    sys.exit(main())
