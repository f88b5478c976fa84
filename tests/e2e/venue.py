"""A scripted venue on this machine: the HTTP APIs from given payloads, and a node that pushes logs.

What is served is exactly what a test put there, so every expected figure can be computed by hand.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import Server, ServerConnection, serve

Json = dict[str, Any]

STEP_S = 0.05
HEAD_EVERY_STEPS = 10


@dataclass
class Script:
    """What the venue knows. Books, markets and rows are the venue's own JSON."""

    books: dict[str, Any] = field(default_factory=dict)
    clob_markets: dict[str, Json] = field(default_factory=dict)
    activity: dict[str, list[Any]] = field(default_factory=dict)

    def add_market(
        self, condition: str, tokens: tuple[str, str], *, tick: float = 0.01, rate: float = 0.05
    ) -> None:
        """A market as the CLOB states it: open, without an end, with a taker fee."""
        self.clob_markets[condition] = {
            "c": condition,
            "t": [{"t": tokens[0], "o": "Yes"}, {"t": tokens[1], "o": "No"}],
            "mos": 5,
            "mts": tick,
            "ao": True,
            "nr": False,
            "fd": {"r": rate, "e": 1, "to": True},
        }

    def set_book(
        self, token: str, bids: list[tuple[str, str]], asks: list[tuple[str, str]]
    ) -> None:
        """A book of (price, size) texts, best first; the wire has the best level last."""
        self.books[token] = {
            "market": "",
            "asset_id": token,
            "timestamp": "1795000000000",
            "bids": [{"price": p, "size": s} for p, s in reversed(bids)],
            "asks": [{"price": p, "size": s} for p, s in reversed(asks)],
        }


class VenueServer:
    """Data API, Gamma and CLOB under one address; Gamma lists nothing, the CLOB knows markets."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.calls: Counter[str] = Counter()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def environment(self) -> dict[str, str]:
        """The venue's endpoints as papercopy's environment variables."""
        base = f"http://127.0.0.1:{self._server.server_port}"
        return {
            "DATA_API_URL": f"{base}/data",
            "GAMMA_API_URL": f"{base}/gamma",
            "CLOB_API_URL": f"{base}/clob",
        }

    def answer(self, path: str, query: dict[str, str], body: Any) -> Any:
        """The answer to one request, None for 404."""
        self.calls[path] += 1
        if path == "/data/v2/activity":
            return self._activity(query)
        if path == "/gamma/markets/keyset":
            return {"markets": [], "next_cursor": None}
        if path == "/clob/book":
            return self.script.books.get(query["token_id"])
        if path == "/clob/midpoints":
            return {
                token: f"{(self._best(token, 'bids') + self._best(token, 'asks')) / 2:.4f}"
                for token in (row["token_id"] for row in body)
                if isinstance(self.script.books.get(token), dict)
            }
        _, _, kind, name = path.split("/", 3)
        if kind == "clob-markets":
            return self.script.clob_markets.get(name)
        if kind == "markets-by-token":
            for condition, market in self.script.clob_markets.items():
                if name in (pair["t"] for pair in market["t"]):
                    return {"condition_id": condition}
        return None

    def _activity(self, query: dict[str, str]) -> Json:
        rows = self.script.activity.get(query["user"], [])
        start = int(query["start"])
        wanted = [r for r in rows if not isinstance(r, dict) or r.get("timestamp", start) >= start]
        pagination = {"limit": 1000, "offset": 0, "has_more": False, "next_cursor": None}
        return {"data": wanted, "pagination": pagination}

    def _best(self, token: str, side: str) -> float:
        return float(self.script.books[token][side][-1]["price"])


def _handler(venue: VenueServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 65_536
        disable_nagle_algorithm = True

        def _serve(self, body: Any) -> None:
            url = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(url.query).items()}
            found = venue.answer(url.path, query, body)
            content = b'{"error":"not found"}' if found is None else json.dumps(found).encode()
            self.send_response(404 if found is None else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def do_GET(self) -> None:
            self._serve(None)

        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length", "0"))
            self._serve(json.loads(self.rfile.read(length) or b"null"))

        def log_message(self, format: str, *args: object) -> None:
            """Keep the test's output clean."""

    return Handler


class FeedNode:
    """A JSON-RPC node over a WebSocket: heads, and every pushed log that a filter asks for.

    Each connection gets every log once, from the first one on, so a test may push before anybody
    listens. A raw frame is sent as it is to whoever subscribed to logs.
    """

    def __init__(self) -> None:
        self._items: list[Json | str] = []
        self._server: Server = serve(self._session, "127.0.0.1", 0)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._stopping = threading.Event()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._server.shutdown()
        self._thread.join()

    def environment(self) -> dict[str, str]:
        port = self._server.socket.getsockname()[1]
        return {"POLYGON_WS_URL": f"ws://127.0.0.1:{port}"}

    def push(self, *logs: Json) -> None:
        """Logs to whoever asks for them."""
        self._items += logs

    def push_raw(self, frame: str) -> None:
        """A frame as it stands."""
        self._items.append(frame)

    def _session(self, socket: ServerConnection) -> None:
        subscriptions: dict[str, Iterator[str]] = {}
        sent: set[int] = set()
        heads, steps = "", 0
        # The other side may go at any moment; that is no failure of a test.
        with suppress(ConnectionClosed):
            while not self._stopping.is_set():
                with suppress(TimeoutError):
                    request = json.loads(socket.recv(timeout=STEP_S))
                    name = f"0x{request['id']:x}"
                    if request["method"] == "eth_subscribe" and request["params"][0] == "newHeads":
                        heads = name
                    elif request["method"] == "eth_subscribe":
                        subscriptions[name] = self._frames(name, request["params"][1], sent)
                    answer = {"jsonrpc": "2.0", "id": request["id"], "result": name}
                    socket.send(json.dumps(answer))
                    steps = 0
                    continue
                if heads and steps % HEAD_EVERY_STEPS == 0:
                    socket.send(_notification(heads, _head(1_000 + steps)))
                steps += 1
                for frames in subscriptions.values():
                    while frame := next(frames):
                        socket.send(frame)

    def _frames(self, subscription: str, wanted: Json, sent: set[int]) -> Iterator[str]:
        """The frames of one subscription; an empty text while there is nothing new."""
        position = 0
        while True:
            if position == len(self._items):
                yield ""
                continue
            item, number = self._items[position], position
            position += 1
            if number in sent or (isinstance(item, dict) and not _matches(item, wanted)):
                continue
            sent.add(number)
            yield item if isinstance(item, str) else _notification(subscription, item)


def _matches(log: Json, wanted: Json) -> bool:
    """As eth_subscribe filters: any of the addresses, and per position any of the topics."""
    if log["address"] not in wanted["address"]:
        return False
    for position, allowed in enumerate(wanted["topics"]):
        options = [allowed] if isinstance(allowed, str) else allowed
        if options is not None and log["topics"][position] not in options:
            return False
    return True


def _notification(subscription: str, result: Json) -> str:
    params = {"subscription": subscription, "result": result}
    return json.dumps({"jsonrpc": "2.0", "method": "eth_subscription", "params": params})


def _head(number: int) -> Json:
    return {
        "number": hex(number),
        "hash": f"0x{number:064x}",
        "parentHash": f"0x{number - 1:064x}",
        "timestamp": "0x6a772e03",
    }
