"""The copy rules a decision was made under: evaluated settings as integers.

Fractions are in micros (10_000 is 1 %), amounts in micros, times in milliseconds. Defaults are the
product's defaults; `chalicelib.settings` layers and validates what people write.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CopyRules:
    """One evaluated set of settings; `digest` names it on every decision.

    `refused` is empty, or says which stored setting is unusable: then nothing is copied, because
    guessing what somebody meant would be worse.
    """

    digest: str = ""
    aggregation_window_ms: int = 2_000
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
    book_age_ms_max: int = 5_000
    book_late_ms_max: int = 10_000
    marketable_cash_min: int = 1_000_000
    decision_latency_ms: int = 500
    submit_latency_ms: int = 250
    jitter_ms_max: int = 250
    refused: str = ""
