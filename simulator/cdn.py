"""The edge cache in front of the Data API: one entry per exact URL."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

ENTRIES_MAX = 2_000
MEANINGFUL = frozenset({
    "user", "limit", "cursor", "type", "condition", "condition_id", "conditionid", "event_id",
    "eventid", "side", "start", "end", "sort_by", "sortby", "sort_direction", "sortdirection",
    "taker_only", "takeronly", "filter_type", "filtertype", "filter_amount", "filteramount",
    "status", "title", "include_archived", "exclude_deposits_withdrawals", "token_id",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class CachedAnswer:
    """A stored body with its trace id and the venue time (ms) it was made at."""

    body: str
    trace_id: str
    stored_ms: int


class EdgeCache:
    """Answers by URL (path and query string, byte for byte), oldest dropped first."""

    def __init__(self) -> None:
        self._entries: OrderedDict[str, CachedAnswer] = OrderedDict()

    def get(self, url: str, now_ms: int, ttl_ms: int) -> CachedAnswer | None:
        entry = self._entries.get(url)
        if entry is None or now_ms - entry.stored_ms >= ttl_ms:
            return None
        return entry

    def put(self, url: str, answer: CachedAnswer) -> None:
        self._entries.pop(url, None)
        self._entries[url] = answer
        if len(self._entries) > ENTRIES_MAX:
            self._entries.popitem(last=False)


def without_nonce(url: str) -> str:
    """The URL as a careless edge sees it: only parameters that mean something, in order."""
    parts = urlsplit(url)
    kept = [pair for pair in parse_qsl(parts.query) if pair[0].lower() in MEANINGFUL]
    return f"{parts.path}?{sorted(kept)}"
