"""The copy rules a decision was made under: evaluated settings as integers.

Fractions are in micros (10_000 is 1 %), amounts in micros, times in milliseconds. Defaults are the
product's defaults; `chalicelib.settings` layers and validates what people write.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Literal

TriggerMode = Literal["api", "polygon", "both"]
Origin = Literal["default", "setting", "environment"]
ExecuteOn = Literal["first_seen", "api_confirmed"]
GapFill = Literal["off", "on_reconnect", "sweep"]
StartMode = Literal["flat", "warm"]
BookMode = Literal["rest", "ws", "ws+snapshot"]
RestingFill = Literal["trade_through", "touch"]
Sizing = Literal["percent_of_notional", "fixed_notional", "leader_equity"]
SellSizing = Literal["proportional", "notional"]


@dataclass(frozen=True, slots=True)
class CopyRules:
    """One evaluated set of settings; `digest` names it on every decision.

    `refused` is empty, or says which stored setting is unusable: then nothing is copied, because
    guessing what somebody meant would be worse.
    """

    digest: str = ""
    aggregation_window_ms: int = 2_000
    execute_on: ExecuteOn = "first_seen"
    api_lag_fallback_ms: int = 3_000
    copying: bool = True
    sizing: Sizing = "percent_of_notional"
    copy_fraction: int = 10_000
    fixed_cash: int = 10_000_000
    leader_percentile_min: int = 0
    maker_ratio: int = 1_000_000
    skip_maker: bool = False
    sell_sizing: SellSizing = "proportional"
    buy_cash_min: int = 5_000_000
    buy_cash_max: int = 250_000_000
    buy_equity_fraction_max: int = 7_500
    leader_notional_min: int = 1_000_000
    dust_shares: int = 100_000
    buy_leader_guard: int = 10_000
    buy_mid_guard: int = 15_000
    sell_leader_guard: int = 50_000
    sell_mid_guard: int = 50_000
    buy_spread_max: int = 20_000
    sell_spread_max: int = 100_000
    sell_always_attempt: bool = True
    buy_depth_multiple: int = 1_250_000
    price_band_min: int = 20_000
    price_band_max: int = 980_000
    live_age_ms_max: int = 15_000
    catch_up_age_ms_max: int = 300_000
    catch_up_require_better: bool = True
    catch_up_worse_bps_max: int = 20
    close_guard_ms: int = 1_800_000
    price_move_max: int = 0
    book_fresh_ms: int = 2_000
    book_age_ms_max: int = 5_000
    book_late_ms_max: int = 10_000
    marketable_cash_min: int = 1_000_000
    order_cash_max: int = 250_000_000
    daily_cash_max: int = 5_000_000_000
    hourly_fills_max: int = 200
    exposure_fraction_max: int = 700_000
    market_fraction_max: int = 50_000
    event_fraction_max: int = 100_000
    category_fraction_max: int = 250_000
    leader_fraction_max: int = 200_000
    open_positions_max: int = 100
    daily_loss_max: int = 30_000
    weekly_loss_max: int = 80_000
    drawdown_max: int = 120_000
    decision_latency_ms: int = 500
    submit_latency_ms: int = 250
    jitter_ms_max: int = 250
    order_ttl_ms: int = 30_000
    resting_fill: RestingFill = "trade_through"
    refused: str = ""

    @property
    def confirm_ms(self) -> int:
        """Longest wait for the Data API's confirmation after the window, 0 for none."""
        return self.api_lag_fallback_ms if self.execute_on == "api_confirmed" else 0


def rules_text(rules: CopyRules) -> str:
    """The whole configuration as canonical JSON: equal rules have equal texts."""
    values = {k: v for k, v in asdict(rules).items() if k not in ("digest", "refused")}
    return json.dumps(values, sort_keys=True, separators=(",", ":"))


def digest_of(text: str) -> str:
    """The name of a configuration: the first 64 bits of its text's SHA-256."""
    return sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Config:
    """A configuration that decisions were made under; `digest` is `digest_of(text)`."""

    digest: str
    text: str
    version: int = 0


@dataclass(frozen=True, slots=True)
class SystemRules:
    """How fills are detected, for all leaders; `mode_origin` says where the trigger mode came from.

    `mode_stored` is the stored setting that an environment variable overrides, empty when none.
    Times in the unit their name says.
    """

    trigger_mode: TriggerMode = "both"
    mode_origin: Origin = "default"
    mode_stored: str = ""
    poll_interval_s: int = 30
    start_mode: StartMode = "flat"
    warm_start_seconds: int = 900
    simulate_api_lag_ms: int = 0
    gap_fill: GapFill = "off"
    gap_fill_blocks_max: int = 10
    strict_both: bool = False
    book_mode: BookMode = "ws+snapshot"
    books_most_liquid: int = 0
