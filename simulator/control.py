"""The simulator's own interface: truth, counters and fault switches."""

from __future__ import annotations

from bisect import bisect_right
from typing import Any

from aiohttp import web

from simulator.activity import ActivityRow
from simulator.chain import Fill, Row
from simulator.clob import NEEDLESS
from simulator.faults import SCOPES, Faults
from simulator.interventions import Interventions
from simulator.market_ws import MarketChannel
from simulator.polygon import PolygonNode
from simulator.scenario import ScenarioRunner
from simulator.venue import Venue

TRUTH_LIMIT_DEFAULT, TRUTH_LIMIT_MAX = 1_000, 10_000
ROWS_IN_FLIGHT_MAX = 500
COUNTED_ALWAYS = (
    "429",
    "500",
    "rpc eth_getLogs",
    "polygon logs pushed",
    "polygon subscriptions",
    "polygon unfiltered subscriptions",
    "rpc http calls",
    "http calls",
    "GET /clob/book",
    NEEDLESS,
    *(f"http {scope} {what}" for scope in SCOPES for what in ("calls", "429", "500")),
)
TICKS = {"0.01": 10_000, "0.005": 5_000, "0.0025": 2_500, "0.001": 1_000, "0.0001": 100}


class Control:
    """The `/control` endpoints. They are never subject to faults."""

    def __init__(self, interventions: Interventions, scenario: ScenarioRunner | None) -> None:
        self.interventions = interventions
        self.venue: Venue = interventions.venue
        self.node: PolygonNode = interventions.node
        self.channel: MarketChannel = interventions.channel
        self.scenario = scenario

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/control/health", self.health),
            web.get("/control/leaders", self.leaders),
            web.get("/control/truth", self.truth),
            web.get("/control/positions", self.positions),
            web.get("/control/activity", self.activity),
            web.get("/control/stage", self.stage),
            web.get("/control/scenario", self.show_scenario),
            web.post("/control/resolve", self.resolve),
            web.get("/control/counters", self.counters),
            web.get("/control/faults", self.show_faults),
            web.post("/control/faults", self.set_faults),
            web.post("/control/calm", self.calm),
            web.post("/control/stop_leaders", self.stop_leaders),
            web.post("/control/tick_size", self.tick_size),
        ]

    async def health(self, _request: web.Request) -> web.Response:
        venue = self.venue
        return web.json_response({
            "ok": True,
            "now": venue.now,
            "block_number": venue.head.number,
            "block_ts": venue.head.ts,
            "genesis": venue.world.genesis_ms,
            "seed": venue.world.seed,
            "leaders_quiet": venue.world.quiet,
        })  # fmt: skip

    async def leaders(self, _request: web.Request) -> web.Response:
        return web.json_response([
            {
                "wallet": leader.wallet,
                "name": leader.name,
                "style": leader.style.name,
                "wallets": leader.wallets,
                "active": leader.active,
            }
            for leader in self.venue.world.leaders
        ])  # fmt: skip

    async def truth(self, request: web.Request) -> web.Response:
        """Leader fills with n > after, in chain order; the oldest may have been forgotten."""
        window = _window(request)
        if isinstance(window, str):
            return _bad(window)
        after, limit = window
        world, rows = self.venue.world, self.venue.world.truth
        first = bisect_right(rows, after, key=lambda fill: fill.n)
        page = [fill for fill in rows[first : first + limit] if self.venue.on_chain(fill)]
        hidden = sum(not self.venue.on_chain(fill) for fill in rows[-ROWS_IN_FLIGHT_MAX:])
        return web.json_response({
            "fills": [_truth_row(fill) for fill in page],
            "total": world.fills_total - world.fills_dropped - hidden,
            "done": self._done(),
        })  # fmt: skip

    async def activity(self, request: web.Request) -> web.Response:
        """Wallet events other than trades with n > after, in chain order."""
        window = _window(request)
        if isinstance(window, str):
            return _bad(window)
        after, limit = window
        rows = self.venue.world.activity
        first = bisect_right(rows, after, key=lambda row: row.n)
        page = [row for row in rows[first : first + limit] if self.venue.on_chain(row)]
        hidden = sum(not self.venue.on_chain(row) for row in rows[-ROWS_IN_FLIGHT_MAX:])
        return web.json_response({
            "activity": [_activity_row(row) for row in page],
            "total": self.venue.world.activity_total - hidden,
            "done": self._done(),
        })  # fmt: skip

    def _done(self) -> bool:
        """No leader will trade any more and the feed serves every row."""
        world = self.venue.world
        latest: list[Row] = [
            *world.truth[-ROWS_IN_FLIGHT_MAX:],
            *world.activity[-ROWS_IN_FLIGHT_MAX:],
        ]
        return world.quiet and all(self.venue.in_feed(row) for row in latest)

    async def positions(self, _request: web.Request) -> web.Response:
        return web.json_response({
            wallet: {
                token_id: {
                    "shares_micros": position.shares,
                    "cost_micros": position.cost,
                    "fees_micros": position.fees,
                    "bought_micros": position.bought,
                    "realized_micros": position.realized,
                    "opening_micros": position.opening,
                }
                for token_id, position in held.items()
            }
            for wallet, held in self.venue.positions.held.items()
        })  # fmt: skip

    async def counters(self, _request: web.Request) -> web.Response:
        """Calls per HTTP route and per JSON-RPC method, pushes, faults and open sockets."""
        always = dict.fromkeys(COUNTED_ALWAYS, 0)
        open_now = {
            "polygon ws open": len(self.node.subscribers),
            "clob ws open": len(self.channel.clients),
        }
        return web.json_response(always | dict(sorted(self.venue.counters.items())) | open_now)

    async def show_faults(self, _request: web.Request) -> web.Response:
        return web.json_response(self.venue.faults.to_json())

    async def set_faults(self, request: web.Request) -> web.Response:
        wanted = await _json_body(request)
        try:
            return web.json_response(self.interventions.apply(wanted))
        except ValueError as error:
            return _bad(str(error))

    async def stage(self, _request: web.Request) -> web.Response:
        """The scripted scenes in order, with the token that is traded in each."""
        world = self.venue.world
        return web.json_response([
            {
                "name": scene.name,
                "token_id": market.tokens[0].id,
                "fills": len(scene.entrances),
            }
            for scene, market in zip(world.config.scenes, world.stage.markets, strict=True)
        ])  # fmt: skip

    async def show_scenario(self, _request: web.Request) -> web.Response:
        if self.scenario is None:
            return web.json_response({"applied": [], "next": None, "skipped": 0})
        return web.json_response(self.scenario.to_json())

    async def resolve(self, request: web.Request) -> web.Response:
        body = await _json_body(request)
        if not isinstance(body, dict) or not {"condition_id", "winner"} <= body.keys():
            return _bad("expected condition_id and winner")
        try:
            return web.json_response(
                self.interventions.resolve(body["condition_id"], body["winner"])
            )
        except ValueError as error:
            return _bad(str(error))

    async def calm(self, _request: web.Request) -> web.Response:
        """End the scenario and set every switch back."""
        if self.scenario is not None:
            self.scenario.stop()
        return web.json_response(self.interventions.apply(Faults().to_json()))

    async def stop_leaders(self, _request: web.Request) -> web.Response:
        self.venue.world.desk.stopped = True
        return web.json_response({"stopped": True})

    async def tick_size(self, request: web.Request) -> web.Response:
        """Refine a market's tick; coarser ticks would leave levels off the grid."""
        body = await _json_body(request)
        if not isinstance(body, dict) or not {"token_id", "tick_size"} <= body.keys():
            return _bad("expected token_id and tick_size")
        found = self.venue.book_of(str(body["token_id"]))
        tick = TICKS.get(str(body["tick_size"]))
        if found is None:
            return _bad("token_id: no such open token")
        if tick is None or tick > found[0].tick:
            return _bad(f"tick_size: expected one of {', '.join(TICKS)}, not above the present one")
        old, found[0].tick = found[0].tick, tick
        self.channel.announce_tick(found[0], old)
        return web.json_response({"old_tick_size": old, "new_tick_size": tick})


