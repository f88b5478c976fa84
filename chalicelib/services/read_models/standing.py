"""How executable portfolios stand: paused or running, and which circuit breakers are open."""

from __future__ import annotations

from chalicelib.domain.breakers import Breakers, open_breakers
from chalicelib.domain.money import MICROS
from chalicelib.domain.pause import is_paused
from chalicelib.domain.portfolio import Head
from chalicelib.domain.registry import PortfolioRef
from chalicelib.domain.rules import CopyRules
from chalicelib.ports import Store
from chalicelib.services.portfolios import head_of, portfolios_of
from chalicelib.services.read_models.listing import Json, explained
from chalicelib.services.watch_breakers import breakers_of


def standings(store: Store, now: int) -> list[Json]:
    """Every executable portfolio of the account: three reads for each."""
    return [_standing(store, ref, now) for ref in portfolios_of(store)]


def _standing(store: Store, ref: PortfolioRef, now: int) -> Json:
    head = head_of(store, ref)
    return {
        "portfolio_id": ref.portfolio_id,
        "kind": ref.kind,
        "leader": ref.leader or None,
        **standing_of(head, breakers_of(store, head), now),
    }


def standing_of(head: Head, breakers: Breakers, now: int) -> Json:
    """Whether a portfolio is paused and what stops its purchases."""
    paused = is_paused(head.pauses)
    return {
        "paused": paused,
        "paused_since": head.pauses[-1].ts_from if paused else None,
        "breakers": explained(open_breakers(breakers, now)),
    }


def losses(breakers: Breakers, equity: int, rules: CopyRules) -> list[Json]:
    """What was lost of a day, a week and the height, beside the loss that opens the breaker."""
    bases = (
        ("daily_loss", breakers.day_equity, rules.daily_loss_max),
        ("weekly_loss", breakers.week_equity, rules.weekly_loss_max),
        ("drawdown", breakers.high_water, rules.drawdown_max),
    )
    return [
        {
            "limit": name,
            "used_micros": max(0, before - equity),
            "max_micros": before * part // MICROS if part else None,
        }
        for name, before, part in bases
    ]
