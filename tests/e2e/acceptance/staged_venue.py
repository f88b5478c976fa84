"""The scripted venue with holdings and resolutions, as the scenes need them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from tests.e2e.acceptance.scene import FOLLOWED, HOUR_MS, Held, Scene
from tests.e2e.venue import Json, Script, VenueServer

_PAGINATION = {"limit": 1000, "offset": 0, "has_more": False, "next_cursor": None}


class StagedVenue(VenueServer):
    """Knows the scenes' markets, what their leaders hold, and how markets ended."""

    def __init__(self, scenes: Sequence[Scene]) -> None:
        super().__init__(Script())
        self._held: dict[str, tuple[list[Held], int]] = {}
        self._resolutions: dict[str, Json] = {}
        for scene in scenes:
            for market in scene.markets:
                self.script.add_market(market.condition_id, market.tokens[:2], rate=scene.fee / 1e6)  # type: ignore[arg-type]
                self.script.clob_markets[market.condition_id]["nr"] = scene.neg_risk
                for token in market.tokens:
                    self.shows(token, "0.49", "0.50")
            self.holds(scene.leader, scene.holdings, scene.start)

    def shows(self, token: str, bid: str, ask: str) -> None:
        """A token's book, from which marks are made."""
        self.script.set_book(token, [(bid, "1000")], [(ask, "1000")])

    def holds(self, wallet: str, held: list[Held], ts: int) -> None:
        """What a wallet holds as of `ts` (milliseconds)."""
        self._held[wallet] = (held, ts)

    def resolves(self, condition: str, told: Json) -> None:
        """The market takes no orders any more, and its resolution is this."""
        self._resolutions[condition] = {"condition_id": condition, **told}
        known = self.script.clob_markets[condition]
        known["ao"] = False
        for pair in known["t"]:
            self.script.books.pop(pair["t"], None)

    def answer(self, path: str, query: dict[str, str], body: Any) -> Any:
        if path == "/data/v2/status":
            lag = int(time.time()) - (FOLLOWED - HOUR_MS) // 1000
            return {"data": {"age_seconds": 0, "serving": {"lag_seconds": lag}}}
        if path == "/data/v2/positions":
            return {"data": self._positions(query), "pagination": _PAGINATION}
        if path == "/data/v2/resolutions":
            asked = query["condition"].split(",")
            return {"data": [self._resolutions[c] for c in asked if c in self._resolutions]}
        if path == "/clob/last-trades-prices":
            return []
        return super().answer(path, query, body)

    def _positions(self, query: dict[str, str]) -> list[Json]:
        held, ts = self._held.get(query["user"], ([], 0))
        if query["status"] != "OPEN":
            return []
        return [
            {
                "proxy_wallet": query["user"],
                "token_id": row.token,
                "current_size": row.shares,
                "current_price": float(row.price),
                "last_event_at": ts // 1000,
            }
            for row in held
        ]
