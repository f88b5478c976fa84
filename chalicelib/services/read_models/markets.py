"""Markets that concern us: held, listed, or traded by leaders; each beside its present book."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from chalicelib.domain.errors import InvalidInput, PapercopyError
from chalicelib.domain.guardrails import limit_price
from chalicelib.domain.lane import Attempt
from chalicelib.domain.life_cycle import life_cycle
from chalicelib.domain.market import Market
from chalicelib.domain.market_lists import ListEntry, MarketLists, listed
from chalicelib.domain.orderbook import Book, Level, depth
from chalicelib.domain.portfolio import Position
from chalicelib.domain.registry import PortfolioRef
from chalicelib.domain.rules import CopyRules
from chalicelib.domain.trade import Trade
from chalicelib.keyspace import market_key, position_key
from chalicelib.ports import Books, Clock, Rules, Store
from chalicelib.services.manage_leaders import leaders
from chalicelib.services.market_directory import MarketDirectory
from chalicelib.services.market_lists import stored_lists
from chalicelib.services.portfolios import (
    ACCOUNT,
    global_id,
    leader_portfolio_id,
    marks,
    portfolio_ref,
    portfolios_of,
    shadow_id,
    shadows,
)
from chalicelib.services.read_models.listing import (
    Json,
    MarketTexts,
    names_of_leaders,
    page_of,
)
from chalicelib.services.read_models.positions import open_of, position_row, worth

MARKETS_MAX = 500
"""Markets that are listed; what we hold comes first, then what is on the lists."""
POSITIONS_PER_PORTFOLIO = 200
TRADES_READ = 200
ATTEMPTS_READ = 200
LEADERS_ASKED_MAX = 200
COLLECT_MS = 20_000
ATTEMPTS_MS = 60_000
BOOK_MS = 5_000
BOOKS_KEPT_MAX = 1_000
LEVELS_SHOWN = 10
STATUSES = ("held", "listed", "followed")
_CURSOR = re.compile(r"[0-2]~0x[0-9a-f]{64}")


@dataclass(slots=True)
class _Interest:
    """Why a market is in the list."""

    market: Market
    shares: int = 0
    value: int = 0
    leaders: set[str] = field(default_factory=set)
    ts_traded: int = 0
    is_listed: bool = False

    @property
    def rank(self) -> int:
        """0 for what we hold, 1 for what is on a list, 2 for what leaders hold or traded."""
        return 0 if self.shares else 1 if self.is_listed else 2

    @property
    def place(self) -> str:
        return f"{self.rank}~{self.market.condition_id}"


class MarketViews:
    """The list of markets and one of them. What is costly to read is kept for some seconds."""

    def __init__(
        self, store: Store, directory: MarketDirectory, clock: Clock, rules: Rules, books: Books
    ) -> None:
        self._store = store
        self._directory = directory
        self._clock = clock
        self._rules = rules
        self._books = books
        self._collected: tuple[int, dict[str, _Interest]] | None = None
        self._attempts: tuple[int, list[Attempt]] | None = None
        self._known_books: dict[str, tuple[int, Book | None]] = {}

    def listing(self, cursor: str | None, limit: int, status: str | None) -> Json:
        """Markets by why they concern us, then by condition id.

        Every COLLECT_MS a process reads the open positions of all portfolios (one read of at most
        POSITIONS_PER_PORTFOLIO rows each), TRADES_READ trades, and two items per token it has not
        seen for a minute; every ATTEMPTS_MS the last attempts that were filled. The venue is asked
        for the books of one page in one request. Raises InvalidInput for a foreign cursor.
        """
        if cursor is not None and not _CURSOR.fullmatch(cursor):
            raise InvalidInput("cursor", "is not a cursor of this listing")
        places = sorted(self._interests().values(), key=lambda one: one.place)
        wanted = [
            one
            for one in places
            if one.place > (cursor or "") and status in (None, STATUSES[one.rank])
        ]
        shown = wanted[:limit]
        books = self._present([t for one in shown for t in one.market.tokens])
        lists, fared = stored_lists(self._store), self._fared()
        items = [self._row(one, books, lists, fared) for one in shown]
        return {"items": items, "next_cursor": shown[-1].place if len(wanted) > limit else None}

    def one(self, condition: str) -> Json | None:
        """One market in full, None where the registry does not know it.

        Costs two reads per leader (at most LEADERS_ASKED_MAX) and token for the positions, besides
        what the listing costs, and one request to the venue.
        """
        market = self._store.get(Market, market_key(condition))
        if market is None:
            return None
        now, lists = self._clock.now_ms(), stored_lists(self._store)
        interest = self._interests().get(condition) or _Interest(market)
        books = self._present(market.tokens)
        mine = [a for a in self._filled() if a.token_id in market.tokens]
        entry = _entry(lists, market)
        return {
            "now": now,
            **self._row(interest, books, lists, self._fared()),
            "tick_micros": market.tick,
            "order_shares_min_micros": market.order_shares_min,
            "fee_rate_micros": market.fee.rate,
            "fee_exponent": market.fee.exponent,
            "neg_risk": market.neg_risk,
            "delay_ms": market.delay_ms,
            "event_id": market.event_id,
            "tags": list(market.tags),
            "accepting_orders": market.accepting_orders,
            "resolution": {
                "state": market.resolution.state,
                "final": market.resolution.final,
                "payouts_micros": list(market.resolution.payouts),
                "ts": market.resolution.ts or None,
            },
            "list_entry": _entry_row(entry) if entry else None,
            "books": [_levels(token, books.get(token)) for token in market.tokens],
            "positions": self._positions(market, now),
            "fills": [_fill(attempt) for attempt in mine],
        }

    def _row(
        self,
        one: _Interest,
        books: Mapping[str, Book | None],
        lists: MarketLists,
        fared: Mapping[str, _Fared],
    ) -> Json:
        market, rules, now = one.market, self._rules.rules_for(""), self._clock.now_ms()
        refusal = listed(market, lists)
        return {
            "condition_id": market.condition_id,
            "question": market.question,
            "slug": market.slug,
            "category": market.category,
            "life_cycle": life_cycle(market, now, rules.close_guard_ms),
            "closes_at": market.closes_at,
            "status": STATUSES[one.rank],
            "list_refusal": refusal.value if refusal else None,
            "shares_micros": one.shares,
            "value_micros": one.value,
            "leaders": len(one.leaders),
            "last_trade_at": one.ts_traded or None,
            "outcomes": [
                {
                    "token_id": token,
                    "outcome": market.outcome_of(token),
                    **_quote(books.get(token), market.tick, rules),
                    **_fared_fields(fared.get(token)),
                }
                for token in market.tokens
            ],
        }

    def _interests(self) -> dict[str, _Interest]:
        now = self._clock.now_ms()
        if self._collected is None or now - self._collected[0] >= COLLECT_MS:
            self._collected = (now, self._collect(now))
        return self._collected[1]

    def _collect(self, now: int) -> dict[str, _Interest]:
        found: dict[str, _Interest] = {}

        def of(market: Market | None) -> _Interest | None:
            if market is None:
                return None
            if market.condition_id not in found and len(found) >= MARKETS_MAX:
                return None
            return found.setdefault(market.condition_id, _Interest(market))

        prices, _ = marks(self._store)
        for position in self._open(portfolios_of(self._store)):
            one = of(self._directory.known(position.token_id))
            if one and position.shares > 0:
                one.shares += position.shares
                one.value += worth(position, prices)
                one.leaders.add(position.leader)
        for entry in stored_lists(self._store).entries:
            if entry.kind == "market":
                one = of(self._store.get(Market, market_key(entry.value)))
                if one:
                    one.is_listed = True
        for trade in self._traded(now):
            one = of(self._directory.known(trade.token_id))
            if one:
                one.leaders.add(trade.leader)
                one.ts_traded = max(one.ts_traded, trade.ts_listed)
        for position in self._open(shadows(self._store)):
            one = of(self._directory.known(position.token_id))
            if one and position.shares > 0:
                one.leaders.add(position.leader)
                one.ts_traded = max(one.ts_traded, position.ts_last)
        return found

    def _open(self, refs: Sequence[PortfolioRef]) -> Iterable[Position]:
        for ref in refs:
            yield from open_of(self._store, ref, POSITIONS_PER_PORTFOLIO)[0]

    def _traded(self, now: int) -> list[Trade]:
        rows, _ = page_of(
            self._store,
            Trade,
            "activity",
            "trades#",
            now=now,
            cursor=None,
            limit=TRADES_READ,
            wanted=lambda _: True,
        )
        return rows

    def _filled(self) -> list[Attempt]:
        """The last attempts of the account that bought or sold something, newest first."""
        now = self._clock.now_ms()
        if self._attempts is None or now - self._attempts[0] >= ATTEMPTS_MS:
            rows, _ = page_of(
                self._store,
                Attempt,
                "portfolio",
                f"attempts#{ACCOUNT}#",
                now=now,
                cursor=None,
                limit=ATTEMPTS_READ,
                wanted=lambda attempt: attempt.slippage is not None,
            )
            self._attempts = (now, rows)
        return self._attempts[1]

    def _fared(self) -> dict[str, _Fared]:
        sums: dict[str, _Fared] = defaultdict(_Fared)
        for attempt in self._filled():
            if attempt.slippage and attempt.outcome:
                sums[attempt.token_id].add(attempt.outcome.shares, attempt.slippage.leader)
        return sums

    def _present(self, tokens: Sequence[str]) -> dict[str, Book | None]:
        """Present books, those known for BOOK_MS not asked for again; None while nobody answers."""
        now = self._clock.now_ms()
        asked = [t for t in tokens if now - self._known_books.get(t, (0, None))[0] >= BOOK_MS]
        if asked:
            try:
                told: Mapping[str, Book] = self._books.books(asked)
            except PapercopyError:
                told = {}
            if len(self._known_books) > BOOKS_KEPT_MAX:
                self._known_books.clear()
            self._known_books.update({token: (now, told.get(token)) for token in asked})
        return {t: self._known_books[t][1] for t in tokens if t in self._known_books}

    def _positions(self, market: Market, now: int) -> list[Json]:
        """Who holds it: the shadows, the portfolios of one leader, the global one."""
        names = names_of_leaders(self._store)
        prices, _ = marks(self._store)
        texts = MarketTexts(self._directory, now, self._rules.rules_for("").close_guard_ms)
        rows = []
        together = portfolio_ref(self._store, global_id())
        for leader in leaders(self._store)[:LEADERS_ASKED_MAX]:
            shadow = portfolio_ref(self._store, shadow_id(leader.leader))
            own = portfolio_ref(self._store, leader_portfolio_id(leader.leader))
            for ref in filter(None, (together, own, shadow)):
                for token in market.tokens:
                    key = position_key(ref.portfolio_id, ref.epoch, token, leader.leader)
                    position = self._store.get(Position, key)
                    if position and position.shares:
                        rows.append(position_row(position, prices, texts, names))
        return rows


@dataclass(slots=True)
class _Fared:
    """How our fills of one token fared against the leaders' prices."""

    fills: int = 0
    shares: int = 0
    lost: int = 0

    def add(self, shares: int, per_share: int) -> None:
        self.fills += 1
        self.shares += shares
        self.lost += shares * per_share


