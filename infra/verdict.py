"""How a stage stands: `python -m infra.verdict --stage S`. Ends with 1 when something is wrong.

Prints the last reconciliation's findings, sources that are down, stretches that are still to be
read, and the oldest work of each portfolio. `--data FOLDER` names the data folder of an embedded
engine instead, running or not. It reads and changes nothing.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.adapters.clock import SystemClock
from chalicelib.domain.errors import PapercopyError
from chalicelib.domain.reconciliation import RECENT, Reconciliation
from chalicelib.domain.registry import CatchUp
from chalicelib.keyspace import reconciliation_key
from chalicelib.ports import QUERY_LIMIT_MAX, Store
from chalicelib.services.advance_portfolio import due_work
from chalicelib.services.heartbeats import heartbeats
from chalicelib.services.portfolios import all_portfolios
from infra.places import add_place, store_at

OVERDUE_MS = 120_000


def wrong(store: Store, now: int) -> list[str]:
    """A line for everything that is not as it should be."""
    last = store.get(Reconciliation, reconciliation_key(RECENT, 0))
    lines = [f"{one.kind} {one.subject}: {one.detail}" for one in (last.findings if last else ())]
    if last and now - last.ts > OVERDUE_MS:
        lines.append(f"reconciler: no verdict for {(now - last.ts) // 1000} s")
    lines += [
        f"down {name}: {beat.detail}"
        for name, beat in sorted(heartbeats(store).items())
        if not beat.up
    ]
    for ref in all_portfolios(store):
        if ref.kind == "shadow":
            continue
        late = due_work(store, ref.portfolio_id, ref.epoch, now - OVERDUE_MS, 1)
        lines += [f"stuck {ref.portfolio_id}: {work.kind} {work.ref}" for work in late]
    return lines


def unread(store: Store) -> list[str]:
    """A line for every stretch that is still to be read."""
    rows = store.query(CatchUp, "registry", "catch_ups", limit=QUERY_LIMIT_MAX)
    return [f"to read {r.leader}: {r.ts_from} to {r.ts_until}, {r.reason}" for r in rows]


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="verdict", description=__doc__)
    add_place(parser)
    asked = parser.parse_args(words)
    try:
        store = store_at(asked)
        found = wrong(store, SystemClock().now_ms())
        print("\n".join([*found, *unread(store)]) or "all is well")
    except (PapercopyError, BotoCoreError, ClientError) as error:
        print(f"verdict: {error}", file=sys.stderr)
        return 2
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
