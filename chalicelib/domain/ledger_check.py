"""The proof that a portfolio equals its ledger: entries streamed by time, folded, compared.

A fold may stop anywhere and go on later: it packs into a text. Entries from number `limit` on are
left to the next pass, so that a ledger may grow while it is read.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace

from chalicelib.domain.ledger import Entry
from chalicelib.domain.portfolio import Head, Position, apply_entry

AHEAD_MAX = 2_000
"""Entries that may wait for an earlier number; more of them mean that one is missing."""
WRONG_MAX = 20
"""Differences that a verdict names."""
COUNTED = ("cash", "brought", "realized", "fees", "entries", "closings", "wins")


@dataclass(frozen=True, slots=True)
class LedgerCheck:
    """The last verdict on one epoch of a portfolio; `wrong` names what differs, at most WRONG_MAX.

    `ts` is when its pass began (milliseconds), `entries` how many it folded, `head_version` the
    head it was compared with. `unordered` counts positions that late entries left in order of
    arrival: their gains are not compared.
    """

    portfolio_id: str
    epoch: int
    ts: int
    entries: int
    head_version: int
    wrong: tuple[str, ...] = ()
    unordered: int = 0
    version: int = 0


@dataclass(frozen=True, slots=True)
class LedgerPass:
    """A pass that goes on later behind the sort key `after`, against the head as it was."""

    portfolio_id: str
    epoch: int
    ts: int
    after: str
    head: Head
    packed: str
    version: int = 0


@dataclass(slots=True)
class LedgerFold:
    """The state of a pass: executables fold by number, shadows as they stand in the store."""

    head: Head
    limit: int
    positions: dict[tuple[str, str], Position] = field(default_factory=dict)
    next_seq: int = 0
    ahead: dict[int, Entry] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def take(self, entry: Entry) -> None:
        """One more entry, in the order of sort keys."""
        if entry.seq >= self.limit:
            return
        if self.head.kind == "shadow":
            self._apply(entry)
            return
        if entry.seq < self.next_seq or entry.seq in self.ahead:
            self.wrong.append(f"two entries have number {entry.seq}")
            return
        self.ahead[entry.seq] = entry
        while self.next_seq in self.ahead:
            self._apply(self.ahead.pop(self.next_seq))
            self.next_seq += 1
        if len(self.ahead) > AHEAD_MAX:
            self._skip_missing()

    def _skip_missing(self) -> None:
        self.wrong.append(f"entry {self.next_seq} is missing")
        self.next_seq = min(self.ahead)
        while self.next_seq in self.ahead:
            self._apply(self.ahead.pop(self.next_seq))
            self.next_seq += 1

    def _apply(self, entry: Entry) -> None:
        key = (entry.token_id, entry.leader)
        before = self.positions.get(key) or Position(
            self.head.portfolio_id, self.head.epoch, entry.token_id, entry.leader
        )
        self.head, after = apply_entry(self.head, before, entry)
        if entry.token_id:
            self.positions[key] = after

    def verdict(self, stored: Head, positions: Iterable[Position]) -> list[str]:
        """What differs from the head as the pass began and from the positions as they are now.

        A position that was touched since then is left to the next pass.
        """
        while self.ahead:
            self._skip_missing()
        rows = {(row.token_id, row.leader): row for row in positions}
        unordered = any(row.unordered for row in rows.values())
        wrong = [*self.wrong, *_head_differences(self.head, stored, unordered)]
        for key in sorted({*rows, *self.positions}):
            wrong += _position_differences(key, self.positions.get(key), rows.get(key), self.limit)
        cost = sum(position.cost for position in self.positions.values())
        head = self.head
        if head.cash + cost != head.starting_cash + head.brought + head.realized - head.fees:
            wrong.append("cash and cost are not what was brought and gained less fees")
        return wrong

    def packed(self) -> str:
        """The state as text, for `unpacked`."""
        plain = {
            "head": {name: getattr(self.head, name) for name in COUNTED},
            "positions": [
                [p.token_id, p.leader, p.shares, p.cost, p.realized]
                for p in self.positions.values()
            ],
            "next_seq": self.next_seq,
            "ahead": [asdict(entry) for entry in self.ahead.values()],
            "wrong": self.wrong[:WRONG_MAX],
        }
        text = json.dumps(plain, separators=(",", ":")).encode()
        return base64.b64encode(zlib.compress(text)).decode()


def unpacked(head: Head, limit: int, text: str) -> LedgerFold:
    """The fold that `packed` wrote; `head` names its portfolio."""
    plain = json.loads(zlib.decompress(base64.b64decode(text)))
    fold = LedgerFold(
        replace(head, **{name: plain["head"][name] for name in COUNTED}),
        limit,
        next_seq=plain["next_seq"],
        wrong=plain["wrong"],
    )
    for token, leader, shares, cost, realized in plain["positions"]:
        fold.positions[token, leader] = Position(
            head.portfolio_id, head.epoch, token, leader, shares, cost, realized
        )
    for raw in plain["ahead"]:
        entry = Entry(**raw)
        fold.ahead[entry.seq] = entry
    return fold


def _head_differences(folded: Head, stored: Head, unordered: bool) -> list[str]:
    """Counts of the head that are not the fold's; gains take no part where order is not known."""
    by_order = ("realized", "closings", "wins") if unordered else ()
    return [
        f"{name} is {getattr(stored, name)} instead of {getattr(folded, name)}"
        for name in COUNTED
        if name not in by_order and getattr(stored, name) != getattr(folded, name)
    ]


def _position_differences(
    key: tuple[str, str], folded: Position | None, stored: Position | None, limit: int
) -> list[str]:
    token, leader = key
    empty = Position("", 0, token, leader)
    ours, theirs = folded or empty, stored or empty
    if theirs.last_seq >= limit:
        return []
    names = ("shares",) if theirs.unordered else ("shares", "cost", "realized")
    return [
        f"{name} of {token[:12]} from {leader[:10]} is {getattr(theirs, name)}"
        f" instead of {getattr(ours, name)}"
        for name in names
        if getattr(ours, name) != getattr(theirs, name)
    ]
