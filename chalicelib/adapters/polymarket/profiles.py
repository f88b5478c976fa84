"""Port Profiles: who users are (Gamma) and what they lately did (Data API), one request a call."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator

from chalicelib.adapters.polymarket.data_api import parse_event
from chalicelib.adapters.polymarket.http import JsonHttp, NotFound
from chalicelib.adapters.polymarket.positions import parse_holding
from chalicelib.domain.activity import ActivityEvent
from chalicelib.domain.errors import InvalidInput, Retryable
from chalicelib.domain.identifiers import address
from chalicelib.domain.money import MICROS
from chalicelib.ports import Holding, Profile, WalletHoldings

ROWS_MAX = 500
TAKER_ROWS_MAX = 1_000
NAME_CHARS_MAX = 80


def _nonce() -> str:
    return secrets.token_hex(8)


def _text(value: object) -> str:
    """A name as it may be shown: printable and short, else empty."""
    text = value.strip()[:NAME_CHARS_MAX] if isinstance(value, str) else ""
    return text if text.isprintable() else ""


def _profile(row: object) -> Profile:
    """Raises InvalidInput for what is no profile."""
    if not isinstance(row, dict):
        raise InvalidInput("profile", "an object was expected")
    wallet = address(row.get("proxyWallet"), "proxyWallet")
    return Profile(wallet, _text(row.get("name")), _text(row.get("pseudonym")))


def _rows(answer: object) -> tuple[list[object], bool]:
    """(rows, whether there are more) of an envelope."""
    rows = answer.get("data") if isinstance(answer, dict) else None
    pagination = answer.get("pagination") if isinstance(answer, dict) else None
    if not isinstance(rows, list):
        raise Retryable("data: the page lacks data")
    more = pagination.get("has_more") if isinstance(pagination, dict) else False
    return rows, more is True


class VenueProfiles:
    """Port Profiles; rows that do not parse are left out."""

    def __init__(
        self, gamma: JsonHttp, data: JsonHttp, *, nonce: Callable[[], str] = _nonce
    ) -> None:
        self._gamma = gamma
        self._data = data
        self._nonce = nonce

    def profile(self, wallet: str) -> Profile | None:
        """The user of a wallet, None where the venue knows none. Raises Retryable or Permanent."""
        try:
            return _profile(self._gamma.get("/public-profile", [("address", wallet)]))
        except (NotFound, InvalidInput):
            return None

    def search(self, text: str, limit: int) -> list[Profile]:
        """Users whose names contain a text. Raises Retryable or Permanent."""
        query = [("q", text), ("search_profiles", "true"), ("limit_per_type", str(limit))]
        answer = self._gamma.get("/public-search", query)
        rows = answer.get("profiles") if isinstance(answer, dict) else None
        return list(_profiles(rows if isinstance(rows, list) else []))[:limit]

    def recent(self, wallet: str) -> tuple[ActivityEvent, ...]:
        """The latest ROWS_MAX activities, newest first. Raises Retryable or Permanent."""
        rows, _ = self._page(
            "/v2/activity",
            _newest(wallet, "TIMESTAMP"),
        )
        events = []
        for row in rows:
            try:
                events.append(parse_event(row, wallet))
            except InvalidInput:
                continue
        return tuple(sorted(events, key=lambda event: -event.timestamp))

    def taker_trades(self, wallet: str, since_seconds: int) -> int:
        """Trades since a second in which he was the taker, at most TAKER_ROWS_MAX.

        Raises Retryable or Permanent.
        """
        query = [("user", wallet), ("taker_only", "true"), ("start", str(max(1, since_seconds)))]
        return len(self._page("/v2/trades", [*query, ("limit", str(TAKER_ROWS_MAX))])[0])

    def holdings(self, wallet: str) -> WalletHoldings:
        """The ROWS_MAX most valuable holdings. Raises Retryable or Permanent."""
        rows, more = self._page(
            "/v2/positions",
            _newest(wallet, "CURRENT_VALUE"),
        )
        held = sorted(_holdings(rows, wallet), key=lambda one: -_worth(one))
        return WalletHoldings(len(held), more, sum(map(_worth, held)), tuple(held))

    def _page(self, path: str, query: list[tuple[str, str]]) -> tuple[list[object], bool]:
        # The venue caches by address.
        return _rows(self._data.get(path, [*query, ("_", self._nonce())]))


def _newest(wallet: str, sort_by: str) -> list[tuple[str, str]]:
    """One page, the highest of what it is sorted by first."""
    query = [("user", wallet), ("limit", str(ROWS_MAX))]
    return [*query, ("sort_by", sort_by), ("sort_direction", "DESC")]


def _profiles(rows: list[object]) -> Iterator[Profile]:
    for row in rows:
        try:
            yield _profile(row)
        except InvalidInput:
            continue


def _holdings(rows: list[object], wallet: str) -> Iterator[Holding]:
    for row in rows:
        try:
            held, _ = parse_holding(row, wallet)
        except InvalidInput:
            continue
        if held.shares > 0:
            yield held


def _worth(held: Holding) -> int:
    return held.shares * held.price // MICROS
