"""Append-only ledger entries; portfolios and positions are folds over them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from operator import attrgetter
from typing import Literal

from chalicelib.domain.records import quick

EntryKind = Literal[
    "OPENING",
    "TRADE_FILL",
    "FEE",
    "SPLIT",
    "MERGE",
    "CONVERSION",
    "REDEEM",
    "SETTLEMENT",
    "MARK",
    "CORRECTION",
]


@quick
@dataclass(frozen=True, slots=True)
class Entry:
    """One change of one portfolio; unique per (portfolio, epoch, reference, kind), never edited.

    `shares` and `cash` are signed micros. `seq` is the entry's place in the portfolio's own order,
    `order` breaks ties within `ts_effective` (milliseconds). `pre_sell` is what the leader held
    before a sell, and `wallet` whose doing it is, both on shadow entries only. `value` is what
    shares that came without cash were worth, negative for shares that left without cash; on a MARK
    it is what the position was worth, and changes nothing.
    """

    portfolio_id: str
    epoch: int
    seq: int
    kind: EntryKind
    reference: str
    token_id: str
    leader: str
    shares: int
    cash: int
    ts_effective: int
    order: int = 0
    pre_sell: int | None = None
    value: int = 0
    wallet: str = ""
    version: int = 0


def order_key(entry: Entry) -> tuple[int, int, str, str]:
    """Where an entry of a shadow belongs: the chain's own order, and that of the stored rows."""
    return entry.ts_effective, entry.order, entry.reference, entry.kind


def digest(entries: Iterable[Entry]) -> str:
    """SHA-256 over what the entries did, in portfolio order; ids and run times take no part.

    Nor do marks: they do nothing, and their number depends on who ran at midnight.
    """
    ordered = sorted(entries, key=attrgetter("seq"))
    lines = [
        f"{e.kind}|{e.token_id}|{e.leader}|{e.shares}|{e.cash}|{e.ts_effective}\n"
        for e in ordered
        if e.kind != "MARK"
    ]
    return sha256("".join(lines).encode()).hexdigest()
