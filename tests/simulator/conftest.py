"""A venue on a hand-moved clock, served in-process; no test waits for wall time."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientWebSocketResponse
from aiohttp.test_utils import TestClient, TestServer

REPOSITORY = Path(__file__).parents[2]
sys.path.insert(0, str(REPOSITORY))

from simulator.scenario import ScenarioStep  # noqa: E402
from simulator.server import build_app  # noqa: E402
from simulator.venue import Venue  # noqa: E402
from simulator.world import World, WorldConfig  # noqa: E402

GENESIS_MS = 1_795_132_800_000


@dataclass
class ManualClock:
    """A clock that stands still until it is told otherwise."""

    now: int

    def now_ms(self) -> int:
        return self.now


@dataclass
class Session:
    """A served venue: plain helpers around an HTTP client and the manual clock."""

    venue: Venue
    client: TestClient[Any, Any]

    def move(self, ms: int) -> None:
        """Let venue time pass in steps of 250 ms."""
        assert isinstance(self.venue.clock, ManualClock)
        for _ in range(ms // 250):
            self.venue.clock.now += 250
            while not self.venue.advance():
                pass

    async def get(self, path: str, status: int = 200, **params: Any) -> Any:
        answer = await self.client.get(path, params={k: str(v) for k, v in params.items()})
        assert answer.status == status, await answer.text()
        return await answer.json()

    async def post(self, path: str, body: Any, status: int = 200) -> Any:
        answer = await self.client.post(path, json=body)
        assert answer.status == status, await answer.text()
        return await answer.json()

    async def rpc(self, method: str, *params: Any) -> Any:
        call = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
        return await self.post("/polygon", call)

    async def truth(self) -> list[dict[str, Any]]:
        return (await self.get("/control/truth", limit=10_000))["fills"]

    async def frames(self, socket: ClientWebSocketResponse, quiet_s: float = 0.1) -> list[Any]:
        """Every JSON frame that arrives until the socket is quiet; arrays are flattened."""
        found: list[Any] = []
        while True:
            try:
                message = await asyncio.wait_for(socket.receive(), quiet_s)
            except TimeoutError:
                return found
            body = json.loads(message.data)
            found.extend(body if isinstance(body, list) else [body])


Scenario = Callable[[Session], Awaitable[None]]


def make_venue(blocks: int, seed: int = 7, **config: Any) -> Venue:
    """A venue caught up to `blocks` blocks after the genesis."""
    clock = ManualClock(GENESIS_MS + blocks * 1_500)
    venue = Venue(World(seed, GENESIS_MS, WorldConfig(**config)), clock)
    while not venue.advance():
        pass
    return venue


@pytest.fixture
def serve() -> Callable[..., None]:
    """Run an async scenario against a fresh venue: serve(scenario, blocks=..., **config)."""

    def run(
        scenario: Scenario, blocks: int = 400, steps: Iterable[ScenarioStep] | None = None,
        **config: Any,
    ) -> None:  # fmt: skip
        async def main() -> None:
            venue = make_venue(blocks, **config)
            app = build_app(venue, None if steps is None else iter(steps))
            async with TestClient(TestServer(app)) as client:
                await scenario(Session(venue, client))

        asyncio.run(main())

    return run


@pytest.fixture
def venue_at() -> Callable[..., Venue]:
    return make_venue


@pytest.fixture(scope="session")
def samples() -> Path:
    """The folder of recorded venue payloads; tests that need it are skipped without it."""
    folder = REPOSITORY.parent / "shared" / "venue" / "samples"
    if not folder.is_dir():
        pytest.skip("the recorded venue payloads (../shared/venue/samples) are not present")
    return folder
