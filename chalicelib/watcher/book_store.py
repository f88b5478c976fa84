"""The books of all tracked tokens, kept from the market channel and from snapshots. No I/O.

The channel numbers nothing, so what was missed is found by comparison: best prices beside each
change, whole books, times that run backwards, silence. What is in doubt has no book until a
snapshot settles it. Only the connection a token is assigned to may change its book; the mirrored
changes that other connections bring arrive twice and late.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from chalicelib.adapters.polymarket.market_events import (
    BestPrices,
    BookSnapshot,
    LastTrade,
    LevelChanges,
    MalformedEvent,
    MarketEvent,
    MarketSettled,
    TickChange,
)
from chalicelib.adapters.polymarket.market_ws import CHANGES_MAX, parse_event, parse_frame
from chalicelib.domain.errors import InvalidInput
from chalicelib.domain.identifiers import token_id
from chalicelib.domain.orderbook import Book
from chalicelib.domain.tape import Segment, TradePrint
from chalicelib.watcher.book_frames import (
    BESTS,
    PRICES,
    SIDES,
    SIZES,
    Names,
    all_price_changes,
    decoded,
    usual,
)
from chalicelib.watcher.book_ring import CHANGES_MAX as RING_CHANGES_MAX
from chalicelib.watcher.book_ring import SETTLE_MS, TokenBook
from chalicelib.watcher.book_truth import (
    RESUME_MS,
    HeldSnapshots,
    doubt,
    judge,
    settle,
    take_in_order,
    whole_of,
)

CHANGES_TOTAL_MAX = 200_000
"""Changes in all rings together; busy rings reach less far back when there are more."""
_RING_MAX = RING_CHANGES_MAX + 256


class BookStore:
    """Current and past books by token."""

    def __init__(self) -> None:
        self.books: dict[str, TokenBook] = {}
        self.names = Names()
        self._held = HeldSnapshots(self.count)
        self._quotes: dict[str, tuple[int, int | None, int | None, int]] = {}
        self._feeds: dict[int, int] = {}
        self.counts: dict[str, int] = {}
        """Events since the last `counted`."""

    @property
    def tokens(self) -> Collection[str]:
        """What is tracked."""
        return self.books.keys()

    @property
    def ts_last_frame(self) -> int:
        """When any connection last delivered something, 0 when never."""
        return max(self._feeds.values(), default=0)

    def get(self, token: str) -> TokenBook | None:
        """The record of a tracked token."""
        return self.books.get(token)

    def book_at(self, token: str, ts: int) -> Book | None:
        """The token's book at a venue time, None unless it is known for certain."""
        book = self.books.get(token)
        return book.book_at(ts) if book else None

    def tick_of(self, token: str) -> int | None:
        """The price grid in micros, where the venue stated it."""
        book = self.books.get(token)
        return book.tick if book else None

    def segments(self, token: str, t0: int, t1: int, watcher: str) -> list[Segment]:
        """What is known of a token over a span of venue time."""
        book = self.books.get(token)
        return book.segments(t0, t1, watcher) if book else []

    def counted(self) -> dict[str, int]:
        """Counts since the last call."""
        counts, self.counts = self.counts, {}
        return counts

    def count(self, name: str, value: int = 1) -> None:
        """Add to a count."""
        if value:
            self.counts[name] = self.counts.get(name, 0) + value

    def track(self, feeds: Mapping[int, Collection[str]]) -> None:
        """Keep exactly these tokens, each fed by its connection; the rest is forgotten.

        Raises InvalidInput for what is no token.
        """
        wanted = {token_id(token): feed for feed, tokens in feeds.items() for token in tokens}
        for token in self.books.keys() - wanted.keys():
            del self.books[token]
            self._held.forget(token)
            self._quotes.pop(token, None)
        for token, feed in wanted.items():
            book = self.books.get(token)
            if book is None:
                self.books[token] = TokenBook(token, feed)
            elif book.feed != feed:
                book.lose(self._feeds.get(book.feed, 0) - SETTLE_MS)
                book.feed = feed

    def disconnected(self, feed: int) -> None:
        """A connection is gone: what its tokens did since its last frame is not known."""
        self.unheard([b.token for b in self.books.values() if b.feed == feed])

    def unheard(self, tokens: Iterable[str]) -> None:
        """These tokens are not listened to for a moment, as while subscribing anew."""
        for token in tokens:
            book = self.books.get(token)
            if book is not None:
                book.lose(self._feeds.get(book.feed, 0) - SETTLE_MS)
                self._held.forget(token)

    def resumed(self, tokens: Iterable[str], now_ms: int) -> None:
        """These tokens were subscribed to; what was lost is settled by the next whole book."""
        for token in tokens:
            book = self.books.get(token)
            if book is not None:
                book.resumed = now_ms

    def alive(self, feed: int, now_ms: int) -> None:
        """A connection delivered something, if only an answer to PING."""
        self._feeds[feed] = now_ms

    def frame(self, text: str, feed: int, now_ms: int) -> tuple[MarketEvent, ...]:
        """Apply a frame of a connection; its events other than price changes are returned."""
        self._feeds[feed] = now_ms
        raw = decoded(text)
        if type(raw) is dict:
            if self.price_change(raw, feed, now_ms):
                return ()
        elif all_price_changes(raw):
            found: list[MarketEvent] = []
            for event in raw:
                if not self.price_change(event, feed, now_ms):
                    told = parse_event(event, now_ms)
                    found += self._carefully([(event, told)], feed, now_ms)
            return tuple(found)
        parsed = parse_frame(text, now_ms)
        matches = type(raw) is list and len(raw) == len(parsed)
        raws = raw if matches else [raw] * len(parsed)
        return self._carefully(list(zip(raws, parsed, strict=True)), feed, now_ms)

    def _carefully(
        self, told: Sequence[tuple[Any, MarketEvent]], feed: int, now_ms: int
    ) -> tuple[MarketEvent, ...]:
        """Apply parsed events, each with what it was parsed from; those that are no changes."""
        for raw, event in told:
            self.event(event, feed, now_ms)
            if isinstance(event, LevelChanges) and type(raw) is dict:
                self.names.learn(raw)
        return tuple(event for _, event in told if not isinstance(event, LevelChanges))

    def price_change(  # noqa: PLR0912, PLR0915 - the hot path: one loop without calls
        self, event: dict[str, Any], feed: int, now_ms: int
    ) -> bool:
        """Apply a price_change of the usual shape; False leaves it to the careful parser.

        What was applied before something odd was met is applied again by the careful way, or
        put in doubt.
        """
        doubtful: list[TokenBook] = []
        books, tokens = self.books, self.names.tokens
        sides, prices, sizes, bests = SIDES, PRICES, SIZES, BESTS
        try:
            stated, listed = event["timestamp"], event["price_changes"]
            if not (
                event["event_type"] == "price_change"
                and event["market"] in self.names.markets
                and type(listed) is list
                and len(listed) <= CHANGES_MAX
                and stated.isdigit()
                and stated.isascii()
                and len(stated) <= 15
            ):
                return False
            ts = int(stated)
            for raw in listed:
                book = books.get(raw["asset_id"])
                is_bid, price, shares = sides[raw["side"]], prices[raw["price"]], sizes[raw["size"]]
                best_bid, best_ask = bests[raw["best_bid"]], bests[raw["best_ask"]]
                if book is None:
                    if raw["asset_id"] not in tokens:
                        return False
                    continue
                if book.feed != feed:
                    continue
                if ts < book.ts_venue:
                    self._late(book, ts)
                    continue
                ring = book.ring
                ring.append((ts, now_ms, is_bid, price, shares))
                our_bid, our_ask = book.best_bid, book.best_ask
                if is_bid:
                    if shares:
                        book.bids[price] = shares
                        if our_bid is None or price > our_bid:
                            book.best_bid = our_bid = price
                    else:
                        book.bids.pop(price, None)
                        if price == our_bid:
                            book.best_bid = our_bid = max(book.bids, default=None)
                elif shares:
                    book.asks[price] = shares
                    if our_ask is None or price < our_ask:
                        book.best_ask = our_ask = price
                else:
                    book.asks.pop(price, None)
                    if price == our_ask:
                        book.best_ask = our_ask = min(book.asks, default=None)
                book.ts_venue = ts
                if (best_bid == our_bid and best_ask == our_ask) or _fits(
                    best_bid, best_ask, our_bid, our_ask
                ):
                    book.ts_heard = now_ms
                    book.last = raw
                    if doubtful and book in doubtful:
                        doubtful.remove(book)
                elif book not in doubtful:
                    doubtful.append(book)
                if len(ring) > _RING_MAX:
                    book.trim(now_ms)
        except (KeyError, TypeError, AttributeError, InvalidInput):
            return False
        for book in doubtful:
            # Beside the last change of a frame stand the best prices after all of them.
            doubt(book, "best", self.count)
        return True

    def _late(self, book: TokenBook, ts: int) -> None:
        """A change older than the book: known from a snapshot, or the order is broken."""
        if book.live and ts > book.verified:
            doubt(book, "late_change", self.count)

    def event(self, event: MarketEvent, feed: int, now_ms: int) -> None:
        """Apply one parsed event of a connection."""
        match event:
            case LevelChanges():
                raw = usual(event)
                self.names.learn(raw)
                self.price_change(raw, feed, now_ms)
            case MarketSettled(token_ids=tokens):
                for token in tokens:
                    if token in self.books:
                        self.books[token].settled = True
            case MalformedEvent(name="price_change" | "book"):
                # Whose book it would have changed is not known.
                for book in self.books.values():
                    if book.feed == feed:
                        doubt(book, "malformed", self.count)
            case BookSnapshot(book=whole):
                book_fed = self._fed(whole.token_id, feed)
                if book_fed is not None:
                    self._about(book_fed, event, now_ms)
            case (
                LastTrade(token_id=token) | BestPrices(token_id=token) | TickChange(token_id=token)
            ):
                book_fed = self._fed(token, feed)
                if book_fed is not None:
                    self._about(book_fed, event, now_ms)
            case _:
                pass

    def _about(self, book: TokenBook, event: MarketEvent, now_ms: int) -> None:
        """What the token's own connection said about it, other than changes."""
        match event:
            case BookSnapshot(book=whole, tick=tick):
                book.tick = tick or book.tick
                take_in_order(book, whole_of(whole, now_ms), now_ms, self.count)
            case LastTrade(ts_venue=ts, side=side, price=price, shares=shares):
                book.heard(now_ms)
                book.prints.append(TradePrint(ts, now_ms, side, price, shares))
            case BestPrices(best_bid=bid, best_ask=ask, ts_venue=ts):
                self._quotes.setdefault(book.token, (ts, bid, ask, now_ms))
            case TickChange(tick=tick):
                book.tick = tick
                book.heard(now_ms)
            case _:
                pass

    def _fed(self, token: str, feed: int) -> TokenBook | None:
        book = self.books.get(token)
        return book if book is not None and book.feed == feed else None

    def snapshot(self, whole: Book, now_ms: int, tick: int | None = None) -> None:
        """A whole book from outside the channel; its `ts_received` is when it was asked for.

        What is ahead of the channel waits for it; what contradicts it is asked for once more and
        then believed.
        """
        book = self.books.get(whole.token_id)
        if book is None:
            return
        book.refusals = 0
        book.tick = tick or book.tick
        told = whole_of(whole, whole.ts_received)
        if not book.live or book.lost:
            # One from before the channel delivers again would hide what came in between.
            if book.resumed and told.ts_proof >= book.resumed + RESUME_MS:
                settle(book, told, now_ms, self.count)
        elif told.ts > book.ts_venue:
            self._held.hold(whole.token_id, told, now_ms)
        else:
            judge(book, told, now_ms, self.count)

    def refused(self, token: str) -> None:
        """The venue was asked for this token's book and has none."""
        book = self.books.get(token)
        if book is not None:
            book.refusals += 1

    def tick(self, now_ms: int) -> list[str]:
        """What became due. The tokens whose channel is silent although their book moved."""
        silent = self._held.tick(self.books, now_ms)
        for token, (ts, bid, ask, heard) in list(self._quotes.items()):
            if now_ms - heard >= SETTLE_MS:
                del self._quotes[token]
                self._compare_quote(self.books[token], ts, bid, ask, heard)
        return silent

    def _compare_quote(
        self, book: TokenBook, ts: int, bid: int | None, ask: int | None, heard: int
    ) -> None:
        """Best prices the venue stated on their own; they may come before their change does."""
        if ts < book.ts_venue or not book.live:
            return
        if (bid, ask) == (book.best_bid, book.best_ask):
            book.heard(heard)
        else:
            doubt(book, "quote", self.count)

    def trim(self, now_ms: int) -> int:
        """Keep every ring within its bounds; how many changes all of them hold."""
        lengths = [len(book.ring) for book in self.books.values()]
        changes_max = RING_CHANGES_MAX
        # The longest rings give first.
        while changes_max > 1 and sum(min(n, changes_max) for n in lengths) > CHANGES_TOTAL_MAX:
            changes_max = changes_max * 3 // 4
        for book in self.books.values():
            book.trim(now_ms, changes_max)
        return sum(len(book.ring) for book in self.books.values())


def _fits(
    best_bid: int | None, best_ask: int | None, our_bid: int | None, our_ask: int | None
) -> bool:
    """Whether our best prices are those stated, where they are, and do not cross."""
    if our_bid is not None and our_ask is not None and our_bid >= our_ask:
        return False
    return best_bid in (None, our_bid) and best_ask in (None, our_ask)
