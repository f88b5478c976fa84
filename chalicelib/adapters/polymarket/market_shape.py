"""The venue's market objects (Gamma's and the CLOB's) as domain markets. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from chalicelib.domain.errors import InvalidInput
from chalicelib.domain.fee import FeeSchedule
from chalicelib.domain.identifiers import condition_id, token_id
from chalicelib.domain.market import Market, Resolution, ResolutionState, payouts_of
from chalicelib.domain.market_sync import DIGEST_BYTES
from chalicelib.domain.money import MICROS, decimal_of, micros

CRYPTO_TAKER_DELAY_MS = 150
"""What the venue holds takers of crypto up/down markets for, since 2026-09-04."""
DELAY_S_MAX = 600
EXPONENT_MAX = 4
TEXT_CHARS_MAX = 500
TAGS_MAX = 8
TAG_CHARS_MAX = 40
SHAPE = 1
"""Part of every digest: raised when more of a market is read, so that all are read again."""

_UP_DOWN = "-updown-"
_NO_FEE = FeeSchedule()
_TICK_UNSTATED = 10_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CATEGORIES = (
    "sports",
    "esports",
    "crypto",
    "politics",
    "geopolitics",
    "economics",
    "finance",
    "tech",
    "culture",
    "weather",
    "mentions",
)


def is_position_id(token: str) -> bool:
    """Whether an asset id has the second protocol's layout (bits 40..103 reserved, zero)."""
    return (int(token) >> 40) & (2**64 - 1) == 0


def _text(raw: Mapping[str, object], name: str) -> str:
    value = raw.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InvalidInput(name, "a text was expected")
    return value[:TEXT_CHARS_MAX]


def _flag(raw: Mapping[str, object], name: str) -> bool:
    value = raw.get(name)
    if value is None:
        return False
    if not isinstance(value, bool):
        raise InvalidInput(name, "true or false was expected")
    return value


def _strings(value: object, field: str) -> list[str]:
    """A list of texts, plain or (Gamma's older fields) encoded as JSON inside a text."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise InvalidInput(field, "is not a list") from error
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise InvalidInput(field, "a list of texts was expected")
    return value


def _pair(values: Sequence[str], field: str) -> tuple[str, ...]:
    if len(values) != 2:
        raise InvalidInput(field, f"two were expected, got {len(values)}")
    return tuple(values)


def _tokens(values: Sequence[str], field: str) -> tuple[str, ...]:
    tokens = _pair([token_id(value, field) for value in values], field)
    if tokens[0] == tokens[1]:
        raise InvalidInput(field, "two different asset ids were expected")
    return tokens


def time_ms(value: object, field: str) -> int | None:
    """Milliseconds of either date syntax of the venue, or None where nothing is stated."""
    if value is None or value == "":
        return None
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        moment = None
    if moment is None:
        raise InvalidInput(field, f"a date was expected, got {str(value)[:40]!r}")
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def _tick(value: object, field: str, accepting: bool) -> int:
    """Markets from before the order book state no tick; only an open one must."""
    if value is None and not accepting:
        return _TICK_UNSTATED
    tick = micros(value, field, exact=True)
    if not 0 < tick <= MICROS // 2:
        raise InvalidInput(field, "a tick between 0 and 0.5 was expected")
    return tick


def _shares_min(value: object, field: str, accepting: bool) -> int:
    return 0 if value is None and not accepting else micros(value, field)


def _delay_ms(value: object, field: str) -> int:
    if value is None:
        return 0
    delay_ms = micros(value, field) // 1000
    if delay_ms > DELAY_S_MAX * 1000:
        raise InvalidInput(field, f"at most {DELAY_S_MAX} seconds were expected")
    return delay_ms


def fee_schedule(raw: object, rate: str, exponent: str, field: str) -> FeeSchedule:
    """The schedule in an object that names its rate and exponent as given."""
    if not isinstance(raw, Mapping):
        raise InvalidInput(field, "an object was expected")
    power = decimal_of(raw.get(exponent, 1), f"{field}.{exponent}")
    if power != power.to_integral_value() or not 0 <= power <= EXPONENT_MAX:
        raise InvalidInput(f"{field}.{exponent}", f"a whole number up to {EXPONENT_MAX}")
    per_share = micros(raw.get(rate), f"{field}.{rate}", exact=True)
    if per_share > MICROS:
        raise InvalidInput(f"{field}.{rate}", "must be at most 1")
    return FeeSchedule(per_share, int(power))


def gamma_fee(raw: Mapping[str, object]) -> FeeSchedule | None:
    """The fee a Gamma market states; None when it has fees without saying which."""
    enabled = raw.get("feesEnabled")
    schedule = raw.get("feeSchedule")
    if enabled is False or (enabled is None and schedule is None):
        return _NO_FEE
    if schedule is None:
        return None
    return fee_schedule(schedule, "rate", "exponent", "feeSchedule")


def _event(raw: Mapping[str, object]) -> Mapping[str, object]:
    events = raw.get("events")
    first = events[0] if isinstance(events, list) and events else None
    return first if isinstance(first, Mapping) else {}


def _tags(raw: Mapping[str, object], event: Mapping[str, object]) -> list[str]:
    """Slugs of the tags, at most TAGS_MAX; those that are categories stay in any case."""
    tags = raw.get("tags") or event.get("tags")
    slugs = [
        tag["slug"].lower()[:TAG_CHARS_MAX]
        for tag in (tags if isinstance(tags, list) else [])
        if isinstance(tag, Mapping) and isinstance(tag.get("slug"), str)
    ]
    slugs.sort(key=lambda slug: slug not in _CATEGORIES)
    return list(dict.fromkeys(slugs))[:TAGS_MAX]


def _category(raw: Mapping[str, object], tags: Sequence[str]) -> str:
    """The stated category, else the first tag that is one, else the first tag."""
    return _text(raw, "category").lower() or (tags[0] if tags else "")


_STATES: dict[str, ResolutionState] = {
    "proposed": "proposed",
    "challenged": "proposed",
    "reproposed": "proposed",
    "disputed": "disputed",
    "arbitration": "disputed",
    "resolved": "resolved",
}
"""The venue's words for how far a resolution is; every other one means that none was proposed."""


