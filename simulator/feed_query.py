"""Query parameters of the Data API: parsing and the venue's own refusals."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from simulator import ids
from simulator.markets import MarketList

LIMIT_DEFAULT = 100
LIMIT_MAX = 1_000
IDS_MAX = 20
THREE_YEARS_S = 3 * 365 * 86_400
CONTRACTS = ids.EXCHANGES | {
    "0x4d97dcd97ec945f40cf65f87097ace5ea0476045",
    "0x006f54f7f9a22e0000cc2ab60031000000ae9fef",
    "0xd91e80cf2e7be2e162c6513ced06f1dd0da35296",
}
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
_CONDITION = re.compile(r"0x([0-9a-fA-F]{62}|[0-9a-fA-F]{64})")


class ApiError(Exception):
    """A refusal of the Data API with its status, code and the parameter at fault."""

    def __init__(
        self, status: int, code: str, message: str, parameter: str | None = None
    ) -> None:  # fmt: skip
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.parameter = parameter


def invalid(parameter: str, message: str) -> ApiError:
    return ApiError(400, "invalid_request", message, parameter)


def snake_query(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Query parameters by snake_case name; camelCase spellings are accepted."""
    return {re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower(): value for name, value in pairs}


def integer(query: dict[str, str], name: str, default: int) -> int:
    text = query.get(name, "")
    if text == "":
        return default
    if not re.fullmatch(r"-?\d{1,15}", text):
        raise invalid(name, f"invalid {name}: {text!r} is not an integer")
    return int(text)


def flag(query: dict[str, str], name: str, default: bool) -> bool:
    text = query.get(name, "").lower()
    if text in ("", "true", "false"):
        return default if text == "" else text == "true"
    raise invalid(name, f"invalid {name}: expected true or false")


def choice(query: dict[str, str], name: str, allowed: tuple[str, ...], default: str) -> str:
    text = query.get(name, "").upper() or default
    if text not in (*allowed, default):
        raise invalid(name, f"invalid {name}: expected one of {', '.join(allowed)}")
    return text


def number(query: dict[str, str], name: str, default: float) -> float:
    text = query.get(name, "")
    if text == "":
        return default
    try:
        return float(text)
    except ValueError:
        raise invalid(name, f"invalid {name}: {text!r} is not a number") from None


def page_limit(query: dict[str, str], default: int = LIMIT_DEFAULT) -> int:
    limit = integer(query, "limit", default)
    if not 0 <= limit <= LIMIT_MAX:
        raise invalid("limit", f"limit must be between 0 and {LIMIT_MAX}")
    return limit or default


def refuse_offset(query: dict[str, str]) -> None:
    if "offset" in query:
        raise invalid("offset", "offset is not supported; page with cursor")


def wallet_of(query: dict[str, str], *, required: bool) -> str | None:
    """The lower-case `user`; a list of addresses matches nobody, as on the venue."""
    text = query.get("user", "")
    if not text:
        if required:
            raise invalid("user", "user is required")
        return None
    if "," in text:
        return text
    if not _ADDRESS.fullmatch(text):
        raise invalid("user", f"invalid user: {text!r} is not an address")
    if text.lower() in CONTRACTS:
        raise invalid("user", "user is a protocol contract")
    return text.lower()


def wanted_markets(query: dict[str, str], listed: MarketList) -> frozenset[int] | None:
    """Market indexes selected by `condition` or `event_id`; None when neither is given."""
    conditions = query.get("condition") or query.get("condition_id") or ""
    events = query.get("event_id", "")
    if conditions and events:
        raise invalid("event_id", "condition and event_id are mutually exclusive")
    if events:
        wanted = set(_listed_ids(events, "event_id"))
        return frozenset(m.index for m in listed.all if m.event.id in wanted)
    if not conditions:
        return None
    found = set()
    for condition in _listed_ids(conditions, "condition"):
        if not _CONDITION.fullmatch(condition):
            raise invalid("condition", f"malformed condition id: {condition}")
        market = listed.by_condition.get(condition.lower())
        if market is not None:
            found.add(market.index)
    return frozenset(found)


def _listed_ids(text: str, name: str) -> list[str]:
    values = [value.strip() for value in text.split(",") if value.strip()]
    if len(set(values)) > IDS_MAX:
        raise invalid(name, f"at most {IDS_MAX} values are allowed in {name}")
    return values


@dataclass(frozen=True, slots=True)
class FeedQuery:
    """What a feed page selects. Times are epoch seconds, both ends inclusive."""

    user: str | None
    markets: frozenset[int] | None
    side: str
    start_s: int
    end_s: int
    ascending: bool


def feed_window(query: dict[str, str], now_s: int) -> tuple[int, int]:
    """(start, end): omitted or 0 means three years back and one day ahead."""
    start = integer(query, "start", 0) or now_s - THREE_YEARS_S
    end = integer(query, "end", 0) or now_s + 86_400
    return start, end
