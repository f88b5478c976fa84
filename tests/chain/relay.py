"""A WebSocket relay between the watcher and a node that does what networks and providers do.

It cuts, refuses, accepts and drops, falls silent while it answers pings, silences one subscription,
repeats and reorders notifications, holds back heads or logs, and says `removed` for logs of
abandoned blocks, which anvil never does.
"""

from __future__ import annotations

import asyncio
import http
import json
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal

from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import Request, Response, Server, ServerConnection, serve
from websockets.exceptions import WebSocketException

Kind = Literal["newHeads", "logs"]
RawLog = Mapping[str, Any]
FRAME_BYTES_MAX = 16 * 1024 * 1024
REORDER_S = 0.02
REORDER_FRAMES = 4


@dataclass
class Subscription:
    """One accepted subscription of one connection."""

    kind: Kind
    query: dict[str, Any]
    silent: bool = False

    def wants(self, log: RawLog) -> bool:
        """Whether the node would deliver this log."""
        if self.kind != "logs" or log["address"] not in self.query["address"]:
            return False
        wanted = self.query.get("topics", [])
        return len(wanted) <= len(log["topics"]) and all(
            alternatives is None
            or topic in ([alternatives] if isinstance(alternatives, str) else alternatives)
            for alternatives, topic in zip(wanted, log["topics"], strict=False)
        )


@dataclass(eq=False)
class Link:
    """One connection of the watcher and its counterpart to the node."""

    client: ServerConnection
    node: ClientConnection
    subscriptions: dict[str, Subscription] = field(default_factory=dict)
    asked: dict[int, tuple[str, Any]] = field(default_factory=dict)
    stalled: bool = False
    late: list[str] = field(default_factory=list)


