"""One socket against servers that behave, and against some that do not."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from hashlib import sha1
from http import HTTPStatus

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.frames import Opcode
from websockets.http11 import Request, Response

from chalicelib.watcher.node_socket import SocketEnded, opened
from chalicelib.watcher.surroundings import RunnerLimits

LIMITS = RunnerLimits(open_timeout_s=5, close_timeout_s=0.05, frame_bytes_max=1_000)
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
Handler = Callable[[ServerConnection], Awaitable[None]]


@asynccontextmanager
async def server(handler: Handler, **options: object) -> AsyncIterator[str]:
    async with serve(handler, "127.0.0.1", 0, **options) as listener:  # type: ignore[arg-type]
        async with asyncio.timeout(10):
            yield f"ws://127.0.0.1:{next(iter(listener.sockets)).getsockname()[1]}"


async def until_closed(socket: ServerConnection) -> None:
    await socket.wait_closed()


def test_frames_come_as_bytes_whatever_their_kind_and_pieces() -> None:
    heard: list[object] = []

    async def talk(socket: ServerConnection) -> None:
        heard.append(await socket.recv())
        await socket.send("tëxt")
        await socket.ping()
        await socket.send(b"binary")
        await socket.send(["in ", "two ", "pieces"])
        await socket.wait_closed()

    async def scenario() -> None:
        async with server(talk) as url, opened(url, LIMITS) as socket:
            await socket.send("hello")
            frames = [await socket.receive() for _ in range(3)]
        assert frames == ["tëxt".encode(), b"binary", b"in two pieces"]
        assert heard == ["hello"]

    asyncio.run(scenario())


def test_compression_is_not_asked_for() -> None:
    asked: list[str | None] = []

    async def talk(socket: ServerConnection) -> None:
        assert socket.request is not None
        asked.append(socket.request.headers.get("Sec-WebSocket-Extensions"))

    async def scenario() -> None:
        async with server(talk) as url, opened(url, LIMITS) as socket:
            with pytest.raises(SocketEnded, match="closed with code 1000"):
                await socket.receive()
        assert asked == [None]

    asyncio.run(scenario())


def test_a_refusal_names_its_status_and_not_the_address() -> None:
    def refuse(socket: ServerConnection, request: Request) -> Response:
        return socket.respond(HTTPStatus.TOO_MANY_REQUESTS, "slow down")

    async def scenario() -> None:
        async with server(until_closed, process_request=refuse) as url:
            with pytest.raises(SocketEnded) as ended:
                async with opened(url + "/secret", LIMITS):
                    pass
        assert str(ended.value) == "refused with status 429"

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("url", "reason"),
    [("ws://127.0.0.1:9", "ConnectionRefusedError"), ("nonsense", "InvalidUrl")],
)
def test_an_address_nobody_answers_at(url: str, reason: str) -> None:
    async def scenario() -> None:
        async with opened(url, LIMITS):
            pass

    with pytest.raises(SocketEnded, match=reason):
        asyncio.run(scenario())


def test_a_server_that_accepts_and_says_nothing_is_given_up() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async def scenario() -> None:
        listener = await asyncio.start_server(silent, "127.0.0.1", 0)
        async with listener:
            port = listener.sockets[0].getsockname()[1]
            limits = RunnerLimits(open_timeout_s=0.05)
            with pytest.raises(SocketEnded, match="TimeoutError"):
                async with opened(f"ws://127.0.0.1:{port}", limits):
                    pass

    asyncio.run(scenario())


def test_a_frame_beyond_the_bound_ends_the_socket() -> None:
    codes: list[int | None] = []

    async def talk(socket: ServerConnection) -> None:
        await socket.send("x" * 999)
        await socket.send("x" * 1_001)
        await socket.wait_closed()
        codes.append(socket.close_code)

    async def scenario() -> None:
        async with server(talk) as url:
            async with opened(url, LIMITS) as socket:
                assert await socket.receive() == b"x" * 999
                with pytest.raises(SocketEnded, match="WebSocketError"):
                    await socket.receive()
                with pytest.raises(SocketEnded):
                    await socket.send("anybody there?")
            while not codes:
                await asyncio.sleep(0.005)
        assert codes == [1009]

    asyncio.run(scenario())


def test_a_connection_that_breaks_ends_the_socket() -> None:
    async def talk(socket: ServerConnection) -> None:
        socket.transport.abort()

    async def scenario() -> None:
        async with server(talk) as url, opened(url, LIMITS) as socket:
            with pytest.raises(SocketEnded):
                await socket.receive()

    asyncio.run(scenario())


def test_a_silent_peer_is_pinged_and_given_up_when_it_does_not_answer() -> None:
    pings = asyncio.Event()

    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        key = next(
            line.split(b":", 1)[1].strip()
            for line in request.split(b"\r\n")
            if line.lower().startswith(b"sec-websocket-key")
        )
        digest = sha1(key + GUID, usedforsecurity=False).digest()
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Accept: " + b64encode(digest) + b"\r\n\r\n"
        )
        first = await reader.readexactly(1)
        if first[0] & 0xF == Opcode.PING:
            pings.set()
        await reader.read()
        writer.close()

    async def scenario() -> None:
        listener = await asyncio.start_server(mute, "127.0.0.1", 0)
        async with listener, asyncio.timeout(10):
            port = listener.sockets[0].getsockname()[1]
            limits = RunnerLimits(ping_s=0.05, close_timeout_s=0.05)
            async with opened(f"ws://127.0.0.1:{port}", limits) as socket:
                with pytest.raises(SocketEnded, match="ServerTimeoutError"):
                    await socket.receive()
        assert pings.is_set()

    asyncio.run(scenario())


def test_closing_ends_whoever_waits_for_a_frame() -> None:
    async def scenario() -> None:
        async with server(until_closed) as url, opened(url, LIMITS) as socket:
            waiting = asyncio.create_task(socket.receive())
            await asyncio.sleep(0)
            await socket.close()
            with pytest.raises(SocketEnded):
                await waiting

    asyncio.run(scenario())
