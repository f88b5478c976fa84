"""One WebSocket to a node. The library's compiled reader takes a frame in a microsecond or two."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

from aiohttp import (
    ClientConnectorError,
    ClientError,
    ClientSession,
    ClientTimeout,
    ClientWebSocketResponse,
    ClientWSTimeout,
    DummyCookieJar,
    WSMsgType,
    WSServerHandshakeError,
)

from chalicelib.watcher.surroundings import RunnerLimits

_TEXT, _BINARY = WSMsgType.TEXT, WSMsgType.BINARY


class SocketEnded(Exception):
    """The socket did not open, or is open no more; the text says why, without the address."""


class NodeSocket:
    """An open socket."""

    def __init__(
        self, socket: ClientWebSocketResponse[Literal[False]], send_timeout_s: float
    ) -> None:
        self._socket = socket
        self._receive = socket.receive
        self._send_timeout_s = send_timeout_s

    async def receive(self) -> bytes:
        """The next text or binary frame as bytes. Raises SocketEnded."""
        try:
            message = await self._receive()
        except (OSError, ClientError) as error:
            raise SocketEnded(type(error).__name__) from error
        if message[0] is _TEXT or message[0] is _BINARY:
            frame: bytes = message[1]
            return frame
        if isinstance(message[1], Exception):
            raise SocketEnded(type(message[1]).__name__)
        raise SocketEnded(f"closed with code {self._socket.close_code}")

    async def send(self, text: str) -> None:
        """Send a text frame. Raises SocketEnded."""
        try:
            async with asyncio.timeout(self._send_timeout_s):
                await self._socket.send_str(text)
        except (OSError, ClientError) as error:
            raise SocketEnded(type(error).__name__) from error

    async def close(self) -> None:
        """Say goodbye, within the time-out for it; `receive` ends."""
        await self._socket.close()


@asynccontextmanager
async def opened(url: str, limits: RunnerLimits) -> AsyncIterator[NodeSocket]:
    """A socket that is closed in the end. Raises SocketEnded when it cannot be opened.

    A silent peer is pinged after `ping_s` and given up when half of that later nothing came.
    """
    async with ClientSession(timeout=ClientTimeout(total=None), cookie_jar=DummyCookieJar()) as web:
        try:
            async with asyncio.timeout(limits.open_timeout_s):
                socket = await web.ws_connect(
                    url,
                    heartbeat=limits.ping_s,
                    timeout=ClientWSTimeout(ws_close=limits.close_timeout_s),
                    max_msg_size=limits.frame_bytes_max,
                    decode_text=False,
                )
        except WSServerHandshakeError as error:
            raise SocketEnded(f"refused with status {error.status}") from error
        except ClientConnectorError as error:
            raise SocketEnded(type(error.os_error).__name__) from error
        except (OSError, ClientError, ValueError) as error:
            raise SocketEnded(type(error).__name__) from error
        try:
            yield NodeSocket(socket, limits.send_timeout_s)
        finally:
            await socket.close()
