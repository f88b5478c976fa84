"""Polygon node transport: JSON-RPC over HTTP and WebSocket, with push subscriptions."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from aiohttp import WSMsgType, web

from simulator import ids
from simulator.chain import Block
from simulator.log_delivery import LogDelivery, notification
from simulator.logs import Log, block_header, block_logs
from simulator.outbox import Outbox, abort_connection
from simulator.polygon_rpc import LogFilter, PolygonRpc, RpcError
from simulator.venue import Venue

BATCH_MAX = 100
MESSAGE_BYTES_MAX = 1 << 20
SUBSCRIPTIONS_MAX = 1_000


class Subscriber:
    """One WebSocket client with its subscriptions: id -> filter (None means newHeads)."""

    def __init__(self, socket: web.WebSocketResponse, request: web.Request) -> None:
        self.outbox = Outbox(socket)
        self.request = request
        self.filters: dict[str, LogFilter | None] = {}


class PolygonNode:
    """The `/polygon` endpoint."""

    def __init__(self, venue: Venue) -> None:
        self.venue = venue
        self.rpc = PolygonRpc(venue)
        self.delivery = LogDelivery(venue)
        self.subscribers: set[Subscriber] = set()
        self._subscriptions = 0
        venue.block_listeners.append(self.publish)

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/polygon", self.post), web.get("/polygon", self.connect)]

    async def post(self, request: web.Request) -> web.Response:
        answer = self._answer(await request.text(), None)
        return web.json_response(answer)

    async def connect(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(max_msg_size=MESSAGE_BYTES_MAX)
        await socket.prepare(request)
        subscriber = Subscriber(socket, request)
        self.subscribers.add(subscriber)
        self.venue.counters["polygon ws connections"] += 1
        sender = asyncio.create_task(subscriber.outbox.run())
        try:
            async for message in socket:
                if message.type is not WSMsgType.TEXT:
                    break
                subscriber.outbox.put(json.dumps(self._answer(message.data, subscriber)))
        finally:
            self.subscribers.discard(subscriber)
            for name in subscriber.filters:
                self.delivery.forget(name)
            sender.cancel()
        return socket

    def disconnect_all(self) -> int:
        """Cut every WebSocket without a closing handshake; returns how many there were."""
        dropped = list(self.subscribers)
        for subscriber in dropped:
            abort_connection(subscriber.request)
        return len(dropped)

    def publish(self, block: Block) -> None:
        """Push a new block to the subscribers; heads and logs come in random order."""
        if not self.subscribers:
            return
        if self.venue.faults.ws_stall:
            self.venue.acted("ws_stall")
            return
        self._push([block], [list(block_logs(block))])

    def reorganise(self, depth: int, *, silent: bool = False, drop: bool = False) -> int:
        """Mine the last `depth` blocks again and push the difference; returns the depth.

        Removed logs may come before or after the re-mined ones, as from a real node; a `silent`
        reorganisation has none. A socket that is down or stalled hears nothing of it.
        """
        venue = self.venue
        numbers = range(max(0, venue.head.number - depth + 1), venue.head.number + 1)
        old = [log for n in numbers if (block := venue.block(n)) for log in block_logs(block)]
        new_blocks = venue.reorganise(depth, drop=drop)
        if venue.faults.ws_stall:
            return depth
        removed = [] if silent else [log | {"removed": True} for log in old]
        mined = [log for block in new_blocks for log in block_logs(block)]
        parts = [removed, mined] if venue.wire_rng.random() < 0.7 else [mined, removed]
        self._push(new_blocks, parts)
        return depth

    def _push(self, blocks: list[Block], parts: list[list[Log]]) -> None:
        """Heads of these blocks and the wanted logs of all parts, to every subscriber."""
        for subscriber in self.subscribers:
            for name, wanted in self._shuffled(subscriber):
                if wanted is None:
                    for block in blocks:
                        subscriber.outbox.put(notification(name, block_header(block)))
                    continue
                for part in parts:
                    for log in part:
                        if wanted.matches(log):
                            self.delivery.send(subscriber.outbox, name, log)

    def stall_subscriptions(self, part: float | str) -> None:
        """Silence a part of the log subscriptions that exist now, until they are made anew."""
        names = [n for s in self.subscribers for n, wanted in s.filters.items() if wanted]
        self.delivery.stall(part, names)

    def _shuffled(self, subscriber: Subscriber) -> list[tuple[str, LogFilter | None]]:
        entries = list(subscriber.filters.items())
        self.venue.wire_rng.shuffle(entries)
        return entries

    def _answer(self, text: str, subscriber: Subscriber | None) -> Any:
        try:
            request = json.loads(text)
        except ValueError:
            return _error(None, -32700, "parse error")
        if not isinstance(request, list):
            return self._answer_one(request, subscriber)
        if not request or len(request) > BATCH_MAX:
            return _error(None, -32600, "invalid request: empty or too large batch")
        return [self._answer_one(entry, subscriber) for entry in request]

    def _answer_one(self, request: object, subscriber: Subscriber | None) -> dict[str, Any]:
        if not isinstance(request, dict) or not isinstance(request.get("method"), str):
            return _error(None, -32600, "invalid request")
        method, params = request["method"], request.get("params") or []
        self.venue.counters[f"rpc {method}"] += 1
        if subscriber is None:
            self.venue.counters["rpc http calls"] += 1
        request_id = request.get("id")
        try:
            if not isinstance(params, list):
                raise RpcError(-32602, "non-array args")
            if subscriber is not None and method == "eth_subscribe":
                result: Any = self._subscribe(subscriber, params)
            elif subscriber is not None and method == "eth_unsubscribe":
                name = str(params[0]) if params else ""
                self.delivery.forget(name)
                result = subscriber.filters.pop(name, 0) != 0
            else:
                result = self.rpc.call(method, params, over_http=subscriber is None)
        except RpcError as error:
            return _error(request_id, error.code, error.message)
        return {"jsonrpc": "2.0", "id": request_id, "result": result}

    def _subscribe(self, subscriber: Subscriber, params: list[Any]) -> str:
        if len(subscriber.filters) >= SUBSCRIPTIONS_MAX:
            raise RpcError(-32000, "too many subscriptions")
        kind = params[0] if params else None
        if kind == "newHeads":
            wanted = None
        elif kind == "logs":
            wanted = LogFilter(params[1] if len(params) > 1 else {})
            if wanted.takes_all_fills:
                self.venue.counters["polygon unfiltered subscriptions"] += 1
        else:
            raise RpcError(-32602, f"no {kind!r} subscription in eth namespace")
        self._subscriptions += 1
        name = ids.hash32(self.venue.world.seed, "subscription", self._subscriptions)[:34]
        subscriber.filters[name] = wanted
        self.venue.counters["polygon subscriptions"] += 1
        return name


def _error(request_id: object, code: int, message: str) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": request_id, "error": {"code": code, "message": message}}
