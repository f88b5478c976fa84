"""Public CLOB REST endpoints."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiohttp import web

from simulator.amounts import decimal_text
from simulator.clob_books import last_price_text, rest_book
from simulator.feed_rows import iso_time
from simulator.ids import padded_condition
from simulator.markets import Market, Token
from simulator.venue import BookView, Venue

TOKENS_MAX = 500
NEEDLESS = "clob books asked for needlessly"

Json = dict[str, Any]
Answerer = Callable[[BookView, Token], Json]


class Clob:
    """The `/clob` endpoints. Unknown and closed tokens have no book and give 404."""

    def __init__(self, venue: Venue) -> None:
        self.venue = venue
        self._book = self._of_token(rest_book)

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/clob/book", self.book),
            web.post("/clob/books", self.books),
            web.get("/clob/midpoint", self._of_token(lambda v, t: {"mid": _mid(v, t)})),
            web.post("/clob/midpoints", self.midpoints),
            web.get("/clob/spread", self._of_token(lambda v, t: {"spread": _spread(v, t)})),
            web.get("/clob/price", self.price),
            web.get("/clob/last-trade-price", self._of_token(_last_trade)),
            web.post("/clob/last-trades-prices", self.last_trades),
            web.get("/clob/tick-size",
                    self._of_token(lambda v, _: {"minimum_tick_size": v.tick / 1_000_000})),
            web.get("/clob/neg-risk",
                    self._of_token(lambda v, _: {"neg_risk": v.market.neg_risk})),
            web.get("/clob/fee-rate", self._of_token(lambda _v, _t: {"base_fee": 1_000})),
            web.get("/clob/markets-by-token/{token_id}", self.markets_by_token),
            web.get("/clob/clob-markets/{condition_id}", self.clob_market),
            web.get("/clob/time", self.time),
        ]  # fmt: skip

    def _of_token(self, answer: Answerer) -> Callable[[web.Request], Any]:
        async def handle(request: web.Request) -> web.Response:
            token_id = request.query.get("token_id", "")
            if not token_id.isdigit():
                return _error(400, "Invalid token id")
            found = self.venue.book_of(token_id)
            if found is None:
                return _no_book()
            return web.json_response(answer(*found))

        return handle

    async def book(self, request: web.Request) -> web.Response:
        """One book; whoever is told everything about it anyway is counted."""
        if self.venue.asked_needlessly(request.query.get("token_id", "")):
            self.venue.counters[NEEDLESS] += 1
        answer: web.Response = await self._book(request)
        return answer

    async def price(self, request: web.Request) -> web.Response:
        """BUY is the best bid, SELL the best ask: what resting orders of that side offer."""
        side = request.query.get("side", "").upper()
        if side not in ("BUY", "SELL"):
            return _error(400, "Invalid side")
        found = self.venue.book_of(request.query.get("token_id", ""))
        if found is None:
            return _no_book()
        bid, ask = found[0].best_of(found[1])
        return web.json_response({"price": decimal_text(bid if side == "BUY" else ask)})

    async def books(self, request: web.Request) -> web.Response:
        """Books of the listed tokens; missing ones are left out, the order is arbitrary."""
        wanted = await self._posted(request)
        if isinstance(wanted, web.Response):
            return wanted
        books = [rest_book(view, token) for view, token in wanted]
        self.venue.wire_rng.shuffle(books)
        return web.json_response(books)

    async def midpoints(self, request: web.Request) -> web.Response:
        wanted = await self._posted(request)
        if isinstance(wanted, web.Response):
            return wanted
        return web.json_response({token.id: _mid(view, token) for view, token in wanted})

    async def last_trades(self, request: web.Request) -> web.Response:
        """Last trades of the listed tokens; what was never traded or has no book is left out."""
        wanted = await self._posted(request)
        if isinstance(wanted, web.Response):
            return wanted
        return web.json_response([
            {"token_id": token.id, **_last_trade(view, token)}
            for view, token in wanted
            if view.last_price is not None
        ])  # fmt: skip

    async def _posted(self, request: web.Request) -> list[tuple[BookView, Token]] | web.Response:
        try:
            body = await request.json()
            token_ids = [str(entry["token_id"]) for entry in body]
        except (ValueError, TypeError, KeyError):
            return _error(400, "Invalid payload")
        if len(token_ids) > TOKENS_MAX:
            return _error(400, "Payload exceeds the limit")
        found = (self.venue.book_of(token_id) for token_id in dict.fromkeys(token_ids))
        return [entry for entry in found if entry is not None]

    async def markets_by_token(self, request: web.Request) -> web.Response:
        market = self.venue.world.listed.of_token(request.match_info["token_id"])
        if market is None:
            return _error(404, "market not found")
        return web.json_response({
            "condition_id": market.condition_id,
            "primary_token_id": market.tokens[0].id,
            "secondary_token_id": market.tokens[1].id,
        })  # fmt: skip

    async def clob_market(self, request: web.Request) -> web.Response:
        """Trading rules by the 32-byte condition id; the short form is not found."""
        condition = request.match_info["condition_id"].lower()
        market = self.venue.world.listed.by_condition.get(condition)
        if market is not None and market.is_combo:
            market = None
        if market is None or padded_condition(condition) != condition:
            return _error(404, "market not found")
        return web.json_response(_rules(market, self.venue.books.get(market.index)))

    async def time(self, _request: web.Request) -> web.Response:
        return web.json_response(self.venue.now // 1_000)


def _rules(market: Market, view: BookView | None) -> Json:
    rules: Json = {
        "r": {"mi": 50, "ma": 4.5, "moas": 4},
        "t": [{"t": token.id, "o": token.outcome} for token in market.tokens],
        "c": market.condition_id,
        "mos": 5,
        "mts": (view.tick if view else market.tick) / 1_000_000,
        "mbf": 1_000,
        "tbf": 1_000,
        "ao": not market.closed,
        "nr": market.neg_risk,
        "cbos": True,
        "aot": iso_time(market.created_ms),
        "ibce": True,
    }
    if market.fee_rate_bps:
        rules["fd"] = {"r": market.fee_rate, "e": 1, "to": True}
    if market.sports_type:
        rules |= {"gst": iso_time(market.end_ms), "sd": market.seconds_delay}
    if market.version == "v2":
        rules["v"] = "v2"
    return rules


def _mid(view: BookView, token: Token) -> str:
    return decimal_text(view.mid(token))


def _spread(view: BookView, token: Token) -> str:
    bid, ask = view.best_of(token)
    return decimal_text(ask - bid)


def _last_trade(view: BookView, _token: Token) -> Json:
    if view.last_price is None:
        return {"price": "0.5", "side": ""}
    return {"price": last_price_text(view), "side": view.last_side}


def _no_book() -> web.Response:
    return _error(404, "No orderbook exists for the requested token id")


def _error(status: int, message: str) -> web.Response:
    return web.json_response({"error": message}, status=status)