class Relay:
    """Listens on 127.0.0.1 and passes frames to and from the node at `node_url`."""

    def __init__(self, node_url: str, rng: random.Random) -> None:
        self._node_url = node_url
        self._rng = rng
        self._server: Server | None = None
        self._links: list[Link] = []
        self._held: dict[Kind, list[tuple[Link, str]]] = {}
        self._flushes: set[asyncio.Task[None]] = set()
        self.connections = 0
        self.passed: set[tuple[str, str]] = set()
        self.heads: set[str] = set()
        self.refuse_next = 0
        self.drop_next = 0
        self.duplicate = False
        self.reorder = False
        self.strip_block_times = False

    @property
    def url(self) -> str:
        """Where the watcher connects to."""
        assert self._server is not None
        return f"ws://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aenter__(self) -> Relay:
        self._server = await serve(
            self._serve, "127.0.0.1", 0, process_request=self._admit, max_size=FRAME_BYTES_MAX
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self.cut()
        self._server.close()
        await self._server.wait_closed()

    def listening(self, wallets: Iterable[str]) -> bool:
        """Whether heads and the fills of all these wallets would be delivered right now."""
        live = [s for link in self._links if not link.stalled for s in link.subscriptions.values()]
        makers = {
            topic
            for s in live
            if s.kind == "logs" and not s.silent
            for topic in (s.query["topics"][2:3] or [()])[0]
        }
        topics = {"0x" + "0" * 24 + wallet[2:] for wallet in wallets}
        return topics <= makers and any(s.kind == "newHeads" for s in live)

    def cut(self) -> None:
        """End every connection without a word."""
        for link in self._links:
            link.client.transport.abort()
            link.node.transport.abort()
        self._links.clear()

    def stall(self) -> None:
        """Deliver nothing more on the present connections; pings are still answered."""
        for link in self._links:
            link.stalled = True

    def silence_logs(self) -> None:
        """Deliver no log on the present subscriptions; heads and new subscriptions go on."""
        for link in self._links:
            for subscription in link.subscriptions.values():
                subscription.silent = subscription.kind == "logs"

    def hold(self, kind: Kind) -> None:
        """Keep notifications of one kind back until `release`."""
        self._held.setdefault(kind, [])

    async def release(self, kind: Kind) -> None:
        """Deliver what was held back, in its order."""
        for link, text in self._held.pop(kind, []):
            await self._send(link, text)

    def delivered(self, logs: Iterable[RawLog]) -> bool:
        """Whether every log that somebody subscribed to was passed on."""
        return all((log["blockHash"], log["logIndex"]) in self.passed for log in self.wanted(logs))

    def wanted(self, logs: Iterable[RawLog]) -> list[RawLog]:
        """The logs that a present subscription should get."""
        return [log for log in logs if any(True for _ in self._receivers(log))]

    async def retract(self, logs: Sequence[RawLog]) -> None:
        """Say `removed` for these logs, as a Bor node does when their blocks are abandoned."""
        for log in logs:
            for link, name in list(self._receivers(log)):
                await self._send(link, _notification(name, {**log, "removed": True}))

    def _receivers(self, log: RawLog) -> Iterable[tuple[Link, str]]:
        for link in self._links:
            for name, subscription in link.subscriptions.items():
                if not link.stalled and not subscription.silent and subscription.wants(log):
                    yield link, name

    def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        if self.refuse_next:
            self.refuse_next -= 1
            return connection.respond(http.HTTPStatus.SERVICE_UNAVAILABLE, "not now\n")
        return None

    async def _serve(self, client: ServerConnection) -> None:
        self.connections += 1
        if self.drop_next:
            self.drop_next -= 1
            client.transport.abort()
            return
        try:
            async with connect(self._node_url, max_size=FRAME_BYTES_MAX, proxy=None) as node:
                link = Link(client, node)
                self._links.append(link)
                try:
                    async with asyncio.TaskGroup() as tasks:
                        tasks.create_task(self._ask(link))
                        tasks.create_task(self._answer(link))
                finally:
                    if link in self._links:
                        self._links.remove(link)
        except* (OSError, WebSocketException):
            client.transport.abort()

    async def _ask(self, link: Link) -> None:
        async for frame in link.client:
            request = json.loads(frame)
            link.asked[request["id"]] = (request["method"], request["params"])
            await link.node.send(frame)
        await link.node.close()

    async def _answer(self, link: Link) -> None:
        async for frame in link.node:
            text = frame if isinstance(frame, str) else frame.decode()
            message = json.loads(text)
            if "params" in message:
                await self._pass_on(link, message["params"])
            else:
                self._note(link, message)
                if not link.stalled:
                    await link.client.send(text)
        await link.client.close()

    def _note(self, link: Link, answer: Mapping[str, Any]) -> None:
        method, params = link.asked.pop(answer["id"])
        if method == "eth_subscribe" and isinstance(answer.get("result"), str):
            query = params[1] if len(params) > 1 else {}
            link.subscriptions[answer["result"]] = Subscription(params[0], query)
        elif method == "eth_unsubscribe":
            link.subscriptions.pop(params[0], None)

    async def _pass_on(self, link: Link, params: Mapping[str, Any]) -> None:
        name, result = params["subscription"], dict(params["result"])
        kind: Kind = "logs" if "topics" in result else "newHeads"
        known = link.subscriptions.get(name)
        if link.stalled or (known and known.silent):
            return
        if kind == "logs" and self.strip_block_times:
            result.pop("blockTimestamp", None)
        text = _notification(name, result)
        if kind in self._held:
            self._held[kind].append((link, text))
            return
        for _ in range(2 if self.duplicate and self._rng.random() < 0.5 else 1):
            if self.reorder:
                self._deliver_late(link, text)
            else:
                await self._send(link, text)

    def _deliver_late(self, link: Link, text: str) -> None:
        """Gather a few frames, or wait a moment, and send them in any order."""
        link.late.append(text)
        wait_s = 0 if len(link.late) >= REORDER_FRAMES else REORDER_S
        task = asyncio.create_task(self._flush(link, wait_s))
        self._flushes.add(task)
        task.add_done_callback(self._flushes.discard)

    async def _flush(self, link: Link, wait_s: float) -> None:
        await asyncio.sleep(wait_s)
        frames, link.late = link.late, []
        self._rng.shuffle(frames)
        for text in frames:
            await self._send(link, text)

    async def _send(self, link: Link, text: str) -> None:
        """Send and note what went out; a connection that ended loses it, as it would."""
        try:
            await link.client.send(text)
        except (OSError, WebSocketException):
            return
        result = json.loads(text)["params"]["result"]
        if "topics" not in result:
            self.heads.add(result["hash"])
        elif not result["removed"]:
            self.passed.add((result["blockHash"], result["logIndex"]))


def _notification(subscription: str, result: Mapping[str, Any]) -> str:
    params = {"subscription": subscription, "result": result}
    return json.dumps({"jsonrpc": "2.0", "method": "eth_subscription", "params": params})
