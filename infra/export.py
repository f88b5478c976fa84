"""Export records to a file: `python -m infra.export --stage S|--data FOLDER KIND --out FILE …`.

Kinds are trades, attempts, fills and ledger; `columns` explains what is in them. Rows are read
and written page by page. FILE appears when everything is in it; `-` is the standard output.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.adapters.clock import SystemClock
from chalicelib.domain.errors import PapercopyError
from chalicelib.domain.export_rows import COLUMNS, text_of
from chalicelib.ports import Store
from chalicelib.services.exports import TS_MAX, Exports, Selection
from chalicelib.services.portfolios import ACCOUNT
from infra.moments import moment
from infra.places import add_place, store_at


def selection(asked: argparse.Namespace) -> Selection:
    """What the arguments select. Raises InvalidInput."""
    return Selection(
        kind=asked.kind,
        account_id=asked.account,
        portfolio_id=asked.portfolio,
        epoch=asked.epoch,
        ts_from=moment(asked.since) if asked.since else 0,
        ts_until=moment(asked.until) if asked.until else TS_MAX,
    )


def write(store: Store, wanted: Selection, format_: str, out: IO[str]) -> int:
    """Write every page; the number of rows."""
    rows, header = 0, True
    for page in Exports(store, SystemClock())(wanted):
        out.write(
            text_of(wanted.kind, "csv" if format_ == "csv" else "json", page.rows, header=header)
        )
        rows, header = rows + len(page.rows), False
    return rows


def to_file(store: Store, wanted: Selection, format_: str, path: Path) -> int:
    """As above, into a file that replaces an older one once it is complete."""
    draft = path.with_name(f".{path.name}.part")
    try:
        with draft.open("w", encoding="utf-8", newline="") as out:
            rows = write(store, wanted, format_, out)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return rows


def columns() -> str:
    """What every kind's columns mean."""
    return "\n\n".join(
        "\n".join([f"{kind}:", *(f"  {c.name} ({c.unit}): {c.about}" for c in sheet)])
        for kind, sheet in COLUMNS.items()
    )


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="export", description=__doc__)
    add_place(parser)
    parser.add_argument("kind", choices=[*COLUMNS, "columns"])
    parser.add_argument("--format", choices=["csv", "json"], default="csv")
    parser.add_argument("--out", default="-", metavar="FILE")
    parser.add_argument("--account", default=ACCOUNT)
    parser.add_argument("--portfolio", default="", help="all of the account's by default")
    parser.add_argument("--epoch", type=int, default=0, help="all by default")
    parser.add_argument("--from", dest="since", default="", metavar="TIME")
    parser.add_argument("--until", default="", metavar="TIME")
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> int:
    asked = _arguments(words)
    try:
        if asked.kind == "columns":
            print(columns())
            return 0
        store, wanted = store_at(asked), selection(asked)
        if asked.out == "-":
            write(store, wanted, asked.format, sys.stdout)
            return 0
        rows = to_file(store, wanted, asked.format, Path(asked.out))
        print(f"{rows} rows of {asked.kind} are in {asked.out}")
    except (PapercopyError, BotoCoreError, ClientError, OSError) as error:
        print(f"export: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
