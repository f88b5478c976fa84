"""Reset paper portfolios: `python -m infra.reset --stage S|--data FOLDER VERB`.

`show` lists the executable portfolios with their epochs. `epochs main/global=1 …` ends these epochs
and may be repeated; `all` ends the current ones. Whoever runs it must be able to read the admin
token, which `new-token` makes or replaces. `--data` names the data folder of an embedded engine,
running or not.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.adapters.admin_token import (
    FILE,
    FOLDER,
    NAME,
    checked,
    file_token,
    new_token,
    stage_token,
)
from chalicelib.adapters.aws import client
from chalicelib.adapters.clock import SystemClock
from chalicelib.adapters.metrics import CountingMetrics
from chalicelib.domain.errors import InvalidInput, PapercopyError
from chalicelib.domain.money import decimal_text
from chalicelib.ports import Store
from chalicelib.services.portfolios import head_of, portfolio_ref, portfolios_of
from chalicelib.services.reset_paper import ResetPaper
from infra.places import add_place, environment_at, store_at
from infra.who import operator

_EPOCH = re.compile(r"([a-z0-9_/-]{3,120})=([1-9][0-9]{0,5})")


def epochs(words: Sequence[str]) -> dict[str, int]:
    """`PORTFOLIO=EPOCH` words. Raises InvalidInput naming the word."""
    found: dict[str, int] = {}
    for word in words:
        parsed = _EPOCH.fullmatch(word)
        if parsed is None:
            raise InvalidInput(word, "PORTFOLIO=EPOCH was expected")
        found[parsed[1]] = int(parsed[2])
    return found


def shown(store: Store) -> str:
    """One line per executable portfolio."""
    lines = []
    for ref in portfolios_of(store):
        head = head_of(store, ref)
        lines.append(f"{ref.portfolio_id}={ref.epoch}: cash {decimal_text(head.cash)}")
    return "\n".join(lines) or "there are no portfolios yet"


def reset(asked: argparse.Namespace, store: Store) -> str:
    """End the epochs asked for and everything unfinished in them; the lines to print."""
    _prove(asked)
    cash = int(environment_at(asked).starting_cash * 1_000_000)
    service = ResetPaper(store, SystemClock(), CountingMetrics(), cash)
    wanted = {ref.portfolio_id: ref.epoch for ref in portfolios_of(store)}
    if asked.verb == "epochs":
        wanted = epochs(asked.epochs)
    lines = []
    for done in service(wanted, who=operator()):
        ref = portfolio_ref(store, done.portfolio_id)
        ended = service.finish(ref) if ref else 0
        lines.append(f"{done.portfolio_id} is in epoch {done.epoch}, {ended} unfinished ended")
    return "\n".join(lines)


def _prove(asked: argparse.Namespace) -> None:
    """Raises InvalidInput, Retryable or Permanent for who cannot read the admin token."""
    checked(file_token(asked.data) if asked.data else stage_token(_ssm(asked), asked.stage))


def _ssm(asked: argparse.Namespace) -> Any:
    return client("ssm", environment_at(asked).region, asked.endpoint_url)


def replace_token(asked: argparse.Namespace) -> str:
    """Make a new admin token; it is kept in its place and not shown."""
    if asked.data:
        (asked.data / FILE).unlink(missing_ok=True)
        file_token(asked.data)
        return f"the new token is in {asked.data / FILE}"
    name = f"/papercopy/{environment_at(asked).stage}/{FOLDER}/{NAME}"
    _ssm(asked).put_parameter(Name=name, Value=new_token(), Type="SecureString", Overwrite=True)
    return f"the new token is the parameter {name}"


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="reset", description=__doc__)
    add_place(parser)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("show")
    verbs.add_parser("all")
    verbs.add_parser("new-token")
    named = verbs.add_parser("epochs")
    named.add_argument("epochs", nargs="+", metavar="PORTFOLIO=EPOCH")
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> int:
    asked = _arguments(words)
    try:
        if asked.verb == "new-token":
            print(replace_token(asked))
            return 0
        store = store_at(asked)
        print(shown(store) if asked.verb == "show" else reset(asked, store))
    except (PapercopyError, BotoCoreError, ClientError, OSError) as error:
        print(f"reset: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
