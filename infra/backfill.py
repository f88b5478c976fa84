"""Read the last hours of leaders again: `python -m infra.backfill --stage S --hours N [WALLET …]`.

The pollers do it, within a minute or so; `--data FOLDER` names the data folder of an embedded
engine instead. What is known already changes nothing, and what is older than a day never trades.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.adapters.clock import SystemClock
from chalicelib.domain.errors import InvalidInput, PapercopyError
from chalicelib.domain.identifiers import address
from chalicelib.ports import Store
from chalicelib.services.catch_up import request_catch_up
from chalicelib.services.manage_leaders import leaders
from infra.places import add_place, store_at
from infra.who import operator

HOURS_MAX = 7 * 24
HOUR_MS = 3_600_000


def request(store: Store, hours: int, wallets: Sequence[str], now: int) -> list[str]:
    """Ask for the hours before `now`; who is to be read. Raises InvalidInput, Retryable."""
    if not 1 <= hours <= HOURS_MAX:
        raise InvalidInput("--hours", f"1 to {HOURS_MAX} were expected")
    asked = {address(wallet, "WALLET") for wallet in wallets}
    followed = {one.leader: one for one in leaders(store) if one.state != "off"}
    if unknown := asked - followed.keys():
        raise InvalidInput("WALLET", f"{min(unknown)} is no followed leader")
    chosen = sorted(asked or followed)
    for leader in chosen:
        request_catch_up(store, leader, now - hours * HOUR_MS, now, f"asked by {operator()}")
    return chosen


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="backfill", description=__doc__)
    add_place(parser)
    parser.add_argument("--hours", type=int, required=True)
    parser.add_argument("wallets", nargs="*", metavar="WALLET", help="all followed by default")
    asked = parser.parse_args(words)
    try:
        chosen = request(store_at(asked), asked.hours, asked.wallets, SystemClock().now_ms())
    except (PapercopyError, BotoCoreError, ClientError) as error:
        print(f"backfill: {error}", file=sys.stderr)
        return 2
    print(f"backfill: {asked.hours} h of {', '.join(chosen) or 'nobody'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
