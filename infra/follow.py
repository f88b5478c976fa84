"""Follow a leader on a deployed stage: `python -m infra.follow --stage S [--name N] 0x… [0x…]`.

Several addresses are wallets of one leader. Until the dashboard can do it, this is how a stage
gets its leaders; following again changes nothing.
"""

from __future__ import annotations

import argparse
import os
import sys

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.adapters.clock import SystemClock
from chalicelib.adapters.dynamo.store import DynamoStore
from chalicelib.domain.errors import PapercopyError
from chalicelib.services.manage_leaders import FollowLeader
from chalicelib.settings import environment


def main() -> int:
    parser = argparse.ArgumentParser(prog="follow", description=__doc__)
    parser.add_argument("wallets", nargs="+", metavar="ADDRESS")
    parser.add_argument("--stage", required=True)
    parser.add_argument("--name", default="")
    parser.add_argument("--endpoint-url", default=os.environ.get("AWS_ENDPOINT_URL"))
    arguments = parser.parse_args()
    try:
        env = environment({**os.environ, "PAPERCOPY_STAGE": arguments.stage})
        store = DynamoStore(env.stage, endpoint_url=arguments.endpoint_url, region=env.region)
        follow = FollowLeader(store, SystemClock(), int(env.starting_cash * 1_000_000))
        leader = follow(arguments.wallets, arguments.name)
    except (PapercopyError, BotoCoreError, ClientError) as error:
        print(f"follow: {error}", file=sys.stderr)
        return 2
    print(f"following {leader.name} ({leader.leader}) on stage {env.stage}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
