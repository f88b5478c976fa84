"""Gamma: market and event lists, single markets, profiles and search."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from simulator import ids
from simulator.amounts import decimal_text
from simulator.feed_rows import icon_url, iso_time, pseudonym
from simulator.markets import Event, Market
from simulator.venue import Venue

ORDERS = ("liquidityNum", "volumeNum")
LIMIT_DEFAULT, LIMIT_MAX = 20, 100
SCHEMA = "https://gamma-api.polymarket.com/schemas/"
TAG_IDS = {"politics": "2", "crypto": "21", "sports": "1", "weather": "84", "economy": "100328",
           "tech": "1401", "pop-culture": "596", "world": "101970"}  # fmt: skip

Json = dict[str, Any]


class Gamma:
    """The `/gamma` endpoints."""

    def __init__(self, venue: Venue) -> None:
        self.venue = venue
        self.names = venue.world.names

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/gamma/markets/keyset", self.markets_keyset),
            web.get("/gamma/events/keyset", self.events_keyset),
            web.get("/gamma/markets/slug/{slug}", self.market_by_slug),
            web.get("/gamma/markets/{id}", self.market_by_id),
            web.get("/gamma/events/{id}", self.event_by_id),
            web.get("/gamma/public-profile", self.public_profile),
            web.get("/gamma/public-search", self.public_search),
        ]

    async def markets_keyset(self, request: web.Request) -> web.Response:
        listed = [m for m in self.venue.world.listed.singles if _selected(request, m)]
        tags = request.query.get("include_tag") == "true"
        order = request.query.get("order", "")
        if order and order not in ORDERS:
            return _invalid("order is invalid")
        if order:
            falling = request.query.get("ascending") != "true"
            listed.sort(key=lambda m: self.market(m).get(order, 0.0), reverse=falling)
        return self._keyset(request, "markets", listed, lambda m: self.market(m, tags=tags))

    async def events_keyset(self, request: web.Request) -> web.Response:
        chosen = {
            m.event.id for m in self.venue.world.listed.singles if _selected(request, m, of="ev")
        }
        slugs, wanted = request.query.getall("slug", []), request.query.getall("id", [])
        listed = [
            event for event in self.venue.world.listed.events
            if event.id in chosen
            and (not slugs or event.slug in slugs)
            and (not wanted or event.id in wanted)
        ]  # fmt: skip
        bodies = request.query.get("include_markets") != "false"
        return self._keyset(request, "events", listed, lambda e: self.event(e, markets=bodies))

    def _keyset(
        self, request: web.Request, name: str, listed: list[Any], write: Callable[[Any], Json]
    ) -> web.Response:
        """A page after `after_cursor`; the limit is clamped, `next_cursor` absent at the end."""
        if "offset" in request.query:
            return _invalid("offset is not supported on keyset lists, use after_cursor")
        try:
            limit = int(request.query.get("limit", LIMIT_DEFAULT))
        except ValueError:
            return _invalid("limit is invalid")
        limit = max(1, min(limit, LIMIT_MAX))
        after = request.query.get("after_cursor")
        if after:
            try:
                last = int(base64.urlsafe_b64decode(after + "=" * (-len(after) % 4)))
            except ValueError:
                return _invalid("after_cursor is invalid")
            places = [int(entry.id) for entry in listed]
            if places == sorted(places):
                listed = [entry for entry in listed if int(entry.id) > last]
            else:
                listed = listed[places.index(last) + 1 :] if last in places else []
        page: Json = {
            "$schema": f"{SCHEMA}{name.capitalize()}KeysetListResponse.json",
            name: [write(entry) for entry in listed[:limit]],
        }
        if len(listed) > limit:
            mark = base64.urlsafe_b64encode(listed[limit - 1].id.encode())
            page["next_cursor"] = mark.decode().rstrip("=")
        return web.json_response(page, headers={"cache-control": "public,max-age=300"})

    async def market_by_id(self, request: web.Request) -> web.Response:
        wanted = request.match_info["id"]
        if not wanted.isdigit():
            return _invalid("id is invalid")
        return self._single([m for m in self.venue.world.listed.singles if m.id == wanted])

    async def market_by_slug(self, request: web.Request) -> web.Response:
        slug = request.match_info["slug"]
        return self._single([m for m in self.venue.world.listed.singles if m.slug == slug])

    def _single(self, found: list[Market]) -> web.Response:
        if not found:
            return web.json_response(
                {"type": "not found error", "error": "id not found"}, status=404
            )
        return web.json_response(self.market(found[0], tags=True))

    async def event_by_id(self, request: web.Request) -> web.Response:
        wanted = request.match_info["id"]
        found = [e for e in self.venue.world.listed.events if e.id == wanted]
        if not found:
            return web.json_response(
                {"type": "not found error", "error": "id not found"}, status=404
            )
        return web.json_response(self.event(found[0], markets=True))

    async def public_profile(self, request: web.Request) -> web.Response:
        address = request.query.get("address", "").lower()
        if len(address) != 42 or not address.startswith("0x"):
            return _invalid("address is invalid")
        if address not in self.names and address not in self.venue.world.crowd:
            return web.json_response({"type": "not found error", "error": "profile not found"},
                                     status=404)  # fmt: skip
        profile = self._profile(address)
        return web.json_response({
            "$schema": f"{SCHEMA}PublicProfile.json",
            "createdAt": "2025-03-04T11:12:13.141516Z",
            **profile,
            "users": [{"id": str(int(address[2:10], 16) % 10**7), "creator": False, "mod": False,
                       "communityMod": False}],
            "xUsername": "",
            "verifiedBadge": False,
        })  # fmt: skip

    async def public_search(self, request: web.Request) -> web.Response:
        """Search by text. The profile list ends with a null element, as it can on the venue."""
        text = request.query.get("q", "").strip().lower()
        if not text:
            return _invalid("q is required")
        limit = request.query.get("limit_per_type", "5")
        count = int(limit) if limit.isdigit() else 5
        events = [e for e in self.venue.world.listed.events if text in e.title.lower()][:count]
        profiles: list[Json | None] = []
        if request.query.get("search_profiles") == "true":
            hits = [w for w, name in self.names.items() if text in name.lower() or text == w]
            profiles += [self._profile(wallet) for wallet in hits[:count]]
            if profiles:
                profiles.append(None)
        total = len(events) + sum(profile is not None for profile in profiles)
        return web.json_response({
            "events": [self.event(event, markets=True) for event in events] or None,
            "tags": None,
            "profiles": profiles,
            "pagination": {"hasMore": False, "totalResults": total},
        })  # fmt: skip

    def _profile(self, wallet: str) -> Json:
        return {
            "name": self.names.get(wallet, ""),
            "pseudonym": pseudonym(wallet),
            "proxyWallet": wallet,
            "displayUsernamePublic": True,
            "profileImage": "",
            "bio": "",
        }

    def event(self, event: Event, *, markets: bool) -> Json:
        body = _event_stub(event, self._markets_of(event)[0])
        body["tags"] = _tags(event)
        if markets:
            body["markets"] = [self.market(m, parent=False) for m in self._markets_of(event)]
        return body

    def _markets_of(self, event: Event) -> list[Market]:
        return [m for m in self.venue.world.listed.singles if m.event is event]

    def market(self, market: Market, *, tags: bool = False, parent: bool = True) -> Json:
        """A market object. Keys that do not apply are missing, as on the venue."""
        view = self.venue.books.get(market.index)
        prices = [self.venue.price_of(token) for token in market.tokens]
        volume = 250_000 + (view.cash_traded / 1_000_000 if view else 0)
        body: Json = {
            "id": market.id,
            "question": market.question,
            "conditionId": market.condition_id,
            "slug": market.slug,
            "endDate": iso_time(market.end_ms),
            "startDate": _iso_micros(market.created_ms),
            "image": icon_url(market),
            "icon": icon_url(market),
            "description": f"Simulated market. Resolves on: {market.question}",
            "outcomes": json.dumps([token.outcome for token in market.tokens]),
            "outcomePrices": json.dumps([decimal_text(price) for price in prices]),
            "volume": f"{volume:.6f}".rstrip("0").rstrip("."),
            "active": True,
            "closed": market.closed,
            "marketMakerAddress": "",
            "createdAt": _iso_micros(market.created_ms),
            "updatedAt": _iso_micros(self.venue.now),
            "archived": False,
            "restricted": True,
            "groupItemTitle": market.group_title,
            "questionID": market.question_id,
            "enableOrderBook": True,
            "orderPriceMinTickSize": (view.tick if view else market.tick) / 1_000_000,
            "orderMinSize": 5,
            "volumeNum": round(volume, 6),
            "endDateIso": iso_time(market.end_ms)[:10],
            "startDateIso": iso_time(market.created_ms)[:10],
            "acceptingOrders": not market.closed,
            "acceptingOrdersTimestamp": iso_time(market.created_ms),
            "negRisk": market.neg_risk,
            "negRiskRequestID": "",
            "approved": True,
            "rewardsMinSize": 50,
            "rewardsMaxSpread": 4.5,
            "comboStatus": "disabled",
            "rfqEnabled": False,
            "clearBookOnStart": True,
            "umaResolutionStatuses": "[]",
            "feesEnabled": market.fee_type is not None,
            "feeType": market.fee_type,
            "version": market.version,
            **_asset_ids(market),
            **_fee_schedule(market),
            **_sports(market),
        }
        if market.neg_risk:
            body["negRiskMarketID"] = market.neg_risk_market_id
        if market.closed:
            body |= {"closedTime": _spaced(market.closed_ms), "umaResolutionStatus": "resolved",
                     "umaResolutionStatuses": '["proposed"]'}  # fmt: skip
        if view is not None:
            bid, ask = view.best_bid(), view.best_ask()
            body |= {
                "bestBid": bid / 1_000_000,
                "bestAsk": ask / 1_000_000,
                "spread": (ask - bid) / 1_000_000,
                **_liquidity(view.bids, view.asks),
            }
            if view.last_price is not None:
                body["lastTradePrice"] = view.last_price / 1_000_000
        if parent:
            body["events"] = [_event_stub(market.event, market)]
        if tags:
            body["tags"] = _tags(market.event)
        return body


def _selected(request: web.Request, market: Market, *, of: str = "market") -> bool:
    """The list filters: closed and version have defaults, id filters are repeated flat keys."""
    query = request.query
    if (query.get("closed", "false") == "true") != market.closed:
        return False
    if market.version not in query.getall("version", ["v1"]):
        return False
    conditions = [value.lower() for value in query.getall("condition_ids", [])]
    known = (market.condition_id, market.feed_condition_id)
    if conditions and not any(value in known for value in conditions):
        return False
    for name in ("clob_token_ids", "position_ids"):
        wanted = query.getall(name, [])
        if wanted and not any(token.id in wanted for token in market.tokens):
            return False
    if of == "market":
        slugs, numbers = query.getall("slug", []), query.getall("id", [])
        if (slugs and market.slug not in slugs) or (numbers and market.id not in numbers):
            return False
    tags = query.getall("tag_id", [])
    return not tags or any(_tag_id(tag) in tags for tag in market.event.tags)


def _asset_ids(market: Market) -> Json:
    """v1: a JSON-encoded string; v2: a plain array of position ids and no clobTokenIds."""
    asset_ids = [token.id for token in market.tokens]
    if market.version == "v1":
        return {"clobTokenIds": json.dumps(asset_ids)}
    return {
        "clobTokenIds": None,
        "positionIds": asset_ids,
        "resolutionStatus": "active",
        "requestId": ids.ZERO32,
        "onchainEventId": market.condition_id,
    }


def _fee_schedule(market: Market) -> Json:
    base: Json = {"makerBaseFee": 1_000, "takerBaseFee": 1_000}
    if market.fee_type is None:
        return base
    schedule = {"exponent": 1, "rate": market.fee_rate, "takerOnly": True,
                "rebateRate": market.rebate_rate}  # fmt: skip
    return base | {"feeSchedule": schedule}


def _sports(market: Market) -> Json:
    if not market.sports_type:
        return {}
    return {"gameStartTime": _spaced(market.end_ms), "secondsDelay": market.seconds_delay,
            "sportsMarketType": market.sports_type}  # fmt: skip


def _liquidity(bids: dict[int, int], asks: dict[int, int]) -> Json:
    micros = sum(price * size // 1_000_000 for price, size in (*bids.items(), *asks.items()))
    return {"liquidity": decimal_text(micros), "liquidityNum": micros / 1_000_000}


def _event_stub(event: Event, market: Market) -> Json:
    return {
        "id": event.id,
        "ticker": event.slug,
        "slug": event.slug,
        "title": event.title,
        "startDate": _iso_micros(market.created_ms),
        "endDate": iso_time(market.end_ms),
        "image": icon_url(market),
        "icon": icon_url(market),
        "active": True,
        "closed": market.closed,
        "archived": False,
        "enableOrderBook": True,
        "negRisk": event.neg_risk,
        "version": market.version,
    }


def _tags(event: Event) -> list[Json]:
    return [
        {"id": _tag_id(tag), "label": tag.replace("-", " ").title(), "slug": tag}
        for tag in event.tags
    ]


def _tag_id(tag: str) -> str:
    return TAG_IDS.get(tag) or str(200_000 + int(ids.hash32("tag", tag)[2:6], 16))


def _iso_micros(ts_ms: int) -> str:
    stamp = datetime.fromtimestamp(ts_ms / 1_000, UTC)
    return stamp.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _spaced(ts_ms: int) -> str:
    """The other date syntax: YYYY-MM-DD HH:MM:SS+00."""
    return iso_time(ts_ms).replace("T", " ").replace("Z", "+00")


def _invalid(message: str) -> web.Response:
    return web.json_response({"type": "validation error", "error": message}, status=422)
