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


def sell_owed(held: int, reduction: int, exit_debt: int, leader_is_out: bool) -> int:
    """Shares a proportional SELL asks for: what is still owed, and his reduction of the rest.

    Shares that are owed should be gone already, so the reduction applies to the others. All of
    the holding when the leader is out, and never more than it. Rounded down to the micro only:
    small sells add up.
    """
    if leader_is_out:
        return held
    overdue = min(exit_debt, held)
    return overdue + ratio_floor(held - overdue, reduction, KEPT_SCALE)


def sell_shares(wanted: int, held: int) -> int:
    """The order for what is owed: floored to 0.01 share, except that a whole holding goes whole."""
    return wanted if wanted == held else floor_to(wanted, SHARE_STEP)
