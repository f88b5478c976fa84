"""The edge cache in front of the Data API: one entry per exact URL."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

ENTRIES_MAX = 2_000


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
