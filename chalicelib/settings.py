"""Settings people write, and the environment a process runs in; both validated once.

Copy settings are layered (default, global, per leader) and evaluated into the integers of
`CopyRules`. Every decision carries the digest of what it ran under. System settings are layered
too (default, stored, environment) and say where the trigger mode came from.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from chalicelib.domain.errors import InvalidInput
from chalicelib.domain.latency_model import settle_ms
from chalicelib.domain.money import MICROS
from chalicelib.domain.rules import (
    BookMode,
    CopyRules,
    ExecuteOn,
    GapFill,
    Origin,
    RestingFill,
    SellSizing,
    Sizing,
    StartMode,
    SystemRules,
    TriggerMode,
    digest_of,
    rules_text,
)
from chalicelib.domain.safety_caps import HARD_CAPS
from chalicelib.validation import refusal

Usdc = Annotated[
    Decimal,
    Field(ge=0, le=1_000_000, decimal_places=6, json_schema_extra={"unit": "usdc"}),
]
Capped = Annotated[Decimal, Field(decimal_places=6, json_schema_extra={"unit": "usdc"})]
Fraction = Annotated[
    Decimal, Field(ge=0, le=1, decimal_places=6, json_schema_extra={"unit": "fraction"})
]
Price = Annotated[Decimal, Field(ge=0, le=1, decimal_places=6, json_schema_extra={"unit": "price"})]
Ratio = Annotated[Decimal, Field(decimal_places=6, json_schema_extra={"unit": "ratio"})]
Shares = Annotated[Decimal, Field(decimal_places=6, json_schema_extra={"unit": "shares"})]
ORDER_CAP_USDC = HARD_CAPS.order_cash // MICROS
DAILY_CAP_USDC = HARD_CAPS.daily_cash // MICROS
POLL_INTERVAL_S = 30
POLL_INTERVAL_API_S = 10
"""Without the chain a leader is looked at more often."""
COPY_MS_MAX = 220_000
"""From a group's opening to its order's end; with the venue's delays a workflow waits 240 s."""


