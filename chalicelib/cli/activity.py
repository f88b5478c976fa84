"""`activity`: the events of a Data API answer, current (an envelope) or retired (a plain array)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from chalicelib.cli.terminal import (
    LineParser,
    Unusable,
    mapping,
    parse_json,
    print_lines,
    read_text,
)
from chalicelib.domain.activity import ActivityEvent, parse_activity
from chalicelib.domain.errors import InvalidInput


def events_of(answer: object) -> list[ActivityEvent]:
    """Every event of an answer, in its order. Raises Unusable naming element and field."""
    rows = answer.get("data") if isinstance(answer, dict) else answer
    if not isinstance(rows, list):
        raise Unusable('an array of rows, or an object with such an array as "data", was expected')
    events = []
    for number, row in enumerate(rows, start=1):
        try:
            events.append(parse_activity(mapping(row, "row")))
        except InvalidInput as error:
            raise Unusable(f"element {number}: {error}") from error
        except RecursionError as error:
            raise Unusable(f"element {number}: nested too deeply") from error
    return events


def line_of(event: ActivityEvent) -> Mapping[str, object]:
    """The printed form of an event; empty ids are null."""
    return {
        "type": event.kind,
        "wallet": event.wallet,
        "tx_hash": event.tx_hash,
        "timestamp": event.timestamp,
        "condition_id": event.condition_id or None,
        "token_id": event.token_id or None,
        "side": event.side,
        "shares_micros": event.shares,
        "cash_micros": event.cash,
        "fee_micros": event.fee,
        "role": event.role,
    }


def run(argv: Sequence[str]) -> None:
    """Read the arguments and the input, then print."""
    parser = LineParser(prog="activity")
    parser.add_argument("file", metavar="FILE", help="a file, or - for standard input")
    arguments = parser.parse_args(argv)
    events = events_of(parse_json(read_text(arguments.file)))
    print_lines(line_of(event) for event in events)
