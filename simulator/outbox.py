"""Outgoing frames of one WebSocket client: a bounded queue and a single writer."""

from __future__ import annotations

import asyncio
import contextlib

from aiohttp import web

FRAMES_MAX = 20_000
SLOW_CONSUMER = 1013


class Outbox:
    """Keeps frames in order. A client that lets FRAMES_MAX pile up is closed with 1013."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self.socket = socket
        self._frames: asyncio.Queue[str] = asyncio.Queue(FRAMES_MAX)
        self._overflow = False

    def put(self, frame: str) -> None:
        try:
            self._frames.put_nowait(frame)
        except asyncio.QueueFull:
            self._overflow = True

    async def run(self) -> None:
        """Send frames until the socket ends."""
        with contextlib.suppress(ConnectionError):
            while True:
                frame = await self._frames.get()
                if self._overflow:
                    reason = b"slow consumer: send buffer full"
                    await self.socket.close(code=SLOW_CONSUMER, message=reason)
                    return
                await self.socket.send_str(frame)


def abort_connection(request: web.Request) -> None:
    """Cut the TCP connection of a request at once, without a closing handshake."""
    if request.transport is not None:
        request.transport.abort()
