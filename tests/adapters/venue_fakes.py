"""Hand-written stand-ins for the venue's hosts."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

SAMPLES = Path(__file__).parents[2].parent / "shared" / "venue" / "samples"
EVENTS = Path(__file__).parents[1] / "events" / "venue"
needs_samples = pytest.mark.skipif(
    not SAMPLES.is_dir(), reason="the recorded venue payloads are not beside this checkout"
)


def load(path: Path) -> object:
    return json.loads(path.read_text(), parse_float=Decimal)


@dataclass
class CountingMetrics:
    counts: dict[str, int] = field(default_factory=dict)

    def count(self, name: str, value: int = 1) -> None:
        self.counts[name] = self.counts.get(name, 0) + value


@dataclass
class FakeTime:
    """A clock that only moves when somebody sleeps."""

    now_s: float = 1_000.0
    naps: list[float] = field(default_factory=list)

    def now(self) -> float:
        return self.now_s

    def now_ms(self) -> int:
        return int(self.now_s * 1000)

    def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        self.now_s += seconds


Route = Callable[[str, object], object]


@dataclass
class FakeHttp:
    """Answers from a function of (path, parameters or body); raises what it returns as failure."""

    answer: Route
    calls: list[tuple[str, object]] = field(default_factory=list)

    def _reply(self, path: str, asked: object) -> object:
        self.calls.append((path, asked))
        answer = self.answer(path, asked)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def get(self, path: str, params: object = ()) -> object:
        return self._reply(path, list(params))

    def post(self, path: str, body: object) -> object:
        return self._reply(path, body)


@dataclass
class Reply:
    status: int = 200
    body: str = "{}"
    headers: dict[str, str] = field(default_factory=dict)


@contextmanager
def http_host(script: list[Reply]) -> Iterator[tuple[str, list[str]]]:
    """A local host that plays `script` (its last reply again and again) and records paths."""
    seen: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            if length:
                self.rfile.read(length)
            reply = script[min(len(seen), len(script) - 1)]
            seen.append(self.path)
            body = reply.body.encode()
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = _serve

        def log_message(self, format: str, *args: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
