"""Pause or resume copying: `python -m infra.control --stage S pause|resume|reset-breaker|show`.

`--portfolio ID` names one, without it all executable portfolios are meant; `show` says how they
stand. `--data FOLDER` names the data folder of an embedded engine instead, running or not. A pause
counts from the moment of the command; what rests then is cancelled as of it within two minutes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.adapters.clock import SystemClock
from chalicelib.domain.breakers import open_breakers
from chalicelib.domain.errors import PapercopyError
from chalicelib.domain.pause import is_paused
from chalicelib.ports import Store
from chalicelib.services.control_portfolios import ControlPortfolios
from chalicelib.services.portfolios import all_portfolios, head_of
from chalicelib.services.watch_breakers import breakers_of
from infra.places import add_place, store_at
from infra.who import operator

VERBS = ("pause", "resume", "reset-breaker")


def shown(store: Store, now: int) -> str:
    """One line per executable portfolio: paused or running, and its open breakers."""
    lines = []
    for ref in all_portfolios(store):
        if ref.kind == "shadow":
            continue
        head = head_of(store, ref)
        tripped = open_breakers(breakers_of(store, head), now)
        state = "paused" if is_paused(head.pauses) else "running"
        lines.append(": ".join([ref.portfolio_id, ", ".join([state, *tripped])]))
    return "\n".join(lines) or "there are no portfolios"


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="control", description=__doc__)
    add_place(parser)
    parser.add_argument("verb", choices=[*VERBS, "show"])
    parser.add_argument("--portfolio", default="", metavar="ID")
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> int:
    arguments = _arguments(words)
    clock = SystemClock()
    try:
        store = store_at(arguments)
        control = ControlPortfolios(store, clock)
        verbs = dict(
            zip(VERBS, (control.pause, control.resume, control.reset_breaker), strict=True)
        )
        if arguments.verb in verbs:
            changed = verbs[arguments.verb](operator(), arguments.portfolio)
            print(f"{arguments.verb}: {', '.join(changed) or 'nothing to change'}")
        print(shown(store, clock.now_ms()))
    except (PapercopyError, BotoCoreError, ClientError) as error:
        print(f"control: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
