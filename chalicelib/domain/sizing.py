"""How many shares to order.

A BUY has a notional that its sizing kind asks for; it is scaled where the leader was maker, raised
to the minimum and cut to the maximum. A SELL follows what the leader did with his holding, or with
`sell_sizing = notional` sells `copy_fraction` of his shares; minimum, maximum, maker ratio and
sizing kind are for BUYs only, because nothing may keep us in a position.
"""

from __future__ import annotations

from dataclasses import dataclass

from chalicelib.domain.exchange_log import Role
from chalicelib.domain.group import KEPT_SCALE
from chalicelib.domain.money import MICROS, SHARE_STEP, floor_to, ratio_floor
from chalicelib.domain.rules import CopyRules


@dataclass(frozen=True, slots=True)
class Size:
    """How the notional of a BUY came about, in micros.

    `asked` is what the sizing kind and the maker ratio ask for, `largest` the maximum at this
    equity, `cash` what is left between minimum and maximum: None when the maximum is below the
    minimum.
    """

    asked: int
    largest: int
    cash: int | None


def asked_cash(
    leader_cash: int, equity: int, leader_equity: int | None, rules: CopyRules
) -> int | None:
    """The notional that the sizing kind asks for, rounded down to the micro.

    None when it follows the leader's equity, and that is not known or nothing.
    """
    if rules.sizing == "fixed_notional":
        return rules.fixed_cash
    if rules.sizing == "leader_equity":
        if leader_equity is None or leader_equity <= 0:
            return None
        return ratio_floor(max(equity, 0), leader_cash, leader_equity)
    return ratio_floor(leader_cash, rules.copy_fraction, MICROS)


def buy_size(
    leader_cash: int,
    equity: int,
    rules: CopyRules,
    leader_equity: int | None = None,
    role: Role | None = None,
) -> Size | None:
    """The notional of a BUY, or None where the sizing kind cannot say.

    A group whose fills had both roles, or whose role is not known, is not scaled.
    """
    asked = asked_cash(leader_cash, equity, leader_equity, rules)
    if asked is None:
        return None
    if role == "maker":
        asked = ratio_floor(asked, rules.maker_ratio, MICROS)
    worth = ratio_floor(max(equity, 0), rules.buy_equity_fraction_max, MICROS)
    largest = min(rules.buy_cash_max, worth)
    if largest < rules.buy_cash_min:
        return Size(asked, largest, None)
    return Size(asked, largest, min(max(asked, rules.buy_cash_min), largest))


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


def sell_owed_by_notional(
    held: int, leader_shares: int, exit_debt: int, leader_is_out: bool, rules: CopyRules
) -> int:
    """Shares a SELL by notional asks for: what is still owed, and `copy_fraction` of his shares.

    At his price that is the same part of his notional. All of the holding when the leader is out,
    and never more than it. Rounded down to the micro.
    """
    if leader_is_out:
        return held
    overdue = min(exit_debt, held)
    return min(held, overdue + ratio_floor(leader_shares, rules.copy_fraction, MICROS))


def sell_shares(wanted: int, held: int) -> int:
    """The order for what is owed: floored to 0.01 share, except that a whole holding goes whole."""
    return wanted if wanted == held else floor_to(wanted, SHARE_STEP)
