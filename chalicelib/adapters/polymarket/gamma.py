"""The venue's list of markets: Gamma, with the CLOB where Gamma does not say enough."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping

from chalicelib.adapters.polymarket.http import JsonHttp, NotFound
from chalicelib.adapters.polymarket.market_shape import (
    clob_fee,
    gamma_fee,
    is_position_id,
    market_of_clob,
    market_of_gamma,
)
from chalicelib.domain.errors import InvalidInput, PapercopyError, Permanent, Retryable
from chalicelib.domain.fee import FeeSchedule
from chalicelib.domain.identifiers import condition_id, is_combo, token_id
from chalicelib.domain.market import Market

PAGE_MARKETS = 100
MARKETS_MAX = 100_000
PAGES_MAX = 2 * MARKETS_MAX // PAGE_MARKETS
FEE_LOOKUPS_MAX = 200
"""Fees asked of the CLOB in one pass: each is a request of its own."""
PAYLOAD_CHARS_MAX = 20_000

Refusal = Callable[[str, str], None]
"""Told the payload and the sentence that says why a market was skipped."""

_VERSIONS = [("version", "v1"), ("version", "v2")]


def _ignore(payload: str, error: str) -> None:
    """Nobody wants to know."""


def _listing(answer: object) -> tuple[list[object], str | None]:
    """(markets, next cursor) of a keyset page."""
    markets = answer.get("markets") if isinstance(answer, dict) else None
    if not isinstance(answer, dict) or not isinstance(markets, list):
        raise Retryable("gamma: the page is not a list of markets")
    cursor = answer.get("next_cursor")
    if cursor is not None and not isinstance(cursor, str):
        raise Retryable("gamma: the page's cursor is not a text")
    return markets, cursor or None


class Gamma:
    """Port MarketCatalogue."""

    def __init__(self, http: JsonHttp, clob: JsonHttp, *, refused: Refusal = _ignore) -> None:
        self._http = http
        self._clob = clob
        self._refused = refused

    def markets(self) -> Iterator[Market]:
        """Every open order-book market of both versions, page by page, at most MARKETS_MAX.

        A market that does not parse is reported and skipped. Raises Retryable or Permanent when
        a page fails.
        """
        cursor: str | None = None
        cursors: set[str] = set()
        lookups, count = 0, 0
        for _ in range(PAGES_MAX):
            query = [("limit", str(PAGE_MARKETS)), ("closed", "false"), ("include_tag", "true")]
            query += _VERSIONS
            if cursor is not None:
                query.append(("after_cursor", cursor))
            rows, cursor = _listing(self._http.get("/markets/keyset", query))
            for row in rows:
                if isinstance(row, dict) and row.get("enableOrderBook") is False:
                    continue
                try:
                    fee, asked = self._stated_fee(row, lookups < FEE_LOOKUPS_MAX)
                    lookups += asked
                    market = _market(row, fee)
                except PapercopyError as error:
                    self._refused(json.dumps(row, default=str)[:PAYLOAD_CHARS_MAX], str(error))
                    continue
                yield market
                count += 1
                if count >= MARKETS_MAX:
                    return
            if cursor is None:
                return
            if cursor in cursors:
                raise Retryable("gamma: the pages go in a circle")
            cursors.add(cursor)
        raise Retryable(f"gamma: more than {PAGES_MAX} pages of markets")

    def _stated_fee(self, row: object, may_ask: bool) -> tuple[FeeSchedule, bool]:
        """(fee, whether the CLOB had to be asked for it)."""
        if not isinstance(row, dict):
            raise InvalidInput("market", "an object was expected")
        fee = gamma_fee(row)
        if fee is not None:
            return fee, False
        if not may_ask:
            raise InvalidInput("feeSchedule", "is missing, as in too many other markets")
        return self._fee_at_clob(condition_id(row.get("conditionId"), "conditionId")), True

    def _fee_at_clob(self, condition: str) -> FeeSchedule:
        return clob_fee(self._clob_market(condition))

    def _clob_market(self, condition: str) -> Mapping[str, object]:
        raw = self._clob.get(f"/clob-markets/{condition}")
        if not isinstance(raw, dict):
            raise Retryable("clob: the market is not an object")
        return raw

    def market_of_token(self, token: str) -> Market | None:
        """The market of one token, open or closed, or None when the venue does not know it.

        Gamma is asked first, then the CLOB, which lists new markets earlier. Combos have no
        market. Raises Retryable, or Permanent when the venue's answer cannot be understood.
        """
        token = token_id(token)
        if is_combo(token):
            return None
        try:
            return self._market_at_gamma(token) or self._market_at_clob(token)
        except InvalidInput as error:
            raise Permanent(f"the market of token {token} is refused: {error}") from error

    def _market_at_gamma(self, token: str) -> Market | None:
        ids = "position_ids" if is_position_id(token) else "clob_token_ids"
        for closed in ("false", "true"):
            query = [(ids, token), ("closed", closed), ("include_tag", "true"), *_VERSIONS]
            rows, _ = _listing(self._http.get("/markets/keyset", query))
            for row in rows:
                fee, _ = self._stated_fee(row, may_ask=True)
                market = _market(row, fee)
                if token in market.tokens:
                    return market
        return None

    def _market_at_clob(self, token: str) -> Market | None:
        try:
            pointer = self._clob.get(f"/markets-by-token/{token}")
            named = pointer.get("condition_id") if isinstance(pointer, dict) else None
            raw = self._clob_market(condition_id(named, "condition_id"))
        except NotFound:
            return None
        market = market_of_clob(raw)
        return market if token in market.tokens else None


def _market(row: object, fee: FeeSchedule) -> Market:
    if not isinstance(row, dict):
        raise InvalidInput("market", "an object was expected")
    return market_of_gamma(row, fee)
