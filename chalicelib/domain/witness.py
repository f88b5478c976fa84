"""What the world showed at a moment and nobody else keeps, so that the moment can be replayed.

Evidence as it arrived, the books that were asked for, and what a decision looked at besides its
portfolio. Everything else of a decision follows from these.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import sha256

from chalicelib.domain.evidence import FillMessage
from chalicelib.domain.market import Market
from chalicelib.domain.market_lists import MarketLists
from chalicelib.domain.reasons import Reason
from chalicelib.domain.registry import Leader
from chalicelib.domain.tape_text import TapeSegment
from chalicelib.domain.trade import Reading

Fact = Market | MarketLists | Leader
"""What changes so rarely that it is kept once and named by its digest."""


@dataclass(frozen=True, slots=True)
class Witness:
    """One fact, named by its digest; exactly one of the others is set."""

    digest: str
    market: Market | None = None
    lists: MarketLists | None = None
    leader: Leader | None = None
    version: int = 0


def witness_of(fact: Fact) -> Witness:
    """The row of a fact; its digest is 128 bits of SHA-256, whatever version is stored."""
    plain = replace(fact, version=0)
    digest = sha256(repr(plain).encode()).hexdigest()[:32]
    if isinstance(plain, Market):
        return Witness(digest, market=plain)
    if isinstance(plain, MarketLists):
        return Witness(digest, lists=plain)
    return Witness(digest, leader=plain)


@dataclass(frozen=True, slots=True)
class Arrival:
    """Evidence that changed a trade, as it was ingested at `ts` (milliseconds).

    `message` has the evidence of that trade alone, without raw payloads; where a receipt was read,
    it stands in `reading` instead. `number` orders what one process ingested in one millisecond.
    `leader_fact` names what was known of the leader, `rules_digest` the settings he was under.
    """

    leader: str
    ts: int
    number: int
    trade_id: str
    message: FillMessage | None = None
    reading: Reading | None = None
    leader_fact: str = ""
    rules_digest: str = ""
    version: int = 0


@dataclass(frozen=True, slots=True)
class BookSnapshot:
    """A book that was asked for, as a segment of one moment; its watcher is `rest`."""

    segment: TapeSegment
    venue_hash: str = ""
    version: int = 0


@dataclass(frozen=True, slots=True)
class Seen:
    """What a decision looked at that neither its figures nor the ledger tell.

    The fields mean what they mean in `Inputs`; market and lists are named by their digests, empty
    where there were none. `refused` is why the settings were unusable.
    """

    market: str = ""
    lists: str = ""
    backfill: bool = False
    sell_only: bool = False
    paused: bool = False
    tripped: tuple[Reason, ...] = ()
    refused: str = ""