class CopySettings(BaseModel):
    """How leaders are copied. Amounts in USDC, prices in USDC per share, fractions of one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    aggregation_window_ms: int = Field(
        2_000, ge=0, le=5_000, description="Fills of one token this close together are one group."
    )
    execute_on: ExecuteOn = Field(
        "first_seen", description="Copy at first sight, or wait for the Data API's confirmation."
    )
    api_lag_fallback_ms: int = Field(
        3_000,
        ge=0,
        le=30_000,
        description="Longest wait for the confirmation; it practically never comes below 6,000.",
    )
    copying: bool = Field(
        True, description="Whether positions are opened; off, only his sells are followed."
    )
    sizing: Sizing = Field(
        "percent_of_notional",
        description="A BUY's size: a part of his notional, always the same, or by his equity.",
    )
    copy_fraction: Fraction = Field(
        Decimal("0.01"), description="Share of the leader's notional that a BUY copies."
    )
    fixed_cash: Usdc = Field(Decimal(10), description="A BUY's size where it is always the same.")
    leader_percentile_min: Fraction = Field(
        Decimal(0),
        description="Copy a BUY only if it is at least as large as this part of his last 200.",
    )
    maker_ratio: Ratio = Field(
        Decimal(1),
        gt=0,
        le=10,
        description="A BUY's size is multiplied by this when the leader was maker.",
    )
    skip_maker: bool = Field(
        False, description="Open no position when the leader was maker in every fill."
    )
    sell_sizing: SellSizing = Field(
        "proportional",
        description="Sell the part of our holding he sells of his, or copy_fraction of his shares.",
    )
    buy_cash_min: Usdc = Field(Decimal(5), description="A smaller BUY is raised to this.")
    buy_cash_max: Usdc = Field(Decimal(250), description="No BUY is larger than this.")
    buy_equity_fraction_max: Fraction = Field(
        Decimal("0.0075"), description="No BUY is larger than this part of the equity."
    )
    leader_notional_min: Usdc = Field(
        Decimal(1), description="Smaller BUY groups of the leader are ignored."
    )
    dust_shares: Shares = Field(
        Decimal("0.1"),
        ge=0,
        le=100,
        description="Fewer shares than this are not worth a sell order.",
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
    buy_depth_multiple: Ratio = Field(
        Decimal("1.25"),
        ge=0,
        le=100,
        description="Shares offered inside the limit, as a multiple of ours.",
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
    price_move_max: Fraction = Field(
        Decimal(0),
        description="Largest move from the leader's price against us, as a part of it; 0 is off.",
    )
    book_fresh_ms: int = Field(
        2_000, ge=100, le=60_000, description="A book proven longer ago is asked for again."
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
    order_cash_max: Capped = Field(
        Decimal(250),
        ge=0,
        le=ORDER_CAP_USDC,
        description="A BUY above this notional is not placed.",
    )
    daily_cash_max: Capped = Field(
        Decimal(5_000),
        ge=0,
        le=DAILY_CAP_USDC,
        description="BUYs of a portfolio on one UTC day stay within this notional.",
    )
    hourly_fills_max: int = Field(
        200,
        ge=0,
        le=HARD_CAPS.hourly_fills,
        description="After this many fills in one hour a portfolio opens nothing.",
    )
    exposure_fraction_max: Fraction = Field(
        Decimal("0.70"), description="Largest exposure of a portfolio, as a part of its equity."
    )
    market_fraction_max: Fraction = Field(
        Decimal("0.05"), description="Largest exposure to one market, as a part of the equity."
    )
    event_fraction_max: Fraction = Field(
        Decimal("0.10"), description="Largest exposure to one event, as a part of the equity."
    )
    category_fraction_max: Fraction = Field(
        Decimal("0.25"), description="Largest exposure to one category, as a part of the equity."
    )
    leader_fraction_max: Fraction = Field(
        Decimal("0.20"),
        description="Largest exposure to one leader, as a part of the global portfolio's equity.",
    )
    open_positions_max: int = Field(
        100, ge=0, le=1_000, description="Tokens a portfolio may hold or be buying at once."
    )
    daily_loss_max: Fraction = Field(
        Decimal("0.03"), description="A loss of this part since 00:00 UTC stops new positions."
    )
    weekly_loss_max: Fraction = Field(
        Decimal("0.08"), description="A loss of this part since Monday stops new positions."
    )
    drawdown_max: Fraction = Field(
        Decimal("0.12"),
        description="A fall of this part from the highest equity stops new positions until reset.",
    )
    decision_latency_ms: int = Field(500, ge=0, le=60_000, description="Time to decide.")
    submit_latency_ms: int = Field(250, ge=0, le=60_000, description="Time to reach the venue.")
    jitter_ms_max: int = Field(250, ge=0, le=10_000, description="Random extra latency.")
    order_ttl_ms: int = Field(
        30_000,
        ge=0,
        le=120_000,
        description="How long what was not filled at once rests; 0 cancels it.",
    )
    resting_fill: RestingFill = Field(
        "trade_through",
        description="What fills a resting order: the book through its price, or a touch of it.",
    )

    @model_validator(mode="after")
    def _ends_in_time(self) -> Self:
        """One workflow waits for everything from a group's opening to its order's expiry."""
        rules = self.rules()
        total = settle_ms(rules, 0) + rules.confirm_ms + rules.order_ttl_ms
        if total > COPY_MS_MAX:
            raise ValueError(
                "window, confirmation, latencies and order_ttl_ms together are "
                f"{total} ms; at most {COPY_MS_MAX} are possible"
            )
        return self

    @model_validator(mode="after")
    def _bounds_in_order(self) -> Self:
        """No pair of bounds shuts everything out."""
        pairs = (
            ("price_band_min", "price_band_max"),
            ("live_age_ms_max", "catch_up_age_ms_max"),
            ("book_fresh_ms", "book_age_ms_max"),
        )
        for lower, upper in pairs:
            if getattr(self, lower) > getattr(self, upper):
                raise ValueError(f"{lower} must not be above {upper}")
        return self

    def rules(self) -> CopyRules:
        """The evaluated integers, named by their digest."""
        values: dict[str, Any] = {
            name: int(value * 1_000_000) if isinstance(value, Decimal) else value
            for name, value in self
        }
        rules = CopyRules(**values)
        return replace(rules, digest=digest_of(rules_text(rules)))


class SystemSettings(BaseModel):
    """How fills are detected, for all leaders. Times in the unit their name says."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    trigger_mode: TriggerMode = Field(
        "both", description="Which sources detect fills: the Data API, the chain, or both."
    )
    poll_interval_s: int | None = Field(
        None, ge=5, le=60, description="Time between polls of a leader: 30, in mode api 10."
    )
    start_mode: StartMode = Field(
        "flat", description="Whether a start ingests history, which is never copied."
    )
    warm_start_seconds: int = Field(
        900, ge=0, le=86_400, description="How much history a warm start ingests."
    )
    simulate_api_lag_ms: int = Field(
        0, ge=0, le=60_000, description="Extra lag of the Data API, for tests."
    )
    gap_fill: GapFill = Field(
        "off", description="When the logs of missed blocks are read from a node."
    )
    gap_fill_blocks_max: int = Field(
        10, ge=1, le=10_000, description="Blocks one such query may span."
    )
    strict_both: bool = Field(
        False, description="In mode both, open positions only while both sources are well."
    )
    book_mode: BookMode = Field(
        "ws+snapshot",
        description="Where books come from: requests, the market channel, or it with requests.",
    )
    books_most_liquid: int = Field(
        0, ge=0, le=500, description="How many of the most liquid markets are tracked besides."
    )

    def rules(self, env: Environment) -> SystemRules:
        """What is in force where the environment has the last word."""
        is_stored = "trigger_mode" in self.model_fields_set
        mode: TriggerMode = env.trigger_mode or self.trigger_mode
        origin: Origin = "setting" if is_stored else "default"
        if env.trigger_mode:
            origin = "environment"
        usual_s = POLL_INTERVAL_API_S if mode == "api" else POLL_INTERVAL_S
        return SystemRules(
            trigger_mode=mode,
            mode_origin=origin,
            mode_stored=self.trigger_mode if is_stored and mode != self.trigger_mode else "",
            poll_interval_s=env.poll_interval_s or self.poll_interval_s or usual_s,
            start_mode=self.start_mode,
            warm_start_seconds=self.warm_start_seconds,
            simulate_api_lag_ms=self.simulate_api_lag_ms,
            gap_fill=self.gap_fill,
            gap_fill_blocks_max=self.gap_fill_blocks_max,
            strict_both=self.strict_both,
            book_mode=self.book_mode,
            books_most_liquid=self.books_most_liquid,
        )


def mode_lines(system: SystemRules) -> tuple[str, str]:
    """The trigger mode for a log, and a warning where it overrides a stored one, else empty."""
    line = f"trigger mode {system.trigger_mode}, from {system.mode_origin}"
    if not system.mode_stored:
        return line, ""
    overridden = f"TRIGGER_MODE={system.trigger_mode} in the environment overrides"
    return line, f"{overridden} the stored setting trigger_mode={system.mode_stored}"


def evaluate_system(layer: Mapping[str, object]) -> SystemSettings:
    """The stored layer over the defaults. Raises InvalidInput naming the setting."""
    try:
        return SystemSettings.model_validate(dict(layer))
    except ValidationError as error:
        raise refusal(error, "settings") from error


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
    polygon_ws_url: str = Field("", repr=False)
    polygon_http_url: str = Field("", repr=False)
    trigger_mode: Literal["api", "polygon", "both", ""] = ""
    poll_interval_s: Annotated[int, Field(ge=5, le=60)] | None = None
    venue_budget_shares: Annotated[int, Field(ge=1, le=100)] = 1
    starting_cash: Usdc = Decimal(10_000)


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
    "VENUE_BUDGET_SHARES": "venue_budget_shares",
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
