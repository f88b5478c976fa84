"""The venue's Data API: a wallet's activity, and how far the feed is behind."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from chalicelib.adapters.polymarket.http import JsonHttp
from chalicelib.domain.activity import ActivityEvent, parse_activity
from chalicelib.domain.errors import InvalidInput, Retryable
from chalicelib.domain.identifiers import address
from chalicelib.ports import ActivityPoll

PAGE_ROWS = 1_000
"""The venue's maximum; it answers more with 400."""
PAGES_MAX = 50
PAYLOAD_CHARS_MAX = 20_000


@dataclass(frozen=True, slots=True)
class FeedStatus:
    """How old the feed's newest data was, and how old that statement is, in seconds."""

    lag_seconds: int
    age_seconds: int


def _nonce() -> str:
    return secrets.token_hex(8)


def _page(answer: object) -> tuple[list[object], str | None]:
    """(rows, next cursor) of an envelope; a page of another shape is no evidence."""
    if not isinstance(answer, dict):
        raise Retryable("data: the activity page is not an object")
    rows, pagination = answer.get("data"), answer.get("pagination")
    if not isinstance(rows, list) or not isinstance(pagination, dict):
        raise Retryable("data: the activity page lacks data or pagination")
    more, cursor = pagination.get("has_more"), pagination.get("next_cursor")
    if not isinstance(more, bool):
        raise Retryable("data: the activity page does not say whether there is more")
    if not more:
        return rows, None
    if not isinstance(cursor, str) or not cursor:
        raise Retryable("data: the activity page promises more without a cursor")
    return rows, cursor


def _seconds(value: object, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise Retryable(f"data: the status does not state {name}")
    return value


def _refusal(row: object, error: str) -> tuple[str, str]:
    return json.dumps(row, default=str)[:PAYLOAD_CHARS_MAX], error


def _event(row: object, wallet: str) -> ActivityEvent:
    if not isinstance(row, dict):
        raise InvalidInput("row", "an object was expected")
    try:
        event = parse_activity(row)
    except (ArithmeticError, ValueError) as error:
        raise InvalidInput("row", f"a number is out of range ({type(error).__name__})") from error
    if event.wallet != wallet:
        raise InvalidInput("proxy_wallet", "the row is about another wallet")
    return event


def _whole_seconds(events: list[ActivityEvent], refused: list[tuple[str, str]]) -> ActivityPoll:
    """The events before the newest second among them, whose rest may lie on the next page.

    Raises Retryable when all of them are of one second.
    """
    newest = max((event.timestamp for event in events), default=0)
    complete = sorted((e for e in events if e.timestamp < newest), key=lambda e: e.timestamp)
    if not complete:
        raise Retryable("data: more pages of activity than one poll may read, all of one second")
    return ActivityPoll(tuple(complete), tuple(refused))


class DataApi:
    """Port ActivityFeed."""

    def __init__(
        self,
        http: JsonHttp,
        *,
        page_rows: int = PAGE_ROWS,
        pages_max: int = PAGES_MAX,
        nonce: Callable[[], str] = _nonce,
    ) -> None:
        self._http = http
        self._page_rows = page_rows
        self._pages_max = pages_max
        self._nonce = nonce

    def poll(self, wallet: str, since_seconds: int) -> ActivityPoll:
        """All activity with block time ≥ `since_seconds`, all pages, oldest first.

        A poll that would need more pages than allowed ends before its newest second, so that
        what it shows is complete and the next one goes on from there. Types are filtered by the
        caller: the venue is said to ignore lists of types. Raises Retryable when a page failed.
        """
        wallet = address(wallet, "wallet")
        events: list[ActivityEvent] = []
        refused: list[tuple[str, str]] = []
        cursor: str | None = None
        cursors: set[str] = set()
        for _ in range(self._pages_max):
            rows, cursor = _page(
                self._http.get("/v2/activity", self._query(wallet, since_seconds, cursor))
            )
            for row in rows:
                try:
                    events.append(_event(row, wallet))
                except InvalidInput as error:
                    refused.append(_refusal(row, str(error)))
            if cursor is None:
                # Already so when the venue kept its promise; stable, so ties keep its order.
                events.sort(key=lambda event: event.timestamp)
                return ActivityPoll(tuple(events), tuple(refused))
            if cursor in cursors:
                raise Retryable("data: the activity pages go in a circle")
            cursors.add(cursor)
        return _whole_seconds(events, refused)

    def _query(self, wallet: str, since_seconds: int, cursor: str | None) -> list[tuple[str, str]]:
        """The same filters on every page; `_` defeats the cache, which is keyed by address."""
        query = [
            ("user", wallet),
            # 0 would mean three years back, 1 means everything.
            ("start", str(max(1, since_seconds))),
            ("limit", str(self._page_rows)),
            ("sort_by", "TIMESTAMP"),
            ("sort_direction", "ASC"),
            ("_", self._nonce()),
        ]
        return query if cursor is None else [*query, ("cursor", cursor)]

    def status(self) -> FeedStatus:
        """The feed's own statement of its lag. Raises Retryable or Permanent."""
        answer = self._http.get("/v2/status", [("_", self._nonce())])
        found = answer.get("data") if isinstance(answer, dict) else None
        serving = found.get("serving") if isinstance(found, dict) else None
        if not isinstance(found, dict) or not isinstance(serving, dict):
            raise Retryable("data: the status has another shape")
        return FeedStatus(
            _seconds(serving.get("lag_seconds"), "lag_seconds"),
            _seconds(found.get("age_seconds"), "age_seconds"),
        )
