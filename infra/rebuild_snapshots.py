"""Compute snapshots again: `python -m infra.rebuild_snapshots --stage S [--write] [PORTFOLIO …]`.

Compares every stored minute with what ledger and kept marks say, and with `--write` stores what
differs or is missing. `--from` and `--until` are times like 2026-11-18T10:00, UTC; by default
everything that marks are kept of. `--data FOLDER` names the data folder of an embedded engine.
The exit code is 1 when something differed and was not written.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.adapters.clock import SystemClock
from chalicelib.domain.errors import InvalidInput, PapercopyError
from chalicelib.domain.registry import PortfolioRef
from chalicelib.ports import Store
from chalicelib.services.portfolios import all_portfolios, portfolio_ref
from chalicelib.services.rebuild_snapshots import rebuild_snapshots
from infra.moments import moment
from infra.places import add_place, store_at

SETTLED_MS = 60_000
"""The last minute may still be written."""


def _refs(store: Store, names: Sequence[str]) -> list[PortfolioRef]:
    if not names:
        return all_portfolios(store)
    refs = []
    for name in names:
        ref = portfolio_ref(store, name)
        if ref is None:
            raise InvalidInput("portfolio", f"{name} does not exist")
        refs.append(ref)
    return refs


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="rebuild-snapshots", description=__doc__)
    add_place(parser)
    parser.add_argument("--from", dest="since", default="")
    parser.add_argument("--until", default="")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("portfolios", nargs="*", metavar="PORTFOLIO")
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> int:
    arguments = _arguments(words)
    unmended = 0
    try:
        store = store_at(arguments)
        settled = SystemClock().now_ms() - SETTLED_MS
        ts_from = moment(arguments.since) if arguments.since else 0
        ts_until = min(moment(arguments.until), settled) if arguments.until else settled
        for ref in _refs(store, arguments.portfolios):
            told = rebuild_snapshots(store, ref, ts_from, ts_until, write=arguments.write)
            print(
                f"{ref.portfolio_id} epoch {ref.epoch}: {told.equal} equal, "
                f"{told.differing} differing, {told.missing} missing"
            )
            unmended += 0 if arguments.write else told.differing + told.missing
    except (PapercopyError, BotoCoreError, ClientError) as error:
        print(f"rebuild-snapshots: {error}", file=sys.stderr)
        return 2
    return 1 if unmended else 0


if __name__ == "__main__":
    sys.exit(main())
