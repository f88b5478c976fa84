"""Data API v2: activity, trades, positions and the small reference endpoints."""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from aiohttp import web

from simulator import feed_query as fq
from simulator.activity import ActivityRow
from simulator.cdn import CachedAnswer, EdgeCache, without_nonce
from simulator.chain import Fill, Row
from simulator.cursors import CursorSigner
from simulator.data_positions import Holdings, page_envelope, read_cursor
from simulator.data_reference import Reference
from simulator.feed_rows import RowWriter, trace_id
from simulator.matching import BUY, SELL
from simulator.row_faults import RowFaults, UnknownRow
from simulator.venue import Venue

CACHE_TTL_MS = {"activity": 15_000, "trades": 300_000, "positions": 5_000}
STALE_MS_DEFAULT = 30_000

FeedRow = Row | UnknownRow
Answer = dict[str, Any]
Query = dict[str, str]


class DataApi:
    """The `/data/v2` endpoints."""

    def __init__(self, venue: Venue) -> None:
        self.venue = venue
        self.rows = RowWriter(venue)
        self.cursors = CursorSigner(venue.world.seed)
        self.holdings = Holdings(venue, self.rows, self.cursors)
        self.reference = Reference(venue)
        self.cache = EdgeCache()
        self.careless_cache = EdgeCache()
        self.row_faults = RowFaults(venue)
        self._endpoints: dict[str, Callable[[Query], Answer]] = {
            "activity": self.activity,
            "trades": self.trades,
            "positions": self.holdings.positions,
            "value": self.holdings.value,
            "status": self.reference.status,
            "resolutions": self.reference.resolutions,
            "tokens": self.reference.tokens,
        }

    def routes(self) -> list[web.RouteDef]:
        return [
            *(web.get(f"/data/v2/{name}", self._handler(name)) for name in self._endpoints),
            web.route("*", "/data/{path:.*}", self._missing),
        ]

    async def _missing(self, request: web.Request) -> web.Response:
        name = request.match_info["path"].removeprefix("v2/")
        if name in self._endpoints:
            return self._refusal(fq.ApiError(405, "method_not_allowed", "only GET is allowed"))
        return self._refusal(fq.ApiError(404, "not_found", "no such endpoint"))

    def _handler(self, name: str) -> Callable[[web.Request], Any]:
        async def handle(request: web.Request) -> web.Response:
            ttl_ms = CACHE_TTL_MS.get(name, 0)
            url = request.raw_path
            if ttl_ms:
                cached = self.cache.get(url, self.venue.now, ttl_ms) or self._stale(url)
                if cached is not None:
                    return self._page(cached, ttl_ms, hit=True)
            query = fq.snake_query(request.query.items())
            try:
                answer = self._endpoints[name](query)
            except fq.ApiError as error:
                return self._refusal(error)
            body = json.dumps(answer, separators=(",", ":"))
            fresh = CachedAnswer(body, trace_id(self.venue), self.venue.now)
            if ttl_ms:
                self.cache.put(url, fresh)
                self.careless_cache.put(without_nonce(url), fresh)
            return self._page(fresh, ttl_ms, hit=False)

        return handle

    def _stale(self, url: str) -> CachedAnswer | None:
        """Under `stale_cache`: the page of another nonce, at most `stale_ms` old."""
        faults = self.venue.faults
        if not faults.stale_cache:
            return None
        age_ms = faults.stale_ms or STALE_MS_DEFAULT
        found = self.careless_cache.get(without_nonce(url), self.venue.now, age_ms)
        if found is not None:
            self.venue.acted("stale_cache")
        return found

    def _page(self, answer: CachedAnswer, ttl_ms: int, *, hit: bool) -> web.Response:
        headers = {"x-trace-id": answer.trace_id, "x-cache": "Hit" if hit else "Miss"}
        if ttl_ms:
            headers["cache-control"] = f"public,max-age={ttl_ms // 1_000}"
        if hit:
            headers["age"] = str((self.venue.now - answer.stored_ms) // 1_000)
        return web.Response(text=answer.body, content_type="application/json", headers=headers)

    def _refusal(self, error: fq.ApiError) -> web.Response:
        trace = trace_id(self.venue)
        body: Answer = {
            "error": error.message,
            "code": error.code,
            "retryable": False,
            "trace_id": trace,
        }
        if error.parameter is not None:
            body["parameter"] = error.parameter
        return web.json_response(body, status=error.status, headers={"x-trace-id": trace})

    def activity(self, query: Query) -> Answer:
        if query.get("sort_by", "TIMESTAMP").upper() != "TIMESTAMP":
            raise fq.invalid("sort_by", "only TIMESTAMP is supported")
        wanted = self._feed_query(query, required=True)
        types = {t.strip().upper() for t in query.get("type", "").split(",") if t.strip()}

        def passes(row: FeedRow) -> bool:
            return not types or row.type in types

        return self._feed_page("activity", query, wanted, passes, self._activity_row)

    def _activity_row(self, row: FeedRow) -> Answer:
        if isinstance(row, UnknownRow):
            return self.row_faults.write_unknown(self._activity_row(row.beside))
        if isinstance(row, ActivityRow):
            return self.rows.wallet_event(row)
        return self.rows.activity(row)

    def _trade_row(self, row: FeedRow) -> Answer:
        assert isinstance(row, Fill)
        return self.rows.trade(row)

    def trades(self, query: Query) -> Answer:
        taker_only = fq.flag(query, "taker_only", True)
        kind = fq.choice(query, "filter_type", ("CASH", "TOKENS"), "TOKENS")
        amount = fq.number(query, "filter_amount", 0.01) * 1_000_000

        def passes(row: FeedRow) -> bool:
            if not isinstance(row, Fill) or (taker_only and row.role != "taker"):
                return False
            return (row.cash if kind == "CASH" else row.shares) >= amount

        query = query | {"sort_direction": "DESC"}
        if not query.get("user"):
            query = query | {"start": "", "end": ""}
        wanted = self._feed_query(query, required=False)
        return self._feed_page("trades", query, wanted, passes, self._trade_row)

    def _feed_query(self, query: Query, *, required: bool) -> fq.FeedQuery:
        fq.refuse_offset(query)
        start_s, end_s = fq.feed_window(query, self.venue.now // 1_000)
        direction = fq.choice(query, "sort_direction", ("ASC", "DESC"), "DESC")
        return fq.FeedQuery(
            user=fq.wallet_of(query, required=required),
            markets=fq.wanted_markets(query, self.venue.world.listed),
            side=fq.choice(query, "side", (BUY, SELL), ""),
            start_s=start_s,
            end_s=end_s,
            ascending=direction == "ASC",
        )

    def _feed_page(
        self, kind: str, query: Query, wanted: fq.FeedQuery, passes: Callable[[FeedRow], bool],
        write: Callable[[FeedRow], Answer],
    ) -> Answer:  # fmt: skip
        """One keyset page: rows strictly beyond the cursor's (timestamp, sequence)."""
        limit, served, anchor, ascending = fq.page_limit(query), 0, None, wanted.ascending
        if query.get("cursor"):
            params = read_cursor(self.cursors, kind, query["cursor"])
            limit = fq.page_limit(query, params["l"])
            served, anchor = params["d"], int(params["sq"])
            ascending = params.get("dir", "DESC") == "ASC"
        found: list[FeedRow] = []
        for row in self._walk(wanted, anchor, ascending=ascending):
            if passes(row):
                found.append(row)
                if len(found) > limit:
                    break
        page = found[:limit]
        cursor = None
        if len(found) > limit:
            last = page[-1]
            params = {"l": limit, "ts": last.tx.block.timestamp, "sq": str(last.sequence)}
            params["d"] = served + len(page)
            cursor = self.cursors.mint(kind, params | ({"dir": "ASC"} if ascending else {}))
        return page_envelope([self._written(row, write) for row in page], limit, served, cursor)

    def _written(self, row: FeedRow, write: Callable[[FeedRow], Answer]) -> Answer:
        if isinstance(row, UnknownRow):
            return write(row)
        return self.row_faults.spoil(row, write(row))

    def _walk(
        self, wanted: fq.FeedQuery, anchor: int | None, *, ascending: bool
    ) -> Iterator[FeedRow]:
        """Served rows of the selection in feed order, starting behind the anchor."""
        rows = self._rows(wanted.user)
        low = bisect_left(rows, wanted.start_s, key=lambda row: row.tx.block.timestamp)
        high = bisect_right(rows, wanted.end_s, key=lambda row: row.tx.block.timestamp)
        # An unknown row sits one place behind the real one it accompanies.
        if anchor is not None and ascending:
            low = max(low, bisect_left(rows, anchor - 1, key=lambda row: row.sequence))
        elif anchor is not None:
            high = min(high, bisect_left(rows, anchor, key=lambda row: row.sequence))
        for place in range(low, high) if ascending else range(high - 1, low - 1, -1):
            row = rows[place]
            if wanted.markets is not None and row.market_index not in wanted.markets:
                continue
            if wanted.side and row.side != wanted.side:
                continue
            if not self.venue.in_feed(row):
                if row.ts_visible <= self.venue.now:
                    self.venue.acted("late_rows_ms")
                continue
            beside = self.row_faults.company(row)
            both = [row] if beside is None else [row, beside]
            for entry in both if ascending else reversed(both):
                if anchor is None or _behind(entry.sequence, anchor, ascending=ascending):
                    yield entry

    def _rows(self, user: str | None) -> Sequence[Row]:
        """The rows of a wallet (or all fills) in chain order, dropped ones while they show."""
        world = self.venue.world
        rows: Sequence[Row] = world.fills if user is None else world.rows_of.get(user, [])
        vanishing = self.venue.vanishing(user)
        return sorted([*rows, *vanishing], key=lambda row: row.sequence) if vanishing else rows


def _behind(sequence: int, anchor: int, *, ascending: bool) -> bool:
    return sequence > anchor if ascending else sequence < anchor
