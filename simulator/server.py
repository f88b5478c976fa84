"""One port for everything: routes, the fault gate and the pump that moves the venue."""

from __future__ import annotations

import asyncio
import signal
import traceback
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from aiohttp import web

from simulator.clob import Clob
from simulator.control import Control
from simulator.data_api import DataApi
from simulator.faults import SCOPES
from simulator.gamma import Gamma
from simulator.interventions import Interventions
from simulator.market_ws import MarketChannel
from simulator.polygon import PolygonNode
from simulator.scenario import ScenarioRunner, ScenarioStep
from simulator.venue import Venue

PUMP_S = 0.02
BODY_BYTES_MAX = 4 << 20
SHUTDOWN_S = 1.0

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def build_app(venue: Venue, steps: Iterator[ScenarioStep] | None = None) -> web.Application:
    """The web application over one venue; it pumps the venue while it runs.

    `steps` is a scenario in order of time.
    """
    node, channel = PolygonNode(venue), MarketChannel(venue)
    interventions = Interventions(venue, node, channel)
    scenario = None if steps is None else ScenarioRunner(interventions, steps)
    app = web.Application(middlewares=[_fault_gate(venue)], client_max_size=BODY_BYTES_MAX)
    for part in (node, channel, DataApi(venue), Gamma(venue), Clob(venue),
                 Control(interventions, scenario)):  # fmt: skip
        app.add_routes(part.routes())

    async def pump(_app: web.Application) -> Any:
        task = asyncio.create_task(_pump(venue))
        task.add_done_callback(_stop_on_failure)
        yield
        task.cancel()

    async def drop_sockets(_app: web.Application) -> None:
        node.disconnect_all()
        channel.disconnect_all()

    app.cleanup_ctx.append(pump)
    app.on_shutdown.append(drop_sockets)
    return app


async def _pump(venue: Venue) -> None:
    while True:
        caught_up = venue.advance()
        await asyncio.sleep(PUMP_S if caught_up else 0)


def _stop_on_failure(task: asyncio.Task[None]) -> None:
    """A venue that cannot move on must not look alive: report and ask the process to end."""
    if not task.cancelled() and task.exception() is not None:
        traceback.print_exception(task.exception())
        signal.raise_signal(signal.SIGTERM)


def _fault_gate(venue: Venue) -> Any:
    """Count every request and let the active faults answer or delay it."""

    @web.middleware
    async def gate(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path.startswith("/control"):
            return await handler(request)
        resource = request.match_info.route.resource
        place = resource.canonical if resource is not None else "unknown path"
        venue.counters[f"{request.method} {place}"] += 1
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await handler(request)
        scope = next((s for s in SCOPES if request.path.startswith(f"/{s}")), "other")
        venue.counters["http calls"] += 1
        venue.counters[f"http {scope} calls"] += 1
        faults, draw = venue.faults, venue.wire_rng.random()
        if faults.http_scope and not request.path.startswith(f"/{faults.http_scope}"):
            return await handler(request)
        if faults.slow_ms:
            venue.acted("slow_ms")
            await asyncio.sleep(faults.slow_ms / 1_000)
        if draw < faults.http_429_rate:
            venue.counters["429"] += 1
            venue.counters[f"http {scope} 429"] += 1
            venue.acted("http_429_rate")
            return _too_many(bare=venue.wire_rng.random() < 0.5)
        if draw < faults.http_429_rate + faults.http_error_rate:
            venue.counters["500"] += 1
            venue.counters[f"http {scope} 500"] += 1
            venue.acted("http_error_rate")
            return web.Response(status=500, text="internal error")
        if faults.maintenance_rate and venue.wire_rng.random() < faults.maintenance_rate:
            venue.acted("maintenance_rate")
            return _maintenance(scope, restarting=venue.wire_rng.random() < 0.5)
        return await handler(request)

    return gate


def _too_many(*, bare: bool) -> web.Response:
    """429 as the API gives it, or bare as the edge limiter does."""
    if bare:
        return web.Response(status=429, text="")
    body = {"error": "rate limited", "code": "rate_limited", "retryable": True, "trace_id": ""}
    return web.json_response(body, status=429, headers={"Retry-After": "1"})


def _maintenance(scope: str, *, restarting: bool) -> web.Response:
    """503 in the words of each API; a restarting matching engine says 425."""
    if scope == "data":
        body = {"error": "dependency unavailable", "code": "dependency_unavailable",
                "retryable": True, "trace_id": ""}  # fmt: skip
        return web.json_response(body, status=503, headers={"Retry-After": "1"})
    if scope == "clob" and restarting:
        return web.json_response({"error": "service not ready"}, status=425)
    return web.json_response({"error": "service unavailable"}, status=503)


async def start(
    venue: Venue, host: str, port: int, steps: Iterator[ScenarioStep] | None = None
) -> tuple[web.AppRunner, int]:
    """Listen and return the runner with the port in use. Raises OSError if it is taken."""
    runner = web.AppRunner(build_app(venue, steps), access_log=None, shutdown_timeout=SHUTDOWN_S)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
    except OSError:
        await runner.cleanup()
        raise
    return runner, runner.addresses[0][1]


def endpoints(host: str, port: int) -> dict[str, str]:
    """Every base URL a client needs, by name."""
    http, ws = f"http://{host}:{port}", f"ws://{host}:{port}"
    return {
        "polygon_ws": f"{ws}/polygon",
        "polygon_http": f"{http}/polygon",
        "data_api": f"{http}/data",
        "gamma_api": f"{http}/gamma",
        "clob_api": f"{http}/clob",
        "clob_ws": f"{ws}/clob-ws/ws/market",
        "control": f"{http}/control",
    }
