"""Caps that no setting can lift, and the check that both a decision and an executor make.

A decision judges a BUY by the settings' caps. Whoever places orders checks again, by himself,
against the lower of setting and hard cap, and places nothing beyond. Both look at BUYs only: a
reduction is always allowed, or a position above a cap could never be left.
"""

from __future__ import annotations

from dataclasses import dataclass

from chalicelib.domain.money import MICROS
from chalicelib.domain.reasons import Reason
from chalicelib.domain.risk import Spending
from chalicelib.domain.rules import CopyRules


@dataclass(frozen=True, slots=True)
class Caps:
    """Notional of one BUY and of one UTC day's BUYs in micros, and fills of one hour."""

    order_cash: int
    daily_cash: int
    hourly_fills: int


HARD_CAPS = Caps(order_cash=5_000 * MICROS, daily_cash=100_000 * MICROS, hourly_fills=2_000)


def caps_of(rules: CopyRules) -> Caps:
    """The caps that the settings ask for."""
    return Caps(rules.order_cash_max, rules.daily_cash_max, rules.hourly_fills_max)


def lower_of(one: Caps, other: Caps) -> Caps:
    """Each cap at its lower value."""
    return Caps(
        min(one.order_cash, other.order_cash),
        min(one.daily_cash, other.daily_cash),
        min(one.hourly_fills, other.hourly_fills),
    )


def cap_reasons(cash: int, spent: Spending, ts: int, caps: Caps) -> list[Reason]:
    """Every cap that a BUY of `cash` (micros) at `ts` (milliseconds) would break.

    `spent` is what the portfolio spent before it; figures of another day or hour count as nothing.
    """
    now = spent.at(ts)
    reasons = []
    if cash > caps.order_cash:
        reasons.append(Reason.ORDER_CAP)
    if now.cash + cash > caps.daily_cash:
        reasons.append(Reason.DAILY_CAP)
    if now.fills + 1 > caps.hourly_fills:
        reasons.append(Reason.HOURLY_CAP)
    return reasons
