"""What a page needs to show and check settings: one JSON-able row per field, read off the models.

The models stay the only place where bounds, defaults and descriptions are written.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from chalicelib.settings import CopySettings, SystemSettings

COPY_GROUPS: Mapping[str, tuple[str, ...]] = {
    "grouping": ("aggregation_window_ms", "execute_on", "api_lag_fallback_ms"),
    "leader": (
        "copying",
        "leader_notional_min",
        "leader_percentile_min",
        "skip_maker",
        "maker_ratio",
    ),
    "size": (
        "sizing",
        "copy_fraction",
        "fixed_cash",
        "buy_cash_min",
        "buy_cash_max",
        "buy_equity_fraction_max",
        "sell_sizing",
        "dust_shares",
        "marketable_cash_min",
    ),
    "age": (
        "live_age_ms_max",
        "catch_up_age_ms_max",
        "catch_up_require_better",
        "catch_up_worse_bps_max",
    ),
    "price": (
        "buy_leader_guard",
        "buy_mid_guard",
        "sell_leader_guard",
        "sell_mid_guard",
        "sell_always_attempt",
        "price_move_max",
        "price_band_min",
        "price_band_max",
    ),
    "book": (
        "buy_spread_max",
        "sell_spread_max",
        "buy_depth_multiple",
        "book_fresh_ms",
        "book_age_ms_max",
        "book_late_ms_max",
    ),
    "market": ("close_guard_ms",),
    "caps": ("order_cash_max", "daily_cash_max", "hourly_fills_max"),
    "risk": (
        "exposure_fraction_max",
        "market_fraction_max",
        "event_fraction_max",
        "category_fraction_max",
        "leader_fraction_max",
        "open_positions_max",
        "daily_loss_max",
        "weekly_loss_max",
        "drawdown_max",
    ),
    "execution": (
        "decision_latency_ms",
        "submit_latency_ms",
        "jitter_ms_max",
        "order_ttl_ms",
        "resting_fill",
    ),
}
"""Every copy setting under the heading it is shown under, in the order in which it is shown."""

_UNIT_OF_NAME = {
    "ms": "milliseconds",
    "bps": "basis_points",
    "s": "seconds",
    "seconds": "seconds",
    "blocks": "blocks",
    "positions": "positions",
    "fills": "fills",
    "liquid": "markets",
}
"""Integers say their unit in their names."""


def copy_schema() -> list[dict[str, Any]]:
    """One row per copy setting, heading by heading.

    `name`, `group`, `description`, `kind` (`number`, `integer`, `switch`, `choice`), `unit` (None
    where it has none), `default`, `minimum` and `maximum` (None where open; `minimum_excluded` when
    the bound itself is refused), `choices`, `optional` and `per_leader`. Decimals are text.
    """
    fields = CopySettings.model_fields
    return [
        {**_row(name, fields[name]), "group": group, "per_leader": True}
        for group, names in COPY_GROUPS.items()
        for name in names
    ]


def system_schema() -> list[dict[str, Any]]:
    """One row per system setting, as above; they cannot be overridden per leader."""
    return [
        {**_row(name, field), "group": "system", "per_leader": False}
        for name, field in SystemSettings.model_fields.items()
    ]


def shown_values(settings: BaseModel) -> dict[str, Any]:
    """Evaluated settings as JSON: decimals are plain text without an exponent."""
    return {name: _plain(value) for name, value in settings}


def _row(name: str, field: FieldInfo) -> dict[str, Any]:
    types = [one for one in get_args(field.annotation) or (field.annotation,) if one is not None]
    bounds = {
        bound: _plain(getattr(rule, bound))
        for rule in field.metadata
        for bound in ("ge", "gt", "le")
        if getattr(rule, bound, None) is not None
    }
    choices = [one for one in types if isinstance(one, str)]
    return {
        "name": name,
        "description": field.description,
        "kind": _kind(types),
        "unit": _unit(name, field),
        "default": _plain(field.default),
        "minimum": bounds.get("ge", bounds.get("gt")),
        "minimum_excluded": "gt" in bounds,
        "maximum": bounds.get("le"),
        "choices": choices or None,
        "optional": type(None) in types,
    }


def _kind(types: list[Any]) -> str:
    if bool in types:
        return "switch"
    if any(isinstance(one, str) for one in types):
        return "choice"
    return "integer" if int in types else "number"


def _unit(name: str, field: FieldInfo) -> str | None:
    if isinstance(field.json_schema_extra, dict):
        return str(field.json_schema_extra["unit"])
    return next((unit for word, unit in _UNIT_OF_NAME.items() if word in name.split("_")), None)


def _plain(value: Any) -> Any:
    return format(value, "f") if isinstance(value, Decimal) else value