def _window(request: web.Request) -> tuple[int, int] | str:
    """(after, limit) of a page of truth, or what is wrong with them."""
    try:
        after = int(request.query.get("after", 0))
        limit = int(request.query.get("limit", TRUTH_LIMIT_DEFAULT))
    except ValueError:
        return "after and limit must be integers"
    if after < 0 or not 1 <= limit <= TRUTH_LIMIT_MAX:
        return f"after must be >= 0 and limit from 1 to {TRUTH_LIMIT_MAX}"
    return after, limit


def _activity_row(row: ActivityRow) -> dict[str, Any]:
    event, tx = row.event, row.tx
    return {
        "n": row.n,
        "type": event.type,
        "wallet": event.wallet,
        "tx_hash": tx.hash,
        "block_number": tx.block.number,
        "block_hash": tx.block.hash,
        "condition_id": event.condition_id,
        "size_micros": event.size,
        "cash_micros": event.cash,
        "deltas": [
            {"token_id": delta.token_id, "shares_micros": delta.shares} for delta in event.deltas
        ],
        "ts_block": tx.block.timestamp * 1_000,
        "ts_published": tx.block.ts,
        "ts_api_visible": row.ts_visible,
    }


def _truth_row(fill: Fill) -> dict[str, Any]:
    tx = fill.tx
    return {
        "n": fill.n,
        "wallet": fill.wallet,
        "tx_hash": tx.hash,
        "block_number": tx.block.number,
        "block_hash": tx.block.hash,
        "log_index": fill.log_index,
        "token_id": fill.token.id,
        "side": fill.side,
        "shares_micros": fill.shares,
        "cash_micros": fill.cash,
        "fee_micros": fill.fee,
        "role": fill.role,
        "generation": fill.match.market.generation,
        "exchange": fill.match.exchange,
        "order_hash": fill.order_hash,
        "ts_match": fill.match.ts_match,
        "ts_block": tx.block.timestamp * 1_000,
        "ts_published": tx.block.ts,
        "ts_api_visible": fill.ts_visible,
        "logged_cash_micros": fill.logged_cash,
        "is_combo": fill.match.market.is_combo,
    }


async def _json_body(request: web.Request) -> object:
    try:
        body: object = await request.json()
    except ValueError:
        return None
    return body


def _bad(message: str) -> web.Response:
    return web.json_response({"error": message}, status=400)
