"""A period as it can be replayed: what came in, what was looked at, and what was made of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import get_args

from chalicelib.domain.complete_set import SetChange
from chalicelib.domain.consumption import Consumed
from chalicelib.domain.group import Group
from chalicelib.domain.lane import Attempt, LaneInput
from chalicelib.domain.ledger import Entry
from chalicelib.domain.market import Market
from chalicelib.domain.market_lists import MarketLists
from chalicelib.domain.portfolio import Head, Position
from chalicelib.domain.registry import Leader, PortfolioRef
from chalicelib.domain.rules import Config
from chalicelib.domain.tape_text import TapeSegment
from chalicelib.domain.trade import Trade
from chalicelib.domain.witness import Arrival, BookSnapshot, Witness

FORMAT = "papercopy-replay"
VERSION = 1


@dataclass(frozen=True, slots=True)
class Closing:
    """What a portfolio's ledger came to: a digest over its entries of the period."""

    portfolio_id: str
    entries: int
    digest: str


@dataclass(frozen=True, slots=True)
class Header:
    """What a recording is; times in milliseconds.

    `settings` are the layers that hold where an arrival names no configuration: scope (`global` or
    a leader) and the JSON text. `quiet` says that nothing was open at either end, so that the
    period stands for itself. `closing` are the ledgers to be reproduced, empty where none was made.
    """

    ts_from: int
    ts_until: int
    format: str = FORMAT
    v: int = VERSION
    source: str = ""
    quiet: bool = True
    settings: tuple[tuple[str, str], ...] = ()
    closing: tuple[Closing, ...] = ()


Opening = (
    PortfolioRef | Head | Position | Consumed | Trade | Group | SetChange | Leader | MarketLists
)
_OPENING = get_args(Opening)


@dataclass(slots=True)
class Recording:
    """A period in memory.

    `opening` is what stood in the store when it began, `markets` what is known of markets besides
    the facts. `entries` are those of the period's ledger entries that follow from no arrival (what
    the venue or a leader's holdings brought, settlements); they are given back in their places.
    `inputs` is work that came to the lanes from outside, `attempts` are those of the period as they
    ended.
    """

    header: Header
    opening: list[Opening] = field(default_factory=list)
    markets: list[Market] = field(default_factory=list)
    facts: list[Witness] = field(default_factory=list)
    configs: list[Config] = field(default_factory=list)
    arrivals: list[Arrival] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    inputs: list[LaneInput] = field(default_factory=list)
    segments: list[TapeSegment] = field(default_factory=list)
    snapshots: list[BookSnapshot] = field(default_factory=list)

    def records(self) -> Iterator[object]:
        """Everything after the header, in the order in which it is written."""
        yield from self.opening
        yield from self.markets
        yield from self.facts
        yield from self.configs
        yield from self.segments
        yield from self.snapshots
        yield from self.attempts
        yield from self.entries
        yield from self.inputs
        yield from self.arrivals

    def add(self, record: object) -> None:
        """Put one record where it belongs. Raises TypeError for what is no part of a recording."""
        for kinds, place in self._places():
            if isinstance(record, kinds):
                place.append(record)
                return
        raise TypeError(f"{type(record).__name__} is no part of a recording")

    def _places(self) -> tuple[tuple[tuple[type, ...], list[object]], ...]:
        return (
            ((Arrival,), self.arrivals),
            ((TapeSegment,), self.segments),
            ((Attempt,), self.attempts),
            (_OPENING, self.opening),
            ((BookSnapshot,), self.snapshots),
            ((Witness,), self.facts),
            ((Market,), self.markets),
            ((Config,), self.configs),
            ((Entry,), self.entries),
            ((LaneInput,), self.inputs),
        )  # type: ignore[return-value]


KINDS: dict[str, type] = {
    kind.__name__: kind
    for kind in (
        PortfolioRef,
        Head,
        Position,
        Consumed,
        Trade,
        Group,
        SetChange,
        Leader,
        MarketLists,
        LaneInput,
        Market,
        Witness,
        Config,
        TapeSegment,
        BookSnapshot,
        Attempt,
        Entry,
        Arrival,
    )
}
"""What a recording is made of, by the name that stands in the file."""
