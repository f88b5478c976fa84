"""How markets were decided: the Data API's two shapes of resolution, and the CLOB's winners."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from chalicelib.adapters.polymarket.http import JsonHttp
from chalicelib.adapters.polymarket.market_shape import resolution_state
from chalicelib.domain.errors import InvalidInput, Permanent, Retryable
from chalicelib.domain.identifiers import condition_id
from chalicelib.domain.market import Market, Resolution, payouts_of
from chalicelib.domain.money import MICROS

CONDITIONS_MAX = 20
"""The venue's maximum per request."""
WINNERS_MAX = 20
"""Markets of one call whose winner is asked of the CLOB: each is a request of its own."""
PAYLOAD_CHARS_MAX = 20_000
ORACLE_ONE = 10**18
"""The oracle's price of a market in which the first outcome wins."""
UNSET = "69"
SECONDS_DIGITS_MAX = 11

Refusal = Callable[[str, str], None]


def _nonce() -> str:
    return secrets.token_hex(8)


def _ignore(payload: str, error: str) -> None:
    """Nobody wants to know."""


def resolution_of_row(raw: Mapping[str, object]) -> Resolution:
    """The resolution in a row of `/v2/resolutions`, with payouts or as an oracle's prices.

    Payouts are final only once the row says `resolved`. Before that the last proposal stands for
    them. Raises InvalidInput naming the field.
    """
    state = resolution_state(raw.get("status"))
    if raw.get("payouts") is not None:
        payouts = _stated(raw["payouts"])
        return _as_told(Resolution(state, payouts, state == "resolved"), raw)
    settled = _oracle_payouts(raw.get("price"), "price")
    if state == "resolved":
        return _as_told(Resolution(state, settled, bool(settled)), raw)
    proposed = _oracle_payouts(raw.get("reproposed_price"), "reproposed_price")
    proposed = proposed or _oracle_payouts(raw.get("proposed_price"), "proposed_price")
    return Resolution(state, proposed if state != "open" else ())


def _as_told(resolution: Resolution, raw: Mapping[str, object]) -> Resolution:
    """A final resolution with the time the row states; the oracle's rows only say when they were
    last updated, which ends with the resolution.
    """
    if not resolution.final:
        return resolution
    ts = _time_of(raw.get("resolved_at")) or _time_of(raw.get("last_update_timestamp"))
    return replace(resolution, ts=ts)


def _time_of(value: object) -> int:
    """Milliseconds of a date or of seconds as text, the two formats the venue has; 0 for others."""
    if not isinstance(value, str) or not value.isascii():
        return 0
    if value.isdigit():
        return int(value) * 1_000 if len(value) <= SECONDS_DIGITS_MAX else 0
    try:
        told = datetime.fromisoformat(value)
    except ValueError:
        return 0
    return int(told.timestamp()) * 1_000 if told.tzinfo else 0


def _stated(value: object) -> tuple[int, ...]:
    """Payouts in micros per share; those of a binary market make up one."""
    if (
        not isinstance(value, list)
        or len(value) != 2
        or not all(isinstance(part, int) and not isinstance(part, bool) for part in value)
        or value[0] + value[1] != MICROS
    ):
        raise InvalidInput("payouts", f"two parts of {MICROS} were expected, got {value!r:.80}")
    return payouts_of(value[0])


def _oracle_payouts(value: object, field: str) -> tuple[int, ...]:
    """Payouts of an oracle's price; none where it is unset, missing or says nothing yet."""
    if value is None or value in ("", UNSET):
        return ()
    if not isinstance(value, str) or not value.lstrip("-").isascii():
        raise InvalidInput(field, "the text of a number was expected")
    try:
        price = int(value)
    except ValueError as error:
        raise InvalidInput(field, "the text of a number was expected") from error
    if price < 0:
        # The oracle's word for a question that was asked too early.
        return ()
    if price not in (0, ORACLE_ONE // 2, ORACLE_ONE):
        raise InvalidInput(field, f"is no outcome: {value:.40}")
    return payouts_of(price * MICROS // ORACLE_ONE)


def resolution_of_clob(raw: Mapping[str, object], tokens: Sequence[str]) -> Resolution:
    """The resolution in a CLOB `markets` object, payouts in the order of `tokens`.

    The CLOB names a winner once the market is decided for good. Raises InvalidInput.
    """
    if raw.get("closed") is not True:
        return Resolution()
    if raw.get("is_50_50_outcome") is True:
        return Resolution("resolved", payouts_of(MICROS // 2), final=True)
    rows = raw.get("tokens")
    winners = {
        row.get("token_id"): row.get("winner") is True
        for row in (rows if isinstance(rows, list) else ())
        if isinstance(row, Mapping)
    }
    if not set(tokens) <= set(winners):
        raise InvalidInput("tokens", "are not those of the market")
    won = [winners[token] for token in tokens]
    if won.count(True) != 1:
        return Resolution()
    return Resolution("resolved", payouts_of(MICROS if won[0] else 0), final=True)


class Resolutions:
    """Port ResolutionFeed: the Data API, and the CLOB where that one knows no payouts."""

    def __init__(
        self,
        data: JsonHttp,
        clob: JsonHttp,
        *,
        refused: Refusal = _ignore,
        nonce: Callable[[], str] = _nonce,
    ) -> None:
        self._data = data
        self._clob = clob
        self._refused = refused
        self._nonce = nonce

    def resolutions(self, markets: Sequence[Market]) -> Mapping[str, Resolution]:
        """Resolution by condition id; markets the venue says nothing of are missing.

        A row that does not parse is reported and skipped. Raises Retryable when the venue could
        not be asked.
        """
        wanted = {market.condition_id: market for market in markets}
        found: dict[str, Resolution] = {}
        conditions = list(wanted)
        for start in range(0, len(conditions), CONDITIONS_MAX):
            self._read(conditions[start : start + CONDITIONS_MAX], found)
        undecided = [c for c in conditions if _needs_winner(found.get(c))]
        for condition in undecided[:WINNERS_MAX]:
            said = self._winner(wanted[condition])
            if said is not None and said.final:
                found[condition] = said
        return found

    def _read(self, conditions: Sequence[str], found: dict[str, Resolution]) -> None:
        # A cached answer would repeat itself: every request has an address of its own.
        query = [("condition", ",".join(conditions)), ("_", self._nonce())]
        answer = self._data.get("/v2/resolutions", query)
        rows = answer.get("data") if isinstance(answer, dict) else None
        if rows is None and isinstance(answer, dict) and "data" in answer:
            return
        if not isinstance(rows, list):
            raise Retryable("data: a list of resolutions was expected")
        for row in rows:
            try:
                if not isinstance(row, dict):
                    raise InvalidInput("row", "an object was expected")
                condition = condition_id(row.get("condition_id"))
                resolution = resolution_of_row(row)
            except InvalidInput as error:
                self._refused(json.dumps(row, default=str)[:PAYLOAD_CHARS_MAX], str(error))
                continue
            known = found.get(condition)
            # Two sources may answer for one market: the final one counts.
            if condition in conditions and (known is None or not known.final):
                found[condition] = resolution

    def _winner(self, market: Market) -> Resolution | None:
        try:
            raw = self._clob.get(f"/markets/{market.condition_id}")
            if not isinstance(raw, dict):
                raise InvalidInput("market", "an object was expected")
            return resolution_of_clob(raw, market.tokens)
        except (Permanent, InvalidInput):
            return None


def _needs_winner(resolution: Resolution | None) -> bool:
    if resolution is None:
        return True
    return resolution.state == "resolved" and not resolution.final
