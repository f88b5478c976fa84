"""A node for one client at a time, in its own process: answers subscriptions, then sends logs.

It speaks just enough WebSocket (RFC 6455) over blocking sockets that sending costs next to
nothing: frames are made before the clock starts and go out in large pieces.
"""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from base64 import b64encode
from hashlib import sha1
from itertools import islice
from multiprocessing.connection import Connection
from typing import Any

from bench.feed_logs import FIRST_BLOCK, FIRST_SECOND, SUBSCRIPTION, head, logs, notification

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
HEADS = "0x" + "4" * 32
PIECE_FRAMES = 200
SETTLE_S = 0.5
"""Between the answer to a subscription and the first log; a client may still be getting ready."""
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


def frame_of(payload: bytes, opcode: int = TEXT) -> bytes:
    """One unmasked frame."""
    size = len(payload)
    if size < 126:
        return struct.pack(">BB", 0x80 | opcode, size) + payload
    if size < 65_536:
        return struct.pack(">BBH", 0x80 | opcode, 126, size) + payload
    return struct.pack(">BBQ", 0x80 | opcode, 127, size) + payload


class _Client:
    """One connected client."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._input = connection.makefile("rb")
        self._lock = threading.Lock()
        self.listening = threading.Event()

    def greet(self) -> None:
        key = b""
        while line := self._input.readline().strip():
            name, _, value = line.partition(b":")
            if name.lower() == b"sec-websocket-key":
                key = value.strip()
        accept = b64encode(sha1(key + _GUID, usedforsecurity=False).digest())
        self._socket.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )

    def send(self, data: bytes) -> None:
        with self._lock:
            self._socket.sendall(data)

    def serve(self) -> None:
        """Answer until the client goes."""
        try:
            while (found := self._read()) is not None:
                opcode, payload = found
                if opcode == PING:
                    self.send(frame_of(payload, PONG))
                elif opcode == CLOSE:
                    self.send(frame_of(payload, CLOSE))
                    return
                elif opcode in (TEXT, BINARY):
                    self._answer(json.loads(payload))
        except OSError:
            return
        finally:
            self._socket.close()

    def _read(self) -> tuple[int, bytes] | None:
        start = self._input.read(2)
        if len(start) < 2:
            return None
        size = start[1] & 0x7F
        if size == 126:
            (size,) = struct.unpack(">H", self._input.read(2))
        elif size == 127:
            (size,) = struct.unpack(">Q", self._input.read(8))
        mask = self._input.read(4)
        payload = self._input.read(size)
        return start[0] & 0xF, bytes(b ^ mask[i % 4] for i, b in enumerate(payload))

    def _answer(self, request: dict[str, Any]) -> None:
        is_logs = request["method"] == "eth_subscribe" and request["params"][0] == "logs"
        is_heads = request["method"] == "eth_subscribe" and not is_logs
        result: object = HEADS if is_heads else SUBSCRIPTION if is_logs else True
        answer = {"jsonrpc": "2.0", "id": request["id"], "result": result}
        self.send(frame_of(json.dumps(answer).encode()))
        if is_heads:
            self.send(frame_of(notification(head(FIRST_BLOCK, FIRST_SECOND), HEADS)))
        if is_logs:
            self.listening.set()


def serve(control: Connection, count_max: int) -> None:
    """Serve runs: receive (count, logs per second or 0), answer the moments of sending.

    The moments are nanoseconds of the clock that all processes share; without a rate there is
    one, that of the beginning.
    """
    frames = [frame_of(notification(log)) for log in logs(count_max)]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        control.send(listener.getsockname()[1])
        while (order := control.recv()) is not None:
            count, rate = order
            connection, _ = listener.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client = _Client(connection)
            client.greet()
            threading.Thread(target=client.serve, daemon=True).start()
            client.listening.wait()
            time.sleep(SETTLE_S)
            control.send(
                _paced(client, frames[:count], rate) if rate else _all(client, frames, count)
            )


def _all(client: _Client, frames: list[bytes], count: int) -> list[int]:
    rest = iter(frames[:count])
    pieces = []
    while piece := b"".join(islice(rest, PIECE_FRAMES)):
        pieces.append(piece)
    begun = time.perf_counter_ns()
    for piece in pieces:
        client.send(piece)
    return [begun]


def _paced(client: _Client, frames: list[bytes], rate: int) -> list[int]:
    sent = []
    begun = time.perf_counter()
    for n, frame in enumerate(frames):
        time.sleep(max(0.0, begun + n / rate - time.perf_counter()))
        sent.append(time.perf_counter_ns())
        client.send(frame)
    return sent