def _fared_fields(fared: _Fared | None) -> Json:
    """Slippage against leaders in micros per share, weighted by shares, rounded down."""
    known = fared is not None and fared.shares > 0
    return {
        "own_fills": fared.fills if fared else 0,
        "own_slippage_micros": fared.lost // fared.shares if fared and known else None,
    }


def _quote(book: Book | None, tick: int, rules: CopyRules) -> Json:
    """Best prices, spread, and the shares between the best price and the guards' limit."""
    if book is None:
        return {
            "book_at": None,
            "bid_micros": None,
            "ask_micros": None,
            "mid_micros": None,
            "spread_micros": None,
            "buy_depth_micros": None,
            "sell_depth_micros": None,
        }
    bid, ask = book.best_bid, book.best_ask
    buys = limit_price("BUY", ask, book.mid, tick, rules) if ask is not None else None
    sells = limit_price("SELL", bid, book.mid, tick, rules) if bid is not None else None
    return {
        "book_at": book.ts_received,
        "bid_micros": bid,
        "ask_micros": ask,
        "mid_micros": book.mid,
        "spread_micros": book.spread,
        "buy_depth_micros": depth(book, "BUY", buys) if buys is not None else 0,
        "sell_depth_micros": depth(book, "SELL", sells) if sells is not None else 0,
    }


