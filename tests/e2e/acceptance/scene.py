"""A small language for stories: what a leader did, what the books showed, what we must end with.

A scene has its own leader, markets and half an hour of a past day, so that many scenes can share a
running engine. Times are seconds after its start, prices and amounts texts in USDC, shares whole.
Evidence carries the times of its witnesses; every book it needs is on tapes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, Literal, Protocol

from chalicelib.domain.evidence import ActivityEvidence, FillMessage
from chalicelib.domain.fee import FeeSchedule
from chalicelib.domain.ledger import EntryKind
from chalicelib.domain.market import Market
from chalicelib.domain.pause import Pause
from chalicelib.domain.rules import TriggerMode
from chalicelib.domain.tape import Segment
from tests.unit.tapes import Event, segment
from tests.workflow.harness import api, chain, leg, market, row, tx
from tests.workflow.taped import pieces

M = 1_000_000
DAY_MS = 86_400_000
HOUR_MS = 3_600_000
SCENE_MS = 1_800_000
DAY = (time.time_ns() // 1_000_000 // DAY_MS - 3) * DAY_MS
"""The first scenes' day began here: the two days after it are over, too."""
FOLLOWED = DAY - HOUR_MS
SEEN_MS = 2_000
"""A fill is seen this long after its block, unless a scene says otherwise."""
PLACED_MS = 4_000
"""Orders are placed within this time after their fill was seen."""
TTL_MS = 30_000

Order = tuple[Literal["BUY", "SELL"], str, tuple[str, ...]]
"""Side, status and reasons of one attempt."""


def micros(text: str) -> int:
    return int(Decimal(text) * M)


class Stage(Protocol):
    """What a scene may do to a running engine besides sending evidence."""

    def retry_exits(self, scene: Scene, ts: int) -> None:
        """What follows from marks: sells that failed are tried again as of `ts`."""

    def pause(self, scene: Scene, ts: int) -> None:
        """Pause the leader's own portfolio as of `ts`."""

    def resume(self, scene: Scene, ts: int) -> None:
        """Resume it as of `ts`."""

    def reset_breaker(self, scene: Scene, ts: int) -> None:
        """Close its drawdown breaker by hand."""

    def mark(self, token: str, bid: str, ask: str) -> None:
        """Value what is held at a new book of the venue."""

    def resolve(self, condition: str, told: Mapping[str, Any]) -> None:
        """The venue takes the books of a market away and says `told` of its resolution."""

    def read_holdings(self, scene: Scene) -> None:
        """Have the leader's holdings read for the first time."""

    def compare_holdings(self, held: Sequence[Held], scene: Scene, ts: int) -> None:
        """The venue shows other holdings as of `ts`, and the shadow is compared with them."""

    def held(self, scene: Scene, token: str) -> int:
        """Shares of the leader's own portfolio."""

    def shadowed(self, scene: Scene, kind: EntryKind) -> dict[str, int]:
        """What entries of this kind did to the leader's shadow: shares by token."""


@dataclass(frozen=True, slots=True)
class Held:
    """What the venue says a wallet holds; `price` is a text."""

    token: str
    shares: int
    price: str


@dataclass(frozen=True, slots=True)
class Tell:
    """Evidence; it is worked off before the next step, unless it goes `together` with that.

    `live` evidence is seen when it is sent: then it is not decided before the next is told.
    """

    at: int
    message: Callable[[int], FillMessage]
    together: bool = False
    live: bool = False


@dataclass(frozen=True, slots=True)
class Do:
    """Anything else that happens; `what` is known to running engines only."""

    at: int
    what: Callable[[Stage], None]


@dataclass(frozen=True, slots=True)
class Resolved:
    """A market that is decided for good at `ts`; payouts in micros."""

    market: Market
    payouts: tuple[int, int]
    ts: int


@dataclass(frozen=True, slots=True)
class Ending:
    """What the leader's own portfolio must have come to, and what his shadow holds."""

    held: dict[str, int]
    cash: int
    realized: int
    orders: tuple[Order, ...]
    shadow: dict[str, int] | None = None
    sets: tuple[tuple[str, ...], ...] = ()


