"""The venue's list of markets: Gamma, with the CLOB where Gamma does not say enough."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress

from chalicelib.adapters.polymarket.http import JsonHttp, NotFound
from chalicelib.adapters.polymarket.market_shape import (
    clob_fee,
    gamma_digest,
    gamma_fee,
    is_position_id,
    market_number,
    market_of_clob,
    market_of_gamma,
)
from chalicelib.domain.errors import InvalidInput, PapercopyError, Permanent, Retryable
from chalicelib.domain.fee import FeeSchedule
from chalicelib.domain.identifiers import condition_id, is_combo, token_id
from chalicelib.domain.market import Market
from chalicelib.ports import ListedMarket, MarketPage

PAGE_MARKETS = 100
MARKETS_MAX = 100_000
PAGES_MAX = 2 * MARKETS_MAX // PAGE_MARKETS
FEE_LOOKUPS_MAX = 20
"""Fees of one page asked of the CLOB: each is a request of its own."""
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
    """Port MarketCatalogue. `data` is the Data API, asked last for tokens nobody else knows."""

    def __init__(
        self,
        http: JsonHttp,
        clob: JsonHttp,
        data: JsonHttp | None = None,
        *,
        refused: Refusal = _ignore,
    ) -> None:
        self._http = http
        self._clob = clob
        self._data = data
        self._refused = refused

    def markets(self) -> Iterator[Market]:
        """Every open order-book market of both versions, page by page, at most MARKETS_MAX.

        A market that does not parse is reported and skipped. Raises Retryable or Permanent when
        a page fails.
        """
        cursor, count = "", 0
        cursors: set[str] = set()
        for _ in range(PAGES_MAX):
            page = self.market_page(cursor, lambda _number, _digest: False)
            for listed in page.changed:
                if listed.market is None:
                    continue
                yield listed.market
                count += 1
                if count >= MARKETS_MAX:
                    return
            cursor = page.after
            if not cursor:
                return
            if cursor in cursors:
                raise Retryable("gamma: the pages go in a circle")
            cursors.add(cursor)
        raise Retryable(f"gamma: more than {PAGES_MAX} pages of markets")

    def market_page(self, after: str, is_known: Callable[[int, bytes], bool]) -> MarketPage:
        """The page of open markets of both versions behind `after` (empty: the first one).

        A market that does not parse is reported once and remembered as read; one whose fee could
        not be asked for is reported and comes again. Raises Retryable or Permanent.
        """
        query = [("limit", str(PAGE_MARKETS)), ("closed", "false"), ("include_tag", "true")]
        query += _VERSIONS
        if after:
            query.append(("after_cursor", after))
        rows, cursor = _listing(self._http.get("/markets/keyset", query))
        seen: list[int] = []
        changed: dict[int, ListedMarket] = {}
        lookups = 0
        for row in rows:
            if isinstance(row, dict) and row.get("enableOrderBook") is False:
                continue
            number, digest = 0, b""
            market: Market | None = None
            try:
                raw = _object(row)
                number, digest = market_number(raw), gamma_digest(raw)
                seen.append(number)
                if is_known(number, digest):
                    continue
                fee, asked = self._stated_fee(raw, lookups < FEE_LOOKUPS_MAX)
                lookups += asked
                market = market_of_gamma(raw, fee)
            except PapercopyError as error:
                self._report(row, error)
                if not digest or not isinstance(error, InvalidInput):
                    continue
            changed[number] = ListedMarket(number, digest, market)
        return MarketPage(tuple(seen), tuple(changed.values()), cursor or "")

    def markets_numbered(self, numbers: Sequence[int]) -> Mapping[int, Market]:
        """At most PAGE_MARKETS markets by their number in the list, closed ones looked for first.

        One that does not parse is reported and missing. Raises Retryable or Permanent.
        """
        if len(numbers) > PAGE_MARKETS:
            raise ValueError(f"at most {PAGE_MARKETS} markets at once, not {len(numbers)}")
        found: dict[int, Market] = {}
        for closed in ("true", "false"):
            missing = [("id", str(number)) for number in numbers if number not in found]
            if not missing:
                break
            query = [*missing, ("closed", closed), ("limit", str(PAGE_MARKETS))]
            query += [("include_tag", "true"), *_VERSIONS]
            rows, _ = _listing(self._http.get("/markets/keyset", query))
            for row in rows:
                try:
                    raw = _object(row)
                    found[market_number(raw)] = market_of_gamma(raw, self._last_fee(raw))
                except (InvalidInput, Permanent) as error:
                    self._report(row, error)
        return {number: found[number] for number in numbers if number in found}

    def most_liquid(self, count: int) -> list[tuple[str, ...]]:
        """The tokens of each of the `count` most liquid open markets, most liquid first.

        What does not parse is left out. Raises Retryable or Permanent.
        """
        found: list[tuple[str, ...]] = []
        cursor: str | None = ""
        for _ in range(-(-count // PAGE_MARKETS)):
            query = [("limit", str(PAGE_MARKETS)), ("closed", "false"), *_VERSIONS]
            query += [("order", "liquidityNum"), ("ascending", "false")]
            query += [("after_cursor", cursor)] if cursor else []
            rows, cursor = _listing(self._http.get("/markets/keyset", query))
            for row in rows:
                if isinstance(row, dict) and row.get("enableOrderBook") is not False:
                    with suppress(InvalidInput):
                        found.append(market_of_gamma(row, FeeSchedule()).tokens)
            if not cursor:
                break
        return found[:count]

    def _last_fee(self, raw: Mapping[str, object]) -> FeeSchedule:
        """The fee of a market that may have no book any more: then nobody pays one."""
        try:
            return self._stated_fee(raw, may_ask=True)[0]
        except Permanent:
            return FeeSchedule()

    def _report(self, row: object, error: PapercopyError) -> None:
        self._refused(json.dumps(row, default=str)[:PAYLOAD_CHARS_MAX], str(error))

    def _stated_fee(self, row: Mapping[str, object], may_ask: bool) -> tuple[FeeSchedule, bool]:
        """(fee, whether the CLOB had to be asked for it). Raises Retryable when it may not be."""
        fee = gamma_fee(row)
        if fee is not None:
            return fee, False
        if not may_ask:
            raise Retryable("feeSchedule: is missing, as in too many other markets of the page")
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

        Gamma is asked first, then the CLOB, which lists new markets earlier, then the Data API,
        which knows the condition of old ones. Combos have no market. Raises Retryable, or
        Permanent when the venue's answer cannot be understood.
        """
        token = token_id(token)
        if is_combo(token):
            return None
        try:
            return (
                self._market_at_gamma(token)
                or self._market_at_clob(token)
                or self._market_at_data(token)
            )
        except InvalidInput as error:
            raise Permanent(f"the market of token {token} is refused: {error}") from error

    def market_of_condition(self, condition: str) -> Market | None:
        """The market of one condition, open or closed, or None when the venue knows none.

        Gamma is asked first, then the CLOB. Raises Retryable, or Permanent when the venue's answer
        cannot be understood.
        """
        condition = condition_id(condition)
        try:
            for market in self._listed("condition_ids", condition):
                if market.condition_id == condition:
                    return market
            try:
                market = market_of_clob(self._clob_market(condition))
            except NotFound:
                return None
            return market if market.condition_id == condition else None
        except InvalidInput as error:
            raise Permanent(f"the market of {condition} is refused: {error}") from error

    def _market_at_gamma(self, token: str) -> Market | None:
        ids = "position_ids" if is_position_id(token) else "clob_token_ids"
        return next((m for m in self._listed(ids, token) if token in m.tokens), None)

    def _listed(self, filtered_by: str, value: str) -> Iterator[Market]:
        """Markets, open ones first, that a filter of the venue's list finds."""
        for closed in ("false", "true"):
            query = [(filtered_by, value), ("closed", closed), ("include_tag", "true"), *_VERSIONS]
            rows, _ = _listing(self._http.get("/markets/keyset", query))
            for row in rows:
                raw = _object(row)
                yield market_of_gamma(raw, self._stated_fee(raw, may_ask=True)[0])

    def _market_at_clob(self, token: str) -> Market | None:
        try:
            pointer = self._clob.get(f"/markets-by-token/{token}")
            named = pointer.get("condition_id") if isinstance(pointer, dict) else None
            raw = self._clob_market(condition_id(named, "condition_id"))
        except NotFound:
            return None
        market = market_of_clob(raw)
        return market if token in market.tokens else None

    def _market_at_data(self, token: str) -> Market | None:
        """By the condition the Data API names; it is not documented, so its absence is no news."""
        if self._data is None:
            return None
        try:
            answer = self._data.get("/v2/tokens", [("token_id", token)])
        except Permanent:
            return None
        rows = answer.get("data") if isinstance(answer, dict) else None
        for row in rows if isinstance(rows, list) else ():
            if isinstance(row, dict) and row.get("token_id") == token:
                if row.get("module") == "combo":
                    return None
                market = self.market_of_condition(condition_id(row.get("condition_id")))
                return market if market and token in market.tokens else None
        return None


def _object(row: object) -> Mapping[str, object]:
    if not isinstance(row, dict):
        raise InvalidInput("market", "an object was expected")
    return row
