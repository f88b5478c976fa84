"""Check ledgers: `python -m infra.check --stage S|--data FOLDER [PORTFOLIO …]`.

Every portfolio, or those named, is folded from its first entry and compared to the micro; the
verdicts are stored as those of the schedule are. Ends with 1 when something differs.
"""

from __future__ import annotations

import argparse
import sys

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.adapters.clock import SystemClock
from chalicelib.adapters.metrics import CountingMetrics
from chalicelib.domain.errors import PapercopyError
from chalicelib.ports import Store
from chalicelib.services.check_ledger import CheckLedgers
from chalicelib.services.portfolios import all_portfolios
from infra.places import add_place, store_at


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="check", description=__doc__)
    parser.add_argument("portfolios", nargs="*", metavar="PORTFOLIO")
    add_place(parser)
    return parser


def report(store: Store, names: list[str]) -> bool:
    """Print a line per portfolio and difference; whether there is none.

    Raises LookupError for a portfolio that does not exist, Retryable or Permanent.
    """
    known = {ref.portfolio_id: ref for ref in all_portfolios(store)}
    missing = [name for name in names if name not in known]
    if missing:
        raise LookupError(f"there is no portfolio {missing[0]}")
    check = CheckLedgers(store, SystemClock(), CountingMetrics())
    sound = True
    for name in names or known:
        found = check.check(known[name])
        sound = sound and not found.wrong
        print(f"{name}: {found.entries} entries, {'differs' if found.wrong else 'agrees'}")
        for what in found.wrong:
            print(f"  {what}")
    return sound


def main() -> int:
    asked = _parser().parse_args()
    try:
        return 0 if report(store_at(asked), asked.portfolios) else 1
    except (PapercopyError, LookupError, BotoCoreError, ClientError) as error:
        print(f"check: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
