"""The copy rules a decision was made under: evaluated settings as integers.

Fractions are in micros (10_000 is 1 %), amounts in micros, times in milliseconds. Defaults are the
product's defaults; `chalicelib.settings` layers and validates what people write.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

TriggerMode = Literal["api", "polygon", "both"]
Origin = Literal["default", "setting", "environment"]
ExecuteOn = Literal["first_seen", "api_confirmed"]
GapFill = Literal["off", "on_reconnect", "sweep"]
StartMode = Literal["flat", "warm"]
BookMode = Literal["rest", "ws", "ws+snapshot"]
RestingFill = Literal["trade_through", "touch"]


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
    copy_fraction: int = 10_000
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