def resolution_state(value: object) -> ResolutionState:
    """How far a resolution is, in any of the venue's words."""
    return _STATES.get(value.lower(), "open") if isinstance(value, str) else "open"


def gamma_resolution(raw: Mapping[str, object]) -> Resolution:
    """What a Gamma market says of its outcome, which is never final.

    Its prices are payouts only on a closed market, and only where they look like payouts: there
    are closed markets with fractional prices and some with none.
    """
    state = resolution_state(raw.get("resolutionStatus") or raw.get("umaResolutionStatus"))
    if raw.get("closed") is not True:
        return Resolution(state)
    try:
        prices = [micros(price, "p") for price in _strings(raw.get("outcomePrices"), "p")]
    except InvalidInput:
        return Resolution(state)
    whole = sum(prices) == MICROS and set(prices) <= {0, MICROS // 2, MICROS}
    return Resolution(state, payouts_of(prices[0]) if len(prices) == 2 and whole else ())


_STORED = (
    "conditionId",
    "question",
    "slug",
    "version",
    "clobTokenIds",
    "positionIds",
    "outcomes",
    "acceptingOrders",
    "closed",
    "orderPriceMinTickSize",
    "orderMinSize",
    "secondsDelay",
    "itode",
    "feesEnabled",
    "feeSchedule",
    "negRisk",
    "endDate",
    "gameStartTime",
    "category",
    "umaResolutionStatus",
    "resolutionStatus",
)
"""Keys of a Gamma market that a stored market depends on."""


def gamma_digest(raw: Mapping[str, object]) -> bytes:
    """A short digest of everything that is stored of a Gamma market; prices are no part of it."""
    event = _event(raw)
    parts = [raw.get(key) for key in _STORED]
    parts += [event.get("id"), _tags(raw, event)]
    if raw.get("closed") is True:
        parts.append(raw.get("outcomePrices"))
    if event.get("ended") is True:
        parts.append("ended")
    text = json.dumps([SHAPE, parts], default=str, sort_keys=True)
    return sha256(text.encode()).digest()[:DIGEST_BYTES]


def market_number(raw: Mapping[str, object]) -> int:
    """Gamma's own number of a market. Raises InvalidInput."""
    value = raw.get("id")
    text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    if not text.isascii() or not text.isdigit() or len(text) > 14:
        raise InvalidInput("id", "a number was expected")
    return int(text)


def market_of_gamma(raw: Mapping[str, object], fee: FeeSchedule) -> Market:
    """The market in a Gamma object. Raises InvalidInput naming the field.

    The version decides which ids count, never their presence: many markets of the first version
    also carry position ids, for which there is no order book.
    """
    version = raw.get("version") or "v1"
    if version not in ("v1", "v2"):
        raise InvalidInput("version", f"v1 or v2 was expected, got {str(version)[:20]!r}")
    ids = "clobTokenIds" if version == "v1" else "positionIds"
    accepting = _flag(raw, "acceptingOrders")
    event = _event(raw)
    tags = _tags(raw, event)
    delay_ms = _delay_ms(raw.get("secondsDelay"), "secondsDelay")
    # Gamma has no flag for the crypto taker delay; these series carry it in their slug.
    held = raw.get("itode") is True or _UP_DOWN in _text(raw, "slug")
    return Market(
        condition_id=condition_id(raw.get("conditionId"), "conditionId"),
        question=_text(raw, "question"),
        slug=_text(raw, "slug"),
        event_id=_text(event, "id"),
        category=_category(raw, tags),
        protocol=str(version),
        tokens=_tokens(_strings(raw.get(ids), ids), ids),
        outcomes=_pair(_strings(raw.get("outcomes"), "outcomes"), "outcomes"),
        tick=_tick(raw.get("orderPriceMinTickSize"), "orderPriceMinTickSize", accepting),
        order_shares_min=_shares_min(raw.get("orderMinSize"), "orderMinSize", accepting),
        fee=fee,
        neg_risk=_flag(raw, "negRisk"),
        delay_ms=max(delay_ms, CRYPTO_TAKER_DELAY_MS) if held else delay_ms,
        closes_at=time_ms(raw.get("endDate"), "endDate"),
        closed=_flag(raw, "closed"),
        accepting_orders=accepting,
        tags=tuple(tags),
        game_starts_at=time_ms(raw.get("gameStartTime"), "gameStartTime"),
        resolution=gamma_resolution(raw),
        game_ended=event.get("ended") is True,
    )


def clob_fee(raw: Mapping[str, object]) -> FeeSchedule:
    """The fee of a CLOB market; without `fd` there is none."""
    if raw.get("fd") is None:
        return _NO_FEE
    return fee_schedule(raw["fd"], "r", "e", "fd")


def market_of_clob(raw: Mapping[str, object]) -> Market:
    """The market in a CLOB `clob-markets` object, which has neither texts nor an end.

    The CLOB does not say here whether the market is closed, only whether it accepts orders.
    """
    pairs = raw.get("t")
    if not isinstance(pairs, list) or not all(isinstance(pair, Mapping) for pair in pairs):
        raise InvalidInput("t", "a list of objects was expected")
    tokens = _tokens([pair.get("t") for pair in pairs], "t")
    accepting = _flag(raw, "ao")
    delay_ms = _delay_ms(raw.get("sd"), "sd")
    return Market(
        condition_id=condition_id(raw.get("c"), "c"),
        question="",
        slug="",
        event_id="",
        category="",
        protocol="v2" if is_position_id(tokens[0]) else "v1",
        tokens=tokens,
        outcomes=_pair(_strings([pair.get("o") for pair in pairs], "o"), "o"),
        tick=_tick(raw.get("mts"), "mts", accepting),
        order_shares_min=_shares_min(raw.get("mos"), "mos", accepting),
        fee=clob_fee(raw),
        neg_risk=_flag(raw, "nr"),
        delay_ms=max(delay_ms, CRYPTO_TAKER_DELAY_MS) if raw.get("itode") is True else delay_ms,
        closes_at=None,
        closed=False,
        accepting_orders=accepting,
        game_starts_at=time_ms(raw.get("gst"), "gst"),
    )
