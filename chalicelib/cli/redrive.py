"""`redrive`: hand in again what could not be processed, once its cause is mended.

On a stage at once. The embedded engine of a data folder does it within seconds, or at its start.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from chalicelib.adapters.clock import SystemClock
from chalicelib.adapters.embedded import DATABASE
from chalicelib.adapters.embedded.dead_letters import REQUEST_FILE, waiting
from chalicelib.adapters.metrics import CountingMetrics
from chalicelib.cli.terminal import LineParser, Unusable, print_lines
from chalicelib.ports import DEAD_QUEUES
from chalicelib.services.audit import OPERATOR
from chalicelib.services.redrive import LIMIT, LIMIT_MAX, Redrive
from chalicelib.settings import environment


def run(argv: Sequence[str]) -> int:
    """Read the arguments, then print one line; with --discard also each message."""
    parser = LineParser(prog="redrive")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--stage", default="")
    where.add_argument("--data", metavar="DIR", help="data folder of an embedded engine")
    parser.add_argument("--endpoint-url", default=os.environ.get("AWS_ENDPOINT_URL"))
    parser.add_argument("--queue", choices=DEAD_QUEUES, default="fills")
    parser.add_argument("--limit", type=int, default=LIMIT, metavar=f"1..{LIMIT_MAX}")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--dry-run", action="store_true", help="only count")
    how.add_argument("--discard", action="store_true", help="print and remove instead")
    asked = parser.parse_args(argv)
    if asked.data:
        if asked.discard or asked.queue != "fills":
            raise Unusable("a data folder knows neither --discard nor another --queue")
        print_lines([_ask_engine(Path(asked.data), asked.dry_run)])
        return 0
    if not 1 <= asked.limit <= LIMIT_MAX:
        raise Unusable(f"--limit is 1 to {LIMIT_MAX}")
    # Only what talks to AWS costs the import of its library.
    from chalicelib.adapters.aws import client
    from chalicelib.adapters.dead_letters import SqsDeadLetters
    from chalicelib.adapters.dynamo.store import DynamoStore

    env = environment({**os.environ, "PAPERCOPY_STAGE": asked.stage})
    letters = SqsDeadLetters(env.stage, client("sqs", env.region, asked.endpoint_url))
    if asked.discard:
        done = letters.discard(asked.queue, asked.limit, print)
    else:
        store = DynamoStore(env.stage, endpoint_url=asked.endpoint_url, region=env.region)
        redrive = Redrive(store, letters, SystemClock(), CountingMetrics())
        done = redrive(asked.queue, asked.limit, OPERATOR, dry_run=asked.dry_run)
    print_lines([asdict(done)])
    return 0


def _ask_engine(folder: Path, dry_run: bool) -> dict[str, object]:
    if not (folder / DATABASE).exists():
        raise Unusable(f"{str(folder)!r} is no data folder of an engine")
    if not dry_run:
        (folder / REQUEST_FILE).touch()
    return {"moved": 0, "kept": 0, "left": waiting(folder / "quarantine.jsonl")}
