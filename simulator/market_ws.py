"""The CLOB market WebSocket: book dumps, price changes, trades and quotes."""

from __future__ import annotations

import asyncio
import json
import math
from typing import Any

from aiohttp import WSMsgType, web

from simulator.amounts import MICRO, decimal_text, price_number
from simulator.book import Change
from simulator.clob_books import rest_book, ws_book
from simulator.exchange import BookEvent, Resolution
from simulator.markets import Token
from simulator.matching import Match
from simulator.outbox import Outbox, abort_connection
from simulator.venue import BookView, Venue

ASSETS_WITH_BOOK_MAX = 500
MESSAGE_BYTES_MAX = 1 << 20

Frame = dict[str, Any]


class MarketClient:
    """One connection: its assets and whether it asked for the extra frames."""

    def __init__(self, socket: web.WebSocketResponse, request: web.Request) -> None:
        self.outbox = Outbox(socket)
        self.request = request
        self.assets: set[str] = set()
        self.since: dict[str, int] = {}
        self.silent: set[str] = set()
        self.custom_features = False


class MarketChannel:
    """The `/clob-ws/ws/market` endpoint."""

    def __init__(self, venue: Venue) -> None:
        self.venue = venue
        self.clients: set[MarketClient] = set()
        self._quotes: dict[str, tuple[int, int]] = {}
        venue.book_listeners.append(self.publish)
        venue.told_since = self.told_since

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/clob-ws/ws/market", self.connect)]

    async def connect(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(max_msg_size=MESSAGE_BYTES_MAX)
        await socket.prepare(request)
        client = MarketClient(socket, request)
        self.clients.add(client)
        self.venue.counters["clob ws connections"] += 1
        sender = asyncio.create_task(client.outbox.run())
        try:
            async for message in socket:
                if message.type is not WSMsgType.TEXT:
                    break
                self._receive(client, message.data)
        finally:
            self.clients.discard(client)
            sender.cancel()
        return socket

    def told_since(self, asset: str) -> int | None:
        """Since when (ms) somebody is told everything about an asset; None when nobody is."""
        times = [
            client.since[asset]
            for client in self.clients
            if asset in client.assets and asset not in client.silent
        ]
        return min(times, default=None)

    def disconnect_all(self) -> int:
        """Cut every connection at once; returns how many there were."""
        dropped = list(self.clients)
        for client in dropped:
            abort_connection(client.request)
        return len(dropped)

    def _receive(self, client: MarketClient, text: str) -> None:
        """Handle one client frame. Malformed ones are ignored: the venue sends no errors."""
        if text == "PING":
            client.outbox.put("PONG")
            return
        try:
            request = json.loads(text)
            assets = [str(asset) for asset in request.get("assets_ids") or []]
        except (ValueError, AttributeError, TypeError):
            return
        if request.get("custom_feature_enabled") is True:
            client.custom_features = True
        client.silent.difference_update(assets)
        client.since |= dict.fromkeys(assets, self.venue.now)
        if request.get("operation") == "unsubscribe":
            client.assets.difference_update(assets)
            return
        fresh = [asset for asset in dict.fromkeys(assets) if asset not in client.assets]
        client.assets.update(fresh)
        self.venue.counters["clob ws assets subscribed"] += len(fresh)
        if request.get("initial_dump", True) and len(client.assets) <= ASSETS_WITH_BOOK_MAX:
            self._dump(client, fresh)

    def _dump(self, client: MarketClient, assets: list[str]) -> None:
        """The present book of each asset in one array frame; unknown assets are left out."""
        if self.venue.faults.clob_ws_stall:
            return
        found = [self.venue.book_of(asset) for asset in assets]
        books = [ws_book(*entry) for entry in found if entry is not None]
        if books:
            client.outbox.put(json.dumps(books))

    def stall_assets(self, part: float | str) -> None:
        """Silence a seeded part of each client's assets until he subscribes to them anew."""
        for client in self.clients:
            client.silent.clear()
            if part and client.assets:
                count = 1 if isinstance(part, str) else math.ceil(part * len(client.assets))
                client.silent.update(self.venue.wire_rng.sample(sorted(client.assets), count))
                self.venue.acted("clob_ws_stall_assets", count)

    def announce_tick(self, view: BookView, old_tick: int) -> None:
        """Tell subscribers of either token that the market's tick size changed."""
        for token in view.market.tokens:
            self._send([(token, {
                "event_type": "tick_size_change",
                "market": view.market.condition_id,
                "asset_id": token.id,
                "old_tick_size": decimal_text(old_tick),
                "new_tick_size": decimal_text(view.tick),
                "timestamp": str(self.venue.now),
            })])  # fmt: skip

    def publish(self, view: BookView, events: list[BookEvent]) -> None:
        """Turn one moment of one market into frames for the subscribers of either token."""
        if not self.clients:
            return
        if self.venue.faults.clob_ws_stall:
            self.venue.acted("clob_ws_stall")
            return
        if view.market.index in self.venue.silent:
            return
        tokens = {token.id for token in view.market.tokens}
        if all(client.assets.isdisjoint(tokens) for client in self.clients):
            return
        for event in events:
            if isinstance(event, Resolution):
                self._announce_resolution(event)
        changes = [event for event in events if isinstance(event, Change)]
        frames: list[tuple[Token | None, Frame]] = [
            (event.taker.token, _trade_frame(event)) for event in events if isinstance(event, Match)
        ]
        if changes:
            frames.append((None, _change_frame(view, changes)))
        # The trade may come before or after the price change it caused.
        self.venue.wire_rng.shuffle(frames)
        self._deliver(view, frames)

    def _announce_resolution(self, event: Resolution) -> None:
        """`market_resolved`, once per market, to clients that asked for the extra frames."""
        market = event.market
        winning = market.tokens[market.winner] if market.winner is not None else None
        frame = {
            "event_type": "market_resolved",
            "id": market.id,
            "market": market.condition_id,
            "assets_ids": [token.id for token in market.tokens],
            "winning_asset_id": winning.id if winning else "",
            "winning_outcome": winning.outcome if winning else "",
            "timestamp": str(event.ts),
            "tags": list(market.event.tags),
        }
        for client in self.clients:
            if client.custom_features and not client.assets.isdisjoint(frame["assets_ids"]):
                client.outbox.put(json.dumps(frame))

    def _deliver(self, view: BookView, frames: list[tuple[Token | None, Frame]]) -> None:
        quotes = self._quote_frames(view)
        for client in self.clients:
            mine = [t for t in view.market.tokens if t.id in client.assets - client.silent]
            if not mine:
                continue
            wanted = [frame for token, frame in frames if token is None or token in mine]
            if client.custom_features:
                wanted += [frame for token, frame in quotes if token in mine]
            self._put(client, wanted)

    def _send(self, frames: list[tuple[Token, Frame]]) -> None:
        for client in self.clients:
            self._put(client, [frame for token, frame in frames if token.id in client.assets])

    def _put(self, client: MarketClient, frames: list[Frame]) -> None:
        """Several frames at once go out as one array now and then, else one by one."""
        if len(frames) > 1 and self.venue.wire_rng.random() < 0.3:
            client.outbox.put(json.dumps(frames))
            return
        for frame in frames:
            client.outbox.put(json.dumps(frame))

    def _quote_frames(self, view: BookView) -> list[tuple[Token, Frame]]:
        """`best_bid_ask` of both tokens if the best quote moved since the last call."""
        quote = view.best_of(view.market.tokens[0])
        if self._quotes.get(view.market.id) == quote:
            return []
        self._quotes[view.market.id] = quote
        frames: list[tuple[Token, Frame]] = []
        for token in view.market.tokens:
            bid, ask = view.best_of(token)
            frames.append((token, {
                "market": view.market.condition_id,
                "asset_id": token.id,
                "best_bid": decimal_text(bid),
                "best_ask": decimal_text(ask),
                "spread": decimal_text(ask - bid),
                "timestamp": str(view.ts),
                "event_type": "best_bid_ask",
            }))  # fmt: skip
        return frames


def _change_frame(view: BookView, changes: list[Change]) -> Frame:
    """A `price_change` with both tokens per level; sizes are absolute, "0" deletes."""
    first, second = view.market.tokens
    hashes = [rest_book(view, token)["hash"] for token in (first, second)]
    entries = []
    for change in changes:
        for token, price, is_bid in (
            (first, change.price, change.is_bid),
            (second, MICRO - change.price, not change.is_bid),
        ):
            bid, ask = view.best_of(token)
            entries.append({
                "asset_id": token.id,
                "price": decimal_text(price),
                "size": decimal_text(change.size),
                "side": "BUY" if is_bid else "SELL",
                "hash": hashes[token.outcome_index],
                "best_bid": decimal_text(bid),
                "best_ask": decimal_text(ask),
            })  # fmt: skip
    return {
        "market": view.market.condition_id,
        "price_changes": entries,
        "timestamp": str(changes[-1].ts),
        "event_type": "price_change",
    }


def _trade_frame(match: Match) -> Frame:
    """`last_trade_price`: the taker's asset, side and average price of one settlement."""
    taker = match.taker
    return {
        "market": match.market.condition_id,
        "asset_id": taker.token.id,
        "price": str(round(price_number(taker.cash, taker.shares), 4)),
        "size": decimal_text(taker.shares),
        "fee_rate_bps": "0",
        "side": taker.side,
        "timestamp": str(match.ts_match),
        "event_type": "last_trade_price",
        "transaction_hash": match.tx_hash,
    }
