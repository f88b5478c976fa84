"""Show or change stored settings: `python -m infra.settings --stage S show|set …`.

`set system trigger_mode=api strict_both=` changes one setting and removes another; scopes are
`system`, `global` and the addresses of followed leaders. `--data FOLDER` names the data folder of
an embedded engine instead, running or not. Running processes follow within seconds.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from decimal import Decimal

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.adapters.clock import SystemClock
from chalicelib.adapters.stored_rules import GLOBAL, SYSTEM, change_settings, stored_layer
from chalicelib.domain.errors import InvalidInput, PapercopyError
from chalicelib.domain.identifiers import address
from chalicelib.domain.registry import Leader
from chalicelib.keyspace import leader_key
from chalicelib.ports import Store
from chalicelib.services.manage_leaders import leaders
from infra.places import add_place, store_at
from infra.who import operator

ASSIGNMENTS_MAX = 50


def assignments(words: Sequence[str]) -> dict[str, object]:
    """`key=value` pairs; a value is JSON or plain text, an empty one means none (None).

    Raises InvalidInput naming the word.
    """
    if not 1 <= len(words) <= ASSIGNMENTS_MAX:
        raise InvalidInput("settings", f"1 to {ASSIGNMENTS_MAX} key=value pairs were expected")
    changes: dict[str, object] = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not key or not equals:
            raise InvalidInput(word, "key=value was expected")
        try:
            changes[key] = json.loads(text, parse_float=Decimal) if text else None
        except ValueError:
            changes[key] = text
    return changes


def scope_of(store: Store, word: str) -> str:
    """A scope that exists. Raises InvalidInput."""
    if word in (SYSTEM, GLOBAL):
        return word
    leader = address(word, "scope")
    if store.get(Leader, leader_key(leader)) is None:
        raise InvalidInput("scope", f"{leader} was never followed")
    return leader


def shown(store: Store, scopes: Sequence[str]) -> str:
    """One line per override of every scope."""
    lines = [
        f"{scope}: {name} = {value}"
        for scope in scopes
        for name, value in sorted(stored_layer(store, scope).items())
    ]
    return "\n".join(lines) or "nothing is overridden"


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="settings", description=__doc__)
    add_place(parser)
    verbs = parser.add_subparsers(dest="verb", required=True)
    show = verbs.add_parser("show")
    show.add_argument("scope", nargs="?")
    change = verbs.add_parser("set")
    change.add_argument("scope")
    change.add_argument("settings", nargs="+", metavar="KEY=VALUE")
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> int:
    arguments = _arguments(words)
    try:
        store = store_at(arguments)
        scopes = [SYSTEM, GLOBAL, *(leader.leader for leader in leaders(store))]
        if arguments.scope:
            scopes = [scope_of(store, arguments.scope)]
        if arguments.verb == "set":
            changes = assignments(arguments.settings)
            change_settings(store, SystemClock(), scopes[0], changes, who=operator())
        print(shown(store, scopes))
    except (PapercopyError, BotoCoreError, ClientError) as error:
        print(f"settings: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
