"""Settings people write, and the environment a process runs in; both validated once.

Copy settings are layered (default, global, per leader) and evaluated into the integers of
`CopyRules`. Every decision carries the digest of what it ran under.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from decimal import Decimal
from hashlib import sha256
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from chalicelib.domain.errors import InvalidInput
from chalicelib.domain.rules import CopyRules
from chalicelib.validation import refusal

Usdc = Annotated[Decimal, Field(ge=0, le=1_000_000, decimal_places=6)]
Fraction = Annotated[Decimal, Field(ge=0, le=1, decimal_places=6)]
Price = Annotated[Decimal, Field(ge=0, le=1, decimal_places=6)]
TriggerMode = Literal["api", "polygon", "both"]
Origin = Literal["default", "setting", "environment"]


class CopySettings(BaseModel):
    """How leaders are copied. Amounts in USDC, prices in USDC per share, fractions of one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    aggregation_window_ms: int = Field(
        2_000, ge=0, le=5_000, description="Fills of one token this close together are one group."
    )
    copy_fraction: Fraction = Field(
        Decimal("0.01"), description="Share of the leader's notional that a BUY copies."
    )
    buy_cash_min: Usdc = Field(Decimal(5), description="A smaller BUY is raised to this.")
    buy_cash_max: Usdc = Field(Decimal(250), description="No BUY is larger than this.")
    buy_equity_fraction_max: Fraction = Field(
        Decimal("0.0075"), description="No BUY is larger than this part of the equity."
    )
    leader_notional_min: Usdc = Field(
        Decimal(1), description="Smaller BUY groups of the leader are ignored."
    )
    dust_shares: Annotated[Decimal, Field(ge=0, le=100, decimal_places=6)] = Field(
        Decimal("0.1"), description="Fewer shares than this are not worth a sell order."
    )
    buy_leader_guard: Price = Field(
        Decimal("0.01"), description="A BUY may pay this much more than the leader."
    )
    buy_mid_guard: Price = Field(
        Decimal("0.015"), description="A BUY may pay this much above the midpoint."
    )
    sell_leader_guard: Price = Field(
        Decimal("0.05"), description="A SELL may get this much less than the leader."
    )
    sell_mid_guard: Price = Field(
        Decimal("0.05"), description="A SELL may get this much below the midpoint."
    )
    buy_spread_max: Price = Field(Decimal("0.02"), description="Widest spread for a BUY.")
    sell_spread_max: Price = Field(Decimal("0.10"), description="Widest spread for a SELL.")
    sell_always_attempt: bool = Field(
        True, description="Sells ignore price and spread checks; only the limit protects them."
    )
    buy_depth_multiple: Annotated[Decimal, Field(ge=0, le=100, decimal_places=6)] = Field(
        Decimal("1.25"), description="Shares offered inside the limit, as a multiple of ours."
    )
    price_band_min: Price = Field(Decimal("0.02"), description="No BUY below this price.")
    price_band_max: Price = Field(Decimal("0.98"), description="No BUY above this price.")
    live_age_ms_max: int = Field(
        15_000, ge=1_000, le=300_000, description="An older trade is copied as catch-up."
    )
    catch_up_age_ms_max: int = Field(
        300_000, ge=1_000, le=86_400_000, description="An older BUY is never copied."
    )
    catch_up_require_better: bool = Field(
        True, description="A catch-up BUY needs a price not worse than the leader's."
    )
    catch_up_worse_bps_max: int = Field(
        20, ge=0, le=1_000, description="Tolerance of that comparison in basis points."
    )
    close_guard_ms: int = Field(
        1_800_000, ge=0, le=86_400_000, description="No new position this close to market close."
    )
    book_age_ms_max: int = Field(
        5_000, ge=100, le=60_000, description="Oldest book a decision may rest on."
    )
    book_late_ms_max: int = Field(
        10_000,
        ge=1_000,
        le=60_000,
        description="A snapshot taken longer than this after its time stands for nothing.",
    )
    marketable_cash_min: Usdc = Field(
        Decimal(1), description="The venue's minimum notional for taking."
    )
    decision_latency_ms: int = Field(500, ge=0, le=60_000, description="Time to decide.")
    submit_latency_ms: int = Field(250, ge=0, le=60_000, description="Time to reach the venue.")
    jitter_ms_max: int = Field(250, ge=0, le=10_000, description="Random extra latency.")

    def rules(self) -> CopyRules:
        """The evaluated integers, named by their digest."""
        values: dict[str, Any] = {
            name: int(value * 1_000_000) if isinstance(value, Decimal) else value
            for name, value in self
        }
        text = self.model_dump_json()
        return CopyRules(digest=sha256(text.encode()).hexdigest()[:16], **values)


def evaluate(*layers: Mapping[str, object]) -> CopySettings:
    """Defaults overridden by each layer in turn. Raises InvalidInput naming the setting."""
    merged: dict[str, object] = {}
    for layer in layers:
        merged.update(layer)
    try:
        return CopySettings.model_validate(merged)
    except ValidationError as error:
        raise refusal(error, "settings") from error


class Environment(BaseModel):
    """Where this process runs and which venue it talks to. Names derive from the stage."""

    model_config = ConfigDict(frozen=True)

    stage: Annotated[str, Field(pattern=r"^[a-z][a-z0-9]{1,15}$")] = "local"
    region: str = "us-east-1"
    venue: Literal["simulated", "live"] = "live"
    data_api_url: str = "https://data-api.polymarket.com"
    gamma_api_url: str = "https://gamma-api.polymarket.com"
    clob_api_url: str = "https://clob.polymarket.com"
    clob_ws_url: str = "wss://ws-subscriptions-clob.polymarket.com/ws/market"
    polygon_ws_url: str = ""
    polygon_http_url: str = ""
    trigger_mode: Literal["api", "polygon", "both", ""] = ""
    poll_interval_s: Annotated[int, Field(ge=5, le=60)] = 30
    starting_cash: Usdc = Decimal(10_000)

    @property
    def mode(self) -> tuple[TriggerMode, Origin]:
        """The effective trigger mode and where it came from."""
        return (self.trigger_mode, "environment") if self.trigger_mode else ("both", "default")


_NAMES = {
    "PAPERCOPY_STAGE": "stage",
    "AWS_REGION": "region",
    "VENUE": "venue",
    "DATA_API_URL": "data_api_url",
    "GAMMA_API_URL": "gamma_api_url",
    "CLOB_API_URL": "clob_api_url",
    "CLOB_WS_URL": "clob_ws_url",
    "POLYGON_WS_URL": "polygon_ws_url",
    "POLYGON_HTTP_URL": "polygon_http_url",
    "TRIGGER_MODE": "trigger_mode",
    "POLL_INTERVAL_S": "poll_interval_s",
    "STARTING_CASH": "starting_cash",
}
"""Environment variables read, and the setting each one gives."""


def environment(variables: Mapping[str, str] | None = None) -> Environment:
    """The process's environment. Raises InvalidInput naming the variable."""
    source = os.environ if variables is None else variables
    values = {name: source[key] for key, name in _NAMES.items() if source.get(key)}
    try:
        return Environment.model_validate(values)
    except ValidationError as error:
        refused = refusal(error, "settings")
        variable = next((k for k, n in _NAMES.items() if n == refused.field), refused.field)
        raise InvalidInput(variable, refused.reason) from error