def _levels(token: str, book: Book | None) -> Json:
    def rows(levels: Sequence[Level]) -> list[Json]:
        shown = levels[:LEVELS_SHOWN]
        return [{"price_micros": one.price, "shares_micros": one.shares} for one in shown]

    return {
        "token_id": token,
        "bids": rows(book.bids) if book else [],
        "asks": rows(book.asks) if book else [],
    }


def _fill(attempt: Attempt) -> Json:
    fared, outcome = attempt.slippage, attempt.outcome
    return {
        "portfolio_id": attempt.portfolio_id,
        "leader": attempt.leader,
        "token_id": attempt.token_id,
        "side": attempt.side,
        "ts_decided": attempt.decision.ts_decided,
        "shares_micros": outcome.shares if outcome else 0,
        "vwap_micros": attempt.vwap,
        "slippage_leader_micros": fared.leader if fared else None,
        "slippage_mid_micros": fared.mid if fared else None,
        "slippage_arrival_micros": fared.arrival if fared else None,
    }


def _entry(lists: MarketLists, market: Market) -> ListEntry | None:
    return next((e for e in lists.entries if e.value == market.condition_id), None)


def _entry_row(entry: ListEntry) -> Json:
    return {
        "listing": entry.listing,
        "kind": entry.kind,
        "value": entry.value,
        "by": entry.by,
        "ts": entry.ts,
        "note": entry.note,
    }


def read_lists(store: Store, now: int) -> Json:
    """Both lists of the account: one item."""
    lists = stored_lists(store)
    return {
        "now": now,
        "version": lists.version,
        "entries": [_entry_row(entry) for entry in lists.entries],
    }
