"""Exchange contracts whose logs are decoded: `python -m infra.exchanges --stage S show|add|retire`.

`add ADDRESS GENERATION` listens to a contract from now on, `retire ADDRESS` stops listening and
goes on decoding. `--data FOLDER` names the data folder of an embedded engine instead. The watcher
reads the rows when it starts; every reader of receipts knows them within a minute.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import get_args

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.adapters.clock import SystemClock
from chalicelib.domain.errors import InvalidInput, PapercopyError
from chalicelib.domain.exchange_log import Generation
from chalicelib.domain.identifiers import address
from chalicelib.domain.registry import ExchangeContract
from chalicelib.keyspace import exchange_key
from chalicelib.ports import Put, Store
from chalicelib.services.audit import audited, told
from chalicelib.services.exchanges import exchanges, seed_exchanges
from infra.places import add_place, store_at
from infra.who import operator


def change(store: Store, verb: str, contract: str, generation: Generation | None, ts: int) -> None:
    """Store one contract's row and its audit row. Raises InvalidInput, Conflict, Retryable."""
    name = address(contract, "ADDRESS")
    seed_exchanges(store)
    known = store.get(ExchangeContract, exchange_key(name))
    if verb == "add":
        if generation is None:
            raise InvalidInput("GENERATION", f"one of {', '.join(get_args(Generation))} is needed")
        wanted = ExchangeContract(name, generation, True)
    elif known is None:
        raise InvalidInput("ADDRESS", f"{name} is no known exchange")
    else:
        wanted = replace(known, live=False)
    if known:
        wanted = replace(wanted, implementation=known.implementation, version=known.version)
    action, revision = f"exchange.{verb}", known.version if known else 0
    row = audited(operator(), action, name, told(known), told(wanted), ts=ts, revision=revision)
    store.commit([Put(wanted), row])


def shown(store: Store) -> str:
    """One line per contract."""
    return "\n".join(
        f"{one.address} {one.generation} {'live' if one.live else 'retired'}"
        for one in sorted(exchanges(store), key=lambda one: (not one.live, one.address))
    )


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="exchanges", description=__doc__)
    add_place(parser)
    parser.add_argument("verb", choices=["show", "add", "retire"])
    parser.add_argument("contract", nargs="?", default="", metavar="ADDRESS")
    parser.add_argument("generation", nargs="?", choices=get_args(Generation))
    asked = parser.parse_args(words)
    try:
        store = store_at(asked)
        if asked.verb != "show":
            now = SystemClock().now_ms()
            change(store, asked.verb, asked.contract, asked.generation, now)
        print(shown(store))
    except (PapercopyError, BotoCoreError, ClientError) as error:
        print(f"exchanges: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
