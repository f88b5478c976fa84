"""Last trades of tokens whose book has no midpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from chalicelib.adapters.polymarket.http import JsonHttp, NotFound
from chalicelib.domain.errors import InvalidInput, Retryable
from chalicelib.domain.money import MICROS, micros
from chalicelib.ports import Metrics

CHUNK_TOKENS = 500
"""The venue's maximum per request."""


class ClobLastTrades:
    """Port LastTrades. Counts `last_trades_refused`."""

    def __init__(self, http: JsonHttp, metrics: Metrics) -> None:
        self._http = http
        self._metrics = metrics

    def last_trades(self, token_ids: Sequence[str]) -> Mapping[str, int]:
        """Price of the last trade in micros; missing for tokens that were never traded.

        Raises Retryable or Permanent when a request fails.
        """
        found: dict[str, int] = {}
        distinct = list(dict.fromkeys(token_ids))
        for start in range(0, len(distinct), CHUNK_TOKENS):
            chunk = distinct[start : start + CHUNK_TOKENS]
            body = [{"token_id": token} for token in chunk]
            try:
                answer = self._http.post("/last-trades-prices", body)
            except NotFound:
                return found
            if not isinstance(answer, list):
                raise Retryable("clob: a list of last trades was expected")
            for row in answer:
                priced = self._priced(row)
                if priced is not None and priced[0] in chunk:
                    found[priced[0]] = priced[1]
        return found

    def _priced(self, row: object) -> tuple[str, int] | None:
        """(token, price) of a row; a token without a side was never traded."""
        try:
            if not isinstance(row, dict) or not isinstance(row.get("token_id"), str):
                raise InvalidInput("row", "a token and its price were expected")
            if not row.get("side"):
                return None
            price = micros(row.get("price"), "price")
            if price > MICROS:
                raise InvalidInput("price", "at most 1 was expected")
        except InvalidInput:
            self._metrics.count("last_trades_refused")
            return None
        return str(row["token_id"]), price
