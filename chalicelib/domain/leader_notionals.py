"""How large a leader's trade is among his own: the notionals of his last BUY groups."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

from chalicelib.domain.group import Group
from chalicelib.domain.money import MICROS, ratio_floor
from chalicelib.domain.records import replace

NOTIONALS_MAX = 200
NOTIONALS_MIN = 20
"""With fewer earlier groups nothing can be said about a rank."""


@dataclass(frozen=True, slots=True)
class LeaderNotionals:
    """Notionals of a leader's last NOTIONALS_MAX BUY groups, by decision time, oldest first.

    `times` (milliseconds) and `cash` (micros) go together. Kept whether or not a filter asks.
    """

    leader: str
    times: tuple[int, ...] = ()
    cash: tuple[int, ...] = ()
    version: int = 0


def rank_of(known: LeaderNotionals, ts: int, cash: int) -> int | None:
    """The part of the NOTIONALS_MAX notionals up to `ts` that `cash` is not smaller than.

    In micros, rounded down: 750_000 says that three quarters were at most as large. None where
    there are fewer than NOTIONALS_MIN.
    """
    place = bisect_right(known.times, ts)
    earlier = known.cash[max(0, place - NOTIONALS_MAX) : place]
    if len(earlier) < NOTIONALS_MIN:
        return None
    return ratio_floor(sum(one <= cash for one in earlier), MICROS, len(earlier))


def with_notional(known: LeaderNotionals, ts: int, cash: int) -> LeaderNotionals:
    """The record with one more group at its place in time; the oldest one falls out."""
    place = bisect_right(known.times, ts)
    times = (*known.times[:place], ts, *known.times[place:])
    notionals = (*known.cash[:place], cash, *known.cash[place:])
    return replace(known, times=times[-NOTIONALS_MAX:], cash=notionals[-NOTIONALS_MAX:])


def is_ranked(group: Group) -> bool:
    """Whether a group is ranked: a BUY, unless the chain took it back completely.

    The filter looks at nothing else, and how much a sell brings depends on what he held.
    """
    return group.side == "BUY" and not group.retracted


def ranked_among(known: LeaderNotionals, group: Group) -> tuple[Group, LeaderNotionals]:
    """The group with its rank among its leader's earlier ones, and these with it."""
    ts, cash = group.ts_decided, group.net_cash
    return replace(group, rank=rank_of(known, ts, cash)), with_notional(known, ts, cash)
