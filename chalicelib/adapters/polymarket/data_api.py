"""The venue's Data API: a wallet's activity, and how far the feed is behind."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

from chalicelib.adapters.polymarket.http import JsonHttp
from chalicelib.domain.activity import ActivityEvent, parse_activity
from chalicelib.domain.errors import InvalidInput, PapercopyError, Retryable
from chalicelib.domain.identifiers import address
from chalicelib.ports import ActivityPoll

PAGE_ROWS = 1_000
"""The venue's maximum; it answers more with 400."""
PAGES_MAX = 50
POLL_S_MAX = 20.0
"""A poll that takes longer ends early, so that its caller gets to hand over what it read."""
STATUS_AGE_S_MAX = 60.0
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


def parse_event(row: object, wallet: str) -> ActivityEvent:
    """One row of a wallet's activity. Raises InvalidInput."""
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
    whole = sorted((e for e in events if e.timestamp < newest), key=lambda e: e.timestamp)
    if not whole:
        raise Retryable("data: more pages of activity than one poll may read, all of one second")
    return ActivityPoll(tuple(whole), tuple(refused), complete=False)


class DataApi:
    """Port ActivityFeed.

    `status_http` is asked for the feed's lag and should give up soon, because polls wait for it.
    """

    def __init__(
        self,
        http: JsonHttp,
        *,
        status_http: JsonHttp | None = None,
        page_rows: int = PAGE_ROWS,
        pages_max: int = PAGES_MAX,
        nonce: Callable[[], str] = _nonce,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._http = http
        self._status_http = status_http or http
        self._page_rows = page_rows
        self._pages_max = pages_max
        self._nonce = nonce
        self._now = now
        self._lag_seconds: int | None = None
        self._lag_asked: float | None = None
        self._lag_lock = Lock()

    def poll(
        self, wallet: str, since_seconds: int, until_seconds: int | None = None
    ) -> ActivityPoll:
        """All activity with since ≤ block time ≤ until (None: now), all pages, oldest first.

        A poll that would need more pages or more time than allowed ends before its newest second,
        so that what it shows is whole and the next one goes on from there. Types are filtered by
        the caller: the venue is said to ignore lists of types. Raises Retryable when a page failed.
        """
        wallet = address(wallet, "wallet")
        events: list[ActivityEvent] = []
        refused: list[tuple[str, str]] = []
        filters = self._filters(wallet, since_seconds, until_seconds)
        cursor: str | None = None
        cursors: set[str] = set()
        deadline = self._now() + POLL_S_MAX
        for page in range(self._pages_max):
            # One page is always read; at least two seconds of activity must come for progress.
            if page and self._now() > deadline and len({e.timestamp for e in events}) > 1:
                break
            rows, cursor = _page(self._http.get("/v2/activity", self._query(filters, cursor)))
            for row in rows:
                try:
                    events.append(parse_event(row, wallet))
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

    def _filters(self, wallet: str, since: int, until: int | None) -> list[tuple[str, str]]:
        # As a start 0 would mean three years back and as an end tomorrow; 1 means what it says.
        ends = [] if until is None else [("end", str(max(1, until)))]
        return [
            ("user", wallet),
            ("start", str(max(1, since))),
            *ends,
            ("limit", str(self._page_rows)),
            ("sort_by", "TIMESTAMP"),
            ("sort_direction", "ASC"),
        ]

    def _query(self, filters: list[tuple[str, str]], cursor: str | None) -> list[tuple[str, str]]:
        """The same filters on every page; `_` defeats the cache, which is keyed by address."""
        query = [*filters, ("_", self._nonce())]
        return query if cursor is None else [*query, ("cursor", cursor)]

    def lag_seconds(self) -> int | None:
        """How far the feed says it is behind, asked at most once in STATUS_AGE_S_MAX.

        None when it does not say. While one thread asks, others go on with what was known.
        """
        with self._lag_lock:
            now = self._now()
            if self._lag_asked is not None and now - self._lag_asked < STATUS_AGE_S_MAX:
                return self._lag_seconds
            self._lag_asked = now
        lag: int | None = None
        try:
            status = self.status()
            # The statement itself ages; rows missing then may still be missing.
            lag = status.lag_seconds + status.age_seconds
        except PapercopyError:
            lag = None
        with self._lag_lock:
            self._lag_seconds = lag
        return lag

    def status(self) -> FeedStatus:
        """The feed's own statement of its lag. Raises Retryable or Permanent."""
        answer = self._status_http.get("/v2/status", [("_", self._nonce())])
        found = answer.get("data") if isinstance(answer, dict) else None
        serving = found.get("serving") if isinstance(found, dict) else None
        if not isinstance(found, dict) or not isinstance(serving, dict):
            raise Retryable("data: the status has another shape")
        return FeedStatus(
            _seconds(serving.get("lag_seconds"), "lag_seconds"),
            _seconds(found.get("age_seconds"), "age_seconds"),
        )
