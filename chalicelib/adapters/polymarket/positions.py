"""The venue's Data API: what a wallet holds."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from chalicelib.adapters.polymarket.data_api import FeedStatus
from chalicelib.adapters.polymarket.http import JsonHttp
from chalicelib.domain.errors import InvalidInput, Retryable
from chalicelib.domain.identifiers import address, is_combo, token_id
from chalicelib.domain.money import MICROS, micros
from chalicelib.ports import Clock, Holding, Holdings

PAGE_ROWS = 1_000
"""The venue's maximum."""
PAGES_MAX = 40
DUST = "0.000001"
"""The default filter hides less than 0.1 share; a zero might be taken for no filter at all."""
PAYLOAD_CHARS_MAX = 20_000
HELD = ("OPEN", "REDEEMABLE_LOST")
"""The first is said to contain all winners; losing shares are held until they are redeemed, too."""

Refusal = Callable[[str, str], None]
"""Told the payload and the sentence that says why a row was skipped."""


def _nonce() -> str:
    return secrets.token_hex(8)


def _ignore(payload: str, error: str) -> None:
    """Nobody wants to know."""


@dataclass(slots=True)
class _Found:
    """What the pages said so far; a row that comes twice moved meanwhile and counts as it is now.

    `newest_s` is the latest event any row names, in seconds.
    """

    held: dict[str, Holding] = field(default_factory=dict)
    newest_s: int = 0
    refused: int = 0


def _page(answer: object) -> tuple[list[object], str | None]:
    """(rows, next cursor) of an envelope; a page of another shape is no reading."""
    rows = answer.get("data") if isinstance(answer, dict) else None
    pagination = answer.get("pagination") if isinstance(answer, dict) else None
    if not isinstance(rows, list) or not isinstance(pagination, dict):
        raise Retryable("data: the positions page lacks data or pagination")
    more, cursor = pagination.get("has_more"), pagination.get("next_cursor")
    if not isinstance(more, bool) or (more and not (isinstance(cursor, str) and cursor)):
        raise Retryable("data: the positions page does not say how it goes on")
    return rows, cursor if more else None


def parse_holding(row: object, wallet: str) -> tuple[Holding, int]:
    """(holding, second of its last event or 0). Raises InvalidInput naming the field."""
    if not isinstance(row, dict):
        raise InvalidInput("row", "an object was expected")
    if address(row.get("proxy_wallet"), "proxy_wallet") != wallet:
        raise InvalidInput("proxy_wallet", "the row is about another wallet")
    try:
        shares = micros(row.get("current_size"), "current_size")
        price = micros(row.get("current_price"), "current_price")
    except (ArithmeticError, ValueError) as error:
        raise InvalidInput("row", f"a number is out of range ({type(error).__name__})") from error
    if price > MICROS:
        raise InvalidInput("current_price", "at most 1 was expected")
    last = row.get("last_event_at")
    second = last if isinstance(last, int) and not isinstance(last, bool) and last > 0 else 0
    return Holding(token_id(row.get("token_id")), shares, price), second


class Positions:
    """Port HoldingsFeed.

    `status` is the feed's statement of its lag. Combos are left out: they have an endpoint of
    their own, no order book and no part in any comparison.
    """

    def __init__(
        self,
        http: JsonHttp,
        status: Callable[[], FeedStatus],
        clock: Clock,
        *,
        refused: Refusal = _ignore,
        page_rows: int = PAGE_ROWS,
        pages_max: int = PAGES_MAX,
        nonce: Callable[[], str] = _nonce,
    ) -> None:
        self._http = http
        self._status = status
        self._clock = clock
        self._refused = refused
        self._page_rows = page_rows
        self._pages_max = pages_max
        self._nonce = nonce

    def holdings(self, wallet: str) -> Holdings:
        """Everything the wallet holds, all sizes, all pages.

        It is as of the moment the feed vouches for, or of the newest event it shows if that is
        later: blocks are read in order, so whoever shows an event has seen all before it. Raises
        Retryable or Permanent when a page or the feed's status failed.
        """
        wallet = address(wallet, "wallet")
        # Asked first: what is read afterwards can only be newer.
        stated, now_s = self._status(), self._clock.now_ms() // 1000
        as_of_s = max(0, now_s - stated.age_seconds - stated.lag_seconds)
        found = _Found()
        for status in HELD:
            for row in self._rows(_held(wallet, status, self._page_rows)):
                self._take(row, wallet, found, held=True)
        # What was closed a moment ago is in no list of holdings, yet says how new they are.
        for row in self._rows(_closed(wallet, self._page_rows, as_of_s)):
            self._take(row, wallet, found, held=False)
        newest_s = min(found.newest_s, now_s)
        return Holdings(
            as_of=max(as_of_s, newest_s) * 1000,
            held=tuple(found.held.values()),
            ts_newest=newest_s * 1000,
            refused=found.refused,
        )

    def _take(self, row: object, wallet: str, found: _Found, *, held: bool) -> None:
        try:
            holding, second = parse_holding(row, wallet)
        except InvalidInput as error:
            self._refused(json.dumps(row, default=str)[:PAYLOAD_CHARS_MAX], str(error))
            found.refused += held
            return
        if is_combo(holding.token_id):
            return
        found.newest_s = max(found.newest_s, second)
        if held and holding.shares:
            found.held[holding.token_id] = holding
        elif held:
            found.held.pop(holding.token_id, None)

    def _rows(self, query: list[tuple[str, str]]) -> Iterator[object]:
        """All rows of a walk, with the same filters on every page; `_` defeats the cache."""
        cursor: str | None = None
        cursors: set[str] = set()
        for _ in range(self._pages_max):
            asked = [*query, ("_", self._nonce())]
            if cursor is not None:
                asked.append(("cursor", cursor))
            rows, cursor = _page(self._http.get("/v2/positions", asked))
            yield from rows
            if cursor is None:
                return
            if cursor in cursors:
                raise Retryable("data: the positions pages go in a circle")
            cursors.add(cursor)
        raise Retryable(f"data: more than {self._pages_max} pages of positions")


def _held(wallet: str, status: str, rows: int) -> list[tuple[str, str]]:
    """Oldest event first: what moves during the walk comes again at its end, nothing is missed."""
    return [
        ("user", wallet),
        ("status", status),
        ("include_archived", "true"),
        ("filter_type", "TOKENS"),
        ("filter_amount", DUST),
        ("sort_by", "TIMESTAMP"),
        ("sort_direction", "ASC"),
        ("limit", str(rows)),
    ]


def _closed(wallet: str, rows: int, since_s: int) -> list[tuple[str, str]]:
    return [
        ("user", wallet),
        ("status", "CLOSED"),
        ("start", str(max(1, since_s))),
        ("sort_by", "TIMESTAMP"),
        ("sort_direction", "DESC"),
        ("limit", str(rows)),
    ]
