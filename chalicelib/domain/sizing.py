"""How many shares to order."""

from __future__ import annotations

from chalicelib.domain.group import KEPT_SCALE
from chalicelib.domain.money import MICROS, SHARE_STEP, floor_to, ratio_floor
from chalicelib.domain.rules import CopyRules


def buy_cash(leader_cash: int, equity: int, rules: CopyRules) -> int | None:
    """Target notional of a BUY: a fraction of the leader's, raised to the minimum, capped.

    None when the cap is below the minimum. Rounded down to the micro.
    """
    largest = min(
        rules.buy_cash_max, ratio_floor(max(equity, 0), rules.buy_equity_fraction_max, MICROS)
    )
    if largest < rules.buy_cash_min:
        return None
    return min(
        max(ratio_floor(leader_cash, rules.copy_fraction, MICROS), rules.buy_cash_min), largest
    )


def buy_shares(cash: int, limit: int) -> int:
    """Shares `cash` pays at `limit`, floored to 0.01 share."""
    return floor_to(cash * MICROS // limit, SHARE_STEP)


def sell_shares(held: int, reduction: int, exit_debt: int, leader_is_out: bool) -> int:
    """Shares of a proportional SELL: our holding × his reduction, plus what is still owed.

    Clamped to the holding. The holding is sold whole when the leader is out; otherwise the result
    is floored to 0.01 share.
    """
    if leader_is_out:
        return held
    wanted = ratio_floor(held, reduction, KEPT_SCALE) + exit_debt
    return min(held, floor_to(wanted, SHARE_STEP))
