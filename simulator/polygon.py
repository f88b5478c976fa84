"""Polygon node transport: JSON-RPC over HTTP and WebSocket, with push subscriptions."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from aiohttp import WSMsgType, web

from simulator import ids
from simulator.logs import block_header, block_logs
from simulator.outbox import Outbox, abort_connection
from simulator.polygon_rpc import LogFilter, PolygonRpc, RpcError
from simulator.reorg import reorganise
from simulator.venue import Venue
from simulator.world import Block

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
        if not self.subscribers or self.venue.faults.ws_stall:
            return
        logs = list(block_logs(block))
        copies = 2 if self.venue.faults.duplicate_logs else 1
        for subscriber in self.subscribers:
            for name, wanted in self._shuffled(subscriber):
                if wanted is None:
                    subscriber.outbox.put(_notification(name, block_header(block)))
                    continue
                for log in logs:
                    if wanted.matches(log):
                        frame = _notification(name, log)
                        if self.venue.wire_rng.random() < self.venue.faults.logs_drop_rate:
                            self.venue.counters["polygon logs dropped"] += 1
                            continue
                        for _ in range(copies):
                            subscriber.outbox.put(frame)
                            self.venue.counters["polygon logs pushed"] += 1

    def reorganise(self, depth: int) -> int:
        """Mine the last `depth` blocks again and push the difference; returns the depth.

        Removed logs may come before or after the re-mined ones, as from a real node. A socket
        that is down or stalled hears nothing of it.
        """
        venue = self.venue
        numbers = range(max(0, venue.head.number - depth + 1), venue.head.number + 1)
        old = [log for n in numbers if (block := venue.block(n)) for log in block_logs(block)]
        new_blocks = reorganise(venue.world, venue.head, depth, venue.wire_rng)
        venue.head = new_blocks[-1]
        venue.counters["reorgs"] += 1
        if venue.faults.ws_stall:
            return depth
        removed = [log | {"removed": True} for log in old]
        mined = [log for block in new_blocks for log in block_logs(block)]
        parts = [removed, mined] if venue.wire_rng.random() < 0.7 else [mined, removed]
        for subscriber in self.subscribers:
            for name, wanted in self._shuffled(subscriber):
                if wanted is None:
                    frames = [_notification(name, block_header(block)) for block in new_blocks]
                else:
                    logs = [log for part in parts for log in part if wanted.matches(log)]
                    frames = [_notification(name, log) for log in logs]
                for frame in frames:
                    subscriber.outbox.put(frame)
        return depth

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
        request_id = request.get("id")
        try:
            if not isinstance(params, list):
                raise RpcError(-32602, "non-array args")
            if subscriber is not None and method == "eth_subscribe":
                result: Any = self._subscribe(subscriber, params)
            elif subscriber is not None and method == "eth_unsubscribe":
                result = subscriber.filters.pop(str(params[0]) if params else "", 0) != 0
            else:
                result = self.rpc.call(method, params)
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
            if not wanted.by_wallet:
                self.venue.counters["polygon unfiltered subscriptions"] += 1
        else:
            raise RpcError(-32602, f"no {kind!r} subscription in eth namespace")
        self._subscriptions += 1
        name = ids.hash32(self.venue.world.seed, "subscription", self._subscriptions)[:34]
        subscriber.filters[name] = wanted
        self.venue.counters["polygon subscriptions"] += 1
        return name


def _notification(subscription: str, result: dict[str, Any]) -> str:
    params = {"subscription": subscription, "result": result}
    return json.dumps({"jsonrpc": "2.0", "method": "eth_subscription", "params": params})


def _error(request_id: object, code: int, message: str) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": request_id, "error": {"code": code, "message": message}}
