"""Follow a leader on a deployed stage: `python -m infra.follow --stage dev ADDRESS [ADDRESS …]`.

Several addresses are wallets of one leader, the first names him; naming new ones later adds them.
`--unfollow ADDRESS` ends following him, `--list` shows everybody. His holdings are read at once; if
the venue does not answer, the stage reads them with its next sweep.
"""

from __future__ import annotations

import argparse
import os
import sys

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.adapters.aws import client
from chalicelib.adapters.clock import SystemClock
from chalicelib.adapters.dynamo.store import DynamoStore
from chalicelib.adapters.metrics import CountingMetrics
from chalicelib.adapters.sqs import SqsQuarantine
from chalicelib.adapters.stored_rules import StoredRules
from chalicelib.bootstrap import venue_on
from chalicelib.domain.errors import PapercopyError
from chalicelib.domain.registry import Leader
from chalicelib.ports import Store
from chalicelib.services.holdings import ReadHoldings
from chalicelib.services.manage_leaders import FollowLeader, UnfollowLeader, leaders
from chalicelib.settings import Environment, environment
from infra.who import operator


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="follow", description=__doc__)
    parser.add_argument("wallets", nargs="*", metavar="ADDRESS")
    parser.add_argument("--stage", required=True)
    parser.add_argument("--name", default="")
    parser.add_argument("--unfollow", metavar="ADDRESS")
    parser.add_argument("--list", action="store_true", help="show everybody ever followed")
    parser.add_argument("--endpoint-url", default=os.environ.get("AWS_ENDPOINT_URL"))
    return parser


def _line(leader: Leader) -> str:
    others = len(leader.wallets) - 1
    more = f", {others} more wallet{'s' if others > 1 else ''}" if others else ""
    known = "holdings read" if leader.holdings_as_of is not None else "holdings not read yet"
    return f"{leader.leader} {leader.name}: {leader.state}{more}, {known}"


def _follow(env: Environment, store: Store, endpoint: str | None, asked: argparse.Namespace) -> str:
    clock, metrics = SystemClock(), CountingMetrics()
    quarantine = SqsQuarantine(env.stage, client("sqs", env.region, endpoint))
    rules = StoredRules(store, quarantine, clock, metrics)
    follow = FollowLeader(store, clock, int(env.starting_cash * 1_000_000), rules)
    leader = follow(asked.wallets, asked.name, who=operator())
    feed = venue_on(env, clock, metrics, quarantine).holdings
    said = f"following {leader.name} ({leader.leader}) on stage {env.stage}"
    try:
        ReadHoldings(store, feed, clock, metrics)()
    except PapercopyError as error:
        return f"{said}; the next sweep reads his holdings, now: {error}"
    return said


def main() -> int:
    parser = _parser()
    asked = parser.parse_args()
    if bool(asked.wallets) + bool(asked.unfollow) + asked.list != 1:
        parser.error("give addresses to follow, or --unfollow ADDRESS, or --list")
    try:
        env = environment({**os.environ, "PAPERCOPY_STAGE": asked.stage})
        store = DynamoStore(env.stage, endpoint_url=asked.endpoint_url, region=env.region)
        if asked.wallets:
            print(_follow(env, store, asked.endpoint_url, asked))
        elif asked.unfollow:
            print(_line(UnfollowLeader(store, SystemClock())(asked.unfollow, who=operator())))
        else:
            for leader in leaders(store):
                print(_line(leader))
    except (PapercopyError, BotoCoreError, ClientError) as error:
        print(f"follow: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