@dataclass
class Scene:
    """One story. What is `scripted` can be stated in a recording, so a replay plays it unseen."""

    name: str
    number: int
    settings: Mapping[str, object] = field(default_factory=dict)
    mode: TriggerMode = "api"
    starts: int = 0
    fee: int = 0
    neg_risk: bool = False
    holdings: list[Held] = field(default_factory=list)
    scripted: bool = True
    steps: list[Tell | Do] = field(default_factory=list)
    tapes: list[Segment] = field(default_factory=list)
    pauses: tuple[Pause, ...] = ()
    resolved: list[Resolved] = field(default_factory=list)
    exits: list[tuple[str, int]] = field(default_factory=list)
    ending: Ending | None = None

    def __post_init__(self) -> None:
        self.leader = f"0x{0xACCE0000 + self.number:040x}"
        self.start = self.starts or DAY + HOUR_MS + self.number * SCENE_MS
        self.markets = [self._market(place) for place in (0, 1)]
        self.token, self.opposite = self.markets[0].tokens
        self.second = self.markets[1].tokens[0]
        self._books: dict[str, tuple[str, str, int]] = {}
        self._fills = 0
        self.books("0.49", "0.50")

    def _market(self, place: int) -> Market:
        number = self.number * 10 + place
        first = 10**24 + number * 100
        return market(
            condition_id=f"0x{0xACCE0000 + number:064x}",
            slug=f"scene-{number}",
            event_id=str(90_000 + number),
            category=f"scene {number}",
            tokens=(str(first), str(first + 1)),
            fee=FeeSchedule(self.fee, 1),
            neg_risk=self.neg_risk,
        )

    @property
    def portfolio(self) -> str:
        return f"main/leader/{self.leader}"

    @property
    def shadow(self) -> str:
        return f"shadow/{self.leader}"

    def ts(self, seconds: float) -> int:
        """Milliseconds of a time of this scene."""
        return self.start + round(seconds * 1000)

    def books(self, bid: str, ask: str, shares: int = 1_000) -> None:
        """The book of every token from here on; an empty text is an empty side."""
        for each in self.markets:
            for token in each.tokens:
                self._books[token] = (bid, ask, shares)

    def buys(self, shares: int, price: str, at: float, **how: Any) -> None:
        """The leader buys; see `_trade`."""
        self._trade("BUY", shares, price, at, **how)

    def sells(self, shares: int, price: str, at: float, **how: Any) -> None:
        """The leader sells; see `_trade`."""
        self._trade("SELL", shares, price, at, **how)

    def _trade(
        self,
        side: Literal["BUY", "SELL"],
        shares: int,
        price: str,
        at: float,
        *,
        token: str = "",
        by: Sequence[str] = ("chain",),
        late_s: float = 0,
        backfill: bool = False,
        removed: bool = False,
        rests: Sequence[Event] | None = None,
        asks: Sequence[tuple[float, int]] = (),
    ) -> None:
        """His fill is seen at `at`, by one source after the other, its block `late_s` earlier.

        `removed` takes it back before it is decided. `rests` records the book until what rests
        expires, with events in milliseconds after the fill was seen; `asks` replace the usual ones.
        """
        token = token or self.token
        self._fills += 1
        number, seen = self._fills, self.ts(at)
        block = seen - SEEN_MS - round(late_s * 1000)
        part = leg(shares * M, micros(price), block=number, index=number, ts_block=block)
        told = row(shares * M, micros(price), ts_block=block)
        common: dict[str, Any] = {
            "number": number,
            "side": side,
            "token": token,
            "leader": self.leader,
        }
        for place, source in enumerate(by):

            def message(ts: int, source: str = source) -> FillMessage:
                if source == "api":
                    return api([told], ts_seen=ts, **common)
                return chain([part], ts_seen=ts, backfill=backfill, **common)

            when = seen + place * 6_000
            self.steps.append(Tell(when, message, together=removed, live=removed))
        if removed:

            def taken_back(ts: int) -> FillMessage:
                return chain([replace(part, removed=True)], ts_seen=ts + 100, **common)

            self.steps.append(Tell(seen, taken_back, live=True))
        self.tape(token, seen, rests, asks)

    def tape(
        self,
        token: str,
        seen: int,
        rests: Sequence[Event] | None = None,
        asks: Sequence[tuple[float, int]] = (),
    ) -> None:
        """The present book from a second before `seen` until orders of that moment are over."""
        bid, ask, shares = self._books[token]
        length = PLACED_MS + 1_000 + (TTL_MS + 1_000 if rests is not None else 0)
        start = seen - 1_000
        whole = segment(
            [(float(bid) * 100, shares)] if bid else [],
            asks or ([(float(ask) * 100, shares)] if ask else []),
            [(ms + 1_000, *rest) for ms, *rest in rests or ()],  # type: ignore[misc]
            start=start,
            length=length,
            token=token,
            proofs=range(start, start + length, 1_000),
        )
        self.tapes += pieces(whole)

    def event(self, kind: str, shares: int, at: float, cash: int | None = None) -> None:
        """Activity of the first market that is not a trade, as the feed shows it."""
        self._fills += 1
        seen = self.ts(at)
        paid = shares if cash is None else cash
        said = ActivityEvidence(
            kind,
            tx(self._fills),
            self.markets[0].condition_id,
            "",
            shares * M,
            paid * M,
            seen - 5_000,
        )
        self.scripted = False
        self.steps.append(
            Tell(seen, lambda ts: FillMessage(self.leader, self.leader, ts, events=(said,)))
        )

    def resolves(self, at: float, place: int, payouts: tuple[int, int]) -> None:
        """The venue decides a market for good."""
        market, ts = self.markets[place], self.ts(at)
        self.resolved.append(Resolved(market, payouts, ts))
        told = {"status": "resolved", "payouts": list(payouts), "resolved_at": str(ts // 1000)}
        self.does(at, lambda stage: stage.resolve(market.condition_id, told), scripted=True)

    def retries(self, at: float) -> None:
        """What could not be sold is tried again with the marks of that moment."""
        ts = self.ts(at)
        self.exits.append((self.token, ts))
        self.tape(self.token, ts)
        self.does(at, lambda stage: stage.retry_exits(self, ts), scripted=True)

    def does(self, at: float, what: Callable[[Stage], None], *, scripted: bool = False) -> None:
        """Something happens besides evidence; only what a recording states stays `scripted`."""
        self.scripted = self.scripted and scripted
        self.steps.append(Do(self.ts(at), what))

    def pause(self, since: float, until: float) -> None:
        """The leader's own portfolio is paused meanwhile; evidence of before may come after it."""
        begin, end = self.ts(since), self.ts(until)
        self.pauses = (*self.pauses, Pause(begin, end))
        self.does(since, lambda stage: stage.pause(self, begin), scripted=True)
        self.does(until, lambda stage: stage.resume(self, end), scripted=True)

    def ends(
        self,
        *,
        cash: str,
        held: Mapping[str, str] | None = None,
        realized: str = "0",
        orders: Sequence[Order] = (),
        shadow: Mapping[str, str] | None = None,
        sets: Sequence[tuple[str, ...]] = (),
    ) -> Scene:
        """The figures of the end, worked out by hand."""
        self.ending = Ending(
            held={token: micros(shares) for token, shares in (held or {}).items()},
            cash=micros(cash),
            realized=micros(realized),
            orders=tuple(orders),
            shadow=None if shadow is None else {t: micros(shares) for t, shares in shadow.items()},
            sets=tuple(sets),
        )
        return self


def bought(*reasons: str) -> Order:
    """A BUY of ours that was filled, or skipped for these reasons."""
    return ("BUY", "SKIPPED" if reasons else "FILLED", reasons)


def sold(*reasons: str) -> Order:
    """A SELL of ours that was filled, or skipped for these reasons."""
    return ("SELL", "SKIPPED" if reasons else "FILLED", reasons)
