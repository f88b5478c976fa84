"""A leader's activity other than trades, and what it does to his shadow.

The feed names no log index and equal rows may both be real, so rows are counted per distinct
(shares, cash) over one complete poll and the highest count is kept, as with trades.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from chalicelib.domain.errors import InvalidInput
from chalicelib.domain.ledger import EntryKind

EventState = Literal["waiting", "applied", "recorded", "unknown"]
"""waiting: not in the shadow yet; recorded: kept, and no part of the trading result."""

EVENT_ROWS_MAX = 50
MOVES = frozenset({"SPLIT", "MERGE", "REDEEM"})
CONVERSION = "CONVERSION"
REBATES = frozenset({"MAKER_REBATE", "TAKER_REBATE"})
RECORDED = frozenset(
    {"REWARD", "YIELD", "REFERRAL_REWARD", "TIP", "DEPOSIT", "WITHDRAWAL", "MIGRATION"}
)

ADDS_ORDER = 0
TAKES_ORDER = 10_000_000
"""Places within a second for what has no log index: shares arrive first and leave last, so that a
sell in that second is a fraction of everything he could have sold."""


@dataclass(frozen=True, slots=True)
class EventRow:
    """How often a poll showed rows of these amounts (micros), and how many are dealt with."""

    shares: int
    cash: int
    count: int
    applied: int = 0


@dataclass(frozen=True, slots=True)
class LeaderEvent:
    """All rows of one kind that one transaction brought a wallet; times in milliseconds.

    Ids are empty where the rows name none. `ts_due` and `tries` say when a waiting event is tried
    again and how often it was.
    """

    event_id: str
    leader: str
    wallet: str
    kind: str
    tx_hash: str
    condition_id: str
    token_id: str
    outcome_index: int | None
    rows: tuple[EventRow, ...]
    ts_block: int
    ts_seen: int
    state: EventState
    ts_due: int = 0
    tries: int = 0
    version: int = 0


@dataclass(frozen=True, slots=True)
class WaitingEvent:
    """An event that is to be tried again at `ts_due` (milliseconds)."""

    event_id: str
    leader: str
    ts_due: int
    version: int = 0


@dataclass(frozen=True, slots=True)
class Effect:
    """What one row does to one token, or with an empty token to cash alone; signed micros."""

    token_id: str
    kind: EntryKind
    shares: int
    cash: int


def fold_rows(event: LeaderEvent, rows: Iterable[EventRow]) -> LeaderEvent:
    """The event knowing one more poll's rows; counts never fall.

    Raises InvalidInput when the event would exceed EVENT_ROWS_MAX distinct rows.
    """
    known = {(row.shares, row.cash): row for row in event.rows}
    for row in rows:
        before = known.get((row.shares, row.cash))
        if before is None:
            known[(row.shares, row.cash)] = replace(row, applied=0)
        elif row.count > before.count:
            known[(row.shares, row.cash)] = replace(before, count=row.count)
    if len(known) > EVENT_ROWS_MAX:
        raise InvalidInput("size", f"more than {EVENT_ROWS_MAX} distinct rows in one event")
    return replace(event, rows=tuple(known.values()))


def settled(event: LeaderEvent, state: EventState) -> LeaderEvent:
    """The event with every row dealt with."""
    rows = tuple(replace(row, applied=row.count) for row in event.rows)
    return replace(event, rows=rows, state=state)


def order_of(kind: str) -> int:
    """The place of an event's entries within their second."""
    return ADDS_ORDER if kind == "SPLIT" else TAKES_ORDER


def effects(
    event: LeaderEvent, row: EventRow, tokens: Sequence[str], held: Mapping[str, int]
) -> list[Effect]:
    """What one of `row` does. `tokens` are the market's in outcome order, `held` what the shadow
    held of them before.

    A SPLIT buys every outcome for its part of the cash, a MERGE sells them back; an odd micro goes
    to the first. A REDEEM takes everything of the condition away and pays for the winning token.
    """
    if event.kind in REBATES:
        return [Effect("", "FEE", 0, row.cash)]
    if event.kind == "SPLIT":
        parts = _parts(row.cash, len(tokens))
        return [Effect(t, "SPLIT", row.shares, -c) for t, c in zip(tokens, parts, strict=True)]
    if event.kind == "MERGE":
        parts = _parts(row.cash, len(tokens))
        return [Effect(t, "MERGE", -row.shares, c) for t, c in zip(tokens, parts, strict=True)]
    if event.kind == "REDEEM":
        winner = _winner(event, row, tokens, held)
        paid = {winner: row.cash}
        return [
            Effect(token, "REDEEM", -held.get(token, 0), paid.get(token, 0))
            for token in tokens
            if held.get(token, 0) or paid.get(token, 0)
        ]
    return []


def _parts(cash: int, count: int) -> list[int]:
    """`cash` in `count` parts that differ by at most a micro, larger ones first."""
    return [(cash + count - 1 - i) // count for i in range(count)]


def _winner(
    event: LeaderEvent, row: EventRow, tokens: Sequence[str], held: Mapping[str, int]
) -> str:
    """The token that was paid for: named by the row, else of that many shares, else the largest."""
    if event.token_id in tokens:
        return event.token_id
    if event.outcome_index is not None and 0 <= event.outcome_index < len(tokens):
        return tokens[event.outcome_index]
    for token in tokens:
        if row.shares and held.get(token, 0) == row.shares:
            return token
    return max(tokens, key=lambda token: held.get(token, 0))
