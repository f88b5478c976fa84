"""The listed markets: identifiers, trading rules and descriptive text.

`list_markets` is a pure function of seed and genesis. End dates lie days behind the genesis,
so no market closes by itself while a simulation runs; one is closed from the start, and others
close when they are resolved.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from simulator import ids

DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True, eq=False)
class Token:
    """One outcome token. `id` is the decimal asset id used by every API."""

    id: str
    outcome: str
    outcome_index: int
    market_index: int


@dataclass(frozen=True, slots=True, eq=False)
class Event:
    """A Gamma event, the parent of one or more markets."""

    id: str
    slug: str
    title: str
    tags: tuple[str, ...]
    neg_risk: bool


@dataclass(slots=True, eq=False)
class Market:
    """One binary market. Prices and ticks are micros per share, times are ms UTC.

    `closed`, `winner` (None also for a draw), `payouts` (micros per share) and `closed_ms` change
    when the venue publishes a resolution; everything else is fixed.
    """

    index: int
    id: str
    slug: str
    question: str
    condition_id: str
    feed_condition_id: str
    question_id: str
    neg_risk_market_id: str
    version: str
    exchange: str
    tokens: tuple[Token, Token]
    event: Event
    tick: int
    center: int
    spread_ticks: tuple[int, int]
    fee_type: str | None
    fee_rate_bps: int
    rebate_rate: float
    closed: bool
    seconds_delay: int
    sports_type: str
    created_ms: int
    end_ms: int
    group_title: str
    winner: int | None = None
    payouts: tuple[int, int] | None = None
    closed_ms: int = 0
    is_combo: bool = False
    is_scripted: bool = False

    @property
    def neg_risk(self) -> bool:
        return self.event.neg_risk

    @property
    def generation(self) -> str:
        return "v3" if self.version == "v2" else "v2"

    @property
    def fee_rate(self) -> float:
        return self.fee_rate_bps / 10_000


@dataclass(frozen=True, slots=True)
class _Listing:
    """What distinguishes one market from the next; the rest follows from seed and genesis."""

    slug: str
    question: str
    event: str
    tags: tuple[str, ...]
    center: int
    tick: int = 10_000
    spread_ticks: tuple[int, int] = (1, 2)
    fee: tuple[str | None, int, float] = (None, 0, 0.0)
    outcomes: tuple[str, str] = ("Yes", "No")
    neg_risk: bool = False
    version: str = "v1"
    seconds_delay: int = 0
    sports_type: str = ""
    end_days: int = 12
    group_title: str = ""
    closed: bool = False


_POLITICS = ("politics_fees", 400, 0.25)
_TECH = ("tech_fees", 400, 0.25)
_CRYPTO = ("crypto_fees_v2", 700, 0.2)
_SPORTS = ("sports_fees_v3", 500, 0.15)
_WEATHER = ("weather_fees", 500, 0.25)
_CULTURE = ("culture_fees", 500, 0.25)
_ECONOMICS = ("economics_fees", 500, 0.25)

_MAYOR = "Harbour City mayoral election winner"
_MAYOR_TAGS = ("politics", "elections")

_LISTINGS = (
    _Listing("harbour-mayor-alder", "Will Ines Alder win the Harbour City mayoral election?",
             _MAYOR, _MAYOR_TAGS, 540_000, 1_000, (1, 4), _POLITICS, neg_risk=True,
             end_days=20, group_title="Ines Alder"),
    _Listing("harbour-mayor-brandt", "Will Tom Brandt win the Harbour City mayoral election?",
             _MAYOR, _MAYOR_TAGS, 300_000, 1_000, (1, 4), _POLITICS, neg_risk=True,
             end_days=20, group_title="Tom Brandt"),
    _Listing("harbour-mayor-castell", "Will Rosa Castell win the Harbour City mayoral election?",
             _MAYOR, _MAYOR_TAGS, 130_000, 1_000, (1, 3), _POLITICS, neg_risk=True,
             end_days=20, group_title="Rosa Castell"),
    _Listing("bitcoin-above-140k-month-end", "Will Bitcoin be above $140,000 at month end?",
             "Bitcoin above ___ at month end?", ("crypto", "bitcoin"), 430_000,
             fee=_CRYPTO, end_days=9),
    _Listing("ethereum-above-6k-month-end", "Will Ethereum be above $6,000 at month end?",
             "Ethereum above ___ at month end?", ("crypto", "ethereum"), 610_000, 1_000, (1, 4),
             fee=_CRYPTO, end_days=9),
    _Listing("hoops-cap-riv", "Capitals vs. Rivermen", "Capitals vs. Rivermen",
             ("sports", "basketball"), 520_000, fee=_SPORTS, outcomes=("Capitals", "Rivermen"),
             seconds_delay=1, sports_type="moneyline", end_days=3),
    _Listing("strait-reopened-by-march", "Will the strait be reopened by March 31?",
             "Strait reopened by ___?", ("world", "geopolitics"), 270_000, end_days=40),
    _Listing("northport-high-of-12c", "Will the highest temperature in Northport reach 12°C?",
             "Highest temperature in Northport this week", ("weather", "temperature"), 680_000,
             fee=_WEATHER, end_days=4),
    _Listing("album-of-the-year-glasshouse", "Will Glasshouse win album of the year?",
             "Album of the year", ("pop-culture", "music"), 350_000, spread_ticks=(3, 6),
             fee=_CULTURE, end_days=30),
    _Listing("largest-model-release-q1", "Will a frontier lab release a new model by January?",
             "New model release by ___?", ("tech",), 740_000, spread_ticks=(1, 5), fee=_TECH,
             end_days=45),
    _Listing("rate-cut-next-meeting", "Will the central bank cut rates at its next meeting?",
             "Rate decision at the next meeting", ("economy", "rates"), 480_000, fee=_ECONOMICS,
             version="v2", end_days=18),
    _Listing("solana-up-or-down-week", "Solana up or down this week?",
             "Solana up or down this week?", ("crypto", "solana"), 500_000, fee=_CRYPTO,
             outcomes=("Up", "Down"), version="v2", end_days=6),
    _Listing("hoops-lak-sta", "Lakers Club vs. Stags", "Lakers Club vs. Stags",
             ("sports", "basketball"), 600_000, fee=_SPORTS, outcomes=("Lakers Club", "Stags"),
             seconds_delay=1, sports_type="moneyline", end_days=-1, closed=True),
)  # fmt: skip


@dataclass(frozen=True)
class MarketList:
    """All markets with their indexes by asset id and by condition id (both lengths)."""

    all: tuple[Market, ...]
    events: tuple[Event, ...]
    by_token: dict[str, Token] = field(repr=False)
    by_condition: dict[str, Market] = field(repr=False)

    @property
    def singles(self) -> tuple[Market, ...]:
        """The markets that Gamma and the CLOB know: all but the combos."""
        return tuple(market for market in self.all if not market.is_combo)

    @property
    def ordinary(self) -> tuple[Market, ...]:
        """The markets whose books live by themselves: neither combos nor scripted ones."""
        return tuple(market for market in self.singles if not market.is_scripted)

    def of_token(self, token_id: str) -> Market | None:
        token = self.by_token.get(token_id)
        return None if token is None else self.all[token.market_index]


def list_markets(
    seed: int, genesis_ms: int, combos: int = 0, scenes: tuple[str, ...] = ()
) -> MarketList:
    """Build every market of one world, one for each name in `scenes`. Deterministic."""
    events: dict[str, Event] = {}
    markets = []
    for index, listing in enumerate(_LISTINGS):
        event = events.get(listing.event)
        if event is None:
            slug = "harbour-city-mayor" if listing.neg_risk else f"{listing.slug}-event"
            event = Event(str(900_100 + len(events)), slug, listing.event, listing.tags,
                          listing.neg_risk)  # fmt: skip
            events[listing.event] = event
        markets.append(_market(seed, genesis_ms, index, listing, event))
    markets += [_combo(seed, genesis_ms, len(_LISTINGS) + n, markets) for n in range(combos)]
    if scenes:
        stage = Event("900900", "stage", "Scripted markets", ("stage",), False)
        events[stage.title] = stage
        markets += [
            _scripted(seed, genesis_ms, len(markets) + n, name, stage)
            for n, name in enumerate(scenes)
        ]
    by_condition = {m.condition_id: m for m in markets} | {m.feed_condition_id: m for m in markets}
    by_token = {token.id: token for m in markets for token in m.tokens}
    return MarketList(tuple(markets), tuple(events.values()), by_token, by_condition)


def _market(seed: int, genesis_ms: int, index: int, listing: _Listing, event: Event) -> Market:
    feed_condition, token_ids, exchange = _identifiers(seed, index, listing)
    fee_type, rate_bps, rebate = listing.fee
    tokens = (
        Token(token_ids[0], listing.outcomes[0], 0, index),
        Token(token_ids[1], listing.outcomes[1], 1, index),
    )
    return Market(
        index=index,
        id=str(2_400_100 + index),
        slug=listing.slug,
        question=listing.question,
        condition_id=ids.padded_condition(feed_condition),
        feed_condition_id=feed_condition,
        question_id=ids.hash32(seed, "question", index),
        neg_risk_market_id=ids.hash32(seed, "neg-risk", event.id) if event.neg_risk else "",
        version=listing.version,
        exchange=exchange,
        tokens=tokens,
        event=event,
        tick=listing.tick,
        center=listing.center,
        spread_ticks=listing.spread_ticks,
        fee_type=fee_type,
        fee_rate_bps=rate_bps,
        rebate_rate=rebate,
        closed=listing.closed,
        seconds_delay=listing.seconds_delay,
        sports_type=listing.sports_type,
        created_ms=genesis_ms - 20 * DAY_MS + index * 61_777,
        end_ms=(genesis_ms // DAY_MS + listing.end_days) * DAY_MS + 20 * 3_600_000,
        group_title=listing.group_title,
        winner=0 if listing.closed else None,
        payouts=(1_000_000, 0) if listing.closed else None,
        closed_ms=(genesis_ms // DAY_MS + listing.end_days) * DAY_MS + 20 * 3_600_000,
    )


def _scripted(seed: int, genesis_ms: int, index: int, name: str, stage: Event) -> Market:
    listing = _Listing(
        f"stage-{name}", f"Scripted market: {name}", stage.title, stage.tags, 500_000, 1_000
    )
    return replace(_market(seed, genesis_ms, index, listing, stage), is_scripted=True)


def _combo(seed: int, genesis_ms: int, index: int, legs: list[Market]) -> Market:
    """A combination of two legs: module 3, traded by request for quote, without a book."""
    rng = ids.stream(seed, "combo", index)
    chosen = rng.sample(legs[: len(_LISTINGS) - 1], 2)
    short = ids.position_condition(3, seed, "combo", index)
    return Market(
        index=index,
        id="",
        slug="",
        question=" AND ".join(leg.question for leg in chosen),
        condition_id=short,
        feed_condition_id=short,
        question_id="",
        neg_risk_market_id="",
        version="v2",
        exchange=ids.EXCHANGE_V3,
        tokens=(
            Token(ids.position_id(short, 0), "", 0, index),
            Token(ids.position_id(short, 1), "", 1, index),
        ),
        event=Event("", "", "", (), False),
        tick=1_000,
        center=rng.randrange(80_000, 400_000, 1_000),
        spread_ticks=(1, 1),
        fee_type=None,
        fee_rate_bps=0,
        rebate_rate=0.0,
        closed=False,
        seconds_delay=0,
        sports_type="",
        created_ms=genesis_ms,
        end_ms=min(leg.end_ms for leg in chosen),
        group_title="",
        is_combo=True,
    )


def _identifiers(seed: int, index: int, listing: _Listing) -> tuple[str, tuple[str, str], str]:
    """Condition id as the activity feed writes it, both asset ids and the exchange address.

    Feed rows of Protocol-V2 markets carry the short condition id while Gamma and the CLOB use
    the padded one; clients must normalise.
    """
    if listing.version == "v2":
        short = ids.position_condition(1, seed, index)
        return short, (ids.position_id(short, 0), ids.position_id(short, 1)), ids.EXCHANGE_V3
    condition = ids.hash32(seed, "condition", index)
    pair = (
        ids.ctf_token_id(condition, 0, neg_risk=listing.neg_risk),
        ids.ctf_token_id(condition, 1, neg_risk=listing.neg_risk),
    )
    return condition, pair, ids.NEG_RISK_EXCHANGE if listing.neg_risk else ids.CTF_EXCHANGE
