"""What a portfolio may still risk: its exposures and its spending, and what the limits say."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from chalicelib.domain.money import MICROS, ratio_floor
from chalicelib.domain.reasons import Reason
from chalicelib.domain.records import quick, replace
from chalicelib.domain.rules import CopyRules

DAY_MS = 86_400_000
HOUR_MS = 3_600_000


@quick
@dataclass(frozen=True, slots=True)
class Exposure:
    """What a portfolio has at risk before an order, by what the order would add to, in micros.

    Exposure is Σ shares × mark plus what unfinished attempts hold back. `market`, `event`,
    `category` and `leader` are the parts of `total` that share them with the order;
    `open_positions` counts tokens held or being bought, `holds_token` says that the order's token
    is among them. In a portfolio with `one_leader` only, everything is his.
    """

    total: int = 0
    market: int = 0
    event: int = 0
    category: int = 0
    leader: int = 0
    open_positions: int = 0
    holds_token: bool = False
    one_leader: bool = False


class Stake(NamedTuple):
    """One amount at risk in micros and what it shares with others, empty where not known."""

    cash: int
    token_id: str
    leader: str
    market: str = ""
    event: str = ""
    category: str = ""


def exposure_of(stakes: Iterable[Stake], order: Stake, *, one_leader: bool = False) -> Exposure:
    """What stands beside `order`, whose own cash takes no part.

    A token whose market is not known shares with nobody but itself.
    """
    total = market = event = category = leader = 0
    _, own_token, own_leader, own_market, own_event, own_category = order
    tokens = set()
    for cash, token, whose, of_market, of_event, of_category in stakes:
        tokens.add(token)
        total += cash
        if whose == own_leader:
            leader += cash
        same_token = token == own_token
        if same_token or (of_market and of_market == own_market):
            market += cash
        if same_token or (of_event and of_event == own_event):
            event += cash
        if same_token or (of_category and of_category == own_category):
            category += cash
    return Exposure(
        total=total,
        market=market,
        event=event,
        category=category,
        leader=leader,
        open_positions=len(tokens),
        holds_token=own_token in tokens,
        one_leader=one_leader,
    )


def risk_reasons(exposure: Exposure, cash: int, equity: int, rules: CopyRules) -> list[Reason]:
    """Every limit that a BUY holding back `cash` would break, as fractions of `equity`.

    Bounds are rounded down to the micro. Where a portfolio follows one leader only, the bound of
    the total stands for his.
    """
    worth = max(equity, 0)

    def breaks(at_risk: int, fraction: int) -> bool:
        return at_risk + cash > ratio_floor(worth, fraction, MICROS)

    caps = (
        (Reason.RISK_CAP_TOTAL, exposure.total, rules.exposure_fraction_max),
        (Reason.RISK_CAP_MARKET, exposure.market, rules.market_fraction_max),
        (Reason.RISK_CAP_EVENT, exposure.event, rules.event_fraction_max),
        (Reason.RISK_CAP_CATEGORY, exposure.category, rules.category_fraction_max),
        (Reason.RISK_CAP_LEADER, exposure.leader, rules.leader_fraction_max),
    )
    reasons = [reason for reason, at_risk, fraction in caps if breaks(at_risk, fraction)]
    if exposure.one_leader and Reason.RISK_CAP_LEADER in reasons:
        reasons.remove(Reason.RISK_CAP_LEADER)
    if not exposure.holds_token and exposure.open_positions >= rules.open_positions_max:
        reasons.append(Reason.RISK_CAP_POSITIONS)
    return reasons


@dataclass(frozen=True, slots=True)
class Spending:
    """What a portfolio's BUYs cost on one UTC day and how many fills it had in one hour.

    `day` and `hour` count from the epoch; a figure of another day or hour counts as nothing.
    """

    day: int = 0
    cash: int = 0
    hour: int = 0
    fills: int = 0

    def at(self, ts: int) -> Spending:
        """The figures of the day and hour of `ts` (milliseconds); they never go back in time."""
        day, hour = ts // DAY_MS, ts // HOUR_MS
        known = self if day <= self.day else replace(self, day=day, cash=0)
        return known if hour <= known.hour else replace(known, hour=hour, fills=0)

    def spent(self, ts: int, cash: int) -> Spending:
        """After a BUY decided at `ts` holds back `cash`, or gives back what is negative.

        What an earlier day held back is not given back to this one.
        """
        if cash < 0 and ts // DAY_MS != self.day:
            return self
        now = self.at(ts)
        return replace(now, cash=max(0, now.cash + cash))

    def filled(self, ts: int, fills: int) -> Spending:
        """After `fills` fills at `ts`; those of an hour that is over no longer count."""
        now = self.at(ts)
        return replace(now, fills=now.fills + fills) if ts // HOUR_MS == now.hour else now


UNSPENT = Spending()
