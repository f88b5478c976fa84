"""The dashboard's combined answer: overview, latest trades and system strip, each with its tag."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Literal, get_args

from chalicelib.ports import Clock
from chalicelib.services.read_models.listing import Json

Part = Literal["overview", "trades", "system"]
PARTS: tuple[Part, ...] = get_args(Part)
LEADERS_SHOWN = 25
TRADES_SHOWN = 20
FRESH_MS = 3_000
"""Within this a process answers again with what it read; several pages may be open at once."""
BYTES_MAX = 40_000
"""What an answer with every part in it stays below, whoever is followed."""
TEXT_CHARS_MAX = 120
_TRADE = (
    "trade_id",
    "leader",
    "leader_name",
    "question",
    "outcome",
    "side",
    "shares_micros",
    "price_micros",
    "cash_micros",
    "ts_block",
    "ts_seen_chain",
    "ts_seen_api",
    "first_source",
    "state",
    "backfill",
    "tx_hash",
    "block_number",
    "block_hash",
    "log_index",
    "order_hash",
)
_PORTFOLIO = (
    "portfolio_id",
    "kind",
    "leader",
    "equity_micros",
    "cash_micros",
    "realized_micros",
    "unrealized_micros",
    "open_positions",
    "marked_at",
)
_LEADER = ("leader", "name", "state", "trades", "last_trade_at", "positions_differing")
_SYSTEM = ("status", "venue", "mode", "chain", "api", "blocking", "queues", "reasons", "warnings")
_SENTENCES_MAX = 8


class Live:
    """Reads the parts, at most once per FRESH_MS and process."""

    def __init__(
        self,
        clock: Clock,
        overview: Callable[[], Json],
        trades: Callable[[], Json],
        system: Callable[[], Json],
    ) -> None:
        self._clock = clock
        self._sources: dict[Part, Callable[[], Json]] = {
            "overview": lambda: _overview(overview()),
            "trades": lambda: {"items": [_short(row, _TRADE) for row in trades()["items"]]},
            "system": lambda: _system(system()),
        }
        self._known: dict[Part, tuple[int, str, Json]] = {}

    def __call__(self, known: Mapping[str, str]) -> Json:
        """Every part with its tag; one whose tag is `known` comes without its body.

        Costs what the overview, one page of TRADES_SHOWN trades and the health view cost.
        """
        parts = {}
        for part in PARTS:
            tag, body = self._part(part)
            same = known.get(part) == tag
            parts[part] = {"tag": tag, "body": None if same else body}
        return {"now": self._clock.now_ms(), "parts": parts}

    def _part(self, part: Part) -> tuple[str, Json]:
        now = self._clock.now_ms()
        read = self._known.get(part)
        if read is None or now - read[0] >= FRESH_MS:
            body = self._sources[part]()
            text = json.dumps(body, sort_keys=True).encode()
            read = self._known[part] = (now, sha256(text).hexdigest()[:16], body)
        return read[1], read[2]


def _short(row: Json, names: tuple[str, ...]) -> Json:
    """Some fields of a row, long texts cut."""
    return {name: _cut(row[name]) for name in names}


def _cut(value: object) -> object:
    if isinstance(value, str) and len(value) > TEXT_CHARS_MAX:
        return value[: TEXT_CHARS_MAX - 1] + "…"
    if isinstance(value, list):
        return [_cut(each) for each in value[:_SENTENCES_MAX]]
    if isinstance(value, dict):
        return {name: _cut(each) for name, each in value.items()}
    return value


def _overview(body: Json) -> Json:
    """The global portfolio, and the leaders who traded last with the portfolios that copy them."""
    leaders = sorted(body["leaders"], key=lambda row: -(row["last_trade_at"] or 0))
    shown = leaders[:LEADERS_SHOWN]
    of_them = {row["leader"] for row in shown}
    return {
        "counts": body["counts"],
        "leaders": [_short(row, _LEADER) for row in shown],
        "leaders_more": len(leaders) - len(shown),
        "portfolios": [
            _short(row, _PORTFOLIO)
            for row in body["portfolios"]
            if row["kind"] == "global" or (row["kind"] == "leader" and row["leader"] in of_them)
        ],
    }


def _system(body: Json) -> Json:
    return _short(body, _SYSTEM)
